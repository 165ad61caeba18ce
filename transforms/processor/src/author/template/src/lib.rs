//! What this module does to an order: one function from an order to a verdict.

#[cfg(test)]
mod tests;

use transform_sdk::prelude::*;

/// What a pipeline may set, as `transforms.<alias>.<name>`.
#[derive(Clone, Debug, Parameters)]
pub struct Config {
    /// The channel of an order that names none.
    #[parameter(name = "default.channel", default = "web")]
    default_channel: String,
}

/// `Order` has the fields of `order_placed.avsc`. A panic costs the one order that caused it.
#[transform(schema = "order_placed.avsc")]
fn my_rule(mut order: Order, config: &Config) -> Verdict<Order> {
    // To the dead letters, with the reason.
    if order.customer.trim().is_empty() {
        return reject("customer is blank");
    }
    // Out of the way; a marker stays.
    if order.customer == "test" {
        return drop_record();
    }
    order.channel.get_or_insert_with(|| config.default_channel.clone());
    emit(order)
}
