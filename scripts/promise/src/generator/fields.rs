//! Orders that the edge must take: every field in the variations that the contract admits, and the few of them that
//! a module must reject afterwards.
//!
//! What the edge must refuse is in [`super::refused`].

use super::body::{self, Body};
use super::text;
use crate::rng::Rng;

/// Largest amount, in hundredths.
const MAX_AMOUNT: u64 = 999_999_999_999_999;

/// Active ISO 4217 codes, some of them with a rate in the shipped pipeline.
const CURRENCIES: &[&str] =
    &["USD", "EUR", "GBP", "JPY", "CHF", "SEK", "INR", "BRL", "ZAR", "KWD", "XAF", "ISK", "PLN", "AUD"];
/// Three letters that are no active code: invented, or out of use for long.
const NOT_CURRENCIES: &[&str] = &["ABC", "XYZ", "QQQ", "DEM", "FRF", "ZZZ", "ITL", "AAA"];
const COUNTRIES: &[&str] = &["DE", "US", "JP", "BR", "ZA", "GB", "AU", "IN", "MX", "AQ", "ZZ", "KR", "EG", "CA"];
const CHANNELS: &[&str] =
    &["web", "WEB", "Mobile-App", "store_12", "API", "x", "-", "_", "Partner-PORTAL_v2-aaaaaaaaaaaaaa"];
const EMAILS: &[&str] = &[
    "john@example.com",
    "John.Doe+tag@EXAMPLE.Com",
    "  padded@Mail.Example ",
    "x@y",
    "用户@例え.JP",
    "ö@MÜLLER.Example",
    "\"quoted local\"@Sub.Domain.Example",
];
const TIMES: &[&str] = &[
    "2026-01-31T10:20:30Z",
    "2026-01-31T10:20:30.5Z",
    "2026-01-31T10:20:30.123456789+05:30",
    "2000-01-01T00:00:00Z",
    "2000-01-01T00:30:00.001+00:00",
    "2099-12-31T23:59:59.999Z",
    "2024-02-29T23:59:59-11:45",
    "1999-12-31T23:59:59.5-00:30",
    "2031-07-01T00:00:00.9999+14:00",
];

/// An id that no other POST of this run has, in all the characters and lengths that the rule admits.
pub(super) fn order_id(rng: &mut Rng, run: &str, seq: u64) -> String {
    match rng.below(20) {
        0 => format!("{run}.{seq}:{}", rng.pick(&["a_b", "A-B", "..", "::", "_", "0-"])),
        1 => {
            let id = format!("{run}-{seq}-");
            let filler = "Zz9._:-".chars().cycle().take(128_usize.saturating_sub(id.len()));
            id.chars().chain(filler).collect()
        }
        _ => format!("{run}-{seq}"),
    }
}

/// A valid order under `id`.
pub(super) fn order(rng: &mut Rng, id: &str) -> Body {
    let mut body = Body::default();
    body.set("orderId", format!("\"{id}\""));
    let amount = amount(rng);
    body.set("amount", number(rng, amount));
    let customer = text::customer(rng);
    body.set("customer", body::string(rng, &customer));
    if rng.percent(70) {
        let code = rng.pick(CURRENCIES);
        let code = mixed_case(rng, code);
        body.set("currency", format!("\"{code}\""));
    }
    if rng.percent(60) {
        let count = item_count(rng);
        let items: Vec<String> = (0..count).map(|_| item(rng)).collect();
        body.set("items", body::array(&items));
    }
    if rng.percent(50) {
        let address = rng.pick(EMAILS);
        body.set("email", body::string(rng, address));
    }
    if rng.percent(60) {
        let code = rng.pick(COUNTRIES);
        let code = mixed_case(rng, code);
        body.set("country", format!("\"{code}\""));
    }
    if rng.percent(50) {
        let channel: String = rng.pick(CHANNELS).chars().take(32).collect();
        body.set("channel", format!("\"{channel}\""));
    }
    if rng.percent(50) {
        body.set("createdAt", format!("\"{}\"", rng.pick(TIMES)));
    }
    if rng.percent(1) {
        largest(rng, &mut body);
    }
    body
}

