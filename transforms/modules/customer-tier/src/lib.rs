//! Looks customers up in a table of tiers, as an example of lookups and of outputs: the orders of some tiers also go to
//! the output `vip`, those of others are rejected. The rules stand in `transforms/modules/README.md`.
//!
//! The table is any compacted topic whose keys are customers, as `clean` leaves their names, and whose values are tiers
//! in UTF-8. What it says when a transaction begins holds for all of that transaction.
use transform_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// What a pipeline may set.
#[derive(Debug, Parameters)]
struct Config {
    /// Tiers whose orders also go to the output `vip`, separated by commas.
    #[parameter(default = "gold")]
    vip: Tiers,
    /// Tiers whose orders are rejected, separated by commas.
    #[parameter(default = "blocked")]
    blocked: Tiers,
}

/// Names of tiers.
#[derive(Debug)]
struct Tiers(Vec<String>);

impl ParameterValue for Tiers {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.split(',').map(str::trim).filter(|tier| !tier.is_empty()).map(str::to_owned).collect()))
    }
}

impl Tiers {
    fn have(&self, tier: &[u8]) -> bool {
        self.0.iter().any(|own| own.as_bytes() == tier)
    }
}

/// What an order is looked up under.
fn customer(order: &Order, _: &Config) -> Option<Vec<u8>> {
    Some(order.customer.clone().into_bytes())
}

#[transform(schema = "../../../schemas/versions/order_placed.v1.avsc", lookup(table = "tiers", key = customer))]
fn customer_tier(order: Order, config: &Config, input: &Input<'_>) -> Verdict<Order> {
    // A customer whom nobody classified is a customer like any other.
    let Some(tier) = input.found("tiers") else { return emit(order) };
    if config.blocked.have(tier) {
        return reject("the customer is blocked");
    }
    if config.vip.have(tier) {
        return emit_all(vec![input.with(order.clone()), input.with(order).to("vip")]);
    }
    emit(order)
}
