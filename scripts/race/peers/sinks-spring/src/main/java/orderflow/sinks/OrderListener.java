package orderflow.sinks;

import java.io.IOException;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import orderflow.Order;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.stereotype.Component;

/** Writes each batch to both stores; its offsets are committed when this returns. */
@Component
class OrderListener {
    private final OrderTable table;
    private final OrderIndex index;

    OrderListener(OrderTable table, OrderIndex index) {
        this.table = table;
        this.index = index;
    }

    @KafkaListener(topics = "${orders.topic}")
    void onOrders(List<ConsumerRecord<String, Order>> records) throws IOException {
        Collection<PlacedOrder> orders = newest(records);
        if (!orders.isEmpty()) {
            table.upsert(orders);
            index.index(orders);
        }
    }

    /** One of each id, its newest version: no statement may touch a row twice. */
    private static Collection<PlacedOrder> newest(List<ConsumerRecord<String, Order>> records) {
        Map<String, PlacedOrder> orders = new LinkedHashMap<>();
        for (ConsumerRecord<String, Order> record : records) {
            // A tombstone is no order; none is written.
            if (record.value() != null) {
                orders.merge(record.value().getOrderId(), PlacedOrder.of(record),
                        (one, other) -> one.receivedOffset() > other.receivedOffset() ? one : other);
            }
        }
        return orders.values();
    }
}
