//! Brings one pipeline to what is stored of it. For each pipeline one task at a time does; but restarts and pauses are asked
//! for at any time, and what is stored changes meanwhile. So what was asked for is taken when a change begins, and before
//! slots start it is looked again whether they are still to run.

use std::sync::Arc;

use super::slots::Slots;
use super::{Live, Manager, Pipeline, Plan};
use crate::kafka::client;
use crate::pipeline::swap::{self, Chosen};
use crate::pipeline::{plan, topics};
use crate::state::catalog::{Stored, Target};
use crate::state::facts::{Facts, Version};
use crate::work::{Factory, Works};

/// What was asked of a pipeline before a change began; what is asked later is for the next one.
#[derive(Clone, Copy)]
struct Asked {
    stale: bool,
    anew: bool,
}

impl Manager {
    /// Looks at one pipeline and does what is to be done.
    pub(super) async fn attend(&self, name: &str) {
        match self.materials.catalog.pipeline(name) {
            None => self.forget(name).await,
            Some(Err(reason)) => self.wait_for(name, format!("what is stored cannot be read: {reason}")),
            Some(Ok(stored)) => {
                self.hear(name);
                let facts = self.materials.catalog.facts(name);
                let chosen = swap::choose(&stored, &facts);
                self.stand(name, &chosen, &facts);
                if self.needs_work(name, &chosen.stored) {
                    self.bring(name, chosen, &facts).await;
                }
                // That took its time: a candidate may have gone.
                self.compare(name, &self.materials.catalog.facts(name));
            }
        }
    }

    /// It is not stored any more.
    async fn forget(&self, name: &str) {
        let Some(slots) = self.lock().remove(name).map(|pipeline| pipeline.slots) else { return };
        self.retire(slots).await;
        self.metrics.forget(name);
        tracing::info!(pipeline = name, "pipeline is deleted");
    }

    /// Stops or resumes the flow of the slots that there are, as it is stored now.
    pub(super) fn hold(&self, name: &str) {
        let pipelines = self.lock();
        let Some(pipeline) = pipelines.get(name) else { return };
        if let (Some(slots), Some(state)) = (&pipeline.slots, self.wanted(name))
            && slots.control.is_paused() != pipeline.is_held(state)
        {
            slots.control.pause(pipeline.is_held(state));
        }
    }

