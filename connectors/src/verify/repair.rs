//! Puts right what differs: sends the newest record of each order again, byte for byte, to the topic that only the sink of
//! that store reads beside its own. Nothing is ever written into a store past its sink, and nothing is deleted.
//!
//! An order is left alone in a round if the topic got a record of it since it was judged, which is looked at within the
//! transaction that sends it. What is posted between that look and the sink's own write may still come before it: the
//! table keeps the higher version, the index takes what comes last. So all are judged again once the sink has read them,
//! and sent once more where that is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::Message as _;
use schemas::names::topics::ORDER_PLACED;

use super::Run;
use super::judge::{Findings, Kind};
use super::report::Mended;
use super::stores::Store;
use super::topic::Id;
use crate::kafka::KafkaError;
use crate::kafka::lag::Spot;
use crate::kafka::record::Record;
use crate::kafka::scan::Scanner;
use crate::kafka::sender::{Outgoing, Sender};

/// An order that is posted again and again may need more than one round; one that needs more is named.
const ROUNDS: u32 = 5;
/// Records of one transaction, of one partition, and their bytes.
const TOGETHER: (usize, usize) = (500, 16 << 20);
/// What came since the orders were judged is little.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Between two looks at how far a sink is.
const LOOK: Duration = Duration::from_millis(250);

