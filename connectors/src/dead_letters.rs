//! `connectors dead-letters list | show | replay | discard`, for the three dead-letter topics of the house and those that
//! pipelines name. Nothing in them is ever changed or deleted; what was done with a letter stands in a topic of its own
//! ([`marks`]).
//!
//! [`select`] reads letters, [`letter`] takes one apart, [`guard`] knows later POSTs, [`replay`] sends; [`count`] is for
//! `status`.

pub mod count;
pub mod guard;
pub mod letter;
pub mod list;
pub mod marks;
pub mod replay;
pub mod select;
pub mod show;
mod writer;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use schemas::names::topics::DEAD_LETTER_MARKS;
use schemas::registry::Registry;
use serde::Serialize;
use service_kit::kafka::Brokers;
use tokio::runtime::Handle;

use crate::decode::Decoder;
use crate::elastic::Elastic;
use crate::kafka::record::Address;
use crate::kafka::scan::Scanner;
use crate::kafka::sender::Sender;
use guard::Guard;
use letter::Letter;
use list::Listing;
use marks::{Did, Mark, Marks};
use replay::{Line, Outcome, Replay, Rules};
use select::{Bounds, Filter};
use show::Shown;

/// The letters of one run may take so many bytes; the rest is for the next.
const BYTES: usize = 256 * 1024 * 1024;
/// So many marks are written in one transaction.
const MARKS: usize = 100;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// The schema registry.
    pub registry: Registry,
    /// The index's cluster.
    pub elastic: Elastic,
    /// Where `transforms` shows modules.
    pub transforms: String,
}

/// How far to read.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Offsets of each partition, counted from its end.
    pub records: i64,
    /// All reading together.
    pub time_limit: Duration,
}

impl Reach {
    fn bounds(self) -> Bounds {
        Bounds { records: self.records, until: Instant::now() + self.time_limit }
    }
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing was written.
    pub dry_run: bool,
    /// Each letter that was meant and is still open, or was named.
    pub letters: Vec<Line>,
    /// There are more of them than one run takes.
    pub more: bool,
    /// Topics that were not read to their beginning.
    pub incomplete: BTreeMap<String, String>,
}

impl Report {
    /// So many have an outcome of this kind.
    #[must_use]
    pub fn count(&self, kind: fn(&Outcome) -> bool) -> usize {
        self.letters.iter().filter(|line| kind(&line.outcome)).count()
    }
}

/// Counts letters and reasons.
///
/// # Errors
/// Where Kafka cannot be asked.
pub async fn list(sources: &Sources, filter: Filter, reach: Reach) -> anyhow::Result<Listing> {
    let kafka = sources.kafka.clone();
    let work = tokio::task::spawn_blocking(move || -> anyhow::Result<Listing> {
        let (scanner, bounds) = (Scanner::new(&kafka)?, reach.bounds());
        let marks = marks::read(&scanner, bounds.until)?;
        let mut listing = Listing::new(filter.topics());
        let read = select::each(&scanner, &filter, &marks, bounds, list::adding(&mut listing))?;
        Ok(listing.done(read))
    });
    work.await.context("the reading broke")?
}

/// Shows one letter.
///
/// # Errors
/// Where no dead letter lies at the address.
pub async fn show(sources: &Sources, at: &Address, reach: Reach) -> anyhow::Result<Shown> {
    let (kafka, address) = (sources.kafka.clone(), at.clone());
    let work = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let scanner = Scanner::new(&kafka)?;
        Ok((scanner.one(&address)?, marks::read(&scanner, reach.bounds().until)?))
    });
    let (record, marks) = work.await.context("the reading broke")??;
    let Some(record) = record else {
        bail!("no committed record lies at {at}; `connectors dead-letters list` shows some")
    };
    let letter = Letter::of(record).map_err(anyhow::Error::msg).context("it is no dead letter")?;
    let mut decoder = Decoder::new(sources.registry.clone());
    decoder.learn(std::iter::once(letter.record.value.as_deref())).await;
    Ok(show::show(&letter, marks.get(&replay::key(&letter)), &decoder, &sources.transforms))
}

/// What is to be done with letters.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Send them again.
    Replay(Rules),
    /// Mark them as dealt with.
    Discard {
        /// Why.
        because: String,
        /// Who does it.
        by: String,
    },
}

/// Which letters, and whether it is meant.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which.
    pub filter: Filter,
    /// So many at most.
    pub limit: usize,
    /// How far to read.
    pub reach: Reach,
    /// Write; else only say what would be done.
    pub yes: bool,
}

