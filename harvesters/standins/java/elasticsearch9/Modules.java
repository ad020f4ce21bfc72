import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.plugins.PluginsLoader;

/** As Elasticsearch 9 loads modules. */
class Modules {
    static PluginsLoader load(Path directory) throws Exception {
        return PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(directory, false), Set.of(), Map.of(), false);
    }
}