impl Run<'_> {
    /// Sends what differs until nothing does, or says what is left and why.
    pub(super) fn repair(&mut self, findings: &mut Findings) -> anyhow::Result<()> {
        let mut told = Mended { dry_run: self.is_dry(), ..Mended::default() };
        let before = findings.all.len();
        for _ in 0..ROUNDS {
            let (mut sent, mut all) = (BTreeMap::new(), 0);
            for store in Store::ALL {
                let mine: Vec<Id> = sendable(findings, store);
                all += mine.len();
                if !mine.is_empty() {
                    self.send(store, &mine, findings, &mut sent, &mut told)?;
                }
            }
            if told.dry_run || all == 0 {
                break;
            }
            let late = self.passed(&sent)?;
            std::thread::sleep(self.options.pause.min(LOOK));
            let mut now = Findings::default();
            self.look(&findings.suspects(), true, &mut now)?;
            findings.all.retain(|which, finding| finding.kind == Kind::Surplus || now.all.contains_key(which));
            findings.all.extend(now.all);
            if !late.is_empty() {
                told.because.extend(late);
                break;
            }
        }
        let left = findings.all.values().filter(|finding| finding.kind != Kind::Surplus).count();
        if !told.dry_run {
            told.mended = u64::try_from(before - findings.all.len().min(before))?;
        }
        told.left = u64::try_from(left)?;
        told.because.extend(stubborn(findings));
        self.report.mended = Some(told);
        Ok(())
    }

    fn send(
        &mut self,
        store: Store,
        ids: &[Id],
        findings: &Findings,
        sent: &mut BTreeMap<Spot, i64>,
        told: &mut Mended,
    ) -> anyhow::Result<()> {
        let retry = store.stage().retry;
        let count = told.sent.entry(retry.to_owned()).or_default();
        if told.dry_run {
            *count = u64::try_from(ids.len())?;
            return Ok(());
        }
        self.progress.say(&format!("sending {} records to {retry}", ids.len()));
        let sender = Sender::new(&self.sources.kafka, &format!("connectors-verify-{retry}"))?;
        let everything = Scanner::of_everything(&self.sources.kafka)?;
        let mut wanted: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
        for finding in ids.iter().filter_map(|id| findings.all.get(&(store, *id))) {
            wanted.entry(finding.partition).or_default().extend(finding.wanted.map(|seen| seen.at));
        }
        for (partition, mut offsets) in wanted {
            while !offsets.is_empty() {
                let records = self.topic.scanner().wanted(ORDER_PLACED, partition, &offsets, TOGETHER)?;
                let Some(last) = records.last() else { break };
                offsets = offsets.split_off(&(last.at.offset + 1));
                let parcels = records.into_iter().map(|record| parcel(retry, record)).collect();
                let sent_at = self.transaction(&sender, &everything, parcels)?;
                *count += u64::try_from(sent_at.len())?;
                for (spot, offset) in sent_at {
                    let last = sent.entry(spot).or_insert(offset);
                    *last = offset.max(*last);
                }
            }
        }
        Ok(())
    }

    /// Sends those of which the topic got nothing new, in one transaction; answers where each lies.
    fn transaction(
        &self,
        sender: &Sender,
        everything: &Scanner,
        mut parcels: Vec<Outgoing>,
    ) -> anyhow::Result<Vec<(Spot, i64)>> {
        // Each try leaves out at least one more.
        loop {
            let late = news(everything, &self.positions.ends, &parcels)?;
            parcels.retain(|parcel| !late.contains(parcel.key.as_deref().unwrap_or_default()));
            if parcels.is_empty() {
                return Ok(Vec::new());
            }
            sender.begin()?;
            let sent = sender.send_all(&parcels);
            let done = sent.and_then(|offsets| Ok((offsets, news(everything, &self.positions.ends, &parcels)?)));
            match done {
                Ok((offsets, late)) if late.is_empty() => {
                    sender.commit().context("whether the last records were sent is not known; run it again")?;
                    let spots = parcels.into_iter().map(|parcel| (parcel.topic, parcel.partition));
                    return Ok(spots.zip(offsets).collect());
                }
                Ok(_) => sender.abort()?,
                Err(err) => {
                    // The cause is what is told; the next run makes up for an abort that fails, too.
                    let _ = sender.abort();
                    return Err(err.into());
                }
            }
        }
    }

    /// Waits until the sinks have read what was sent; answers who has not, in words.
    fn passed(&self, sent: &BTreeMap<Spot, i64>) -> anyhow::Result<Vec<String>> {
        let until = Instant::now() + self.options.wait;
        let mut late = Vec::new();
        for store in Store::ALL {
            let stage = store.stage();
            if !sent.keys().any(|(topic, _)| topic == stage.retry) {
                continue;
            }
            self.progress.say(&format!("waiting for {} to read what was sent", stage.sink));
            let Some(reader) = self.readers.get(&store) else { continue };
            loop {
                let places = reader.places(&[stage.retry.to_owned()])?;
                let open = places
                    .iter()
                    .filter(|place| sent.get(&place.spot).is_some_and(|offset| place.committed <= *offset));
                let open = open.count();
                if open == 0 {
                    break;
                }
                if until <= Instant::now() {
                    late.push(format!(
                        "{} has not read what was sent to {} within {:?}; see `connectors status`, then verify again",
                        stage.sink, stage.retry, self.options.wait
                    ));
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(late)
    }
}

/// A record as it was, for the topic that only the sink of one store reads.
fn parcel(retry: &str, record: Record) -> Outgoing {
    Outgoing {
        topic: retry.to_owned(),
        partition: record.at.partition,
        key: record.key,
        value: record.value,
        timestamp_ms: record.timestamp_ms,
        headers: record.headers,
    }
}

/// The keys of those of which the topic got a record behind these ends, committed or not.
///
/// # Errors
/// [`KafkaError`].
pub fn news(
    everything: &Scanner,
    ends: &BTreeMap<i32, i64>,
    parcels: &[Outgoing],
) -> Result<BTreeSet<Vec<u8>>, KafkaError> {
    let mut news = BTreeSet::new();
    let partitions: BTreeSet<i32> = parcels.iter().map(|parcel| parcel.partition).collect();
    for partition in partitions {
        let judged = ends.get(&partition).copied().unwrap_or(0);
        let end = everything.watermarks(ORDER_PLACED, partition)?.1;
        let until = Instant::now() + CATCH_UP;
        let whole = everything.read(ORDER_PLACED, partition, judged..end, until, |message| {
            let key = message.key().filter(|key| parcels.iter().any(|parcel| parcel.key.as_deref() == Some(*key)));
            news.extend(key.map(<[u8]>::to_vec));
            ControlFlow::Continue(())
        })?;
        if !whole {
            return Err(KafkaError::Late { topic: ORDER_PLACED.to_owned(), partition });
        }
    }
    Ok(news)
}

/// What sending again can mend: the table refuses what is older than what it holds.
fn sendable(findings: &Findings, store: Store) -> Vec<Id> {
    let mine = findings.all.iter().filter(|((of, _), _)| *of == store);
    let mended = mine.filter(|(_, finding)| {
        let refused = store == Store::PostgreSql && finding.kind == Kind::Unknown;
        finding.kind != Kind::Surplus && !refused && finding.wanted.is_some()
    });
    mended.map(|((_, id), _)| *id).collect()
}

/// Why some cannot be mended.
fn stubborn(findings: &Findings) -> Option<String> {
    let refused = |((store, _), finding): &(&(Store, Id), &super::judge::Finding)| {
        *store == Store::PostgreSql && finding.kind == Kind::Unknown
    };
    let first = findings.all.iter().find(refused)?.1;
    Some(format!(
        "the table keeps the higher version, so a row with one that the topic does not have stays; delete it and verify \
         again, such as: delete from {ORDER_PLACED} where order_id = '{}'",
        first.key.replace('\'', "''")
    ))
}
