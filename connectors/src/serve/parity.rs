//! Whether the table and the index hold the same orders: counts and sums of the last full slices, now and then. Cheap, in
//! a task of its own with time limits of its own, so that healing never waits for it. Which orders differ, and which of
//! the two is wrong, only `connectors verify` finds out, since it reads the topic.
//!
//! What is on its way is never a difference: slices must differ by the same in several looks, and meanwhile both sinks
//! must have read all that the topic held at the first of them. Slices with orders in the dead letters are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use schemas::names::topics::ORDER_PLACED;
use schemas::registry::Registry;
use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tracing::{debug, info, warn};

use super::metrics::Metrics;
use crate::decode::Decoder;
use crate::kafka::lag::{Reader, Spot};
use crate::kafka::scan::Scanner;
use crate::names::sink_group;
use crate::verify::letters::Letters;
use crate::verify::slices::{self, Slices, Slot, Span, Sums};
use crate::verify::stores::{Store, Stores};

/// The slices, and how many of them are compared: the last hour.
const SLICE_MS: i64 = 300_000;
const SLICES: i64 = 12;
/// The last one ended so long ago: what was received in it has had its time.
const SETTLED_MS: i64 = 10_000;
/// Slices must differ by the same in so many looks.
const LOOKS: u32 = 3;
/// Between two looks: longer than the index's delay.
pub const PAUSE: Duration = Duration::from_secs(3);
/// One check takes this long at most.
const LIMIT: Duration = Duration::from_secs(45);
/// Reading the dead letters.
const LETTERS_LIMIT: Duration = Duration::from_secs(15);

/// Compares the stores.
#[derive(Clone)]
pub struct Parity {
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// For the dead letters.
    pub registry: Registry,
    /// The table and the index.
    pub stores: Stores,
    /// Where it is told.
    pub metrics: Arc<Metrics>,
    /// Between two looks of one check.
    pub pause: Duration,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The two hold the same.
    Equal,
    /// They do not: slices, and rows more than documents.
    Different {
        /// So many slices.
        slices: usize,
        /// Table minus index.
        more: i64,
    },
    /// They do not, and orders are still on their way.
    InFlight,
}

/// By how much a slice of the table is more than the same of the index.
type Gaps = BTreeMap<Slot, (i64, i128, i128)>;

/// Checks again and again until told to stop.
pub async fn watch(parity: Parity, every: Duration, tasks: Tasks) {
    let mut different = 0_u32;
    while tasks.until_stop(tokio::time::sleep(every)).await.is_some() {
        let check = tokio::time::timeout(LIMIT, parity.check(now()));
        let Some(done) = tasks.until_stop(check).await else { return };
        match done.context("it took too long").flatten() {
            Ok(outcome) => different = told(outcome, different),
            Err(err) => {
                debug!(error = %format!("{err:#}"), "cannot compare table and index");
                parity.metrics.parity_checks("failed").inc();
            }
        }
    }
}

/// Says once that they stay different, and once that they are the same again.
fn told(outcome: Outcome, before: u32) -> u32 {
    match outcome {
        Outcome::Equal => {
            if 2 <= before {
                info!("table and index hold the same orders again");
            }
            0
        }
        Outcome::InFlight => before,
        Outcome::Different { slices, more } => {
            if before == 1 {
                warn!(
                    slices,
                    table.minus.index = more,
                    "table and index hold different orders; `connectors verify` says which, and --repair mends it"
                );
            }
            before.saturating_add(1)
        }
    }
}

impl Parity {
    /// One check of the slices before `now`.
    ///
    /// # Errors
    /// Where someone cannot be asked.
    pub async fn check(&self, now: i64) -> anyhow::Result<Outcome> {
        let until = slices::number(now - SETTLED_MS, SLICE_MS) * SLICE_MS;
        let span = Span { since: Some(until - SLICES * SLICE_MS), until: Some(until) };
        let kafka = self.kafka.clone();
        let ends = tokio::task::spawn_blocking(move || ends(&kafka)).await??;
        let mut open: Option<Gaps> = None;
        for look in 1..=LOOKS {
            let gaps = self.gaps(span).await?;
            let gaps = match open {
                None => gaps,
                Some(before) => gaps.into_iter().filter(|(slot, gap)| before.get(slot) == Some(gap)).collect(),
            };
            if gaps.is_empty() {
                return Ok(self.done(now, Outcome::Equal));
            }
            open = Some(gaps);
            if look < LOOKS {
                tokio::time::sleep(self.pause).await;
            }
        }
        let (kafka, registry) = (self.kafka.clone(), self.registry.clone());
        let rest = tokio::task::spawn_blocking(move || {
            Ok::<_, anyhow::Error>((is_behind(&kafka, &ends)?, parked(&kafka, registry)?))
        });
        let (behind, parked) = rest.await.context("the reading broke")??;
        let mut gaps = open.unwrap_or_default();
        gaps.retain(|slot, _| !parked.contains(slot));
        let outcome = match gaps.len() {
            0 => Outcome::Equal,
            _ if behind => Outcome::InFlight,
            slices => Outcome::Different { slices, more: gaps.values().map(|gap| gap.0).sum() },
        };
        Ok(self.done(now, outcome))
    }

