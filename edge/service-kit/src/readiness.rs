//! Readiness by named conditions, each of which someone must show evidence for, again and again if it can go away.
//! The service is ready only when all are met. It does not probe anything itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

type Evidence = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

type Detail = Box<dyn Fn() -> Option<Value> + Send + Sync>;

/// All conditions of one service, and what it tells beside them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<Entry>>>, Arc<Mutex<Vec<(&'static str, Detail)>>>);

struct Entry {
    name: &'static str,
    source: Source,
}

enum Source {
    Told(Condition),
    Asked(Evidence),
}

/// One named condition. It starts unmet; whoever holds it says when that changes.
#[derive(Clone, Debug)]
pub struct Condition(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    /// Why the condition is not met; `None` when it is.
    unmet: Option<String>,
    since: Instant,
}

/// What readiness is at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether every condition is met.
    pub ready: bool,
    /// The same with the name, state, reason and age of each condition.
    pub body: Value,
}

impl Readiness {
    /// Without conditions, which is ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that is unmet ("starting") until told otherwise.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        let state = State { unmet: Some("starting".to_owned()), since: Instant::now() };
        let condition = Condition(Arc::new(Mutex::new(state)));
        self.push(Entry { name, source: Source::Told(condition.clone()) });
        condition
    }

    /// Adds a condition that is derived whenever it is asked: `Err` says why it is not met.
    /// The closure must neither block nor wait.
    pub fn evidence(&self, name: &'static str, ask: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.push(Entry { name, source: Source::Asked(Box::new(ask)) });
    }

    /// Adds what is told to those who ask for more; it decides nothing. `None` where nothing is known yet.
    /// The closure must neither block nor wait.
    pub fn detail(&self, name: &'static str, ask: impl Fn() -> Option<Value> + Send + Sync + 'static) {
        lock(&self.1).push((name, Box::new(ask)));
    }

    /// Whether every condition is met now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        lock(&self.0).iter().all(|entry| entry.unmet().is_none())
    }

    /// The state of every condition now.
    #[must_use]
    pub fn report(&self) -> Report {
        let conditions: Vec<Value> = lock(&self.0).iter().map(Entry::report).collect();
        let ready = conditions.iter().all(|condition| condition.get("met") == Some(&Value::Bool(true)));
        Report { ready, body: json!({ "ready": ready, "conditions": conditions }) }
    }

    /// The same with the details, `null` where they are not known.
    #[must_use]
    pub fn verbose(&self) -> Report {
        let mut report = self.report();
        if let Some(fields) = report.body.as_object_mut() {
            let details = lock(&self.1);
            fields.extend(details.iter().map(|(name, ask)| ((*name).to_owned(), ask().unwrap_or(Value::Null))));
        }
        report
    }

    fn push(&self, entry: Entry) {
        lock(&self.0).push(entry);
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Readiness").field(&self.report().body).finish()
    }
}

impl Entry {
    fn unmet(&self) -> Option<String> {
        match &self.source {
            Source::Told(condition) => lock(&condition.0).unmet.clone(),
            Source::Asked(ask) => ask().err(),
        }
    }

    fn report(&self) -> Value {
        let unmet = self.unmet();
        let mut report = json!({ "name": self.name, "met": unmet.is_none() });
        if let (Some(reason), Some(fields)) = (unmet, report.as_object_mut()) {
            fields.insert("reason".to_owned(), Value::String(reason));
        }
        if let (Source::Told(condition), Some(fields)) = (&self.source, report.as_object_mut()) {
            let seconds = lock(&condition.0).since.elapsed().as_secs();
            fields.insert("sinceSeconds".to_owned(), Value::from(seconds));
        }
        report
    }
}

impl Condition {
    /// There is evidence that the condition holds.
    pub fn met(&self) {
        self.set(None);
    }

    /// There is evidence that it does not, for this reason.
    pub fn unmet(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// Whether it holds, as last told.
    #[must_use]
    pub fn is_met(&self) -> bool {
        lock(&self.0).unmet.is_none()
    }

    fn set(&self, unmet: Option<String>) {
        let mut state = lock(&self.0);
        if state.unmet.is_some() != unmet.is_some() {
            state.since = Instant::now();
        }
        state.unmet = unmet;
    }
}

/// A panic elsewhere does not make the last state untrue, so poisoning is passed over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn ready_only_when_every_condition_is_met() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let kafka = readiness.condition("kafka");
        let schema = readiness.condition("schema");
        kafka.met();
        assert!(!readiness.is_ready());
        schema.met();
        assert!(readiness.is_ready() && readiness.report().ready);
        kafka.unmet("all brokers are down");
        assert!(!readiness.is_ready());
        let report = readiness.report();
        assert_eq!(report.body["conditions"][0]["reason"], "all brokers are down");
        assert_eq!(report.body["conditions"][1]["met"], true);
        kafka.met();
        assert!(readiness.is_ready(), "a condition is never latched");
    }

    #[test]
    fn evidence_is_asked_each_time() {
        let readiness = Readiness::new();
        let up = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&up);
        readiness.evidence("disk", move || match seen.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("full".to_owned()),
        });
        assert_eq!(readiness.report().body["conditions"][0]["reason"], "full");
        up.store(true, Ordering::Relaxed);
        assert!(readiness.is_ready());
    }
}
