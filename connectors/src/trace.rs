//! `connectors trace ORDER_ID | TOPIC/PARTITION/OFFSET`: where an order is. When it was received, what the modules made of
//! it, how far each sink has read, what each store holds, and one verdict a store.
//!
//! [`gather`] asks, [`verdict`] decides, [`show`] prints. Reads only; what it finds goes to whoever asked, never to a log.

pub mod facts;
pub mod gather;
pub mod show;
mod steps;
pub mod verdict;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use schemas::OrderId;
use schemas::registry::Registry;
use serde::Serialize;
use service_kit::kafka::Brokers;

use crate::connect::Connect;
use crate::elastic::Elastic;
use crate::kafka::record::Address;
use crate::kafka::scan::Scanner;
use crate::postgres::Postgres;
use facts::{Facts, Store};
use verdict::{Verdict, judge};

/// Counting the records before a waiting one may take this long, and no more of them are counted.
const COUNT_TIME: Duration = Duration::from_secs(5);
const COUNT_MOST: u64 = 1_000_000;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// The schema registry.
    pub registry: Registry,
    /// Kafka Connect.
    pub connect: Connect,
    /// `transforms`.
    pub transforms: Connect,
    /// `connectors serve`.
    pub supervisor: String,
    /// The database.
    pub postgres: Postgres,
    /// The index's cluster.
    pub elastic: Elastic,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An order; its newest version is meant.
    Order(OrderId),
    /// A record; the version that it carries is meant.
    Record(Address),
}

impl std::str::FromStr for Asked {
    type Err = String;

    /// An id never has a slash, an address always.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return text.parse().map(Self::Record);
        }
        text.parse().map(Self::Order).map_err(|err: schemas::order::OrderIdError| err.to_string())
    }
}

/// How to search.
#[derive(Debug, Clone)]
pub struct Options {
    /// For what.
    pub asked: Asked,
    /// So many offsets of the order's partition of each topic are looked at, the newest.
    pub records: i64,
    /// The search of all topics takes this long at most.
    pub time_limit: Duration,
    /// What is older is not looked at.
    pub since: Option<i64>,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Everything but the stores.
    #[serde(flatten)]
    pub facts: Facts,
    /// Each store with its verdict.
    pub stores: Vec<Judged>,
}

/// A store with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The store.
    #[serde(flatten)]
    pub store: Store,
    /// What became of the order there.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Report {
    /// In every store the order is where it is to stay.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.stores.is_empty() && self.stores.iter().all(|judged| judged.verdict.is_settled())
    }
}

/// Finds out where an order is.
///
/// # Errors
/// Where Kafka cannot be asked, or no record lies at the address. A store that does not answer is part of the report.
pub async fn trace(sources: &Sources, options: &Options) -> anyhow::Result<Report> {
    let (facts, stores) = gather::gather(sources, options).await?;
    let judged = stores.into_iter().map(|store| Judged { verdict: judge(&facts, &store), store });
    let judged: Vec<Judged> = judged.collect();
    let kafka = sources.kafka.clone();
    let count = tokio::task::spawn_blocking(move || counted(&kafka, judged));
    Ok(Report { facts, stores: count.await.context("the count broke")?? })
}

/// With the number of records before each that waits. Offsets are no number of records: each transaction takes one, too.
fn counted(kafka: &Brokers, mut judged: Vec<Judged>) -> anyhow::Result<Vec<Judged>> {
    for Judged { verdict, .. } in &mut judged {
        let Verdict::Waiting { reader, at, before } = verdict else { continue };
        let from = reader.committed.get(&at.topic).copied().unwrap_or(0);
        let (scanner, until) = (Scanner::new(kafka)?, Instant::now() + COUNT_TIME);
        let low = scanner.watermarks(&at.topic, at.partition)?.0;
        let mut records = 0;
        let whole = scanner.read(&at.topic, at.partition, from.max(low)..at.offset, until, |_| {
            records += 1;
            if records < COUNT_MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        *before = (whole && records < COUNT_MOST).then_some(records);
    }
    Ok(judged)
}
