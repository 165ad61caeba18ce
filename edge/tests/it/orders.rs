//! Orders that are accepted: the receipt is true, and the record is the order.

use schemas::Money;
use serde_json::Value;

use crate::world::{SCHEMA_ID, World, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_order_lies_where_its_receipt_says() {
    let world = World::ready().await;
    let body = r#"{"orderId":"my-order-123","amount":1e2,"customer":"Zoë","currency":"eur","email":"a@b","country":"de",
        "channel":"web","createdAt":"2024-05-06T07:08:09+02:00","items":[{"sku":"s","quantity":2,"unitPrice":50}]}"#;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = world.post_with(body, &[("x-request-id", "my-request"), ("traceparent", trace)]).await;

    assert_eq!(answer.status, 202, "{answer:?}");
    let receipt = answer.json();
    assert_eq!(receipt["orderId"], "my-order-123");
    assert_eq!(receipt["topic"], "orders.received");
    assert_eq!(receipt["persisted"], "yes");
    assert_eq!(receipt["requestId"], "my-request");
    assert_eq!(receipt["schemaId"], SCHEMA_ID);
    assert_eq!(answer.header("x-request-id"), Some("my-request"));

    let stored = world.stored();
    let [stored] = &stored[..] else { panic!("one record: {stored:?}") };
    assert_eq!(receipt["partition"], stored.partition);
    assert_eq!(receipt["offset"], stored.offset);
    assert_eq!((stored.key.as_str(), stored.schema_id), ("my-order-123", SCHEMA_ID));
    let expected = [("orderflow.request-id", "my-request"), ("traceparent", trace)];
    let headers: Vec<_> = stored.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, expected);
    let taken = &stored.order;
    assert_eq!((taken.order_id.as_str(), taken.customer.as_str()), ("my-order-123", "Zoë"));
    assert_eq!(taken.amount, Money::from_hundredths(10_000).unwrap());
    assert_eq!(taken.items[0].unit_price, Money::from_hundredths(5_000).unwrap());
    assert_eq!(taken.created_at.0, 1_714_972_089_000);
    assert!(1_700_000_000_000 < taken.received_at.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_goes_to_the_same_partition_with_a_later_offset() {
    let world = World::ready().await;
    let mut versions = Vec::new();
    for _ in 0..3 {
        let receipt = world.post(&order("again")).await.json();
        versions.push((receipt["partition"].clone(), receipt["offset"].clone()));
    }
    let partition = &versions[0].0;
    let expected: Vec<(Value, Value)> = (0..3).map(|offset| (partition.clone(), Value::from(offset))).collect();
    assert_eq!(versions, expected);
}

/// Java's default partitioner, computed elsewhere: murmur2 of the key, positive, modulo 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partition_is_java_s() {
    let world = World::ready().await;
    for key in ["a", "my-order-123", "0", "x".repeat(128).as_str()] {
        let receipt = world.post(&order(key)).await.json();
        assert_eq!(receipt["partition"], (murmur2(key.as_bytes()) & 0x7fff_ffff) % 4, "{key}");
    }
}

/// Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        h ^= rest.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte));
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_is_made_and_a_bad_trace_is_not_passed_on() {
    let world = World::ready().await;
    let answer = world.post_with(&order("a"), &[("x-request-id", "no spaces"), ("traceparent", "00-x")]).await;
    let id = answer.json()["requestId"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), answer.header("x-request-id")), (36, Some(id.as_str())));
    assert_eq!(world.until_stored("a").await.headers, [("orderflow.request-id".to_owned(), id)]);
}

/// None is made, because the edge has no spans of its own that it could name; of two none can be trusted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_passed_on_as_it_is_or_not_at_all() {
    let world = World::ready().await;
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let other = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01");
    let lines = format!("{}\n", order("batch"));
    for (id, headers, passed) in [
        ("one", vec![trace], Some(trace.1)),
        ("none", vec![], None),
        ("two", vec![trace, other], None),
        ("batch", vec![trace, crate::world::NDJSON], Some(trace.1)),
    ] {
        let body = if id == "batch" { lines.clone() } else { order(id) };
        assert!(world.post_with(&body, &headers).await.status < 300, "{id}");
        let stored = world.until_stored(id).await;
        let found = stored.headers.iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value.as_str());
        assert_eq!(found, passed, "{id}: {stored:?}");
    }
}
