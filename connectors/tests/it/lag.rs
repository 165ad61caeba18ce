//! Positions of a group, against librdkafka's mock cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::connect::{Info, Listed};
use connectors::kafka::lag::{Looked, Reader};
use connectors::serve::board::Board;
use connectors::serve::metrics::Metrics;
use connectors::serve::watch;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use service_kit::Tasks;

#[test]
fn a_group_that_has_read_part_of_a_partition_lags_there_and_nowhere_else() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    for _ in 0..3 {
        producer.send(BaseRecord::<(), str>::to("t").partition(1).payload("x")).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();

    let reader = Reader::new(&servers.as_str().into(), "connect-s").unwrap();
    let topics = ["t".to_owned()];
    let lags = |reader: &Reader| {
        reader
            .places(&topics)
            .unwrap()
            .iter()
            .map(|place| (place.spot.1, place.committed, place.lag()))
            .collect::<Vec<_>>()
    };
    assert_eq!(lags(&reader), [(0, 0, 0), (1, 0, 3)], "nothing is committed yet");

    commit(&servers, 2);
    assert_eq!(lags(&reader), [(0, 0, 0), (1, 2, 1)]);
    let waiting = reader.places(&topics).unwrap();
    let here = BTreeSet::from([("t".to_owned(), 1)]);
    let looked = reader.unread(&waiting).unwrap();
    assert_eq!(looked, Looked { unread: here, ..Looked::default() }, "a record is there to be read");

    // Kafka that is slower than the look: what was not seen is not known to be empty.
    cluster.broker_round_trip_time(1, Duration::from_secs(10)).unwrap();
    let looked = reader.unread(&waiting).unwrap();
    let both = (0..2).map(|partition| ("t".to_owned(), partition)).collect();
    assert_eq!(looked, Looked { unknown: both, ..Looked::default() });
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let reader = Reader::new(&servers.as_str().into(), "connect-s").unwrap();

    commit(&servers, 3);
    assert_eq!(lags(&reader), [(0, 0, 0), (1, 3, 0)]);
    let looked = reader.unread(&reader.places(&topics).unwrap()).unwrap();
    assert_eq!(looked, Looked::default(), "read to the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lag_is_told_of_a_sink_whose_topics_are_a_pattern_or_not_there() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let sink = |name: &str, key: &str, topics: &str| {
        let info = Info { config: [(key.to_owned(), topics.to_owned())].into() };
        (name.to_owned(), Listed { info, ..Listed::default() })
    };
    // The last of a round says that it is over.
    let all = [sink("nowhere", "topics", "u"), sink("pattern", "topics.regex", "t.*"), sink("the-last", "topics", "t")];
    let (board, metrics, tasks) = (Board::default(), Arc::new(Metrics::default()), Tasks::new());
    board.keep(&all.into());
    metrics.lag("pattern").set(7);
    let kafka = cluster.bootstrap_servers().as_str().into();
    tasks.spawn(watch(kafka, board.clone(), Arc::clone(&metrics), tasks.clone()));
    let shown = || {
        let (mut numbers, mut text) = (Registry::default(), String::new());
        metrics.register(&mut numbers);
        encode(&mut text, &numbers).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("orderflow_connectors_lag_records{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let until = Instant::now() + Duration::from_secs(60);
    while !shown().iter().any(|line| line.contains("the-last")) {
        assert!(Instant::now() < until, "{:?}", shown());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(shown(), [r#"orderflow_connectors_lag_records{connector="the-last"} 0"#]);
    let lag = |name: &str| board.show()["connectors"][name]["lag"].clone();
    assert_eq!(["nowhere", "pattern", "the-last"].map(lag), [Value::Null, Value::Null, json!(0)]);
    tasks.drain(Duration::from_secs(60)).await;
}

fn commit(servers: &str, offset: i64) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "connect-s").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 1, Offset::Offset(offset)).unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
}
