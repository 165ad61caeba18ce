//! Keeps what runs as what is stored: one task looks at the catalog whenever it changes, and every second, and has each
//! pipeline brought about by a task of that one alone ([`bringing`]), so that no pipeline waits for another. The state that
//! is written is what the guards of the versions find out ([`hearing`]).

mod bringing;
mod comparing;
mod doing;
mod hearing;
mod slots;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;

pub use self::doing::{Doing, SlotDoing, VersionDoing};
use self::slots::Slots;
use self::under_way::UnderWay;

use super::guard::Action;
use super::plan::{Materials, Plan};
use super::shadow::{Comparing, Restarted};
use super::swap::{Degraded, Live};
use crate::control::Alarm;
use crate::metrics::Metrics;
use crate::record::tap::Tap;
use crate::state::catalog::{Stored, Target};
use crate::state::facts::{Parked, Version};
use crate::state::write::Writer;
use crate::status::{State, Status};

/// Between two tries of a pipeline that is not ready to run.
const TRY_PAUSE: Duration = Duration::from_secs(1);
/// Pipelines whose modules are compiled at the same time. Each takes all cores, so more would only fill memory.
const COMPILED: usize = 8;
/// Pipelines that ask the broker for their topics at the same time, each by a client of its own. They wait for the same
/// broker, so none holds up another that could go on.
const ASKED: usize = 8;
/// Versions that are opened at the same time: a module has its time to start, which many at once on few cores would not
/// get, and one that does not start is refused.
const OPENED: usize = 2;

/// Where this process stands.
#[derive(Debug, Clone)]
pub struct Site {
    /// The brokers, and who we are to them.
    pub brokers: Brokers,
    /// This process's name; stable over restarts.
    pub instance: String,
    /// How the process names its Kafka clients that are no slots.
    pub client_id: String,
}

/// Runs the pipelines of this process.
pub struct Manager {
    site: Site,
    materials: Materials,
    metrics: Metrics,
    tasks: Tasks,
    alarm: Alarm,
    writer: Arc<Writer>,
    nudge: Arc<Notify>,
    compiling: Semaphore,
    asking: Arc<Semaphore>,
    opening: Semaphore,
    pipelines: Mutex<BTreeMap<String, Pipeline>>,
}

#[derive(Default)]
struct Pipeline {
    /// What was brought about, as if it were stored.
    stored: Option<Arc<Stored>>,
    live: Option<Arc<Live>>,
    /// The version before, ready to come back.
    former: Option<(Version, Arc<Plan>)>,
    waiting: Option<String>,
    slots: Option<Slots>,
    /// Somebody asked for a fresh start.
    stale: bool,
    /// The version needs another guard, but its slots go on.
    anew: bool,
    /// What the guard of the live version said was acted on.
    heard: bool,
    degraded: Option<Degraded>,
    parked: Option<Parked>,
    /// Where a candidate may look on.
    tap: Arc<Tap>,
    comparing: Option<(Arc<Live>, Comparing)>,
    /// That the comparison with this id begins anew, until another one begins.
    anew_with: Option<(String, Restarted)>,
}

impl Manager {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(
        site: Site,
        materials: Materials,
        metrics: Metrics,
        tasks: Tasks,
        alarm: Alarm,
        writer: Arc<Writer>,
    ) -> Self {
        let [compiling, opening] = [COMPILED, OPENED].map(Semaphore::new);
        let asking = Arc::new(Semaphore::new(ASKED));
        let (nudge, pipelines) = (Arc::default(), Mutex::default());
        Self { site, materials, metrics, tasks, alarm, writer, nudge, compiling, asking, opening, pipelines }
    }

