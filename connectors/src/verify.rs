//! `connectors verify`: the topic, the table and the index against each other.
//!
//! Cheap first: [`topic`] says how many orders of which sums lie in each of the [`slices`], [`stores`] say the same of
//! what they hold. Slices that differ are looked into order by order ([`search`]); what differs there is looked at once
//! more by its id ([`judge`]), after a moment, since orders flow meanwhile. [`repair`] sends again what the topic says.
//! What is still on its way to a store is never a difference.

pub mod judge;
pub mod letters;
pub mod order;
pub mod progress;
pub mod repair;
mod report;
mod search;
pub mod show;
pub mod slices;
pub mod stores;
pub mod topic;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use schemas::names::subjects::ORDER_PLACED_VALUE;
use schemas::names::topics::ORDER_PLACED;
use schemas::registry::Registry;
use service_kit::kafka::Brokers;
use tokio::runtime::Handle;

use crate::decode::Decoder;
use crate::kafka::KafkaError;
use crate::kafka::lag::{Reader, Spot};
use crate::kafka::scan::Scanner;
use crate::names::sink_group;
use judge::{Findings, Suspects};
use letters::Letters;
use progress::Progress;
use slices::Span;
use stores::{Store, Stores};
use topic::{Read, Topic};

pub use report::{Example, Mended, Report, StoreReport};

/// A record is never older than its order by more than this, whatever the clocks.
const CLOCKS_MS: i64 = 3_600_000;
/// Looks at what differs, at most: more than one only where a store is ahead of what was read.
const LOOKS: u32 = 3;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// The schema registry.
    pub registry: Registry,
    /// The table and the index.
    pub stores: Stores,
}

/// What to compare, and what to do about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Orders received then.
    pub span: Span,
    /// The width of a slice, in milliseconds.
    pub slice_ms: i64,
    /// Look at every order, whatever the sums say.
    pub deep: bool,
    /// So many examples of each kind in each store.
    pub examples: usize,
    /// Send again what differs.
    pub repair: Repair,
    /// How long the sinks may take for what was sent.
    pub wait: Duration,
    /// All reading together.
    pub time_limit: Duration,
    /// Before what differs is looked at once more.
    pub pause: Duration,
}

/// Whether differences are mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// They are shown.
    No,
    /// It is shown what would be sent.
    Dry,
    /// They are.
    Yes,
}

/// A reader of each sink's positions. A new one takes a second to find its group.
pub(crate) type Readers = BTreeMap<Store, Reader>;

/// How far everyone is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Positions {
    /// The next offset that a store's sink will read.
    pub(crate) committed: BTreeMap<Store, BTreeMap<Spot, i64>>,
    /// The end of each partition of the topic.
    pub(crate) ends: BTreeMap<i32, i64>,
}

impl Positions {
    /// Reads them. Blocks.
    pub(crate) fn read(readers: &Readers) -> Result<Self, KafkaError> {
        let mut positions = Self::default();
        for (store, reader) in readers {
            let places = reader.places(&[ORDER_PLACED, store.stage().retry].map(str::to_owned))?;
            for place in &places {
                if place.spot.0 == ORDER_PLACED {
                    positions.ends.insert(place.spot.1, place.end);
                }
            }
            let committed = places.into_iter().map(|place| (place.spot, place.committed)).collect();
            positions.committed.insert(*store, committed);
        }
        Ok(positions)
    }

    /// The next offset of the topic that a store's sink will read.
    pub(crate) fn next(&self, store: Store, partition: i32) -> i64 {
        let committed = self.committed.get(&store).and_then(|spots| spots.get(&(ORDER_PLACED.to_owned(), partition)));
        committed.copied().unwrap_or(0)
    }
}

/// One run.
pub(crate) struct Run<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) options: &'a Options,
    pub(crate) runtime: Handle,
    pub(crate) topic: Topic<'a>,
    pub(crate) progress: &'a Progress,
    /// What is read of each partition.
    pub(crate) ranges: BTreeMap<i32, Range<i64>>,
    pub(crate) readers: Readers,
    pub(crate) positions: Positions,
    /// The highest offset of a receipt that was read of each partition.
    pub(crate) highest: BTreeMap<i32, i64>,
    pub(crate) letters: Letters,
    pub(crate) report: Report,
}

/// Compares, and mends if that is asked for.
///
/// # Errors
/// Where someone cannot be asked, or the time is over: then nothing is known.
pub async fn verify(sources: &Sources, options: &Options) -> anyhow::Result<Report> {
    // An empty registry would make every record one that nobody can read.
    sources.registry.latest(ORDER_PLACED_VALUE).await.context("without the schemas no record can be read")?;
    let (sources, options) = (sources.clone(), options.clone());
    let work = tokio::task::spawn_blocking(move || {
        let progress = Progress::new();
        let done = run(&sources, &options, &progress);
        progress.clear();
        done
    });
    work.await.context("the comparison broke")?
}

fn run(sources: &Sources, options: &Options, progress: &Progress) -> anyhow::Result<Report> {
    let until = Instant::now() + options.time_limit;
    let topic = Topic::new(&sources.kafka, Decoder::new(sources.registry.clone()), progress, until)?;
    let reader = |store: Store| Reader::new(&sources.kafka, &sink_group(store.stage().sink)).map(|one| (store, one));
    let readers = Store::ALL.into_iter().map(reader).collect::<Result<Readers, KafkaError>>()?;
    let positions = Positions::read(&readers)?;
    let ranges = ranges(topic.scanner(), &positions, options.span)?;
    let report = Report::new(options, &ranges);
    let (runtime, letters) = (Handle::current(), Letters::default());
    let mut run = Run {
        sources,
        options,
        runtime,
        topic,
        progress,
        ranges,
        readers,
        positions,
        highest: BTreeMap::new(),
        letters,
        report,
    };
    run.letters = run.topic.letters()?;
    let suspects = run.search()?;
    let mut findings = run.confirm(suspects)?;
    run.report.found(&findings, run.options.examples);
    run.explain(&findings)?;
    if options.repair != Repair::No {
        run.repair(&mut findings)?;
    }
    Ok(run.report)
}

/// From the first record that may be of an order that is meant, up to the end of this moment.
fn ranges(scanner: &Scanner, positions: &Positions, span: Span) -> anyhow::Result<BTreeMap<i32, Range<i64>>> {
    let partitions = scanner.partitions(ORDER_PLACED)?;
    ensure!(0 < partitions, "there is no topic {ORDER_PLACED}; `connectors apply` makes it");
    let mut ranges = BTreeMap::new();
    for partition in 0..partitions {
        let low = scanner.watermarks(ORDER_PLACED, partition)?.0;
        let end = positions.ends.get(&partition).copied().unwrap_or(low).max(low);
        let first = match span.since {
            Some(since) => scanner.at_time(ORDER_PLACED, partition, 0.max(since - CLOCKS_MS))?.unwrap_or(end),
            None => low,
        };
        ranges.insert(partition, first.clamp(low, end)..end);
    }
    Ok(ranges)
}

impl Run<'_> {
    /// Looks at what differs once more, by its id, after a moment.
    fn confirm(&mut self, mut open: Suspects) -> anyhow::Result<Findings> {
        let mut findings = Findings::default();
        for look in 1..=LOOKS {
            if open.is_empty() {
                break;
            }
            self.progress.say(&format!("looking at {} orders that differ once more", open.len()));
            std::thread::sleep(self.options.pause);
            open = self.look(&open, look == LOOKS, &mut findings)?;
        }
        Ok(findings)
    }
}
