package orderflow.sinks;

import co.elastic.clients.elasticsearch.ElasticsearchClient;
import co.elastic.clients.elasticsearch._types.VersionType;
import co.elastic.clients.elasticsearch.core.BulkRequest;
import co.elastic.clients.elasticsearch.core.BulkResponse;
import co.elastic.clients.elasticsearch.core.bulk.BulkResponseItem;
import java.io.IOException;
import java.util.Collection;
import org.springframework.stereotype.Repository;

/** The index: one bulk request a batch, with the order's version as the document's, so that a newer document stays. */
@Repository
class OrderIndex {
    private static final String INDEX = "order_placed";
    /** What Elasticsearch answers for a document whose version is older than what it has. */
    private static final int IS_OLDER = 409;

    private final ElasticsearchClient elasticsearch;

    OrderIndex(ElasticsearchClient elasticsearch) {
        this.elasticsearch = elasticsearch;
    }

    void index(Collection<PlacedOrder> orders) throws IOException {
        var bulk = new BulkRequest.Builder().index(INDEX);
        for (PlacedOrder order : orders) {
            bulk.operations(operation -> operation.index(document -> document
                    .id(order.orderId())
                    .version(order.receivedOffset())
                    .versionType(VersionType.ExternalGte)
                    .document(order)));
        }
        BulkResponse response = elasticsearch.bulk(bulk.build());
        if (response.errors()) {
            response.items().stream().filter(OrderIndex::isRefused).findFirst().ifPresent(item -> {
                throw new IllegalStateException("document " + item.id() + ": " + item.error().reason());
            });
        }
    }

    private static boolean isRefused(BulkResponseItem item) {
        return item.error() != null && item.status() != IS_OLDER;
    }
}
