//! What the topic says: the newest version of each order, one partition at a time.
//!
//! Of each order a record of fixed size is kept, [`Seen`], by a digest of its id. Where a partition may hold more orders
//! than [`PASS`], it is read in several passes, each for its share of the digests: so the memory is bounded, whatever the
//! topic holds.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use anyhow::{Context as _, bail};
use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use schemas::names::topics::ORDER_PLACED;
use service_kit::kafka::Brokers;
use tokio::runtime::Handle;

use super::letters::Letters;
use super::order::{self, Known, Placed};
use super::progress::Progress;
use super::stores::Store;
use crate::decode::Decoder;
use crate::kafka::KafkaError;
use crate::kafka::record::{Address, Record};
use crate::kafka::scan::Scanner;

/// Orders that are held at a time: below 100 MiB, the room that their table takes.
pub const PASS: i64 = 900_000;
/// Passes over one partition. Above it, reading the topic again and again takes longer than anybody waits.
pub const MOST_PASSES: i64 = 32;
/// Versions of one order that are held, the newest, where more than the newest matters.
const VERSIONS: usize = 16;
/// Records that cannot be read are named up to this number.
const NAMED: usize = 3;

/// An order's digest.
pub type Id = u128;

/// One version of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Partition and offset of its receipt.
    pub version: (i32, i64),
    /// Its offset in `order_placed`.
    pub at: i64,
    /// When it was received.
    pub received_at: i64,
    /// In hundredths; what is read is below 2^63.
    pub amount: i64,
    /// Of all that it says.
    pub digest: u64,
    /// Whose fields it has.
    pub schema: u32,
    /// A bit for each store in which it was met.
    pub met: u8,
}

/// The orders of a partition, or of a pass over it.
#[derive(Debug, Default)]
pub struct Truth {
    /// The newest version of each.
    pub newest: HashMap<Id, Seen>,
    /// All versions of those that have dead letters in a store.
    pub all: HashMap<Id, Vec<Seen>>,
    /// The highest offset of a receipt.
    pub highest: i64,
}

/// A record that is meant.
pub struct Meant<'a> {
    /// Its order.
    pub id: Id,
    /// The order's id.
    pub key: &'a str,
    /// What it says.
    pub seen: Seen,
}

/// What was read, all in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// Records.
    pub records: u64,
    /// Records that nobody can read, so that no store is expected to hold them.
    pub unreadable: u64,
    /// Some of them.
    pub such_as: Vec<String>,
}

/// Reads the topic.
pub struct Topic<'a> {
    scanner: Scanner,
    decoder: Decoder,
    runtime: Handle,
    /// The fields of each schema's orders.
    pub known: BTreeMap<u32, Known>,
    progress: &'a Progress,
    until: Instant,
}

/// A digest of an order's id that no two orders share but by an accident that nobody will live to see.
#[must_use]
pub fn id_of(key: &[u8]) -> Id {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(key);
        u128::from(hasher.finish())
    };
    (half(0) << 64) | half(1)
}

/// How many passes so many records need.
///
/// # Errors
/// Where they are more than anybody waits for, with the way out.
pub fn passes(partition: i32, records: i64) -> anyhow::Result<i64> {
    let passes = records.div_euclid(PASS) + 1;
    if MOST_PASSES < passes {
        bail!(
            "{ORDER_PLACED}/{partition} may hold {records} orders; at most {} of a partition are compared in one run. \
             Give --since, and go back in several runs",
            PASS * MOST_PASSES
        )
    }
    Ok(passes)
}

/// Whether an order belongs to a pass.
#[must_use]
pub fn is_in(id: Id, pass: i64, passes: i64) -> bool {
    let share = id.checked_rem(u128::try_from(passes).unwrap_or(1)).unwrap_or(0);
    u128::try_from(pass) == Ok(share)
}

impl Truth {
    /// The version that a store is expected to hold: the newest that is no dead letter of it.
    #[must_use]
    pub fn expected(&self, store: Store, id: Id, letters: &Letters) -> Option<Seen> {
        match self.all.get(&id) {
            Some(all) => all.iter().find(|seen| !letters.has(store, id, seen.version)).copied(),
            None => self.newest.get(&id).copied(),
        }
    }

