package orderflow.sinks;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.List;
import orderflow.Order;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;

/** An order as the stores have it; as JSON it is the document. Times are milliseconds since 1970. */
@JsonNaming(SnakeCaseStrategy.class)
record PlacedOrder(
        String orderId,
        BigDecimal amount,
        String customer,
        String currency,
        List<Item> items,
        String email,
        String country,
        String channel,
        long createdAt,
        long receivedAt,
        BigDecimal amountHome,
        String homeCurrency,
        String region,
        int itemCount,
        String emailDomain,
        String valueBand,
        @JsonIgnore String itemsJson,
        int receivedPartition,
        long receivedOffset,
        String transformedBy) {

    @JsonNaming(SnakeCaseStrategy.class)
    record Item(String sku, int quantity, BigDecimal unitPrice) {}

    static PlacedOrder of(ConsumerRecord<String, Order> record) {
        Order order = record.value();
        Header modules = record.headers().lastHeader("orderflow.modules");
        return new PlacedOrder(
                order.getOrderId(),
                order.getAmount(),
                order.getCustomer(),
                order.getCurrency(),
                order.getItems().stream()
                        .map(item -> new Item(item.getSku(), item.getQuantity(), item.getUnitPrice()))
                        .toList(),
                order.getEmail(),
                order.getCountry(),
                order.getChannel(),
                order.getCreatedAt().toEpochMilli(),
                order.getReceivedAt().toEpochMilli(),
                order.getAmountHome(),
                order.getHomeCurrency(),
                order.getRegion(),
                order.getItemCount(),
                order.getEmailDomain(),
                order.getValueBand(),
                order.getItemsJson(),
                order.getReceivedPartition(),
                order.getReceivedOffset(),
                modules == null ? null : new String(modules.value(), StandardCharsets.UTF_8));
    }
}
