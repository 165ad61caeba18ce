//! What a ledger tells about a load with outages: who was under way, how many were answered, how late.

use promise::ledger::{Entry, Outcome};

/// From a kill until the killed is ready again, and the margin.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) name: String,
    pub(crate) from_ms: i64,
    pub(crate) ready_ms: i64,
}

/// Added to the end of each outage: connections are made again, queues are worked off.
pub(crate) const MARGIN_MS: i64 = 3_000;

impl Outage {
    fn touches(&self, entry: &Entry) -> bool {
        entry.sent_ms <= self.ready_ms + MARGIN_MS && entry.done_ms.unwrap_or(i64::MAX) >= self.from_ms
    }
}

/// Requests that had been sent and not been answered at this moment.
pub(crate) fn under_way(entries: &[Entry], at_ms: i64) -> usize {
    entries.iter().filter(|entry| entry.sent_ms <= at_ms && entry.done_ms.unwrap_or(i64::MAX) > at_ms).count()
}

/// How the orders fared that the edge had to take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fared {
    pub(crate) sent: usize,
    pub(crate) taken: usize,
    pub(crate) p50_ms: i64,
    pub(crate) p99_ms: i64,
    pub(crate) max_ms: i64,
}

impl Fared {
    pub(crate) fn share(&self) -> f64 {
        self.taken as f64 / self.sent.max(1) as f64
    }
}

/// Of the orders that touch none of these outages. The latency counts from when an order should have been sent.
pub(crate) fn outside(entries: &[Entry], outages: &[&Outage]) -> Fared {
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
