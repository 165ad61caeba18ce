//! Table and index against each other, as `serve` does it again and again.

use std::sync::Arc;
use std::time::Duration;

use connectors::serve::metrics::Metrics;
use connectors::serve::parity::{Outcome, Parity};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry as Numbers;
use schemas::names::topics;
use serde_json::json;

use crate::house::placed_as;
use crate::verify::shelves::{World, stored};

const MINUTE: i64 = 60_000;
/// A quarter past an hour, so that the hour of slices before it begins at 900,000.
const NOW: i64 = 75 * MINUTE + 11_000;

async fn world() -> (World, Parity, Numbers) {
    let world = World::new().await;
    // One before the slices that are compared, two in them, one in the slice that is not full yet.
    for (offset, minute) in [10, 20, 70, 75].into_iter().enumerate() {
        let offset = i64::try_from(offset).unwrap();
        world.store(&format!("o-{offset}"), offset, 1_000, minute * MINUTE);
    }
    world.commit(4);
    let (metrics, mut numbers) = (Arc::new(Metrics::default()), Numbers::default());
    metrics.register(&mut numbers);
    let parity = Parity {
        kafka: world.house.kafka(),
        registry: world.house.sources().registry,
        stores: world.stores.clone(),
        metrics,
        pause: Duration::from_millis(200),
    };
    (world, parity, numbers)
}

fn says(numbers: &Numbers, line: &str) {
    let mut text = String::new();
    encode(&mut text, numbers).unwrap();
    assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
}

#[tokio::test]
async fn only_full_slices_of_the_last_hour_are_compared_and_told() {
    let (world, parity, numbers) = world().await;
    world.change(|shelves| {
        shelves.documents.remove("o-0");
        shelves.documents.remove("o-3");
    });
    assert_eq!(parity.check(NOW).await.unwrap(), Outcome::Equal);
    says(&numbers, "orderflow_connectors_parity_orders{store=\"postgres\"} 2");
    says(&numbers, "orderflow_connectors_parity_checks_total{outcome=\"equal\"} 1");
    says(&numbers, "orderflow_connectors_parity_last_check_timestamp_seconds 4511");
    assert_eq!(world.looked("order by") + world.looked("_mget"), 0, "it looks at no order");
}

#[tokio::test]
async fn what_stays_different_is_told_and_what_is_on_its_way_is_not() {
    let (world, parity, numbers) = world().await;
    world.change(|shelves| shelves.documents.remove("o-1"));
    let different = Outcome::Different { slices: 1, more: 1 };
    assert_eq!(parity.check(NOW).await.unwrap(), different);
    says(&numbers, "orderflow_connectors_parity_difference 1");
    says(&numbers, "orderflow_connectors_parity_orders{store=\"elasticsearch\"} 1");

    // A record that the sinks have not read may be the cause.
    world.place("o-9", 9, 1_000, 74 * MINUTE);
    assert_eq!(parity.check(NOW).await.unwrap(), Outcome::InFlight);
    says(&numbers, "orderflow_connectors_parity_difference 1");
    says(&numbers, "orderflow_connectors_parity_checks_total{outcome=\"in-flight\"} 1");
    world.commit(5);
    assert_eq!(parity.check(NOW).await.unwrap(), different);

    // What comes while it looks was on its way.
    let shelves = world.shelves.clone();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        shelves.lock().unwrap().documents.insert("o-1".to_owned(), stored("o-1", 1, 1_000, 20 * MINUTE));
    });
    assert_eq!(parity.check(NOW).await.unwrap(), Outcome::Equal);
    late.join().unwrap();
    says(&numbers, "orderflow_connectors_parity_difference 0");
}

#[tokio::test]
async fn an_order_in_the_dead_letters_of_one_sink_is_no_difference() {
    let (world, parity, _) = world().await;
    world.change(|shelves| shelves.documents.remove("o-1"));
    let value = placed_as("o-1", 1, 1_000, 20 * MINUTE);
    world.house.letter(topics::ELASTICSEARCH_DEAD_LETTER, "o-1", &value, (topics::ORDER_PLACED, 1), &[]);
    assert_eq!(parity.check(NOW).await.unwrap(), Outcome::Equal);
    world.change(|shelves| shelves.rows.get_mut("o-2").unwrap()["amount"] = json!(10.01));
    assert_eq!(parity.check(NOW).await.unwrap(), Outcome::Different { slices: 1, more: 0 });
}
