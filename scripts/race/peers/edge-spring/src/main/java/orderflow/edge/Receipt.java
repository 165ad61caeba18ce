package orderflow.edge;

/** Where an order lies. */
public record Receipt(String orderId, String topic, int partition, long offset, String persisted) {}
