package orderflow.streams;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.regex.Pattern;
import orderflow.Item;
import orderflow.Order;
import orderflow.rules.Clean;
import orderflow.rules.Enrich;
import orderflow.rules.ItemsJson;
import orderflow.rules.Rejected;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/** Reads a record and applies the rules; a record that breaks one leaves with Connect's headers of a dead letter. */
final class Judge extends ContextualFixedKeyProcessor<byte[], byte[], Judged> {
    private static final Pattern ORDER_ID = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._:-]{0,127}");

    private final Deserializer<Order> deserializer;
    private final Clean clean;
    private final Enrich enrich;

    Judge(Deserializer<Order> deserializer, Clean clean, Enrich enrich) {
        this.deserializer = deserializer;
        this.clean = clean;
        this.enrich = enrich;
    }

    @Override
    public void process(FixedKeyRecord<byte[], byte[]> record) {
        RecordMetadata at = context().recordMetadata().orElseThrow();
        try {
            Order order = read(record, at.topic());
            clean(order);
            enrich(order);
            order.setReceivedPartition(at.partition());
            order.setReceivedOffset(at.offset());
            context().forward(record.withValue(new Judged(order, null)));
        } catch (Rejected rejected) {
            explain(record.headers(), at, rejected);
            context().forward(record.withValue(new Judged(null, record.value())));
        }
    }

    private Order read(FixedKeyRecord<byte[], byte[]> record, String topic) throws Rejected {
        if (record.value() == null) {
            throw new Rejected("VALUE_CONVERTER", "value is null");
        }
        Order order;
        try {
            order = deserializer.deserialize(topic, record.value());
        } catch (RuntimeException e) {
            throw new Rejected("VALUE_CONVERTER", "value is no order: " + e.getMessage());
        }
        if (!ORDER_ID.matcher(order.getOrderId()).matches()) {
            throw new Rejected("VALUE_CONVERTER", "order id breaks its rule");
        }
        if (!Arrays.equals(record.key(), order.getOrderId().getBytes(UTF_8))) {
            throw new Rejected("KEY_CONVERTER", "key differs from order_id");
        }
        return order;
    }

    private void clean(Order order) throws Rejected {
        order.setCustomer(clean.customer(order.getCustomer()));
        order.setCurrency(clean.currency(order.getCurrency()));
        order.setCountry(clean.country(order.getCountry()));
        order.setEmail(clean.email(order.getEmail()));
        order.setChannel(clean.channel(order.getChannel()));
    }

    private void enrich(Order order) throws Rejected {
        order.setCurrency(enrich.currency(order.getCurrency()));
        order.setAmountHome(enrich.amountHome(order.getAmount(), order.getCurrency()));
        order.setHomeCurrency(enrich.homeCurrency());
        order.setRegion(enrich.region(order.getCountry()));
        order.setEmailDomain(enrich.emailDomain(order.getEmail()));
        order.setValueBand(enrich.valueBand(order.getAmountHome()));
        long count = 0;
        var items = new ItemsJson();
        for (Item item : order.getItems()) {
            count += item.getQuantity();
            items.add(item.getSku(), item.getQuantity(), item.getUnitPrice());
        }
        order.setItemCount(enrich.itemCount(count));
        order.setItemsJson(items.finish());
    }

    private static void explain(Headers headers, RecordMetadata at, Rejected rejected) {
        add(headers, "topic", at.topic());
        add(headers, "partition", Integer.toString(at.partition()));
        add(headers, "offset", Long.toString(at.offset()));
        add(headers, "stage", rejected.stage);
        add(headers, "exception.class.name", Rejected.class.getName());
        add(headers, "exception.message", rejected.getMessage());
    }

    private static void add(Headers headers, String name, String value) {
        headers.add("__connect.errors." + name, value.getBytes(UTF_8));
    }
}
