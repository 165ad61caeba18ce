//! Watches a store for the orders of a sample: asked for by their ids, from the 202 on, until it has them.
//!
//! An order counts as seen when the answer that holds it has come. So what is told is never too short, and too long by one
//! distance between two questions at most.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::eye::Eye;
use crate::{histogram::Histogram, load::Noted, orders::Ids, sinks::stores::Kind};

/// Asked for at once; the oldest come first.
const MOST: usize = 500;
/// No order that is accepted takes so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// Between an answer and the next question. A table shows a row when it is committed, an index once a second.
pub(super) const fn pause(kind: Kind) -> Duration {
    match kind {
        Kind::Postgres => Duration::from_millis(5),
        Kind::Elasticsearch => Duration::from_millis(20),
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// From the intended time of the POST.
    pub(super) after: Histogram,
    /// Between two answers while something was waited for.
    pub(super) gaps: Histogram,
    /// The most orders that were waited for at once.
    pub(super) most: usize,
}

impl Seen {
    /// Whether all that was waited for was asked for each time.
    pub(super) fn is_whole(&self) -> bool {
        self.most <= MOST
    }
}

/// Accepted and not seen yet: the ids, which are in the order of their numbers, and when they were due.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<String, Instant>);

impl Waiting {
    fn oldest(&self) -> Vec<&str> {
        self.0.keys().take(MOST).map(String::as_str).collect()
    }

    /// Takes out what was found; `None` for what nobody waits for.
    fn found(&mut self, id: &str, now: Instant) -> Option<Duration> {
        self.0.remove(id).map(|due| now.saturating_duration_since(due))
    }
}

/// Watches until the last of them is seen.
pub(super) async fn watch(eye: &mut Eye, kind: Kind, noted: &Noted, ids: &Ids) -> anyhow::Result<Seen> {
    let (mut seen, mut waiting, mut known, mut asked) = (Seen::default(), Waiting::default(), 0, None);
    loop {
        // First: what is noted afterwards is not the last.
        let is_last = noted.has_ended();
        let news = noted.after(known);
        known += news.len();
        waiting.0.extend(news.into_iter().map(|(number, due)| (ids.id(number), due)));
        seen.most = seen.most.max(waiting.0.len());
        if waiting.0.is_empty() {
            if is_last {
                return Ok(seen);
            }
            asked = None;
        } else {
            let found = eye.which(&waiting.oldest()).await?;
            let now = Instant::now();
            if let Some(before) = asked.replace(now) {
                seen.gaps.add(now.saturating_duration_since(before));
            }
            found.iter().filter_map(|id| waiting.found(id, now)).for_each(|latency| seen.after.add(latency));
            let oldest = waiting.0.values().next().map_or(Duration::ZERO, Instant::elapsed);
            ensure!(oldest < PATIENCE, "{kind} does not have an order of {oldest:?} ago");
        }
        tokio::time::sleep(pause(kind)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_asked_for_and_each_is_seen_once() {
        let (ids, mut waiting, due) = (Ids::default(), Waiting::default(), Instant::now());
        waiting.0.extend((0..MOST as u64 + 2).rev().map(|number| (ids.id(number), due)));
        let oldest: Vec<String> = waiting.oldest().into_iter().map(str::to_owned).collect();
        assert_eq!((oldest.len(), &oldest[0], &oldest[MOST - 1]), (MOST, &ids.id(0), &ids.id(MOST as u64 - 1)));
        let now = due + Duration::from_millis(70);
        assert_eq!(waiting.found(&ids.id(1), now), Some(Duration::from_millis(70)));
        assert_eq!((waiting.found(&ids.id(1), now), waiting.found("another", now)), (None, None));
        assert_eq!(waiting.oldest()[MOST - 1], ids.id(MOST as u64), "the next one moves up");
        let seen = |most| Seen { most, ..Seen::default() };
        assert_eq!((seen(MOST).is_whole(), seen(MOST + 1).is_whole()), (true, false));
    }
}
