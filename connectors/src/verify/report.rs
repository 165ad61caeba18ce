//! What a comparison came to.

use std::collections::BTreeMap;
use std::ops::Range;

use schemas::fields::rfc3339;
use schemas::names::topics::ORDER_PLACED;
use serde::Serialize;

use super::judge::{Finding, Findings, Kind};
use super::order::{self, Difference};
use super::stores::Store;
use super::{Options, Read, Repair, Run};
use crate::decode::plain;

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Orders received from here on, if not all are meant.
    pub since: Option<String>,
    /// Up to here.
    pub until: Option<String>,
    /// The width of a slice, in seconds.
    pub slice_seconds: i64,
    /// Every order was looked at, not only those in slices whose sums differ.
    pub deep: bool,
    /// Orders that are meant, in the topic.
    pub orders: u64,
    /// Records that were read for it.
    pub records: u64,
    /// Records that nobody can read; no store is expected to hold them.
    pub unreadable: u64,
    /// Some of them.
    pub unreadable_such_as: Vec<String>,
    /// The topic was not read from its very first record, or does not have it any more: a store may hold older orders.
    pub begins_late: bool,
    /// Each store.
    pub stores: Vec<StoreReport>,
    /// Some of what differs.
    pub examples: Vec<Example>,
    /// What became of what was sent again, if that was asked for.
    pub mended: Option<Mended>,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreReport {
    /// Which.
    pub store: Store,
    /// Its sink.
    pub sink: &'static str,
    /// What it holds, in number.
    pub held: i64,
    /// Orders that its sink has not yet read.
    pub not_due: u64,
    /// Slices that were compared.
    pub slices: usize,
    /// Slices whose orders were looked at.
    pub looked: usize,
    /// Differences of each kind.
    pub differences: BTreeMap<Kind, u64>,
    /// So many more may differ: there were too many to look at.
    pub beyond: u64,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// Where.
    pub store: Store,
    /// What.
    pub kind: Kind,
    /// The order's id.
    pub order: String,
    /// Its record in the topic.
    pub record: Option<String>,
    /// The version that the topic says, as in the receipt.
    pub wanted: Option<String>,
    /// The version that the store holds.
    pub held: Option<String>,
    /// When the topic's was received.
    pub received_at: Option<String>,
    /// Fields that are otherwise in the store.
    pub fields: Vec<Difference>,
}

/// What became of what was sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mended {
    /// Nothing was written.
    pub dry_run: bool,
    /// Records that were sent, or would be, by topic.
    pub sent: BTreeMap<String, u64>,
    /// Orders that are as they should be now.
    pub mended: u64,
    /// Orders that are not.
    pub left: u64,
    /// Why, in words.
    pub because: Vec<String>,
}

impl Report {
    pub(super) fn new(options: &Options, ranges: &BTreeMap<i32, Range<i64>>) -> Self {
        let stores = Store::ALL.map(|store| StoreReport {
            store,
            sink: store.stage().sink,
            held: 0,
            not_due: 0,
            slices: 0,
            looked: 0,
            differences: BTreeMap::new(),
            beyond: 0,
        });
        Self {
            since: options.span.since.and_then(rfc3339),
            until: options.span.until.and_then(rfc3339),
            slice_seconds: options.slice_ms / 1_000,
            deep: options.deep,
            orders: 0,
            records: 0,
            unreadable: 0,
            unreadable_such_as: Vec::new(),
            begins_late: ranges.values().any(|range| 0 < range.start),
            stores: stores.into(),
            examples: Vec::new(),
            mended: None,
        }
    }

    /// The part of a store.
    #[expect(clippy::indexing_slicing, reason = "both stores are there from the beginning, in this order")]
    pub(super) fn store(&mut self, store: Store) -> &mut StoreReport {
        &mut self.stores[usize::from(store != Store::PostgreSql)]
    }

    pub(super) fn read(&mut self, read: &Read) {
        self.records += read.records;
        self.unreadable += read.unreadable;
        self.unreadable_such_as.extend(read.such_as.iter().cloned());
        self.unreadable_such_as.truncate(3);
    }

    /// Takes in what was found.
    pub(super) fn found(&mut self, findings: &Findings, most: usize) {
        for ((store, _), finding) in &findings.all {
            *self.store(*store).differences.entry(finding.kind).or_default() += 1;
        }
        for (store, beyond) in &findings.beyond {
            self.store(*store).beyond = *beyond;
        }
        let mut examples: Vec<Example> =
            findings.all.iter().map(|((store, _), finding)| example(*store, finding)).collect();
        examples.sort_by(|one, other| (one.store, one.kind, &one.order).cmp(&(other.store, other.kind, &other.order)));
        let kinds = examples.chunk_by(|one, other| (one.store, one.kind) == (other.store, other.kind));
        self.examples = kinds.flat_map(|some| some.iter().take(most).cloned()).collect();
    }

    /// Differences that somebody must do something about. What the topic does not have any more may well be stored.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        let counts = |kind: &Kind| *kind != Kind::Surplus || !self.begins_late;
        let of = |store: &StoreReport| -> u64 {
            let counted = store.differences.iter().filter(|(kind, _)| counts(kind)).map(|(_, count)| count);
            counted.sum::<u64>() + store.beyond
        };
        let all: u64 = self.stores.iter().map(of).sum();
        let mended = self.mended.as_ref().filter(|mended| !mended.dry_run).map_or(0, |mended| mended.mended);
        all.saturating_sub(mended)
    }
}

fn example(store: Store, finding: &Finding) -> Example {
    let version = |(partition, offset): (i32, i64)| format!("{partition}/{offset}");
    Example {
        store,
        kind: finding.kind,
        order: plain(&finding.key),
        record: finding.wanted.map(|wanted| format!("{ORDER_PLACED}/{}/{}", finding.partition, wanted.at)),
        wanted: finding.wanted.map(|wanted| version(wanted.version)),
        held: finding.held.map(version),
        received_at: finding.wanted.and_then(|wanted| rfc3339(wanted.received_at)),
        fields: Vec::new(),
    }
}

impl Run<'_> {
    /// Names the fields of the examples that differ.
    pub(super) fn explain(&mut self, findings: &Findings) -> anyhow::Result<()> {
        let mut examples = std::mem::take(&mut self.report.examples);
        for example in examples.iter_mut().filter(|example| example.kind == Kind::Different) {
            let found = findings
                .all
                .iter()
                .find(|((store, _), finding)| *store == example.store && plain(&finding.key) == example.order);
            let Some((_, Finding { key, partition, wanted: Some(wanted), .. })) = found else { continue };
            let stored = self.runtime.block_on(self.sources.stores.orders(example.store, &[key.as_str()]))?;
            let Some(stored) = stored.first() else { continue };
            let (_, placed) = self.topic.one(*partition, wanted.at)?;
            example.fields = order::differences(&placed.cells, &placed.known.cells(&stored.value));
        }
        self.report.examples = examples;
        Ok(())
    }

    /// Whether anything is sent at all.
    pub(super) fn is_dry(&self) -> bool {
        self.options.repair != Repair::Yes
    }
}
