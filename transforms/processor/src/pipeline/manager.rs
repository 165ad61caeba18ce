//! Keeps what runs as what is stored: one task looks at the catalog whenever it changes, and every second while
//! something is missing, and starts, changes or ends slots. The state that it writes is what the guards of its versions
//! find out ([`hearing`]).

mod doing;
mod hearing;
mod slots;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tokio::sync::Notify;

pub use self::doing::{Doing, SlotDoing, VersionDoing};
use self::slots::Slots;

use super::guard::Action;
use super::plan::{Materials, Plan};
use super::shadow::Comparing;
use super::swap::{self, Chosen, Degraded, Live};
use super::topics;
use crate::control::Alarm;
use crate::kafka::client;
use crate::metrics::Metrics;
use crate::record::tap::Tap;
use crate::state::catalog::{Stored, Target};
use crate::state::facts::{Facts, Parked, Version};
use crate::state::write::Writer;
use crate::status::{State, Status};
use crate::work::{Factory, Works};

/// Between two tries of a pipeline that is not ready to run.
const TRY_PAUSE: Duration = Duration::from_secs(1);
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
        let nudge = Arc::new(Notify::new());
        Self { site, materials, metrics, tasks, alarm, writer, nudge, pipelines: Mutex::default() }
    }

    /// Runs until the process stops, then ends all slots.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.materials.catalog.changes();
        while !self.tasks.is_stopping() {
            changes.mark_unchanged();
            self.reconcile().await;
            tokio::select! {
                _ = changes.changed() => {}
                () = self.nudge.notified() => {}
                () = tokio::time::sleep(TRY_PAUSE) => {}
                () = self.tasks.stopping() => {}
            }
        }
        self.lock().values_mut().for_each(|pipeline| pipeline.comparing = None);
        let slots: Vec<Slots> = self.lock().values_mut().filter_map(|pipeline| pipeline.slots.take()).collect();
        // All are told before the first is waited for.
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

    /// Starts over only what failed: the slots that did, and the pipeline itself where it waits for something.
    pub fn restart_failed(&self, name: &str, tasks_too: bool) {
        let mut pipelines = self.lock();
        let Some(pipeline) = pipelines.get_mut(name) else { return };
        pipeline.stale |= pipeline.waiting.is_some();
        pipeline.anew |= tasks_too && pipeline.is_stopped();
        if let (true, Some(slots)) = (tasks_too, &pipeline.slots) {
            let failed = |status: &&Arc<Status>| status.report().state == State::Failed;
            slots.statuses.iter().filter(failed).for_each(|status| status.ask_restart());
            slots.control.wake();
        }
        drop(pipelines);
        self.nudge.notify_one();
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
            if let Some(parked) = &pipeline.parked {
                return Err(format!("{name} is parked: {}", parked.because));
            }
            for (at, status) in pipeline.slots.iter().flat_map(|slots| slots.statuses.iter().enumerate()) {
                status.check().map_err(|reason| format!("{name}, slot {at}: {reason}"))?;
            }
        }
        Ok(())
    }

    async fn reconcile(&self) {
        if !self.materials.catalog.is_complete() {
            return;
        }
        let stored = self.materials.catalog.pipelines();
        let gone: Vec<String> = self.lock().keys().filter(|name| !stored.contains_key(*name)).cloned().collect();
        for name in gone {
            let slots = self.lock().remove(&name).and_then(|pipeline| pipeline.slots);
            self.retire(slots).await;
            tracing::info!(pipeline = name, "pipeline is deleted");
        }
        self.forget_orphans();
        for (name, stored) in stored {
            match stored {
                Ok(stored) => {
                    self.hear(&name);
                    let facts = self.materials.catalog.facts(&name);
                    let chosen = swap::choose(&stored, &facts);
                    self.stand(&name, &chosen, &facts);
                    if self.needs_work(&name, &chosen.stored) {
                        self.bring(&name, chosen, &facts).await;
                    }
                    self.compare(&name, &facts);
                }
                Err(reason) => self.wait_for(&name, format!("what is stored cannot be read: {reason}")),
            }
        }
    }

    /// Whether a pipeline is not as stored. A pause or resume is done here at once.
    fn needs_work(&self, name: &str, stored: &Arc<Stored>) -> bool {
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        // Also while the pipeline waits for something else: what was running before still runs.
        if let (Some(slots), Target::Started | Target::Paused) = (&pipeline.slots, stored.state)
            && slots.control.is_paused() != pipeline.is_held(stored.state)
        {
            slots.control.pause(pipeline.is_held(stored.state));
        }
        if pipeline.stale || pipeline.anew || pipeline.waiting.is_some() {
            return true;
        }
        let Some(old) = &pipeline.stored else { return true };
        if old == stored {
            return false;
        }
        let same = old.config == stored.config && old.modules == stored.modules;
        if let (true, Some(_), Target::Started | Target::Paused) = (same, &pipeline.slots, stored.state) {
            pipeline.stored = Some(Arc::clone(stored));
            return false;
        }
        true
    }

    /// Brings a pipeline to what is to run. Until that is ready, what ran goes on.
    async fn bring(&self, name: &str, chosen: Chosen, facts: &Facts) {
        if chosen.stored.state == Target::Stopped {
            let slots = self.lock().get_mut(name).and_then(|pipeline| pipeline.slots.take());
            self.retire(slots).await;
            let stopped = Pipeline { stored: Some(chosen.stored), degraded: chosen.degraded, ..Pipeline::default() };
            self.lock().insert(name.to_owned(), stopped);
            return;
        }
        let plan = match self.plan(name, &chosen).await {
            Ok(plan) => plan,
            Err(reason) => return self.wait_for(name, reason),
        };
        let tap = Arc::clone(&self.lock().entry(name.to_owned()).or_default().tap);
        let live = Live::new(chosen.version, plan, facts, Arc::clone(&self.nudge), tap);
        let Some((live, ready)) = self.opened(name, live, facts).await else { return };
        if let Some(old) = self.hand_over(name, &live, ready, chosen.stored.state) {
            // What ran reads other topics or in another number, so the slots are others as well.
            let (slots, ready) = old;
            self.retire(slots).await;
            let held = self.lock().get(name).is_some_and(|pipeline| pipeline.is_held(chosen.stored.state));
            let slots = self.start(&live, held, ready);
            self.lock().entry(name.to_owned()).or_default().slots = Some(slots);
        }
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        if let Some(old) = pipeline.live.take().filter(|old| old.version != live.version) {
            pipeline.former = Some((old.version.clone(), Arc::clone(&old.plan)));
        }
        (pipeline.stored, pipeline.live, pipeline.waiting) = (Some(chosen.stored), Some(Arc::clone(&live)), None);
        (pipeline.stale, pipeline.anew, pipeline.heard) = (false, false, false);
        drop(pipelines);
        self.note_that_it_runs(name, &live);
        tracing::info!(pipeline = name, version = live.version.id(), "pipeline is brought about");
    }

    /// The plan of what is to run. One goes back without asking anybody: the plan of the version before is still there.
    async fn plan(&self, name: &str, chosen: &Chosen) -> Result<Arc<Plan>, String> {
        if chosen.degraded.is_some() {
            let pipelines = self.lock();
            let former = pipelines.get(name).and_then(|pipeline| pipeline.former.as_ref());
            if let Some((_, plan)) = former.filter(|(version, _)| *version == chosen.version) {
                return Ok(Arc::clone(plan));
            }
        }
        let plan = Plan::prepare(name, &chosen.stored, &self.materials).await?;
        self.with_topics(plan).await.map(Arc::new)
    }

    /// Gives running slots other work. Slots that cannot take it are given back, with the work.
    fn hand_over(&self, name: &str, live: &Arc<Live>, ready: Works, state: Target) -> Option<(Option<Slots>, Works)> {
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        let moves = pipeline.live.as_ref().is_some_and(|old| old.plan.moves_like(&live.plan));
        match &pipeline.slots {
            Some(slots) if moves => {
                slots.control.assign(Arc::clone(live) as Arc<dyn Factory>, ready);
                slots.control.pause(pipeline.is_held(state));
                if pipeline.stale {
                    slots.control.restart();
                }
                None
            }
            Some(_) | None => Some((pipeline.slots.take(), ready)),
        }
    }

    /// The plan with what the broker says of its topics, or which one is not there.
    async fn with_topics(&self, mut plan: Plan) -> Result<Plan, String> {
        let config = client::inspector(&self.site.brokers, &self.site.client_id);
        let wanted = topics::Wanted::of(&plan.spec);
        let runtime = self.materials.runtime.clone();
        let asked = self.tasks.spawn_blocking(move || topics::ask(&config, &wanted, &runtime)).await;
        plan.max_bytes = asked.map_err(|error| format!("looking for topics ended early: {error}"))??;
        Ok(plan)
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
