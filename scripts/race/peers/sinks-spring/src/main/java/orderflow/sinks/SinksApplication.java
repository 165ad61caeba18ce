package orderflow.sinks;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.listener.CommonErrorHandler;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.util.backoff.FixedBackOff;

@SpringBootApplication
public class SinksApplication {
    public static void main(String[] args) {
        SpringApplication.run(SinksApplication.class, args);
    }

    /** A store that is away is waited for: without this a batch is passed over after ten tries. */
    @Bean
    CommonErrorHandler untilItIsStored() {
        return new DefaultErrorHandler(new FixedBackOff(1_000, FixedBackOff.UNLIMITED_ATTEMPTS));
    }
}
