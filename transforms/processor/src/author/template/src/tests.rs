//! The rule, natively: `cargo test` needs no WebAssembly.

use transform_sdk::Parameters as _;

use super::*;

fn config() -> Config {
    Config::parse(&[]).unwrap()
}

fn order(customer: &str) -> Order {
    Order { order_id: "o-1".into(), amount: "12.50".parse().unwrap(), customer: customer.into(), ..Order::default() }
}

#[test]
fn an_order_without_a_channel_gets_the_default() {
    let expected = Order { channel: Some("web".into()), ..order("ann") };
    assert_eq!(my_rule(order("ann"), &config()), emit(expected));
}

#[test]
fn a_channel_that_is_there_stays() {
    let given = Order { channel: Some("shop".into()), ..order("ann") };
    assert_eq!(my_rule(given.clone(), &config()), emit(given));
}

#[test]
fn a_pipeline_may_set_the_channel() {
    let set = [("default.channel".to_owned(), "phone".to_owned())];
    let expected = Order { channel: Some("phone".into()), ..order("ann") };
    assert_eq!(my_rule(order("ann"), &Config::parse(&set).unwrap()), emit(expected));
}

#[test]
fn blank_customers_are_rejected_and_tests_are_dropped() {
    assert_eq!(my_rule(order(" "), &config()), reject("customer is blank"));
    assert_eq!(my_rule(order("test"), &config()), drop_record());
}
