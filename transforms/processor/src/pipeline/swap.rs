//! Which version of a pipeline runs: the stored one, or, when that was refused, the one that ran before. It follows from
//! what stands in the topic alone, so that all processes agree. And a version ready to run: its plan under its guard.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use super::guard::Guard;
use super::plan::Plan;
use crate::record::guarded::Guarded;
use crate::record::tap::Tap;
use crate::state::catalog::Stored;
use crate::state::facts::{Facts, Version, time_text};
use crate::work::{Factory, NoWork, Work, Works};

/// How often a version is tried that may open on a machine that is less busy.
const OPENINGS: usize = 3;
/// Between two tries.
const OPENING_PAUSE: Duration = Duration::from_millis(300);

/// What is to run.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// As if it were stored.
    pub stored: Arc<Stored>,
    /// Its version.
    pub version: Version,
    /// Why it is another than the stored one.
    pub degraded: Option<Degraded>,
}

/// Another version runs than the config says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Degraded {
    /// What the config says.
    pub says: String,
    /// What runs.
    pub running: String,
    /// Since when.
    pub since: String,
    /// Why.
    pub because: String,
    /// The instance that found out.
    pub by: String,
}

impl fmt::Display for Degraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { says, running, since, because, by } = self;
        write!(f, "DEGRADED: file says {says}, running {running}, since {since}, because {because} (found by {by})")
    }
}

/// The version that is to run.
#[must_use]
pub fn choose(stored: &Arc<Stored>, facts: &Facts) -> Chosen {
    let version = Version::of(stored);
    let refused = facts.refused.get(&version.id());
    let (Some(refused), Some(before)) = (refused, facts.before(&version)) else {
        return Chosen { stored: Arc::clone(stored), version, degraded: None };
    };
    let (says, running) = names(&version, before);
    let degraded = Degraded {
        says,
        running,
        since: time_text(refused.since_ms),
        because: refused.because.clone(),
        by: refused.by.clone(),
    };
    let stored = Stored { config: before.config.clone(), state: stored.state, modules: before.modules.clone() };
    Chosen { stored: Arc::new(stored), version: before.clone(), degraded: Some(degraded) }
}

/// The modules, as `name@version`, that a pipeline runs, should run, would go back to, compares with, or is to be told to
/// run: a candidate whose verdict names the change that is next.
#[must_use]
pub fn needed(stored: &Arc<Stored>, facts: &Facts) -> BTreeSet<String> {
    let chosen = choose(stored, facts);
    let before = facts.before(&chosen.version).map(|version| &version.modules);
    let modules = [Some(&stored.modules), Some(&chosen.version.modules), before];
    let is_open = |verdict: &Option<Value>| {
        verdict.as_ref().is_none_or(|verdict| verdict.get("next").is_some_and(Value::is_string))
    };
    let candidate = facts.shadow.as_ref().filter(|shadow| is_open(&shadow.verdict)).map(|shadow| &shadow.module);
    let pins = modules.into_iter().flatten().flat_map(BTreeMap::values).chain(candidate);
    pins.map(|pin| pin.module.clone()).collect()
}

/// Two versions by what differs: their modules, or else their settings.
fn names(says: &Version, running: &Version) -> (String, String) {
    let differing = |own: &Version, other: &Version| {
        let differs = own.modules.iter().filter(|(alias, pin)| other.modules.get(*alias) != Some(pin));
        differs.map(|(_, pin)| pin.module.clone()).collect::<Vec<_>>().join(", ")
    };
    let (own, other) = (differing(says, running), differing(running, says));
    if own == other {
        return (format!("other settings (version {})", says.id()), format!("version {}", running.id()));
    }
    let or_none = |names: String| if names.is_empty() { "no such module".to_owned() } else { names };
    (or_none(own), or_none(other))
}

/// A version that can run: makes the work of each slot, under one guard.
pub struct Live {
    /// The version.
    pub version: Version,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Its guard in this process.
    pub guard: Arc<Guard>,
    tap: Arc<Tap>,
}

impl Live {
    /// A version under guard, with a place for a candidate to look on.
    #[must_use]
    pub fn new(version: Version, plan: Arc<Plan>, facts: &Facts, nudge: Arc<Notify>, tap: Arc<Tap>) -> Self {
        let can_go_back = facts.before(&version).is_some();
        let guard = Guard::new(plan.spec.policy.clone(), facts.has_passed(&version), can_go_back, nudge);
        Self { version, plan, guard: Arc::new(guard), tap }
    }

    /// Makes the work of all slots, before anything is closed for it. Blocks.
    ///
    /// # Errors
    /// When the version cannot be opened, not even at another try.
    pub fn open(&self) -> Result<Works, NoWork> {
        let mut tries = 1;
        loop {
            match (0..self.plan.spec.tasks).map(|_| self.make()).collect() {
                Err(NoWork::Again(_)) if tries < OPENINGS => std::thread::sleep(OPENING_PAUSE),
                opened => return opened,
            }
            tries += 1;
        }
    }
}

