import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.opensearch.Version;
import org.opensearch.plugins.PluginInfo;

/** What OpenSearch 3 consists of here. */
final class Parts {
    private static final String[] NAMES = {
        "org.opensearch.transport.Netty4ModulePlugin",
        "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        "org.opensearch.painless.PainlessModulePlugin",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        "org.opensearch.index.reindex.ReindexModulePlugin",
    };

    private Parts() {}

    static List<PluginInfo> plugins() {
        List<PluginInfo> plugins = new ArrayList<>();
        for (String name : NAMES) {
            plugins.add(
                new PluginInfo(name, "on the class path", "NA", Version.CURRENT, "21", name, null, Collections.emptyList(), false));
        }
        return plugins;
    }
}
