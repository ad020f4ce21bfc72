import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;

/** {@code EsNode setting=value…}: one Elasticsearch node, in the foreground until SIGTERM. */
public class EsNode {
    private static final String NAME = "standin-1";

    public static void main(String[] pairs) throws Exception {
        Settings.Builder given = Settings.builder().put("node.name", NAME);
        for (String pair : pairs) {
            int equals = pair.indexOf('=');
            given.put(pair.substring(0, equals), pair.substring(equals + 1));
        }
        Settings settings = given.build();
        Path home = Path.of(settings.get("path.home"));
        LogConfigurator.configureESLogging(); // must come before any other class of Elasticsearch is used
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> NAME);
        LogConfigurator.setNodeName(NAME);
        LogConfigurator.configureWithoutConfig(environment.settings()); // errors, to the console
        Node node = new Node(environment, Modules.load(home.resolve("modules")));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        new CountDownLatch(1).await(); // the node's own threads are daemons
    }

    private static void close(Node node) {
        try {
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failed) {
            failed.printStackTrace();
        }
    }
}
