//! Why the state topics are not read: what the broker said of it last. Readiness tells it; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What stands in the way, if anything does.
#[derive(Debug, Default)]
pub struct Hindrance(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    away: Option<String>,
    unread: BTreeMap<&'static str, String>,
}

impl Hindrance {
    /// The broker does not answer any more.
    pub fn away(&self, reason: String) {
        self.lock().away = Some(reason);
    }

    /// It answers.
    pub fn heard(&self) {
        self.lock().away = None;
    }

    /// A topic cannot be read; whether that is news.
    pub fn unread(&self, topic: &'static str, reason: &str) -> bool {
        self.lock().unread.insert(topic, reason.to_owned()).as_deref() != Some(reason)
    }

    /// Nothing stands in a topic's way.
    pub fn clear(&self, topic: &'static str) {
        self.lock().unread.remove(topic);
    }

    /// Why nothing is heard of the broker.
    #[must_use]
    pub fn of_kafka(&self) -> Option<String> {
        let told = self.lock();
        told.away.as_ref().or_else(|| told.unread.values().next()).cloned()
    }

    /// Why a topic is not read.
    #[must_use]
    pub fn of_state(&self) -> Option<String> {
        self.lock().unread.iter().next().map(|(topic, reason)| format!("{topic}: {reason}"))
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_until_its_topic_is_read_and_a_broker_that_answers_is_not_away() {
        let hindrance = Hindrance::default();
        assert_eq!((hindrance.of_kafka(), hindrance.of_state()), (None, None));
        assert!(hindrance.unread("t", "no right") && !hindrance.unread("t", "no right"), "told once");
        hindrance.away("no login".to_owned());
        assert_eq!(hindrance.of_kafka().as_deref(), Some("no login"));
        hindrance.heard();
        assert_eq!(hindrance.of_kafka().as_deref(), Some("no right"));
        assert_eq!(hindrance.of_state().as_deref(), Some("t: no right"));
        hindrance.clear("t");
        assert_eq!((hindrance.of_kafka(), hindrance.of_state()), (None, None));
    }
}
