//! The rules of `customer-tier`, with tables of the test's own.

use transform_sdk::{Parameters as _, testing::Given};

use super::*;

fn config(set: &[(&str, &str)]) -> Config {
    let set: Vec<_> = set.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Config::parse(&set).unwrap()
}

fn order() -> Order {
    Order { order_id: "o-1".into(), customer: "john_doe".into(), ..Order::default() }
}

fn judged(tier: Option<&str>, set: &[(&str, &str)]) -> Verdict<Order> {
    let given = Given::key("o-1");
    let given = tier.map_or(given.clone(), |tier| given.found("tiers", tier));
    customer_tier(order(), &config(set), &given.input())
}

#[test]
fn the_key_is_the_customer() {
    assert_eq!(customer(&order(), &config(&[])).unwrap(), b"john_doe");
}

#[test]
fn the_orders_of_some_tiers_also_go_to_vip() {
    for (tier, set) in
        [("gold", &[][..]), ("silver", &[("vip", "gold, silver")]), ("blocked", &[("vip", "blocked"), ("blocked", "")])]
    {
        let Verdict::EmitAll(records) = judged(Some(tier), set) else { panic!("{tier}") };
        let outputs: Vec<_> = records.iter().map(|record| record.output).collect();
        assert_eq!(outputs, [None, Some("vip")], "{tier}");
        for record in records {
            assert_eq!((record.value, record.key.as_deref()), (order(), Some(&b"o-1"[..])), "{tier}");
        }
    }
}

#[test]
fn the_others_pass_or_are_refused() {
    assert_eq!(judged(None, &[]), emit(order()));
    assert_eq!(judged(Some("silver"), &[]), emit(order()));
    assert_eq!(judged(Some("gold"), &[("vip", "")]), emit(order()));
    assert_eq!(judged(Some("blocked"), &[]), reject("the customer is blocked"));
}
