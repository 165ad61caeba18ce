//! What the guards of this process's versions find out: it is acted on here at once, and told to all processes.

use std::sync::Arc;
use std::time::Duration;

use schemas::names::topics;
use serde_json::json;

use super::{Live, Manager};
use crate::pipeline::guard::Action;
use crate::pipeline::swap::{self, Chosen};
use crate::state::facts::{Fact, Facts, MAX_REFUSED, Parked, Refused, Shadow, now_ms, time_text};
use crate::work::Works;

/// Between two tries to write a fact.
const TELL_PAUSE: Duration = Duration::from_secs(1);
/// Tries to write a fact; each one may take the producer's own time-out.
const TELL_TRIES: u32 = 120;

impl Manager {
    /// Hears the guard of the live version, and tells what follows.
    pub(super) fn hear(&self, name: &str) {
        let (live, new) = {
            let mut pipelines = self.lock();
            let Some(pipeline) = pipelines.get_mut(name) else { return };
            let Some(live) = pipeline.live.clone() else { return };
            let word = live.guard.word();
            let new = word.is_some() && !std::mem::replace(&mut pipeline.heard, word.is_some());
            // A version that goes back is brought anew even where nothing else can run: its guard has spoken.
            let goes = word.as_ref().is_some_and(|word| word.action == Action::RollBack);
            pipeline.anew |= new && goes;
            (live, word.filter(|_| new))
        };
        if let Some(word) = new {
            let metrics = self.metrics.swaps(name);
            match word.action {
                Action::RollBack => self.refuse(name, &live, word.because),
                Action::Park => {
                    metrics.tripped();
                    self.park(name, &live, word.because);
                }
                Action::Stop => {
                    metrics.tripped();
                    tracing::error!(pipeline = name, because = word.because, "breaker stops the slots");
                    self.audit(name, "breaker.stop", &live.version.id(), &word.because);
                }
            }
        }
        let Some(Ok(stored)) = self.materials.catalog.pipeline(name) else { return };
        let facts = self.materials.catalog.facts(name);
        // What is about to be replaced was noted when it came.
        if swap::choose(&stored, &facts).version == live.version {
            self.note_that_it_runs(name, &live);
        }
    }

    /// What runs, and has not broken its budget, is what one can go back to.
    pub(super) fn note_that_it_runs(&self, name: &str, live: &Live) {
        let facts = self.materials.catalog.facts(name);
        if live.guard.word().is_some() || facts.refused.contains_key(&live.version.id()) {
            return;
        }
        if let Some(ran) = facts.ran_with(&live.version, live.guard.progress().passed) {
            self.tell(name, &Fact::Ran(ran));
        }
    }

    /// This version must not run: the one before comes back, in all processes.
    pub(super) fn refuse(&self, name: &str, live: &Live, because: String) {
        let version = live.version.id();
        tracing::error!(pipeline = name, version, because, "version is refused; the one before comes back");
        self.metrics.swaps(name).rolled_back();
        self.audit(name, "version.refuse", &version, &because);
        let by = self.site.instance.clone();
        self.tell(name, &Fact::Refused(Refused { version, because, since_ms: now_ms(), by }));
        let facts = self.materials.catalog.facts(name);
        if facts.refused.len() > MAX_REFUSED
            && let Some(oldest) = facts.refused.values().min_by_key(|refused| refused.since_ms)
        {
            self.tell(name, &Fact::Forgiven(oldest.version.clone()));
        }
    }

    fn park(&self, name: &str, live: &Live, because: String) {
        let version = live.version.id();
        tracing::error!(pipeline = name, version, because, "pipeline is parked; resume or restart it, or change it");
        self.audit(name, "breaker.park", &version, &because);
        let by = self.site.instance.clone();
        self.tell(name, &Fact::Parked(Some(Parked { version, because, since_ms: now_ms(), by })));
    }

    /// Opens a version. `None`: it cannot be opened, and goes.
    pub(super) async fn opened(&self, name: &str, live: Live, facts: &Facts) -> Option<(Arc<Live>, Works)> {
        let _place = self.opening.acquire().await.ok()?;
        let live = Arc::new(live);
        let opening = Arc::clone(&live);
        let opened = self.tasks.spawn_blocking(move || opening.open()).await;
        let because = match opened {
            Ok(Ok(ready)) => return Some((live, ready)),
            Ok(Err(no)) => no.to_string(),
            Err(error) => format!("opening it ended early: {error}"),
        };
        if facts.before(&live.version).is_none() {
            // Its slots try it themselves, and say what is wrong.
            return Some((live, Vec::new()));
        }
        self.refuse(name, &live, format!("it cannot be opened: {because}"));
        None
    }

