//! Tidies what the customer typed and rejects what cannot be an order. The rules: `../../README.md`.
mod text;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::LazyLock};

use transform_sdk::{DecimalError, prelude::*};

/// What a pipeline may set.
#[derive(Clone, Debug, Parameters)]
pub struct Config {
    /// `reject`: the items must add up to the amount; `ignore`: they need not.
    #[parameter(name = "items.sum", default = "ignore")]
    items_sum: ItemsSum,
}

/// Whether the items must add up to the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemsSum {
    /// They need not.
    Ignore,
    /// They must.
    Reject,
}

impl ParameterValue for ItemsSum {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ignore" => Ok(Self::Ignore),
            "reject" => Ok(Self::Reject),
            _ => Err(format!("`{text}` is neither `ignore` nor `reject`")),
        }
    }
}

#[transform(schema = "../../../schemas/versions/order_placed.v1.avsc")]
pub(crate) fn clean(mut order: Order, config: &Config) -> Verdict<Order> {
    order.customer = text::tidy(&order.customer);
    if order.customer.is_empty() {
        return reject("customer is empty after cleaning");
    }
    if let Some(currency) = &mut order.currency {
        currency.make_ascii_uppercase();
        if !is_active(currency) {
            return reject("currency is not an active ISO 4217 code");
        }
    }
    if let Some(country) = &mut order.country {
        country.make_ascii_uppercase();
    }
    order.email = order.email.map(|email| text::tidy_email(&email));
    if let Some(channel) = &mut order.channel {
        channel.make_ascii_lowercase();
    }
    match config.items_sum {
        ItemsSum::Ignore => emit(order),
        ItemsSum::Reject => match items_differ(&order) {
            None => emit(order),
            Some(reason) => reject(reason),
        },
    }
}

/// Says so when there are items and they do not add up to the amount.
fn items_differ(order: &Order) -> Option<String> {
    if order.items.is_empty() {
        return None;
    }
    let two_decimals = |amount: Decimal| amount.round_half_even(2).unwrap_or(amount);
    match sum(&order.items) {
        Ok(sum) if sum == order.amount => None,
        Ok(sum) => Some(format!("items add up to {}, the amount is {}", two_decimals(sum), two_decimals(order.amount))),
        Err(error) => Some(format!("items: {error}")),
    }
}

fn sum(items: &[Item]) -> Result<Decimal, DecimalError> {
    items.iter().try_fold(Decimal::new(0, 2), |sum, item| {
        sum.checked_add(Decimal::from(i64::from(item.quantity)).checked_mul(item.unit_price)?)
    })
}

/// Whether ISO 4217 has this code today.
fn is_active(currency: &str) -> bool {
    static CODES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
        let lines = include_str!("../currencies.txt").lines();
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    });
    CODES.contains(currency)
}
