//! Of several healers beside each other one is on duty, and the others stand by: a group of Kafka's decides, as it does
//! among the members of any other. Whoever has the one partition of the topic of marks heals; nothing is read from it.
//!
//! A healer that is started again under its name is on duty again at once (KIP-345); one that does not come back is
//! followed after the session's time. While Kafka is away nobody is relieved: there is nothing to heal then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use schemas::names::topics::DEAD_LETTER_MARKS;
use service_kit::Tasks;
use service_kit::kafka::Brokers;
use service_kit::kafka::refusal::way_out;
use tracing::{debug, info, warn};

use crate::kafka::KafkaError;
use crate::kafka::client::{self, Consumer};

/// The group of all healers.
pub const GROUP: &str = "connectors-healers";
/// A healer that says nothing for a session is relieved.
const HEARTBEAT: &str = "1500";
/// The topic may be made after the healer has begun.
const TOPICS_EVERY: &str = "2000";
/// One wait for news of the group.
const LOOK: Duration = Duration::from_millis(250);
/// Before the next try, where the client was of no use any more.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether this healer is on duty.
#[derive(Debug, Clone, Default)]
pub struct Duty(Arc<AtomicBool>);

impl Duty {
    /// Of one that is alone, and need not ask.
    #[must_use]
    pub fn alone() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether it is, as far as is known.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, held: bool) {
        if self.0.swap(held, Ordering::Relaxed) != held {
            info!(held, "{}", if held { "on duty" } else { "not on duty, standing by" });
        }
    }

    /// Takes part in the group until told to stop.
    pub async fn run(self, brokers: Brokers, name: String, tasks: Tasks) {
        loop {
            let (duty, brokers, name, stop) = (self.clone(), brokers.clone(), name.clone(), tasks.clone());
            let shift = tasks.spawn_blocking(move || duty.shift(&brokers, &name, &stop));
            match shift.await {
                Ok(Ok(())) => return,
                Ok(Err(err)) => warn!(error = %err, "not on duty, takes part anew in {PAUSE:?}"),
                // As in the watcher: a fault of ours is not to end in silence.
                Err(fault) if fault.is_panic() => std::panic::resume_unwind(fault.into_panic()),
                Err(_) => return,
            }
            self.set(false);
            if tasks.until_stop(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// As long as one client lasts.
    fn shift(&self, brokers: &Brokers, name: &str, tasks: &Tasks) -> Result<(), KafkaError> {
        let member = member(brokers, name)?;
        let failed = |cause| client::heard(member.context(), brokers, cause);
        let mut told = None;
        member.subscribe(&[DEAD_LETTER_MARKS]).map_err(failed)?;
        while !tasks.is_stopping() {
            match member.poll(LOOK) {
                Some(Err(cause)) if is_over(&cause) => return Err(failed(cause)),
                Some(Err(cause)) => tell(&failed(cause), &mut told),
                // What it reads of the marks is of no interest here.
                Some(Ok(_)) | None => {}
            }
            let assigned = member.assignment().map_err(failed)?;
            self.set(0 < assigned.count() && !member.assignment_lost());
        }
        Ok(())
    }
}

/// What the client does not get over by itself is for somebody to mend, and is said once.
fn tell(report: &KafkaError, told: &mut Option<String>) {
    let words = report.to_string();
    let is_ours = matches!(report, KafkaError::Refused { .. }) || way_out(&words).is_some();
    if is_ours && told.as_ref() != Some(&words) {
        warn!(error = words, "cannot take part in the group of healers");
        *told = Some(words);
    } else {
        debug!(error = words, "the healers' group reports");
    }
}

fn member(brokers: &Brokers, name: &str) -> Result<Consumer, KafkaError> {
    let mut config = client::config(brokers, "connectors-duty");
    config
        .set("group.id", GROUP)
        .set("group.instance.id", name)
        // Who comes takes the duty from nobody.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", client::SESSION)
        .set("heartbeat.interval.ms", HEARTBEAT)
        .set("topic.metadata.refresh.interval.ms", TOPICS_EVERY)
        .set("allow.auto.create.topics", "false")
        .set("enable.auto.commit", "false")
        // Only what is new, which is next to nothing.
        .set("auto.offset.reset", "latest");
    client::consumer(&config, brokers)
}

/// The client will never take part again: mostly since another healer has the same name.
fn is_over(cause: &ClientError) -> bool {
    matches!(cause.rdkafka_error_code(), Some(Code::Fatal | Code::FencedInstanceId))
}
