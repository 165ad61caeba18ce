//! The broker's side of records and transactions: the input's log, and the transaction coordinator as it is before
//! KIP-890: a producer's epoch fences, but what arrives late meets whatever transaction is open then.

use std::collections::BTreeMap;

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::kafka::Failure;

/// What lies at an offset of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Record(u64),
    /// Of a transaction that was aborted: nobody may see it.
    Aborted(u64),
    /// The end of a transaction: an offset without a record.
    Marker,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    /// What is below was deleted.
    pub(super) start: i64,
    pub(super) entries: Vec<Entry>,
}

impl Log {
    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap()
    }

    /// The records from one offset up to another, which is left out.
    pub(super) fn records(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, u64)> + '_ {
        (from.max(0)..to.min(self.end())).filter_map(|at| match self.entries[usize::try_from(at).unwrap()] {
            Entry::Record(id) => Some((at, id)),
            Entry::Aborted(_) | Entry::Marker => None,
        })
    }
}

/// A record that somebody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) partition: i32,
    pub(super) id: u64,
    pub(super) dead: bool,
    /// The version of the pipeline that made it.
    pub(super) version: u64,
}

pub(super) type Positions = BTreeMap<i32, i64>;

/// What a transaction was when its markers were written.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) commits: bool,
    pub(super) written: Vec<Written>,
    pub(super) offsets: Positions,
}

#[derive(Debug)]
struct Open {
    number: u64,
    written: Vec<Written>,
}

#[derive(Debug, Default)]
struct Id {
    epoch: i32,
    open: Option<Open>,
    /// Decided, and the markers are being written.
    decided: Option<(bool, Vec<Written>)>,
    /// How the last one ended.
    last: Option<bool>,
    /// Offsets that wait for a marker of this producer, whichever comes.
    offsets: Positions,
}

/// What the caller has to bring about in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// The transaction of this number began, and has a time-out.
    Began(u64),
    /// Markers are to be written.
    Decided,
}

#[derive(Debug, Default)]
pub(super) struct Coordinator {
    ids: BTreeMap<String, Id>,
    numbers: u64,
    /// Whether `init` fences; a defect of the simulation's own says no.
    pub(super) lenient: bool,
}

pub(super) fn failure(code: Code, flags: &str) -> Failure {
    Failure {
        code,
        fatal: flags.contains('f'),
        retriable: flags.contains('r'),
        requires_abort: flags.contains('a'),
        text: format!("{code:?}"),
    }
}

impl Coordinator {
    /// The epoch of a new holder, once what the last one left is settled.
    pub(super) fn init(&mut self, name: &str) -> (Then, Result<i32, Failure>) {
        let lenient = self.lenient;
        let id = self.ids.entry(name.to_owned()).or_default();
        if lenient {
            return (Then::Nothing, Ok(id.epoch));
        }
        let busy = || Err(failure(Code::ConcurrentTransactions, "r"));
        if id.decided.is_some() {
            return (Then::Nothing, busy());
        }
        id.epoch += 1;
        if id.open.is_some() || !id.offsets.is_empty() {
            id.decide(false);
            return (Then::Decided, busy());
        }
        (Then::Nothing, Ok(id.epoch))
    }

    fn current(&mut self, name: &str, epoch: i32) -> Result<&mut Id, Failure> {
        let id = self.ids.entry(name.to_owned()).or_default();
        if id.epoch == epoch { Ok(id) } else { Err(failure(Code::ProducerFenced, "f")) }
    }

    fn open(&mut self, name: &str, epoch: i32) -> Result<(&mut Id, Then), Failure> {
        self.numbers += 1;
        let number = self.numbers;
        let id = self.current(name, epoch)?;
        if id.decided.is_some() {
            return Err(failure(Code::ConcurrentTransactions, "r"));
        }
        if id.open.is_some() {
            return Ok((id, Then::Nothing));
        }
        id.open = Some(Open { number, written: Vec::new() });
        Ok((id, Then::Began(number)))
    }

    pub(super) fn produce(&mut self, name: &str, epoch: i32, record: Written) -> Result<Then, Failure> {
        let (id, then) = self.open(name, epoch)?;
        id.open.as_mut().unwrap().written.push(record);
        Ok(then)
    }

    /// The first half of sending offsets: the transaction is open from now on, and will have some.
    pub(super) fn add_offsets(&mut self, name: &str, epoch: i32) -> Result<Then, Failure> {
        self.open(name, epoch).map(|(_, then)| then)
    }

    /// The second half: offsets of the transaction that the client believes to be in. The group's coordinator does not
    /// ask whether one is open, so a late request waits for the next marker, whichever comes.
    pub(super) fn offsets(&mut self, name: &str, epoch: i32, offsets: &Positions) -> Result<(), Failure> {
        self.current(name, epoch)?.offsets.extend(offsets);
        Ok(())
    }

    pub(super) fn end(&mut self, name: &str, epoch: i32, commits: bool) -> Result<Then, Failure> {
        let id = self.current(name, epoch)?;
        match (&id.decided, &id.open, id.last) {
            (Some((decided, _)), _, _) if *decided == commits => Err(failure(Code::ConcurrentTransactions, "r")),
            (None, Some(_), _) => {
                id.decide(commits);
                Ok(Then::Decided)
            }
            (None, None, Some(last)) if last == commits => Ok(Then::Nothing),
            (None, None, _) if !commits => Ok(Then::Nothing),
            (Some(_), _, _) | (None, None, _) => Err(failure(Code::InvalidTransactionalState, "f")),
        }
    }

    /// The time of a transaction is up: it is aborted and its producer fenced.
    pub(super) fn times_out(&mut self, name: &str, number: u64) -> Then {
        let Some(id) = self.ids.get_mut(name) else { return Then::Nothing };
        if id.open.as_ref().is_none_or(|open| open.number != number) || id.decided.is_some() {
            return Then::Nothing;
        }
        id.epoch += 1;
        id.decide(false);
        Then::Decided
    }

    /// The markers are there.
    pub(super) fn marked(&mut self, name: &str) -> Option<Ended> {
        let id = self.ids.get_mut(name)?;
        let (commits, written) = id.decided.take()?;
        id.last = Some(commits);
        Some(Ended { commits, written, offsets: std::mem::take(&mut id.offsets) })
    }

    /// Whether a transaction still holds back the offset of this partition.
    pub(super) fn is_unstable(&self, partition: i32) -> bool {
        self.ids.values().any(|id| id.offsets.contains_key(&partition))
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.ids.values().all(|id| id.open.is_none() && id.decided.is_none())
    }
}

impl Id {
    fn decide(&mut self, commits: bool) {
        let written = self.open.take().map(|open| open.written).unwrap_or_default();
        self.decided = Some((commits, written));
    }
}
