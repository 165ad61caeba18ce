//! The rules of `enrich`, one table a rule.

use transform_sdk::Parameters as _;

use super::*;

fn config(set: &[(&str, &str)]) -> Result<Config, String> {
    let set: Vec<_> = set.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Config::parse(&set)
}

fn with_rates(rates: &str) -> Config {
    config(&[("rates", rates)]).unwrap()
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn order(amount: &str, currency: Option<&str>) -> Order {
    Order {
        order_id: "o-1".into(),
        amount: number(amount),
        customer: "c".into(),
        currency: currency.map(str::to_owned),
        ..Order::default()
    }
}

fn emitted(order: Order, config: &Config) -> Order {
    match enrich(order, config) {
        Verdict::Emit(order) => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_without_a_currency_is_in_the_home_currency() {
    let rich = emitted(order("99.99", None), &with_rates(""));
    assert_eq!(rich.currency.as_deref(), Some("USD"));
    assert_eq!(rich.home_currency.as_deref(), Some("USD"));
    assert_eq!(rich.amount_home, Some(number("99.99")));
    assert_eq!(rich.value_band.as_deref(), Some("mid"));
    assert_eq!(rich.item_count, 0);
}

#[test]
fn the_home_amount_is_rounded_half_even() {
    for (amount, rate, expected) in [
        ("10.00", "1.08", "10.80"),
        ("0.25", "0.5", "0.12"), // 0.125
        ("0.27", "0.5", "0.14"), // 0.135
        ("0.01", "0.5", "0.00"), // 0.005
        ("0.03", "0.5", "0.02"), // 0.015
        ("0.01", "0.500001", "0.01"),
        ("-0.25", "0.5", "-0.12"), // -0.125
        ("-0.27", "0.5", "-0.14"), // -0.135
        ("1.00", "0.000001", "0.00"),
        ("9999999999999.99", "1", "9999999999999.99"),
        ("33.33", "0.333333", "11.11"), // 11.10998889
    ] {
        let rich = emitted(order(amount, Some("EUR")), &with_rates(&format!("EUR:{rate}")));
        assert_eq!(rich.amount_home, Some(number(expected)), "{amount} x {rate}");
        assert_eq!(rich.currency.as_deref(), Some("EUR"));
    }
}

#[test]
fn a_home_amount_above_the_limit_is_rejected() {
    let rates = with_rates("EUR:1.000001,GBP:999999.999999");
    for (amount, currency, reason) in [
        ("9999999999999.99", "EUR", "amount_home would be 10000009999999.99, outside of 9999999999999.99"),
        ("-9999999999999.99", "EUR", "amount_home would be -10000009999999.99, outside of 9999999999999.99"),
        ("9999999999999.99", "GBP", "amount_home would be 9999999999989990000.00, outside of 9999999999999.99"),
    ] {
        assert_eq!(enrich(order(amount, Some(currency)), &rates), reject(reason));
    }
}

#[test]
fn without_a_rate_there_is_no_home_amount_and_no_band() {
    for currency in ["EUR", "usd", ""] {
        let given =
            Order { amount_home: Some(number("1")), value_band: Some("old".into()), ..order("5.00", Some(currency)) };
        let rich = emitted(given, &with_rates("GBP:1.27"));
        assert_eq!((rich.amount_home, rich.value_band), (None, None));
        assert_eq!(rich.home_currency.as_deref(), Some("USD"));
    }
}

#[test]
fn a_country_has_its_region() {
    for (country, region) in [
        (Some("DE"), Some("EMEA")),
        (Some("US"), Some("AMER")),
        (Some("JP"), Some("APAC")),
        (Some("AQ"), None),
        (Some("XX"), None),
        (Some("de"), None),
        (Some("# "), None),
        (Some(""), None),
        (None, None),
    ] {
        let given = Order { country: country.map(str::to_owned), region: Some("old".into()), ..order("1", None) };
        assert_eq!(emitted(given, &with_rates("")).region.as_deref(), region, "{country:?}");
    }
}

#[test]
fn quantities_are_counted_up_to_the_limit() {
    let items = |quantities: &[i32]| {
        let item = |quantity: &i32| Item { sku: "s".into(), quantity: *quantity, unit_price: Decimal::ZERO };
        Order { items: quantities.iter().map(item).collect(), item_count: 9, ..order("1", None) }
    };
    for (quantities, expected) in [
        (&[][..], Ok(0)),
        (&[1, 2], Ok(3)),
        (&[i32::MAX], Ok(i32::MAX)),
        (&[i32::MAX, 1, -1], Ok(i32::MAX)),
        (&[i32::MAX, 1], Err("item_count would be 2147483648, outside of 2147483647")),
        (&[i32::MIN, -1], Err("item_count would be -2147483649, outside of 2147483647")),
    ] {
        match expected {
            Ok(count) => assert_eq!(emitted(items(quantities), &with_rates("")).item_count, count),
            Err(reason) => assert_eq!(enrich(items(quantities), &with_rates("")), reject(reason)),
        }
    }
}

#[test]
fn the_email_domain_is_behind_the_last_at() {
    for (email, expected) in [
        (Some("a@b.example"), Some("b.example")),
        (Some("a@b@C"), Some("C")),
        (Some("a@"), None),
        (Some("a"), None),
        (Some(""), None),
        (None, None),
    ] {
        let given = Order { email: email.map(str::to_owned), email_domain: Some("old".into()), ..order("1", None) };
        assert_eq!(emitted(given, &with_rates("")).email_domain.as_deref(), expected);
    }
}

#[test]
fn bands_have_inclusive_lower_bounds() {
    let bands = config(&[("bands", " low:1.5 , mid : 50,high:500.00")]).unwrap();
    for (amount, band) in [
        ("1.49", None),
        ("-3", None),
        ("1.50", Some("low")),
        ("49.99", Some("low")),
        ("50", Some("mid")),
        ("500", Some("high")),
        ("9999999999999.99", Some("high")),
    ] {
        assert_eq!(emitted(order(amount, None), &bands).value_band.as_deref(), band, "{amount}");
    }
    assert_eq!(emitted(order("5", None), &config(&[("bands", " ")]).unwrap()).value_band, None);
}

#[test]
fn parameters_are_read_strictly() {
    for (name, text, error) in [
        ("home.currency", "usd", "home.currency: `usd` is not three capital letters"),
        ("rates", "EUR", "rates: `EUR` is not NAME:NUMBER"),
        ("rates", "EUR:1,,GBP:1", "rates: `` is not NAME:NUMBER"),
        ("rates", "EUR:0", "rates: `EUR:0`: a rate must be above zero"),
        ("rates", "EUR:1,EUR:2", "rates: `EUR:2`: this currency is there twice"),
        ("rates", "EUR:1.0000001", "rates: `EUR:1.0000001`: at most 6 digits before the point and 6 behind it"),
        ("rates", "EUR:1000000", "rates: `EUR:1000000`: at most 6 digits before the point and 6 behind it"),
        ("bands", "a:2,b:1", "bands: `b:1`: bounds must rise"),
        ("bands", "a:1,b:1.00", "bands: `b:1.00`: bounds must rise"),
        ("bands", "a:1,a:2", "bands: `a:2`: this band is there twice"),
        ("bands", "A:1", "bands: `A:1`: a band's name must be [a-z][a-z0-9_-]{0,31}"),
    ] {
        assert_eq!(config(&[(name, text)]).err().as_deref(), Some(error));
    }
    for text in ["EUR:1e2", "EUR:+1", "EUR:.5", "EUR:1.", "EUR:", "eur:1", "EUR:1:2", "EUR:1,"] {
        assert!(config(&[("rates", text)]).is_err(), "{text}");
    }
    assert!(config(&[("rates", "EUR:0000001.08")]).is_ok());
}

#[test]
fn the_home_currency_has_no_other_rate() {
    let set = [("home.currency", "EUR"), ("rates", "EUR:1.1")];
    assert!(config(&set).is_err());
}

#[test]
fn every_country_is_decided() {
    let lines: Vec<_> = include_str!("../regions.csv").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.is_sorted_by(|a, b| a < b));
    assert_eq!(lines.len(), 249);
    for line in lines {
        let (code, region) = line.split_once(',').unwrap();
        assert!(code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()), "{line}");
        assert!(["EMEA", "AMER", "APAC", "NONE"].contains(&region), "{line}");
    }
}
