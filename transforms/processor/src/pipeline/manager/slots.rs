//! The slots of a pipeline: their threads, started and ended together.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Manager;
use crate::control::Control;
use crate::kafka::{Cluster, Identity};
use crate::pipeline::swap::Live;
use crate::slot::Slot;
use crate::status::Status;
use crate::work::{Factory, Works};

/// A slot ends its transaction (at most 5 s a call, in practice milliseconds) and closes its consumer (at most 4 s).
const END_DEADLINE: Duration = Duration::from_secs(9);

/// The slots of a pipeline.
pub(super) struct Slots {
    pub(super) control: Arc<Control>,
    pub(super) statuses: Vec<Arc<Status>>,
    threads: Vec<(JoinHandle<()>, Arc<Status>)>,
}

impl Slots {
    /// How many do the work that they are to do.
    pub(super) fn up_to_date(&self) -> usize {
        let number = self.control.version();
        self.statuses.iter().filter(|status| status.work() == number).count()
    }
}

impl Manager {
    pub(super) fn start(&self, live: &Arc<Live>, paused: bool, ready: Works) -> Slots {
        let plan = &live.plan;
        let factory = Arc::clone(live) as Arc<dyn Factory>;
        let control = Arc::new(Control::new(factory, paused, Arc::clone(&self.alarm)));
        control.prepare(ready);
        let mut slots = Slots { control, statuses: Vec::new(), threads: Vec::new() };
        for n in 0..plan.spec.tasks {
            let status = Arc::new(Status::default());
            let slot = Slot {
                kafka: Arc::new(Cluster::new(self.site.brokers.clone())),
                identity: Identity::new(&plan.spec.name, &self.site.instance, n),
                topics: plan.spec.topics.clone(),
                control: Arc::clone(&slots.control),
                status: Arc::clone(&status),
                metrics: self.metrics.slot(&plan.spec.name, n),
            };
            let name = slot.identity.slot().to_owned();
            match std::thread::Builder::new().name(name).spawn(move || slot.run()) {
                Ok(thread) => slots.threads.push((thread, Arc::clone(&status))),
                Err(error) => status.fail(&format!("cannot start a thread: {error}")),
            }
            slots.statuses.push(status);
        }
        slots
    }

    pub(super) async fn retire(&self, slots: Option<Slots>) {
        if let Some(slots) = slots {
            slots.control.stop();
            self.end(slots).await;
        }
    }

    /// Waits for slots that were told to stop.
    pub(super) async fn end(&self, slots: Slots) {
        let ended = self.tasks.spawn_blocking(move || {
            let until = Instant::now() + END_DEADLINE;
            while slots.threads.iter().any(|(thread, _)| !thread.is_finished()) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            let left = slots.threads.iter().filter(|(thread, _)| !thread.is_finished());
            left.map(|(thread, status)| in_words(thread.thread().name(), status)).collect::<Vec<_>>()
        });
        match ended.await {
            Ok(left) if left.is_empty() => {}
            Ok(left) => (self.alarm)(&format!("did not end in {END_DEADLINE:?}: {}", left.join(", "))),
            Err(error) => tracing::warn!(error = %error, "waiting for slots ended early"),
        }
    }
}

/// A slot that does not end, and where it is: whoever reads it has nothing else to go by.
fn in_words(name: Option<&str>, status: &Status) -> String {
    let (name, state) = (name.unwrap_or("a slot"), status.report().state.as_str());
    format!("{name} ({state}, {} records in flight, {} in an open transaction)", status.in_flight(), status.open())
}