    /// Notes how the pipeline stands, for status and metrics.
    pub(super) fn stand(&self, name: &str, chosen: &Chosen, facts: &Facts) {
        let parked = facts.parked.clone().filter(|parked| parked.version == chosen.version.id());
        self.metrics.swaps(name).stands(chosen.degraded.is_some(), parked.is_some());
        let mut pipelines = self.lock();
        let pipeline = pipelines.entry(name.to_owned()).or_default();
        // Whoever ends a park wants a breaker that counts from nothing.
        pipeline.anew |= pipeline.parked.is_some() && parked.is_none();
        pipeline.degraded.clone_from(&chosen.degraded);
        pipeline.parked = parked;
    }

    /// Forgets what was known of pipelines that are not there any more.
    pub(super) fn forget_orphans(&self) {
        for (name, facts) in self.materials.catalog.orphans() {
            facts.forgotten().into_iter().for_each(|fact| self.tell(&name, &fact));
        }
    }

    /// Acts on a fact here, and writes it for all.
    pub(super) fn tell(&self, name: &str, fact: &Fact) {
        self.materials.catalog.assume(name, fact);
        self.write(name, fact, None);
    }

    /// [`Manager::tell`] of a comparison, if it is still the one that is known: whoever began another one or ended it is not
    /// overruled. `false` if it is not.
    pub(super) fn tell_of(&self, name: &str, shadow: Shadow) -> bool {
        let id = shadow.id.clone();
        let fact = Fact::Shadow(Some(Box::new(shadow)));
        let told = self.materials.catalog.assume_if(name, &fact, |facts| compares(facts, &id));
        if told {
            self.write(name, &fact, Some(id));
        }
        told
    }

    /// Writes a fact, with as many tries as it takes. Of a comparison with this id: in turn with whoever begins and ends
    /// them, and only while it is the one that is known.
    fn write(&self, name: &str, fact: &Fact, comparison: Option<String>) {
        let (key, value) = fact.record(name);
        let (writer, tasks, name) = (Arc::clone(&self.writer), self.tasks.clone(), name.to_owned());
        let catalog = Arc::clone(&self.materials.catalog);
        self.tasks.spawn(async move {
            for _ in 0..TELL_TRIES {
                let mut turn = None;
                if let Some(id) = &comparison {
                    turn = tasks.until_stop(writer.turn()).await;
                    if turn.is_none() || !compares(&catalog.facts(&name), id) {
                        return;
                    }
                }
                match writer.put(topics::TRANSFORMS_CONFIG, &key, value.as_deref()).await {
                    Ok(_) => return,
                    Err(error) => tracing::warn!(key, error = %error, "a fact is not told yet"),
                }
                drop(turn);
                tokio::select! {
                    () = tokio::time::sleep(TELL_PAUSE) => {}
                    () = tasks.stopping() => return,
                }
            }
            tracing::error!(key, "a fact could not be told; other processes do not know it");
        });
    }

    /// Leaves a word for whoever asks later what happened. Best effort: the log and the status have it too.
    pub(super) fn audit(&self, pipeline: &str, action: &'static str, what: &str, because: &str) {
        let record = json!({
            "at": time_text(now_ms()), "who": "transforms", "action": action, "subject": pipeline, "version": what,
            "outcome": "done", "reason": because, "worker": self.site.instance,
        });
        let (writer, key) = (Arc::clone(&self.writer), pipeline.to_owned());
        self.tasks.spawn(async move {
            let text = record.to_string().into_bytes();
            if let Err(error) = writer.put(topics::TRANSFORMS_AUDIT, &key, Some(&text)).await {
                tracing::warn!(error = %error, record = %record, "audit record is not written");
            }
        });
    }
}

/// Whether the comparison with this id is the one that is known.
fn compares(facts: &Facts, id: &str) -> bool {
    facts.shadow.as_ref().is_some_and(|shadow| shadow.id == id)
}
