package orderflow.streams;

import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;

/** Settings come from the environment; what is not set keeps Kafka's own default. */
public final class Main {
    private static final String PREFIX = "STREAMS_";

    public static void main(String[] args) throws InterruptedException {
        Map<String, String> environment = System.getenv();
        var topology = new OrderTopology(environment).build();
        var streams = new KafkaStreams(topology, settings(environment));
        var stopped = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
                stopped.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        stopped.await();
        System.exit(streams.state() == KafkaStreams.State.ERROR ? 1 : 0);
    }

    private static Properties settings(Map<String, String> environment) {
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, environment.getOrDefault("APPLICATION_ID", "transforms"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.getOrDefault("KAFKA", "localhost:9092"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
                environment.getOrDefault("GUARANTEE", StreamsConfig.EXACTLY_ONCE_V2));
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        // Any other setting by its name: STREAMS_COMMIT_INTERVAL_MS is commit.interval.ms.
        environment.forEach((name, value) -> {
            if (name.startsWith(PREFIX)) {
                settings.put(name.substring(PREFIX.length()).toLowerCase(Locale.ROOT).replace('_', '.'), value);
            }
        });
        return settings;
    }
}