/// Sends letters again or discards them, or says what would be done.
///
/// # Errors
/// Where Kafka cannot be asked, or a letter's transaction fails; each letter that was dealt with by then stays so.
pub async fn deal(sources: &Sources, order: Order, deed: Deed, out: fn(&Line)) -> anyhow::Result<Report> {
    let (kafka, opened) = (sources.kafka.clone(), order.clone());
    let open = tokio::task::spawn_blocking(move || opening(&kafka, &opened));
    let Opened { senders, letters, mut report } = open.await.context("the reading broke")??;
    let mut decoder = Decoder::new(sources.registry.clone());
    decoder.learn(letters.iter().map(|letter| letter.record.value.as_deref())).await;
    let (sources, runtime) = (sources.clone(), Handle::current());
    let work = tokio::task::spawn_blocking(move || -> anyhow::Result<Report> {
        match &deed {
            Deed::Replay(rules) => {
                let guard = Guard::new(&sources.kafka)?;
                let (sources, decoder, pipelines) = (&sources, &decoder, &order.filter.pipelines);
                let mut replay = Replay { sources, rules, decoder, guard, runtime, pipelines };
                replay.guard.search(&replay.wanted(&letters), order.reach.bounds())?;
                for letter in &letters {
                    let line = match senders.get(&letter.at.topic) {
                        Some(sender) => {
                            replay.send(letter, sender).context("stopped; run it again, it goes on there")?
                        }
                        None => replay.would(letter),
                    };
                    out(&line);
                    report.letters.push(line);
                }
            }
            Deed::Discard { because, by } => discard(&letters, &senders, because, by, out, &mut report)?,
        }
        Ok(report)
    });
    work.await.context("the work broke")?
}

struct Opened {
    senders: BTreeMap<String, Sender>,
    letters: Vec<Letter>,
    report: Report,
}

/// The senders come first: from then on nobody else marks letters of these topics, and what is read stays true.
fn opening(kafka: &Brokers, order: &Order) -> anyhow::Result<Opened> {
    let (scanner, bounds) = (Scanner::new(kafka)?, order.reach.bounds());
    let mut senders = BTreeMap::new();
    if order.yes {
        ensure!(
            0 < scanner.partitions(DEAD_LETTER_MARKS)?,
            "there is no topic {DEAD_LETTER_MARKS}, where it is noted what was done; `connectors apply` makes it"
        );
        for topic in order.filter.topics() {
            let sender = Sender::new(kafka, &replay::sender_name(&topic))?;
            senders.insert(topic, sender);
        }
    }
    let marks: Marks = marks::read(&scanner, bounds.until)?;
    let (mut letters, mut report) = (Vec::new(), Report { dry_run: !order.yes, ..Report::default() });
    let named = !order.filter.letters.is_empty();
    let (mut met, mut bytes) = (std::collections::BTreeSet::new(), 0);
    let read = select::each(&scanner, &order.filter, &marks, bounds, |letter, mark| {
        match mark {
            Some(mark) if named => report.letters.push(replay::dealt_with(&letter, mark)),
            // Two copies of one letter are one letter.
            None if !met.insert(replay::key(&letter)) => {}
            None if letters.len() == order.limit || BYTES <= bytes => {
                report.more = true;
                return ControlFlow::Break(());
            }
            None => {
                bytes += letter.record.bytes();
                letters.push(letter);
            }
            Some(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    report.incomplete = read.short;
    for at in &order.filter.letters {
        let seen =
            letters.iter().any(|letter| letter.at == *at) || report.letters.iter().any(|line| line.letter == *at);
        ensure!(seen || report.more, "no dead letter that is meant lies at {at}");
    }
    Ok(Opened { senders, letters, report })
}

fn discard(
    letters: &[Letter],
    senders: &BTreeMap<String, Sender>,
    because: &str,
    by: &str,
    out: fn(&Line),
    report: &mut Report,
) -> anyhow::Result<()> {
    for some in letters.chunk_by(|one, other| one.at.topic == other.at.topic).flat_map(|all| all.chunks(MARKS)) {
        let sender = some.first().and_then(|letter| senders.get(&letter.at.topic));
        if let Some(sender) = sender {
            sender.begin()?;
            for letter in some {
                let mark = Mark { because: Some(because.to_owned()), ..writer::new_mark(letter, Did::Discarded, by) };
                if let Err(err) = sender.send(&writer::mark(letter, &mark)) {
                    // The cause is what is told; the next run makes up for an abort that fails, too.
                    let _ = sender.abort();
                    return Err(err.into());
                }
            }
            sender.commit()?;
        }
        for letter in some {
            let what = "discard".to_owned();
            let outcome = match sender {
                Some(_) => Outcome::Did { what: "discarded".to_owned() },
                None => Outcome::Would { what },
            };
            let line = replay::line(letter, outcome);
            out(&line);
            report.letters.push(line);
        }
    }
    Ok(())
}
