//! What modules log: lines on their way to the topic `transforms.logs`, and read back from there.
//!
//! A line is worth less than a record: the way is bounded and nobody waits for it. What does not fit is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use schemas::names::topics;
use serde::{Deserialize, Serialize};
use service_kit::Tasks;
use service_kit::kafka::Brokers;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use transform_host::{Level, LogLine};

use crate::kafka::client;

/// Lines that wait to be written.
const WAITING: usize = 4_096;
/// A stop is noticed within this time.
const LOOK: Duration = Duration::from_millis(200);
/// What is not written within this time of a stop is lost.
const LAST: Duration = Duration::from_secs(1);

/// One line, as it stands in the topic: JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it was taken from the module, RFC 3339.
    pub at: String,
    /// The pipeline.
    pub pipeline: String,
    /// The process's name.
    pub instance: String,
    /// `name@version+sha256:<first 12 digits>`.
    pub module: String,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// What the module said.
    pub text: String,
}

/// Takes the lines of all pipelines of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GuestLogs {
    lines: SyncSender<Line>,
    instance: Arc<str>,
    lost: Arc<AtomicU64>,
}

/// The other end.
pub struct Waiting {
    lines: Receiver<Line>,
    lost: Arc<AtomicU64>,
}

/// A way for lines of this process.
#[must_use]
pub fn channel(instance: &str) -> (GuestLogs, Waiting) {
    let (sender, receiver) = sync_channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let logs = GuestLogs { lines: sender, instance: Arc::from(instance), lost: Arc::clone(&lost) };
    (logs, Waiting { lines: receiver, lost })
}

impl GuestLogs {
    /// Takes a line. Never waits: without room the line is counted as lost.
    pub fn take(&self, pipeline: &str, line: &LogLine) {
        let line = Line {
            at: OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap_or_default(),
            pipeline: pipeline.to_owned(),
            instance: self.instance.to_string(),
            module: line.module.clone(),
            level: word(line.level).to_owned(),
            text: line.text.clone(),
        };
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that had no room, or that the broker did not take.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Waiting {
    /// As [`GuestLogs::lost`].
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// As it stands in the topic.
#[must_use]
pub fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Counts what the broker did not take.
struct Reports(Arc<AtomicU64>);

impl rdkafka::ClientContext for Reports {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "kafka client reports");
    }
}

impl rdkafka::producer::ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        if report.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes lines to the topic until the process stops. Blocks.
///
/// # Errors
/// When no client can be made.
pub fn write(brokers: &Brokers, client_id: &str, waiting: &Waiting, tasks: &Tasks) -> KafkaResult<()> {
    let config = client::log_producer(brokers, client_id);
    let producer = ThreadedProducer::from_config_and_context(&config, Reports(Arc::clone(&waiting.lost)))?;
    loop {
        match waiting.lines.recv_timeout(LOOK) {
            Ok(line) => send(&producer, &line, &waiting.lost),
            Err(RecvTimeoutError::Timeout) if !tasks.is_stopping() => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return producer.flush(LAST),
        }
    }
}

fn send(producer: &ThreadedProducer<Reports>, line: &Line, lost: &AtomicU64) {
    let text = serde_json::to_string(line).unwrap_or_default();
    let record = BaseRecord::to(topics::TRANSFORMS_LOGS).key(&line.pipeline).payload(&text);
    if producer.send(record).is_err() {
        lost.fetch_add(1, Ordering::Relaxed);
    }
}
