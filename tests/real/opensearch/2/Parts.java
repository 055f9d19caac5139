import java.util.ArrayList;
import java.util.List;
import org.opensearch.plugins.Plugin;

/** What OpenSearch 2 consists of here. */
final class Parts {
    private static final String[] NAMES = {
        "org.opensearch.transport.Netty4Plugin",
        "org.opensearch.analysis.common.CommonAnalysisPlugin",
        "org.opensearch.painless.PainlessPlugin",
        "org.opensearch.ingest.common.IngestCommonPlugin",
        "org.opensearch.index.mapper.MapperExtrasPlugin",
        "org.opensearch.index.reindex.ReindexPlugin",
    };

    private Parts() {}

    static List<Class<? extends Plugin>> plugins() throws ClassNotFoundException {
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (String name : NAMES) {
            plugins.add(Class.forName(name).asSubclass(Plugin.class));
        }
        return plugins;
    }
}
