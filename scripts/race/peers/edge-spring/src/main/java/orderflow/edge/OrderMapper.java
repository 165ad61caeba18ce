package orderflow.edge;

import java.math.BigDecimal;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import orderflow.Item;
import orderflow.Order;

/** From the checked body to the Avro record. */
final class OrderMapper {
    private OrderMapper() {}

    static Order toRecord(OrderRequest request) {
        Instant now = Instant.now().truncatedTo(ChronoUnit.MILLIS);
        return Order.newBuilder()
                .setOrderId(request.orderId)
                .setAmount(money(request.amount))
                .setCustomer(request.customer)
                .setCurrency(request.currency)
                .setItems(items(request.items))
                .setEmail(request.email)
                .setCountry(request.country)
                .setChannel(request.channel)
                .setCreatedAt(request.createdAt == null ? now : OrderTime.Validator.parse(request.createdAt))
                .setReceivedAt(now)
                .build();
    }

    private static List<Item> items(List<OrderRequest.Item> items) {
        List<Item> records = new ArrayList<>(items.size());
        for (OrderRequest.Item item : items) {
            records.add(new Item(item.sku, item.quantity.intValueExact(), money(item.unitPrice)));
        }
        return records;
    }

    /** Exact: the checks let no more than two decimals through. */
    private static BigDecimal money(BigDecimal amount) {
        return amount.setScale(2);
    }
}
