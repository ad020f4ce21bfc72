import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** {@code OsNode DIRECTORY PORT setting=value…}: one OpenSearch node, in the foreground until SIGTERM. */
public class OsNode {
    private static final int HIGHEST_PORT = 65535;

    public static void main(String[] given) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.setMaxHttpPort(HIGHEST_PORT); // by default it takes none above 9299, and does not say so
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
        runner.onBuild((number, settings) -> {
            settings.put("http.port", Integer.parseInt(given[1]));
            for (int place = 2; place < given.length; place++) {
                int equals = given[place].indexOf('=');
                settings.put(given[place].substring(0, equals), given[place].substring(equals + 1));
            }
        });
        runner.build(OpenSearchRunner.newConfigs()
            .basePath(given[0]).numOfNode(1).clusterName("standin").disableESLogger());
        new CountDownLatch(1).await(); // the node's own threads are daemons
    }

    private static void close(OpenSearchRunner runner) {
        try {
            runner.close();
        } catch (Exception failed) {
            failed.printStackTrace();
        }
    }
}
