package orderflow.edge;

import jakarta.validation.Valid;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import orderflow.Order;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.kafka.KafkaException;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.support.SendResult;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

@RestController
class OrderController {
    private static final long DEADLINE_SECONDS = 5;

    private final KafkaTemplate<String, Order> kafka;
    private final String topic;

    OrderController(KafkaTemplate<String, Order> kafka, @Value("${orders.topic}") String topic) {
        this.kafka = kafka;
        this.topic = topic;
    }

    /** Answers when the broker has acknowledged the order. */
    @PostMapping(path = "/api/orders", consumes = MediaType.APPLICATION_JSON_VALUE)
    ResponseEntity<Receipt> post(@Valid @RequestBody OrderRequest request) throws InterruptedException {
        Order order = OrderMapper.toRecord(request);
        try {
            SendResult<String, Order> sent =
                    kafka.send(topic, order.getOrderId(), order).get(DEADLINE_SECONDS, TimeUnit.SECONDS);
            var at = sent.getRecordMetadata();
            var receipt = new Receipt(order.getOrderId(), at.topic(), at.partition(), at.offset(), "yes");
            return ResponseEntity.accepted().body(receipt);
        } catch (ExecutionException | KafkaException e) {
            throw new ResponseStatusException(HttpStatus.SERVICE_UNAVAILABLE, "not accepted by the broker", e);
        } catch (TimeoutException e) {
            throw new ResponseStatusException(HttpStatus.GATEWAY_TIMEOUT, "no acknowledgement in time", e);
        }
    }
}