    fn take(&mut self, id: Id, seen: Seen, letters: &Letters) {
        self.highest = self.highest.max(seen.version.1);
        if letters.concern(id) {
            insert(self.all.entry(id).or_default(), seen);
        }
        let newest = self.newest.entry(id).or_insert(seen);
        if newest.version.1 <= seen.version.1 {
            *newest = seen;
        }
    }
}

/// Keeps versions in order, the newest first; of one that is there twice the later record is the newer.
pub fn insert(all: &mut Vec<Seen>, seen: Seen) {
    let place = all.partition_point(|other| (seen.version.1, seen.at) < (other.version.1, other.at));
    all.insert(place, seen);
    all.truncate(VERSIONS);
}

impl<'a> Topic<'a> {
    /// Reads by these schemas until then. Blocks: for a thread of its own within a runtime.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn new(kafka: &Brokers, decoder: Decoder, progress: &'a Progress, until: Instant) -> Result<Self, KafkaError> {
        let scanner = Scanner::new(kafka)?;
        Ok(Self { scanner, decoder, runtime: Handle::current(), known: BTreeMap::new(), progress, until })
    }

    /// The reader beneath.
    #[must_use]
    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// Work on other topics with the same schemas.
    ///
    /// # Errors
    /// Those of the work.
    pub fn with_decoder<T>(
        &mut self,
        work: impl FnOnce(&Scanner, &mut Decoder, Instant) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        work(&self.scanner, &mut self.decoder, self.until)
    }

    /// The newest version of each order of a pass.
    ///
    /// # Errors
    /// Where Kafka or the registry cannot be asked, or the time is over.
    pub fn truth(
        &mut self,
        partition: i32,
        range: &Range<i64>,
        (pass, passes): (i64, i64),
        letters: &Letters,
        read: &mut Read,
    ) -> anyhow::Result<Truth> {
        let mut truth = Truth::default();
        let room = (range.end - range.start).clamp(0, 2 * PASS);
        truth.newest.reserve(usize::try_from(room.min(PASS)).unwrap_or_default());
        self.each(
            partition,
            range,
            read,
            |id| is_in(id, pass, passes),
            |meant| truth.take(meant.id, meant.seen, letters),
        )?;
        Ok(truth)
    }

    /// Gives every readable record of an order that is wanted to `take`.
    ///
    /// # Errors
    /// Where Kafka or the registry cannot be asked, or the time is over.
    pub fn each(
        &mut self,
        partition: i32,
        range: &Range<i64>,
        read: &mut Read,
        wanted: impl Fn(Id) -> bool,
        mut take: impl FnMut(Meant<'_>),
    ) -> anyhow::Result<()> {
        let (decoder, runtime, known, progress) = (&mut self.decoder, &self.runtime, &mut self.known, self.progress);
        let mut failed = None;
        let whole = self.scanner.read(ORDER_PLACED, partition, range.clone(), self.until, |message| {
            progress.at(partition, message.offset(), range);
            let Some(key) = message.key().and_then(|key| std::str::from_utf8(key).ok()) else {
                read.strange(message);
                return ControlFlow::Continue(());
            };
            let id = id_of(key.as_bytes());
            if !wanted(id) {
                return ControlFlow::Continue(());
            }
            read.records += 1;
            match seen(message, decoder, runtime, known) {
                Ok(Some(seen)) => take(Meant { id, key, seen }),
                Ok(None) if message.payload().is_some() => read.strange(message),
                // The sinks pass a tombstone over.
                Ok(None) => {}
                Err(err) => failed = Some(err),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match failed {
            Some(err) => Err(err),
            None if whole => Ok(()),
            None => bail!(
                "{ORDER_PLACED}/{partition} could not be read to its end in time; give --since, or a longer --time-limit"
            ),
        }
    }

    /// A record, and what it says.
    ///
    /// # Errors
    /// Where Kafka or the registry cannot be asked, or nothing that can be read lies there any more.
    pub fn one(&mut self, partition: i32, offset: i64) -> anyhow::Result<(Record, Placed)> {
        let at = Address::new(ORDER_PLACED, partition, offset);
        let record = self.scanner.one(&at)?.with_context(|| format!("{at} is gone"))?;
        if let Some(value) = &record.value {
            self.runtime.block_on(self.decoder.need(value))?;
        }
        let fields = self.decoder.fields(record.value.as_deref()).map_err(anyhow::Error::msg)?;
        let placed = Placed::of(&fields, record.header(schemas::names::headers::MODULES));
        let placed = placed.with_context(|| format!("{at} says no version"))?;
        Ok((record, placed))
    }
}

/// What a record says; nothing where it says nothing that can be read.
fn seen(
    message: &BorrowedMessage<'_>,
    decoder: &mut Decoder,
    runtime: &Handle,
    known: &mut BTreeMap<u32, Known>,
) -> anyhow::Result<Option<Seen>> {
    let Some(value) = message.payload() else { return Ok(None) };
    let Ok((schema, _)) = schemas::framing::split(value) else { return Ok(None) };
    if !decoder.knows(schema) {
        runtime.block_on(decoder.need(value))?;
    }
    let Ok(fields) = decoder.fields(Some(value)) else { return Ok(None) };
    let headers = crate::kafka::record::headers(message);
    let modules = crate::kafka::record::header(&headers, schemas::names::headers::MODULES);
    let Some(placed) = Placed::of(&fields, modules) else { return Ok(None) };
    let Ok(amount) = i64::try_from(placed.amount) else { return Ok(None) };
    known.entry(schema).or_default().merge(&placed.known);
    Ok(Some(Seen {
        version: placed.version,
        at: message.offset(),
        received_at: placed.received_at,
        amount,
        digest: order::digest(&placed.cells),
        schema,
        met: 0,
    }))
}

impl Read {
    fn strange(&mut self, message: &BorrowedMessage<'_>) {
        self.unreadable += 1;
        if self.such_as.len() < NAMED {
            self.such_as.push(format!("{}/{}/{}", message.topic(), message.partition(), message.offset()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(version: i64, at: i64) -> Seen {
        Seen { version: (0, version), at, received_at: 0, amount: 0, digest: 0, schema: 0, met: 0 }
    }

    proptest! {
        /// Whatever comes in whatever order, the highest version wins, and of two records of it the later one.
        #[test]
        fn the_newest_version_wins(versions in prop::collection::vec(0..5_i64, 1..20)) {
            let mut truth = Truth::default();
            let mut all = Vec::new();
            for (at, version) in versions.iter().enumerate() {
                let seen = seen(*version, i64::try_from(at).unwrap());
                truth.take(1, seen, &Letters::default());
                insert(&mut all, seen);
            }
            let newest = versions.iter().enumerate().max_by_key(|(at, version)| (**version, *at)).unwrap();
            let wanted = (*newest.1, i64::try_from(newest.0).unwrap());
            prop_assert_eq!((truth.newest[&1].version.1, truth.newest[&1].at), wanted);
            prop_assert_eq!((all[0].version.1, all[0].at), wanted);
        }

        /// Each order belongs to exactly one pass.
        #[test]
        fn each_order_is_in_one_pass(key in "[a-z]{1,8}", passes in 1..40_i64) {
            let id = id_of(key.as_bytes());
            prop_assert_eq!((0..passes).filter(|pass| is_in(id, *pass, passes)).count(), 1);
        }
    }

    #[test]
    fn a_partition_that_is_too_large_names_the_way_out() {
        assert_eq!(passes(3, 0).unwrap(), 1);
        assert_eq!(passes(3, PASS * 3).unwrap(), 4);
        let told = passes(3, PASS * MOST_PASSES).unwrap_err().to_string();
        assert!(told.contains("order_placed/3") && told.contains("--since"), "{told}");
    }
}
