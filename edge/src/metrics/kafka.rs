//! librdkafka's statistics as gauges. They are as old as the last emission, some seconds, and begin anew with a producer
//! that replaced another. Labels are brokers' ids, and not of more brokers than any cluster of ours has.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::publish::{BrokerStatistics, Statistics, Window};

/// Further ones, by id, are not shown.
const MAX_BROKERS: usize = 64;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByBroker {
    broker: i32,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct ByPart {
    broker: i32,
    part: &'static str,
    quantile: &'static str,
}

/// The newest statistics.
#[derive(Debug, Default)]
pub(super) struct Kafka(Mutex<Statistics>);

impl Kafka {
    pub(super) fn set(&self, statistics: Statistics) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    pub(super) fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Statistics { msg_cnt, msg_size, tx, tx_bytes, brokers, topics } =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // There is one topic; were there more, the fullest batches would be shown.
        let batch_orders = topics.values().map(|topic| topic.batchcnt.avg).max().unwrap_or(0);
        let batch_bytes = topics.values().map(|topic| topic.batchsize.avg).max().unwrap_or(0);
        for (name, help, value) in [
            ("kafka_producer_messages", "Messages in the producer", msg_cnt),
            ("kafka_producer_bytes", "Bytes of messages in the producer", msg_size),
            ("kafka_sent_requests", "Requests that this producer has sent", tx),
            ("kafka_sent_bytes", "Bytes that this producer has sent", tx_bytes),
            ("kafka_batch_messages", "Mean number of messages in a batch to a partition", batch_orders),
            ("kafka_batch_bytes", "Mean bytes of a batch to a partition", batch_bytes),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let mut brokers: Vec<BrokerStatistics> = brokers.into_values().filter(|broker| 0 <= broker.nodeid).collect();
        brokers.sort_by_key(|broker| broker.nodeid);
        brokers.dedup_by_key(|broker| broker.nodeid);
        brokers.truncate(MAX_BROKERS);
        by_broker(&mut encoder, &brokers)
    }
}

fn by_broker(encoder: &mut DescriptorEncoder<'_>, brokers: &[BrokerStatistics]) -> fmt::Result {
    type Value = fn(&BrokerStatistics) -> i64;
    let values: [(&str, &str, Value); 6] = [
        ("kafka_broker_up", "Whether the producer has a connection to the broker", |b| i64::from(b.state == "UP")),
        ("kafka_broker_waiting_requests", "Requests that wait to be sent to the broker", |b| b.outbuf_cnt),
        ("kafka_broker_sent_requests", "Requests that this producer has sent to the broker", |b| b.tx),
        ("kafka_broker_sent_bytes", "Bytes that this producer has sent to the broker", |b| b.txbytes),
        ("kafka_broker_send_errors", "Requests that this producer could not send to the broker", |b| b.txerrs),
        ("kafka_broker_retries", "Requests that this producer has sent to the broker again", |b| b.txretries),
    ];
    for (name, help, value) in values {
        let labelled = brokers.iter().map(|broker| (ByBroker { broker: broker.nodeid }, value(broker)));
        gauges(encoder, name, help, labelled)?;
    }
    let parts = brokers.iter().flat_map(|broker| {
        let BrokerStatistics { nodeid, int_latency, outbuf_latency, rtt, .. } = broker;
        let of = |part, quantile, micros: i64| (ByPart { broker: *nodeid, part, quantile }, micros as f64 / 1e6);
        let both = move |part, window: &Window| [of(part, "0.5", window.p50), of(part, "0.99", window.p99)];
        [both("producer", int_latency), both("send_queue", outbuf_latency), both("round_trip", rtt)]
            .into_iter()
            .flatten()
    });
    let help =
        "Seconds of messages in the producer, of requests in the queue to the socket, and until the broker answers";
    gauges(encoder, "kafka_broker_seconds", help, parts)
}

fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labelled: impl Iterator<Item = (L, V)>,
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in labelled {
        ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}
