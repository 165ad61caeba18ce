package orderflow.streams;

import orderflow.Order;

/** The order as it is placed, or none and the record as it was received. */
record Judged(Order order, byte[] received) {}
