//! Adds what can be known from the order itself: home amount, region, item count, email domain, value band.
//! The rules: `../../README.md`.
mod config;
mod region;

#[cfg(test)]
mod tests;

use config::{Bands, Currency, Rates};
use transform_sdk::prelude::*;

/// What a pipeline may set.
#[derive(Clone, Debug, Parameters)]
#[parameters(check = Config::check)]
pub struct Config {
    /// The currency of `amount_home`.
    #[parameter(name = "home.currency", default = "USD")]
    home: Currency,
    /// How much of the home currency one unit of each other currency is worth: `EUR:1.08,GBP:1.27`.
    #[parameter(default = "")]
    rates: Rates,
    /// The lower bounds of the value bands, inclusive.
    #[parameter(default = "low:0,mid:50,high:500")]
    bands: Bands,
}

impl Config {
    /// The home currency is worth one of itself, and a second opinion on that would be a mistake.
    fn check(&self) -> Result<(), String> {
        match self.rates.of(self.home.as_str()) {
            Some(_) => Err(format!("rates: `{}` is the home currency, whose rate is 1", self.home)),
            None => Ok(()),
        }
    }
}

#[transform(schema = "../../../schemas/versions/order_placed.v1.avsc")]
pub(crate) fn enrich(mut order: Order, config: &Config) -> Verdict<Order> {
    let currency = order.currency.get_or_insert_with(|| config.home.as_str().to_owned());
    order.amount_home = match amount_home(order.amount, currency, config) {
        Ok(amount) => amount,
        Err(reason) => return reject(reason),
    };
    order.home_currency = Some(config.home.as_str().to_owned());
    order.region = order.country.as_deref().and_then(region::of).map(str::to_owned);
    let count: i64 = order.items.iter().map(|item| i64::from(item.quantity)).sum();
    order.item_count = match i32::try_from(count) {
        Ok(count) => count,
        Err(_) => return reject(format!("item_count would be {count}, outside of {}", i32::MAX)),
    };
    order.email_domain = order.email.as_deref().and_then(domain).map(str::to_owned);
    order.value_band = order.amount_home.and_then(|amount| config.bands.of(amount)).map(str::to_owned);
    emit(order)
}

/// The amount in the home currency; none where there is no rate.
fn amount_home(amount: Decimal, currency: &str, config: &Config) -> Result<Option<Decimal>, String> {
    /// 15 digits, two of them behind the point.
    const LIMIT: Decimal = Decimal::new(999_999_999_999_999, 2);
    let rate = match currency {
        home if home == config.home.as_str() => Decimal::from(1),
        other => match config.rates.of(other) {
            Some(rate) => rate,
            None => return Ok(None),
        },
    };
    let exact = amount.checked_mul(rate).map_err(|error| format!("amount_home: {error}"))?;
    let rounded = exact.round_half_even(2).map_err(|error| format!("amount_home: {error}"))?;
    let outside = rounded > LIMIT || rounded < Decimal::new(-LIMIT.unscaled(), LIMIT.scale());
    if outside { Err(format!("amount_home would be {rounded}, outside of {LIMIT}")) } else { Ok(Some(rounded)) }
}

/// What is behind the last `@`, if anything is.
fn domain(email: &str) -> Option<&str> {
    email.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
}
