//! librdkafka's own statistics: taken from the polling thread as they are, parsed in a task of their own, and only what
//! is shown. When there are new ones before the last were parsed, the last are forgotten.

use std::collections::HashMap;

use serde::Deserialize;
use service_kit::Tasks;
use tokio::sync::watch;

use crate::metrics::Metrics;

/// What one emission says, as far as it is shown; its form is librdkafka's (`STATISTICS.md`). Times in microseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// Messages in the producer, and their bytes.
    pub msg_cnt: i64,
    /// See `msg_cnt`.
    pub msg_size: i64,
    /// Requests sent, and their bytes.
    pub tx: i64,
    /// See `tx`.
    pub tx_bytes: i64,
    /// By name.
    pub brokers: HashMap<String, BrokerStatistics>,
    /// By name.
    pub topics: HashMap<String, TopicStatistics>,
}

/// One broker, as the producer sees it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BrokerStatistics {
    /// Its id; negative for what is no broker of the cluster, such as a bootstrap address.
    pub nodeid: i32,
    /// `UP`, or what keeps it from that.
    pub state: String,
    /// Requests that wait to be sent.
    pub outbuf_cnt: i64,
    /// Requests and bytes sent.
    pub tx: i64,
    /// See `tx`.
    pub txbytes: i64,
    /// Requests that could not be sent, or were sent again.
    pub txerrs: i64,
    /// See `txerrs`.
    pub txretries: i64,
    /// From the call to the request.
    pub int_latency: Window,
    /// From the request to the socket.
    pub outbuf_latency: Window,
    /// From the socket to the answer.
    pub rtt: Window,
}

/// One topic.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopicStatistics {
    /// Bytes of a batch.
    pub batchsize: Window,
    /// Messages of a batch.
    pub batchcnt: Window,
}

/// Values since the last emission.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Window {
    /// Their mean.
    pub avg: i64,
    /// Half are not above.
    pub p50: i64,
    /// 99 of 100 are not above.
    pub p99: i64,
}

/// The newest emission, as text. Writing never waits for its reader.
pub(super) type Newest = watch::Sender<Vec<u8>>;

/// Shows each emission until the service stops.
pub(super) async fn show(mut newest: watch::Receiver<Vec<u8>>, metrics: Metrics, tasks: Tasks) {
    while let Some(Ok(())) = tasks.until_stop(newest.changed()).await {
        // In one expression, so that the polling thread does not wait for the parsing.
        let text = newest.borrow_and_update().clone();
        match serde_json::from_slice(&text) {
            Ok(statistics) => metrics.kafka(statistics),
            Err(error) => tracing::debug!(error = %error, "librdkafka's statistics cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration, time::Instant};

    use prometheus_client::registry::Registry;
    use rdkafka::{
        ClientConfig,
        config::FromClientConfigAndContext,
        mocking::MockCluster,
        producer::{BaseRecord, Producer, ThreadedProducer},
    };

    use super::*;
    use crate::publish::{
        Admission, Broker, Terms,
        context::{Context, Delivery},
    };

    /// As [`super::super::settings`], but with an interval for which a test can wait.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_librdkafka_counts_is_shown() {
        let mock = MockCluster::new(3).unwrap();
        mock.create_topic("t", 3, 1).unwrap();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let newest = Newest::default();
        let tasks = Tasks::new();
        tasks.spawn(show(newest.subscribe(), metrics.clone(), tasks.clone()));
        let context = Context::new(&Arc::new(Broker::new()), &metrics, &newest);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock.bootstrap_servers()).set("statistics.interval.ms", "50");
        let kafka = ThreadedProducer::from_config_and_context(&config, context).unwrap();
        let begun = Instant::now();
        let admission = Arc::new(Admission::new(begun));
        let terms = Terms { order_id: b"a", size: 1, deadline: Duration::from_secs(5), share: None };
        for key in 0..30 {
            let (reply, _) = tokio::sync::oneshot::channel();
            let place = admission.admit(begun, &terms).unwrap();
            let age = kafka.context().ages().begin(begun);
            let delivery = Box::new(Delivery::new(reply, place, &admission, (begun, age)));
            let key = key.to_string();
            let record = BaseRecord::with_opaque_to("t", delivery).key(&key).payload("value");
            assert!(ThreadedProducer::send(&kafka, record).is_ok());
        }
        loop {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let value = |line: &str| {
                let line =
                    text.lines().find_map(|shown| shown.strip_prefix("orderflow_edge_kafka_")?.strip_prefix(line));
                line.map_or(-1.0, |value| value.trim().parse::<f64>().unwrap())
            };
            let brokers = (1..=3).all(|id| value(&format!("broker_up{{broker=\"{id}\"}}")) == 1.0);
            if brokers
                && 0.0 < value("sent_requests")
                && 0.0 < value("broker_sent_bytes{broker=\"1\"}")
                && 0.0 <= value("broker_seconds{broker=\"1\",part=\"round_trip\",quantile=\"0.99\"}")
            {
                assert!(!text.contains("broker=\"-1\""), "a bootstrap address is no broker: {text}");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tasks.drain(Duration::from_secs(5)).await;
    }
}