impl Factory for Live {
    fn make(&self) -> Result<Box<dyn Work>, NoWork> {
        let (guard, tap) = (Arc::clone(&self.guard), Arc::clone(&self.tap));
        self.plan.work(|judge| Box::new(Guarded::new(judge, guard, tap)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::spec::Config;
    use crate::state::catalog::{Pin, Target};
    use crate::state::facts::{Ran, Refused, Shadow, ShadowPolicy};

    fn stored(module: &str, mood: &str) -> Arc<Stored> {
        let pin = Pin { module: module.to_owned(), digest: module.to_owned() };
        Arc::new(Stored {
            config: Config::from([("transforms.m.mood".to_owned(), mood.to_owned())]),
            state: Target::Paused,
            modules: BTreeMap::from([("m".to_owned(), pin)]),
        })
    }

    fn facts(ran: &[&Arc<Stored>], refused: &[&Arc<Stored>]) -> Facts {
        let ran = ran.iter().map(|stored| Ran { version: Version::of(stored), passed: true }).collect();
        let refused = refused.iter().map(|stored| {
            let version = Version::of(stored).id();
            (version.clone(), Refused { version, because: "it trapped".to_owned(), since_ms: 0, by: "a".to_owned() })
        });
        Facts { ran, refused: refused.collect(), ..Facts::default() }
    }

    #[test]
    fn what_is_refused_is_replaced_by_what_ran_before_and_named() {
        let (old, new) = (stored("m@1.3.2", ""), stored("m@1.4.0", ""));
        let chosen = choose(&new, &facts(&[&new, &old], &[&new]));
        assert_eq!((&chosen.stored.modules, chosen.stored.state), (&old.modules, Target::Paused));
        assert_eq!(
            chosen.degraded.unwrap().to_string(),
            "DEGRADED: file says m@1.4.0, running m@1.3.2, since 1970-01-01T00:00:00Z, because it trapped (found by a)"
        );
        assert_eq!(choose(&new, &facts(&[&new, &old], &[])).degraded, None);
        assert_eq!(choose(&old, &facts(&[&new, &old], &[&new])).degraded, None, "the config went back as well");
    }

    #[test]
    fn what_a_pipeline_would_go_back_to_is_needed_too() {
        let versions = ["m@1.0.0", "m@1.1.0", "m@1.2.0", "m@1.3.0"].map(|module| stored(module, ""));
        let [first, second, third, fourth] = &versions;
        let ran = [fourth, third, second, first];
        assert_eq!(needed(fourth, &facts(&ran, &[])), ["m@1.2.0", "m@1.3.0"].map(str::to_owned).into());
        let degraded = needed(fourth, &facts(&ran, &[fourth]));
        assert_eq!(degraded, ["m@1.1.0", "m@1.2.0", "m@1.3.0"].map(str::to_owned).into());
    }

    #[test]
    fn a_candidate_is_needed_until_its_verdict_says_that_nothing_is_next() {
        let live = stored("m@1.0.0", "");
        let candidate = Shadow {
            id: "1".to_owned(),
            alias: "m".to_owned(),
            module: Pin { module: "m@1.1.0-rc".to_owned(), digest: "d".to_owned() },
            parameters: None,
            records: 100,
            policy: ShadowPolicy::Report,
            expect: Vec::new(),
            share: 50,
            verdict: None,
        };
        let judged = |next: Option<&str>| Shadow {
            verdict: Some(serde_json::json!({ "result": "equal", "next": next })),
            ..candidate.clone()
        };
        let needed_with = |shadow| needed(&live, &Facts { shadow: Some(shadow), ..facts(&[&live], &[]) });
        for open in [candidate.clone(), judged(Some("set transforms.m.type to m@1.1.0-rc"))] {
            assert_eq!(needed_with(open), ["m@1.0.0", "m@1.1.0-rc"].map(str::to_owned).into());
        }
        assert_eq!(needed_with(judged(None)), ["m@1.0.0"].map(str::to_owned).into());
    }

    #[test]
    fn what_is_refused_runs_when_nothing_else_can() {
        let (old, new) = (stored("m@1.3.2", ""), stored("m@1.4.0", ""));
        for facts in [facts(&[&new], &[&new]), facts(&[&new, &old], &[&new, &old])] {
            let chosen = choose(&new, &facts);
            assert_eq!((chosen.stored, chosen.degraded), (Arc::clone(&new), None));
        }
    }

    #[test]
    fn versions_of_the_same_modules_are_named_by_their_settings() {
        let (old, new) = (stored("m@1.0.0", "good"), stored("m@1.0.0", "bad"));
        let degraded = choose(&new, &facts(&[&new, &old], &[&new])).degraded.unwrap();
        assert!(degraded.says.starts_with("other settings (version "), "{degraded}");
    }
}