    /// Slices that differ now, and by how much.
    async fn gaps(&self, span: Span) -> anyhow::Result<Gaps> {
        let sums = |store| self.stores.sums(store, span, SLICE_MS);
        let (table, index) = tokio::try_join!(sums(Store::PostgreSql), sums(Store::Elasticsearch))?;
        for (store, held) in [(Store::PostgreSql, &table), (Store::Elasticsearch, &index)] {
            self.metrics.parity_orders(store).set(held.values().map(|sums| sums.count).sum());
        }
        let of = |slices: &Slices, slot: &Slot| slices.get(slot).copied().unwrap_or_default();
        let slots: BTreeSet<Slot> = table.keys().chain(index.keys()).copied().collect();
        let gaps = slots.into_iter().map(|slot| (slot, gap(of(&table, &slot), of(&index, &slot))));
        Ok(gaps.filter(|(_, gap)| *gap != (0, 0, 0)).collect())
    }

    fn done(&self, now: i64, outcome: Outcome) -> Outcome {
        self.metrics.parity_checked.set(now / 1_000);
        let (word, gap) = match outcome {
            Outcome::Equal => ("equal", Some((0, 0))),
            Outcome::Different { slices, more } => {
                ("different", Some((i64::try_from(slices).unwrap_or(i64::MAX), more)))
            }
            Outcome::InFlight => ("in-flight", None),
        };
        self.metrics.parity_checks(word).inc();
        if let Some((slices, more)) = gap {
            self.metrics.parity_slices.set(slices);
            self.metrics.parity_difference.set(more);
        }
        outcome
    }
}

/// A sum that a double cannot hold to the unit says nothing here: the count still does.
fn gap(table: Sums, index: Sums) -> (i64, i128, i128) {
    let exact = |one: i128, other: i128| if Sums::is_exact(one) && Sums::is_exact(other) { one - other } else { 0 };
    (table.count - index.count, exact(table.amount, index.amount), exact(table.versions, index.versions))
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Where the topics of each sink end.
type Ends = BTreeMap<Store, BTreeMap<Spot, i64>>;

fn topics(store: Store) -> [String; 2] {
    [ORDER_PLACED, store.stage().retry].map(str::to_owned)
}

fn ends(kafka: &Brokers) -> anyhow::Result<Ends> {
    let mut ends = Ends::new();
    for store in Store::ALL {
        let places = Reader::new(kafka, &sink_group(store.stage().sink))?.places(&topics(store))?;
        ends.insert(store, places.into_iter().map(|place| (place.spot, place.end)).collect());
    }
    Ok(ends)
}

/// Whether a sink has not yet read what lay before these ends, as far as can be seen.
fn is_behind(kafka: &Brokers, ends: &Ends) -> anyhow::Result<bool> {
    for (store, ends) in ends {
        let reader = Reader::new(kafka, &sink_group(store.stage().sink))?;
        let mut places = reader.places(&topics(*store))?;
        places.retain(|place| ends.get(&place.spot).is_some_and(|end| place.committed < *end));
        let looked = reader.unread(&places)?;
        if !looked.unread.is_empty() || !looked.unknown.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The slices in which dead letters of either sink were received.
fn parked(kafka: &Brokers, registry: Registry) -> anyhow::Result<BTreeSet<Slot>> {
    let (scanner, mut decoder) = (Scanner::new(kafka)?, Decoder::new(registry));
    let letters = Letters::read(&scanner, &mut decoder, Instant::now() + LETTERS_LIMIT)?;
    Ok(letters.received().map(|(partition, at)| (partition, slices::number(at, SLICE_MS))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_different_is_told_and_what_is_on_its_way_changes_nothing() {
        let different = Outcome::Different { slices: 1, more: -1 };
        let after = |outcomes: &[Outcome]| outcomes.iter().fold(0, |before, outcome| told(*outcome, before));
        assert_eq!(after(&[different, Outcome::InFlight, different]), 2);
        assert_eq!(after(&[different, Outcome::Equal, different]), 1);
    }

    #[test]
    fn a_sum_that_is_not_exact_is_no_gap() {
        let sums = |count, amount| Sums { count, amount, versions: 5 };
        assert_eq!(gap(sums(2, 300), sums(1, 100)), (1, 200, 0));
        assert_eq!(gap(sums(2, i128::from(i64::MAX)), sums(2, 100)), (0, 0, 0));
    }
}
