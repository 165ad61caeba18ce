package orderflow.streams;

import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.util.HashMap;
import java.util.Map;
import orderflow.Order;
import orderflow.rules.Clean;
import orderflow.rules.Enrich;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** From orders.received to order_placed; what the rules reject goes to the dead letters as it came. */
final class OrderTopology {
    private final Map<String, String> environment;

    OrderTopology(Map<String, String> environment) {
        this.environment = environment;
    }

    Topology build() {
        var enrich = new Enrich(
                environment.getOrDefault("HOME_CURRENCY", "USD"),
                environment.getOrDefault("RATES", ""),
                environment.getOrDefault("BANDS", "low:0,mid:50,high:500"));
        var builder = new StreamsBuilder();
        // Bytes: a dead letter is the record as it came, also where it is no Avro.
        builder.stream(topic("INPUT", "orders.received"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .processValues(() -> new Judge(deserializer(), new Clean(), enrich))
                .split()
                .branch((key, judged) -> judged.order() != null, Branched.withConsumer(placed -> placed
                        .mapValues(Judged::order)
                        .to(topic("OUTPUT", "order_placed"), Produced.with(Serdes.ByteArray(), orders()))))
                .defaultBranch(Branched.withConsumer(rejected -> rejected
                        .mapValues(Judged::received)
                        .to(topic("DEAD_LETTERS", "orders.dead-letter"),
                                Produced.with(Serdes.ByteArray(), Serdes.ByteArray()))));
        return builder.build();
    }

    private String topic(String name, String otherwise) {
        return environment.getOrDefault(name, otherwise);
    }

    /** Confluent's framing; the registry's newest schema of the output, never registered from here. */
    private org.apache.kafka.common.serialization.Serde<Order> orders() {
        Serializer<Order> serializer = new AvroKafkaSerializer<>();
        Deserializer<Order> deserializer = deserializer();
        serializer.configure(registry(), false);
        return Serdes.serdeFrom(serializer, deserializer);
    }

    private Deserializer<Order> deserializer() {
        Deserializer<Order> deserializer = new AvroKafkaDeserializer<>();
        deserializer.configure(registry(), false);
        return deserializer;
    }

    private Map<String, Object> registry() {
        var settings = new HashMap<String, Object>();
        settings.put("apicurio.registry.url",
                environment.getOrDefault("REGISTRY", "http://localhost:8081/apis/registry/v3"));
        settings.put("apicurio.registry.auto-register", false);
        settings.put("apicurio.registry.find-latest", true);
        settings.put("apicurio.registry.use-id", "contentId");
        settings.put("apicurio.registry.headers.enabled", false);
        settings.put("apicurio.registry.use-specific-avro-reader", true);
        // The subject is the contract's, also where a run writes to a topic of its own.
        settings.put("apicurio.registry.artifact.artifact-id", "order_placed-value");
        return settings;
    }
}
