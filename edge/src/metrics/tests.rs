use service_kit::listing;

use super::*;
use crate::publish::{Placed, Terms};

const STORED: Persistence = Persistence::Stored(Placed { partition: 0, offset: 0 });

#[test]
fn a_request_that_is_dropped_counts_as_a_client_that_left() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    drop(metrics.request());
    metrics.request().end(Outcome::Accepted);
    metrics.request().goes_on();
    metrics.batch().end(BatchEnd::CutShort);
    let open = metrics.request();
    metrics.settled(STORED, Duration::from_millis(3));
    let queue = Arc::new(Admission::new(Instant::now()));
    let deadline = Duration::from_secs(5);
    let _taken = queue.admit(Instant::now(), &Terms { order_id: b"a", size: 7, deadline, share: None }).unwrap();
    metrics.watch_queue(&queue);
    metrics.kafka(statistics());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        r#"orderflow_edge_requests_total{outcome="client_gone"} 1"#,
        r#"orderflow_edge_requests_total{outcome="accepted"} 1"#,
        r#"orderflow_edge_batches_total{ended="cut_short"} 1"#,
        "orderflow_edge_in_flight_requests 1",
        r#"orderflow_edge_messages_total{persisted="yes"} 1"#,
        r#"orderflow_edge_stage_seconds_count{stage="publish"} 1"#,
        r#"orderflow_edge_stage_seconds_bucket{le="0.005",stage="publish"} 1"#,
        r#"orderflow_edge_stage_seconds_count{stage="read"} 0"#,
        "orderflow_edge_request_seconds_count 2",
        "orderflow_edge_queue_orders 1",
        "orderflow_edge_queue_orders_limit 8192",
        "orderflow_edge_drain_orders_per_second 0",
        "orderflow_edge_queue_bytes 7",
        "orderflow_edge_queue_bytes_limit 50331648",
        r#"orderflow_edge_kafka_broker_up{broker="2"} 0"#,
        r#"orderflow_edge_kafka_broker_seconds{broker="2",part="round_trip",quantile="0.99"} 0.0015"#,
        "orderflow_edge_kafka_batch_messages 12",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    drop(open);
}

/// As librdkafka writes them, with more than is shown.
fn statistics() -> Statistics {
    let broker = |id: i32| {
        serde_json::json!({ "nodeid": id, "state": "CONNECT", "outbuf_cnt": 1, "txerrs": 3, "req": { "Produce": 9 },
            "rtt": { "min": 1, "p50": 700, "p99": 1500, "p99_99": 1501 } })
    };
    let brokers = (-1..100).map(|id| (format!("broker-{id}"), broker(id)));
    let statistics = serde_json::json!({ "name": "edge", "msg_cnt": 5, "msg_size": 600, "tx": 7, "tx_bytes": 800,
        "brokers": brokers.collect::<serde_json::Map<_, _>>(),
        "topics": { "t": { "batchcnt": { "avg": 12 }, "batchsize": { "avg": 3400 }, "partitions": { "0": {} } } } });
    serde_json::from_value(statistics).unwrap()
}

#[test]
fn the_brokers_that_are_shown_are_bounded() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.kafka(statistics());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let shown: Vec<_> = text.lines().filter(|line| line.starts_with("orderflow_edge_kafka_broker_up{")).collect();
    assert_eq!(shown.len(), 64, "{shown:?}");
    assert!(shown[0].contains(r#"broker="0""#) && shown[63].contains(r#"broker="63""#), "{shown:?}");
}

#[test]
fn the_page_has_each_metric_and_no_other() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let _fast_path = crate::fast::Verdicts::new(&mut registry, true);
    // A family is shown once it has a member.
    metrics.request().end(Outcome::Accepted);
    metrics.refused("malformed");
    metrics.batch().end(BatchEnd::Complete);
    metrics.over_quota(Limit::Requests);
    metrics.settled(STORED, Duration::ZERO);
    metrics.kafka(statistics());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let page = listing::of_page(include_str!("../../METRICS.md"));
    assert_eq!(page, listing::of_scrape(&text), "left: METRICS.md, right: the code");
}
