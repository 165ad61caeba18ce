//! What a ledger tells about a load with outages: how many were answered, how late.

use crate::ledger::{Entry, Outcome};

/// From a kill until the killed is ready again, and the margin.
#[derive(Debug, Clone)]
pub struct Outage {
    /// Who was away.
    pub name: String,
    /// The moment of the kill.
    pub from_ms: i64,
    /// When it was ready again.
    pub ready_ms: i64,
}

/// Added to the end of each outage: connections are made again, queues are worked off.
pub const MARGIN_MS: i64 = 3_000;

impl Outage {
    fn touches(&self, entry: &Entry) -> bool {
        entry.sent_ms <= self.ready_ms + MARGIN_MS && entry.done_ms.unwrap_or(i64::MAX) >= self.from_ms
    }
}

/// How the orders fared that the edge had to take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fared {
    /// How many were sent.
    pub sent: usize,
    /// How many were answered 202.
    pub taken: usize,
    /// Median of their latency, in milliseconds.
    pub p50_ms: i64,
    /// 99th percentile of it.
    pub p99_ms: i64,
    /// The longest.
    pub max_ms: i64,
}

impl Fared {
    /// Part of them that was answered 202, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.taken as f64 / self.sent.max(1) as f64
    }
}

/// Of the orders that touch none of these outages. The latency counts from when an order should have been sent.
#[must_use]
pub fn outside(entries: &[Entry], outages: &[&Outage]) -> Fared {
    let kept =
        entries.iter().filter(|entry| entry.class != "refused" && !outages.iter().any(|outage| outage.touches(entry)));
    let (mut fared, mut waits) = (Fared::default(), Vec::new());
    for entry in kept {
        fared.sent += 1;
        if entry.answer.outcome == Outcome::Ok {
            fared.taken += 1;
            waits.push(entry.done_ms.unwrap_or(i64::MAX) - entry.intended_ms);
        }
    }
    waits.sort_unstable();
    let at =
        |share: f64| waits.get(((waits.len() as f64 * share) as usize).min(waits.len().saturating_sub(1))).copied();
    fared.p50_ms = at(0.5).unwrap_or_default();
    fared.p99_ms = at(0.99).unwrap_or_default();
    fared.max_ms = at(1.0).unwrap_or_default();
    fared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Answer;

    fn entry(sent_ms: i64, done_ms: Option<i64>, outcome: Outcome) -> Entry {
        Entry {
            seq: 0,
            id: "a".to_owned(),
            class: "valid".to_owned(),
            content_type: "application/json".to_owned(),
            body: Vec::new(),
            intended_ms: sent_ms - 1,
            sent_ms,
            done_ms,
            answer: Answer { outcome, ..Answer::unknown(None, "") },
        }
    }

    #[test]
    fn what_touches_an_outage_or_its_margin_does_not_count() {
        let outage = Outage { name: "x".to_owned(), from_ms: 1_000, ready_ms: 2_000 };
        let entries = [
            entry(10, Some(14), Outcome::Ok),
            entry(20, Some(999), Outcome::Fail),
            entry(20, Some(1_000), Outcome::Info),
            entry(30, None, Outcome::Info),
            entry(2_000 + MARGIN_MS, Some(9_000), Outcome::Info),
            entry(2_001 + MARGIN_MS, Some(9_000), Outcome::Ok),
            Entry { class: "refused".to_owned(), ..entry(10, Some(11), Outcome::Fail) },
        ];
        let fared = outside(&entries, &[&outage]);
        assert_eq!((fared.sent, fared.taken), (3, 2));
        assert_eq!((fared.p50_ms, fared.max_ms), (9_000 - 2_000 - MARGIN_MS, 9_000 - 2_000 - MARGIN_MS));
        assert!((fared.share() - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(outside(&entries, &[]).sent, 6);
    }
}