    /// Runs until the process stops, then ends all slots.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.materials.catalog.changes();
        let (mut tick, mut under_way) = (tokio::time::interval(TRY_PAUSE), UnderWay::default());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.tasks.is_stopping() {
            tokio::select! {
                _ = changes.changed() => {}
                () = self.nudge.notified() => {}
                _ = tick.tick() => {}
                again = under_way.ended(), if !under_way.is_empty() => {
                    // That one ended is no news of the others.
                    if let Some(name) = again {
                        self.see_to(&mut under_way, &name);
                    }
                    continue;
                }
                () = self.tasks.stopping() => continue,
            }
            changes.mark_unchanged();
            self.look(&mut under_way);
        }
        self.end_all(under_way).await;
    }

    /// Has every pipeline seen to that is stored, or was.
    fn look(self: &Arc<Self>, under_way: &mut UnderWay) {
        if !self.materials.catalog.is_complete() {
            return;
        }
        self.forget_orphans();
        let mut names: BTreeSet<String> = self.materials.catalog.pipelines().into_keys().collect();
        names.extend(self.lock().keys().cloned());
        for name in names {
            // A pause is heeded while the pipeline waits for something, too: what was running before still runs.
            self.hold(&name);
            self.see_to(under_way, &name);
        }
    }

    fn see_to(self: &Arc<Self>, under_way: &mut UnderWay, name: &str) {
        let (manager, own) = (Arc::clone(self), name.to_owned());
        under_way.start(&self.tasks, name, || async move { manager.attend(&own).await });
    }

    async fn end_all(&self, mut under_way: UnderWay) {
        // All are told before the first is waited for.
        self.lock().values().flat_map(|pipeline| &pipeline.slots).for_each(|slots| slots.control.stop());
        // What is under way starts nothing any more; it may be waiting for slots that it ends.
        while !under_way.is_empty() {
            under_way.ended().await;
        }
        self.lock().values_mut().for_each(|pipeline| pipeline.comparing = None);
        let slots: Vec<Slots> = self.lock().values_mut().filter_map(|pipeline| pipeline.slots.take()).collect();
        slots.iter().for_each(|slots| slots.control.stop());
        for slots in slots {
            self.end(slots).await;
        }
    }

    /// Starts a pipeline's slots over; the output schema is looked up anew.
    pub fn restart(&self, name: &str) {
        if let Some(pipeline) = self.lock().get_mut(name) {
            pipeline.stale = true;
        }
        self.nudge.notify_one();
    }

    /// Starts over only what failed: the slots that did, and the pipeline itself where it waits for something. `false` when
    /// nothing did.
    pub fn restart_failed(&self, name: &str, tasks_too: bool) -> bool {
        let mut pipelines = self.lock();
        let Some(pipeline) = pipelines.get_mut(name) else { return false };
        let (waits, stopped) = (pipeline.waiting.is_some(), tasks_too && pipeline.is_stopped());
        pipeline.stale |= waits;
        pipeline.anew |= stopped;
        let failed = |status: &&Arc<Status>| tasks_too && status.report().state == State::Failed;
        let statuses = pipeline.slots.iter().flat_map(|slots| &slots.statuses);
        let failed: Vec<&Arc<Status>> = statuses.filter(failed).collect();
        let any = waits || stopped || !failed.is_empty();
        failed.into_iter().for_each(|status| status.ask_restart());
        if let Some(slots) = &pipeline.slots {
            slots.control.wake();
        }
        drop(pipelines);
        self.nudge.notify_one();
        any
    }

    /// Starts one slot over; `false` when there is no such slot here.
    pub fn restart_slot(&self, name: &str, slot: usize) -> bool {
        let mut pipelines = self.lock();
        let Some(pipeline) = pipelines.get_mut(name) else { return false };
        let Some(slots) = &pipeline.slots else { return false };
        let Some(status) = slots.statuses.get(slot) else { return false };
        status.ask_restart();
        slots.control.wake();
        pipeline.anew |= pipeline.is_stopped();
        drop(pipelines);
        self.nudge.notify_one();
        true
    }

    /// Whether slots of a pipeline are left in this process.
    #[must_use]
    pub fn has_slots(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|pipeline| pipeline.slots.is_some())
    }

    /// How this process talks to the brokers.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Lets the slots of a pipeline go on behind the gaps that they name now; `false` when they name none.
    pub fn accept_gaps(&self, name: &str) -> bool {
        let pipelines = self.lock();
        let Some(slots) = pipelines.get(name).and_then(|pipeline| pipeline.slots.as_ref()) else { return false };
        let gaps: Vec<_> = slots.statuses.iter().flat_map(|status| status.report().gaps).collect();
        let named = !gaps.is_empty();
        if named {
            slots.control.accept_gaps(gaps);
        }
        named
    }

    /// Whether every pipeline does what it should.
    ///
    /// # Errors
    /// Says which does not, and why.
    pub fn check(&self) -> Result<(), String> {
        for (name, pipeline) in &*self.lock() {
            if let Some(waiting) = &pipeline.waiting {
                return Err(format!("{name} waits: {waiting}"));
            }
            if pipeline.stored.is_none() {
                return Err(format!("{name} is being made ready"));
            }
            if let Some(parked) = &pipeline.parked {
                return Err(format!("{name} is parked: {}", parked.because));
            }
            for (at, status) in pipeline.slots.iter().flat_map(|slots| slots.statuses.iter().enumerate()) {
                status.check().map_err(|reason| format!("{name}, slot {at}: {reason}"))?;
            }
        }
        Ok(())
    }

    fn wait_for(&self, name: &str, reason: String) {
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        if pipeline.waiting.as_ref() != Some(&reason) {
            tracing::warn!(pipeline = name, reason, "pipeline waits");
            pipeline.waiting = Some(reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pipeline>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// Whether its slots take nothing: an operator wants that, or the breaker.
    fn is_held(&self, state: Target) -> bool {
        state == Target::Paused || self.parked.is_some()
    }

    /// Whether the breaker fails its slots. Its word stands, so only under another guard a slot can start over.
    fn is_stopped(&self) -> bool {
        let word = self.live.as_ref().and_then(|live| live.guard.word());
        word.is_some_and(|word| word.action == Action::Stop)
    }
}