/// The largest amount there is, in the home currency: what is converted may not be above it.
fn largest(rng: &mut Rng, body: &mut Body) {
    body.set("amount", number(rng, MAX_AMOUNT));
    body.remove("currency");
    if rng.percent(50) {
        body.set("currency", "\"usd\"");
    }
}

/// Changes a valid order so that a module must reject it, and says why.
pub(super) fn spoil_for_modules(rng: &mut Rng, body: &mut Body) -> &'static str {
    match rng.below(3) {
        0 => {
            let code = rng.pick(NOT_CURRENCIES);
            let code = mixed_case(rng, code);
            body.set("currency", format!("\"{code}\""));
            "currency"
        }
        1 => {
            let customer = text::only_controls(rng);
            body.set("customer", body::string(rng, &customer));
            "customer"
        }
        _ => {
            let amount = rng.between(MAX_AMOUNT - 50_000_000_000_000, MAX_AMOUNT);
            body.set("amount", number(rng, amount));
            body.set("currency", rng.pick(&["\"GBP\"", "\"gbp\"", "\"EUR\"", "\"eUr\""]));
            "amount_home"
        }
    }
}

/// Hundredths: everyday amounts, the ends of the range, and amounts that halve when they are converted.
fn amount(rng: &mut Rng) -> u64 {
    match rng.below(12) {
        0 => 0,
        1 => rng.pick(&[1, 5, 10, 25, 50, 4_999, 5_000, 5_001, 49_999, 50_000, 50_001]),
        2 => rng.between(1, 200_000_000_000_000),
        3 => rng.between(1, 40) * 12_500,
        4 => rng.between(1, 100) * 25,
        _ => rng.between(1, 2_000_000),
    }
}

/// An amount as a JSON number, in one of the forms that name it.
pub(super) fn number(rng: &mut Rng, hundredths: u64) -> String {
    let (whole, cents) = (hundredths / 100, hundredths % 100);
    match rng.below(10) {
        0 if cents == 0 => format!("{whole}"),
        1 if cents % 10 == 0 => format!("{whole}.{}", cents / 10),
        2 => format!("{hundredths}e-2"),
        3 => format!("{hundredths}.0E-2"),
        4 => format!("{whole}.{cents:02}0"),
        5 if hundredths.is_multiple_of(10_000) => format!("{}e+2", hundredths / 10_000),
        6 if hundredths.is_multiple_of(10_000) => format!("{}E2", hundredths / 10_000),
        7 if hundredths == 0 => rng.pick(&["0", "0.00", "0e5", "-0", "-0.0"]).to_owned(),
        _ => format!("{whole}.{cents:02}"),
    }
}

fn item_count(rng: &mut Rng) -> u64 {
    match rng.below(400) {
        0 => 500,
        1..=60 => 0,
        61..=360 => rng.between(1, 6),
        _ => rng.between(7, 48),
    }
}

/// One line item.
pub(super) fn item(rng: &mut Rng) -> String {
    let sku = match rng.below(8) {
        0 => "é/\"\\ sku \u{1f4e6}".to_owned(),
        1 => "S".repeat(64),
        2 => "\t \u{1}".to_owned(),
        _ => format!("SKU-{}", rng.below(1_000)),
    };
    let quantity = match rng.below(12) {
        0 => "1000000".to_owned(),
        1 => format!("{}.0", rng.between(1, 9)),
        _ => rng.between(1, 50).to_string(),
    };
    let price = match rng.below(12) {
        0 => 0,
        1 => MAX_AMOUNT,
        _ => rng.between(1, 100_000),
    };
    let mut item = Body::default();
    item.set("sku", body::string(rng, &sku));
    item.set("quantity", quantity);
    item.set("unitPrice", number(rng, price));
    item.render(rng)
}

fn mixed_case(rng: &mut Rng, code: &str) -> String {
    match rng.below(3) {
        0 => code.to_owned(),
        1 => code.to_lowercase(),
        _ => code.chars().map(|letter| if rng.percent(50) { letter.to_ascii_lowercase() } else { letter }).collect(),
    }
}