    /// Whether a pipeline is not as stored. A pause or resume is done here at once.
    fn needs_work(&self, name: &str, stored: &Arc<Stored>) -> bool {
        self.hold(name);
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
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
            return self.put_out(name, chosen).await;
        }
        let asked = self.asked(name);
        // Whoever stops, deletes or changes it meanwhile does not wait for what will not run.
        let ready = tokio::select! {
            ready = self.tasks.until_stop(self.prepared(name, &chosen, facts)) => ready.flatten(),
            () = self.until_another(name, &chosen.version) => None,
        };
        let Some((live, ready)) = ready.filter(|(live, _)| self.is_still(name, &live.version)) else {
            return self.ask_again(name, asked);
        };
        if let Some((slots, ready)) = self.hand_over(name, &live, ready, asked) {
            // What ran reads other topics or in another number, so the slots are others as well.
            self.retire(slots).await;
            if !self.started(name, &live, ready) {
                return;
            }
        }
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        if let Some(old) = pipeline.live.take().filter(|old| old.version != live.version) {
            pipeline.former = Some((old.version.clone(), Arc::clone(&old.plan)));
        }
        (pipeline.stored, pipeline.live, pipeline.waiting) = (Some(chosen.stored), Some(Arc::clone(&live)), None);
        pipeline.heard = false;
        drop(pipelines);
        self.hold(name);
        self.note_that_it_runs(name, &live);
        tracing::info!(pipeline = name, version = live.version.id(), "pipeline is brought about");
    }

    /// What its slots should be doing by what is stored now; `None` when it was deleted or stopped, or the process ends.
    fn wanted(&self, name: &str) -> Option<Target> {
        let state = self.materials.catalog.pipeline(name)?.ok()?.state;
        (state != Target::Stopped && !self.tasks.is_stopping()).then_some(state)
    }

    /// Whether this version is still the one that is to run.
    fn is_still(&self, name: &str, version: &Version) -> bool {
        let Some(Ok(stored)) = self.materials.catalog.pipeline(name) else { return false };
        self.wanted(name).is_some() && swap::choose(&stored, &self.materials.catalog.facts(name)).version == *version
    }

    async fn until_another(&self, name: &str, version: &Version) {
        let mut changes = self.materials.catalog.changes();
        while self.is_still(name, version) {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Takes what was asked for.
    fn asked(&self, name: &str) -> Asked {
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        Asked { stale: std::mem::take(&mut pipeline.stale), anew: std::mem::take(&mut pipeline.anew) }
    }

    /// Nothing came of it.
    fn ask_again(&self, name: &str, asked: Asked) {
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        pipeline.stale |= asked.stale;
        pipeline.anew |= asked.anew;
    }

    /// Ends the slots of a pipeline that is to stop. A candidate waits beside it for more.
    async fn put_out(&self, name: &str, chosen: Chosen) {
        let slots = self.lock().get_mut(name).and_then(|pipeline| pipeline.slots.take());
        self.retire(slots).await;
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        let (tap, comparing) = (Arc::clone(&pipeline.tap), pipeline.comparing.take());
        let (stored, degraded, anew_with) = (Some(chosen.stored), chosen.degraded, pipeline.anew_with.take());
        *pipeline = Pipeline { stored, degraded, tap, comparing, anew_with, ..Pipeline::default() };
    }

    /// A version that is ready to run. `None`: it waits for something, or cannot be opened.
    async fn prepared(&self, name: &str, chosen: &Chosen, facts: &Facts) -> Option<(Arc<Live>, Works)> {
        let plan = match self.plan(name, chosen).await {
            Ok(plan) => plan,
            Err(reason) => {
                self.wait_for(name, reason);
                return None;
            }
        };
        let tap = Arc::clone(&self.lock().entry(name.to_owned()).or_default().tap);
        let live = Live::new(chosen.version.clone(), plan, facts, Arc::clone(&self.nudge), tap);
        self.opened(name, live, facts).await
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
        self.compiled(&chosen.stored).await?;
        // The registry or a table may be waited for here, and nothing is held meanwhile that another pipeline needs.
        let plan = Plan::prepare(name, &chosen.stored, &self.materials).await?;
        self.with_topics(plan).await.map(Arc::new)
    }

    /// Compiles the modules in their turn, so that the plan finds them compiled.
    async fn compiled(&self, stored: &Stored) -> Result<(), String> {
        let _place = self.compiling.acquire().await.map_err(|error| error.to_string())?;
        let load = |pin| plan::loaded(pin, &self.materials.catalog).map(drop);
        tokio::task::block_in_place(|| stored.modules.values().try_for_each(load))
    }

    /// The plan with what the broker says of its topics, or which one is not there.
    async fn with_topics(&self, mut plan: Plan) -> Result<Plan, String> {
        let place = Arc::clone(&self.asking).acquire_owned().await.map_err(|error| error.to_string())?;
        let config = client::inspector(&self.site.brokers, &self.site.client_id);
        let wanted = topics::Wanted::of(&plan.spec);
        let runtime = self.materials.runtime.clone();
        // Its client goes on when nobody waits any more, and so keeps its place until it ends.
        let asked = self.tasks.spawn_blocking(move || {
            let _place = place;
            topics::ask(&config, &wanted, &runtime)
        });
        let asked = asked.await;
        plan.max_bytes = asked.map_err(|error| format!("looking for topics ended early: {error}"))??;
        Ok(plan)
    }

    /// Gives running slots other work. Slots that cannot take it are given back, with the work.
    fn hand_over(&self, name: &str, live: &Arc<Live>, ready: Works, asked: Asked) -> Option<(Option<Slots>, Works)> {
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        let moves = pipeline.live.as_ref().is_some_and(|old| old.plan.moves_like(&live.plan));
        match &pipeline.slots {
            Some(slots) if moves => {
                slots.control.assign(Arc::clone(live) as Arc<dyn Factory>, ready);
                if asked.stale {
                    slots.control.restart();
                }
                None
            }
            Some(_) | None => Some((pipeline.slots.take(), ready)),
        }
    }

    /// Starts slots. `false`: while those before ended, it came to be that none are to run.
    fn started(&self, name: &str, live: &Arc<Live>, ready: Works) -> bool {
        let state = self.wanted(name).filter(|_| self.is_still(name, &live.version));
        let held = self.lock().get(name).zip(state).is_some_and(|(pipeline, state)| pipeline.is_held(state));
        let slots = state.map(|_| self.start(live, held, ready));
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        if slots.is_none() {
            // Nothing runs, whatever was brought about before.
            pipeline.stored = None;
        }
        pipeline.slots = slots;
        pipeline.slots.is_some()
    }
}
