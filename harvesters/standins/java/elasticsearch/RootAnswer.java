import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.lucene.util.Version;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/**
 * {@code GET /} and {@code HEAD /}, which clients ask for the version. Elasticsearch has them in its module rest-root,
 * which is not published; this gives the same answer. How handlers are asked for differs between releases.
 */
abstract class RootAnswer extends Plugin implements ActionPlugin {
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    Collection<RestHandler> handlers() {
        return List.of(new RootHandler());
    }

    private class RootHandler extends BaseRestHandler {
        @Override
        public String getName() {
            return "main_action";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            Map<String, Object> body = Map.of(
                "name", cluster.getNodeName(),
                "cluster_name", cluster.getClusterName().value(),
                "cluster_uuid", cluster.state().metadata().clusterUUID(),
                "version", version(Build.current()),
                "tagline", "You Know, for Search");
            return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, channel.newBuilder().map(body)));
        }

        private Map<String, Object> version(Build build) {
            return Map.of(
                "number", build.version(),
                "build_flavor", build.flavor(),
                "build_type", build.type().displayName(),
                "build_hash", build.hash(),
                "build_date", build.date(),
                "build_snapshot", build.isSnapshot(),
                "lucene_version", Version.LATEST.toString(),
                "minimum_wire_compatibility_version", build.minWireCompatVersion(),
                "minimum_index_compatibility_version", build.minIndexCompatVersion());
        }
    }
}
