//! The rules of `clean`, one table a rule.

use transform_sdk::Parameters as _;

use super::*;

const IGNORE: Config = Config { items_sum: ItemsSum::Ignore };
const REJECT: Config = Config { items_sum: ItemsSum::Reject };

fn order(customer: &str) -> Order {
    Order { order_id: "o-1".into(), amount: "12.50".parse().unwrap(), customer: customer.into(), ..Order::default() }
}

fn emitted(order: Order, config: &Config) -> Order {
    match clean(order, config) {
        Verdict::Emit(order) => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_customer_is_tidied() {
    for (typed, tidy) in [
        ("john_doe", "john_doe"),
        ("  John \u{a0}\u{2003} Doe ", "John Doe"),
        ("a\tb\nc", "abc"),
        ("a \u{85} b", "a b"),
        ("e\u{301}clair", "\u{e9}clair"),
        // Normalised before, not after, the control characters go.
        ("e\u{0}\u{301}", "e\u{301}"),
        ("\u{3000}\u{1f}x\u{7f}\u{9f}\u{2028}", "x"),
        // Not white space, not control characters.
        ("\u{feff}a\u{200b}b", "\u{feff}a\u{200b}b"),
    ] {
        assert_eq!(emitted(order(typed), &IGNORE).customer, tidy, "{typed:?}");
    }
}

#[test]
fn what_is_taken_for_tidy_is() {
    let letters = [' ', '\t', '\u{0}', '!', 'a', '~', '\u{7f}', '\u{a0}', '\u{e9}', '\u{301}'];
    for number in 0..10_000_usize {
        let text: String = (0..4).map(|place| letters[number / 10_usize.pow(place) % 10]).collect();
        for text in [text.as_str(), text.trim_end_matches('\t')] {
            let by_rule = text::by_rule(text);
            assert_eq!(text::tidy(text), by_rule, "{text:?}");
        }
    }
    assert_eq!(text::tidy(""), "");
}

#[test]
fn a_customer_of_nothing_is_rejected() {
    for typed in ["", " ", "\u{0}\u{1b}", "\u{2003}\u{7}\u{a0}"] {
        assert_eq!(clean(order(typed), &IGNORE), reject("customer is empty after cleaning"), "{typed:?}");
    }
}

#[test]
fn a_currency_is_put_into_upper_case_and_must_be_active() {
    for (given, expected) in [("usd", Some("USD")), ("Eur", Some("EUR")), ("XXX", Some("XXX")), ("XCG", Some("XCG"))] {
        let given = Order { currency: Some(given.into()), ..order("x") };
        assert_eq!(emitted(given, &IGNORE).currency.as_deref(), expected);
    }
    assert_eq!(emitted(order("x"), &IGNORE).currency, None);
    for given in ["ABC", "", "US", "USDX", " USD", "#  ", "HRK", "usd\n", "u\u{17f}d"] {
        let given = Order { currency: Some(given.into()), ..order("x") };
        assert_eq!(clean(given.clone(), &IGNORE), reject("currency is not an active ISO 4217 code"), "{given:?}");
    }
}

#[test]
fn country_email_and_channel_get_their_case() {
    for (given, expected) in [
        (" Jo.Doe@EXAMPLE.Com ", "Jo.Doe@example.com"),
        ("a@b@C", "a@b@c"),
        ("No At", "No At"),
        ("\u{2003}x@\u{c4}B.de\u{85}", "x@\u{c4}b.de"),
        ("  ", ""),
        ("\u{1f}a@B", "\u{1f}a@b"),
    ] {
        let given = Order { email: Some(given.into()), ..order("x") };
        assert_eq!(emitted(given, &IGNORE).email.as_deref(), Some(expected));
    }
    let given = Order { country: Some("de".into()), channel: Some("Web_Shop-1".into()), ..order("x") };
    let tidy = emitted(given, &IGNORE);
    assert_eq!((tidy.country.as_deref(), tidy.channel.as_deref()), (Some("DE"), Some("web_shop-1")));
}

#[test]
fn items_must_add_up_only_when_the_pipeline_says_so() {
    let item = |quantity, price: &str| Item { sku: "s".into(), quantity, unit_price: price.parse().unwrap() };
    for (items, reason) in [
        (vec![], None),
        (vec![item(5, "2.50")], None),
        (vec![item(1, "12.00"), item(5, "0.10")], None),
        (vec![item(1, "12.49")], Some("items add up to 12.49, the amount is 12.50")),
        (
            vec![item(1_000_000, "9999999999999.99")],
            Some("items add up to 9999999999999990000.00, the amount is 12.50"),
        ),
        (vec![item(-1, "0.05")], Some("items add up to -0.05, the amount is 12.50")),
    ] {
        let given = Order { items, ..order("x") };
        assert_eq!(clean(given.clone(), &IGNORE), emit(given.clone()));
        let expected = reason.map_or_else(|| emit(given.clone()), reject);
        assert_eq!(clean(given, &REJECT), expected);
    }
}

#[test]
fn the_first_rule_that_fails_gives_the_reason() {
    let given = Order { currency: Some("ABC".into()), ..order(" ") };
    assert_eq!(clean(given, &REJECT), reject("customer is empty after cleaning"));
}

#[test]
fn everything_else_stays() {
    let given = Order { items_json: Some("[]".into()), received_offset: 7, region: Some("?".into()), ..order("x") };
    assert_eq!(clean(given.clone(), &IGNORE), emit(given));
}

#[test]
fn parameters_are_read() {
    let set = |text: &str| [("items.sum".to_owned(), text.to_owned())];
    assert_eq!(Config::parse(&[]).unwrap().items_sum, ItemsSum::Ignore);
    assert_eq!(Config::parse(&set("reject")).unwrap().items_sum, ItemsSum::Reject);
    assert_eq!(Config::parse(&set("Reject")).unwrap_err(), "items.sum: `Reject` is neither `ignore` nor `reject`");
}

#[test]
fn the_table_of_currencies_is_sorted_and_well_formed() {
    let table: Vec<_> = include_str!("../currencies.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(table.is_sorted_by(|a, b| a < b));
    assert!(table.iter().all(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())));
    assert_eq!(table.len(), 178);
}
