//! The fast path from outside: the same answers and records, and metrics that say which way the orders took.

use serde_json::json;

use crate::world::{World, order, post_lines};

/// On or off, and verdicts of either way.
async fn ways(world: &World) -> (f64, f64, f64) {
    let fast = world.metric(r#"orderflow_edge_verdicts_total{path="fast"}"#).await;
    let full = world.metric(r#"orderflow_edge_verdicts_total{path="full"}"#).await;
    (world.metric("orderflow_edge_fast_path ").await, fast, full)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_orders_and_lines_take_the_fast_path_and_what_it_leaves_is_answered_as_ever() {
    let world = World::ready().await;
    assert_eq!(world.post(&order("one")).await.status, 202);
    assert_eq!(ways(&world).await, (1.0, 1.0, 0.0));
    let refused = world.post(r#"{"orderId":"a/b","amount":0.001,"customer":" "}"#).await;
    assert_eq!(refused.json()["errorsTotal"], 3, "{refused:?}");
    // Legal, and rare: the amount has an exponent.
    let rare = r#"{"orderId":"three","amount":9999e-2,"customer":"john_doe"}"#;
    let receipts = post_lines(world.app.address, &format!("{}\n{rare}\n{{\n", order("two"))).await.receipts();
    let statuses: Vec<_> = receipts.iter().map(|receipt| receipt["status"].clone()).collect();
    assert_eq!(statuses, [202, 202, 400]);
    assert_eq!(ways(&world).await, (1.0, 2.0, 3.0));

    let mut stored: Vec<_> = world.stored().into_iter().map(|stored| stored.order).collect();
    stored.sort_by(|one, other| one.order_id.cmp(&other.order_id));
    let ids: Vec<_> = stored.iter().map(|order| order.order_id.as_str()).collect();
    assert_eq!(ids, ["one", "three", "two"]);
    assert!(stored.iter().all(|order| order.amount.hundredths() == 9_999 && order.customer == "john_doe"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_the_fast_path_does_not_know_is_kept_all_the_same() {
    let mut schema: serde_json::Value = serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
    schema["properties"]["customer"]["enum"] = json!(["john_doe"]);
    let world = World::with_schema(schema.to_string()).await;
    assert_eq!(world.post(&order("one")).await.status, 202);
    let refused = world.post(r#"{"orderId":"a","amount":1,"customer":"jane"}"#).await;
    assert_eq!(refused.json()["errors"][0]["rule"], "enum", "{refused:?}");
    assert_eq!(ways(&world).await, (0.0, 0.0, 2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_bound_is_the_bound_of_the_fast_path() {
    let mut schema: serde_json::Value = serde_json::from_str(schemas::contracts::ORDER_SCHEMA_JSON).unwrap();
    schema["properties"]["customer"]["maxLength"] = json!(8);
    let world = World::with_schema(schema.to_string()).await;
    assert_eq!(world.post(&order("one")).await.status, 202, "john_doe has 8 characters");
    let refused = world.post(r#"{"orderId":"a","amount":1,"customer":"john_does"}"#).await;
    assert_eq!(refused.json()["errors"][0]["rule"], "maxLength", "{refused:?}");
    assert_eq!(ways(&world).await, (1.0, 1.0, 1.0));
}
