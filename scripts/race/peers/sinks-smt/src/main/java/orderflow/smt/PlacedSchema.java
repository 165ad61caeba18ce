package orderflow.smt;

import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;

/** The schema of a placed order, made once of the one that it was received with. */
final class PlacedSchema {
    private Schema from;
    private Schema to;

    Schema of(Schema received) {
        // The converter hands out the same one for each record.
        if (received != from) {
            to = make(received);
            from = received;
        }
        return to;
    }

    private static Schema make(Schema received) {
        SchemaBuilder placed = SchemaBuilder.struct().name(received.name());
        received.fields().forEach(field -> placed.field(field.name(), field.schema()));
        return placed.field("amount_home", Decimal.builder(2).optional().build())
                .field("home_currency", Schema.OPTIONAL_STRING_SCHEMA)
                .field("region", Schema.OPTIONAL_STRING_SCHEMA)
                .field("item_count", Schema.INT32_SCHEMA)
                .field("email_domain", Schema.OPTIONAL_STRING_SCHEMA)
                .field("value_band", Schema.OPTIONAL_STRING_SCHEMA)
                // Debezium's sink writes a string of this name as jsonb.
                .field("items_json", SchemaBuilder.string().name("io.debezium.data.Json").optional().build())
                .field("received_partition", Schema.INT32_SCHEMA)
                .field("received_offset", Schema.INT64_SCHEMA)
                .build();
    }
}
