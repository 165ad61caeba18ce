package orderflow.smt;

import java.math.BigDecimal;
import java.util.List;
import java.util.Map;
import orderflow.rules.Clean;
import orderflow.rules.Enrich;
import orderflow.rules.ItemsJson;
import orderflow.rules.Rejected;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.connect.components.Versioned;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.transforms.Transformation;

/** Makes a placed order of a received one, inside a sink. What the rules reject fails, as errors.tolerance has it. */
public final class PlaceOrder<R extends ConnectRecord<R>> implements Transformation<R>, Versioned {
    private static final ConfigDef CONFIG = new ConfigDef()
            .define("home.currency", Type.STRING, "USD", Importance.HIGH, "The currency of amount_home.")
            .define("rates", Type.STRING, "", Importance.HIGH, "Home currency for one of each: EUR:1.08,GBP:1.27.")
            .define("bands", Type.STRING, "low:0,mid:50,high:500", Importance.LOW, "The least amount_home of each band.");

    private final Clean clean = new Clean();
    private final PlacedSchema schema = new PlacedSchema();
    private Enrich enrich;

    @Override
    public void configure(Map<String, ?> settings) {
        Map<String, Object> parsed = CONFIG.parse(settings);
        enrich = new Enrich(
                (String) parsed.get("home.currency"), (String) parsed.get("rates"), (String) parsed.get("bands"));
    }

    @Override
    public R apply(R record) {
        if (record.value() == null) {
            return record;
        }
        if (!(record instanceof SinkRecord at) || !(record.value() instanceof Struct order)) {
            throw new DataException("an order in a sink is needed, not " + record);
        }
        try {
            Struct placed = placed(order, at);
            return record.newRecord(record.topic(), record.kafkaPartition(), record.keySchema(), record.key(),
                    placed.schema(), placed, record.timestamp(), record.headers());
        } catch (Rejected rejected) {
            throw new DataException(rejected.getMessage());
        }
    }

    private Struct placed(Struct order, SinkRecord at) throws Rejected {
        Schema to = schema.of(order.schema());
        var placed = new Struct(to);
        order.schema().fields().forEach(field -> placed.put(to.field(field.name()), order.get(field)));
        String currency = enrich.currency(clean.currency(order.getString("currency")));
        String country = clean.country(order.getString("country"));
        String email = clean.email(order.getString("email"));
        placed.put("customer", clean.customer(order.getString("customer")));
        placed.put("currency", currency);
        placed.put("country", country);
        placed.put("email", email);
        placed.put("channel", clean.channel(order.getString("channel")));
        BigDecimal amountHome = enrich.amountHome((BigDecimal) order.get("amount"), currency);
        placed.put("amount_home", amountHome);
        placed.put("home_currency", enrich.homeCurrency());
        placed.put("region", enrich.region(country));
        placed.put("email_domain", enrich.emailDomain(email));
        placed.put("value_band", enrich.valueBand(amountHome));
        putItems(placed, order.getArray("items"));
        placed.put("received_partition", at.originalKafkaPartition());
        placed.put("received_offset", at.originalKafkaOffset());
        return placed;
    }

    private void putItems(Struct placed, List<Struct> items) throws Rejected {
        long count = 0;
        var json = new ItemsJson();
        for (Struct item : items) {
            int quantity = item.getInt32("quantity");
            count += quantity;
            json.add(item.getString("sku"), quantity, (BigDecimal) item.get("unit_price"));
        }
        placed.put("item_count", enrich.itemCount(count));
        placed.put("items_json", json.finish());
    }

    @Override
    public ConfigDef config() {
        return CONFIG;
    }

    @Override
    public String version() {
        return AppInfoParser.getVersion();
    }

    @Override
    public void close() {}
}
