//! What lies in a sink's dead letters is not expected in its store. A letter that was sent again is, once the sink has read
//! it from its retry topic.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::ensure;
use tokio::runtime::Handle;

use super::stores::Store;
use super::topic::{Id, id_of};
use crate::dead_letters::letter::Letter;
use crate::dead_letters::marks::{self, Did, Marks};
use crate::decode::{self, Decoder};
use crate::kafka::KafkaError;
use crate::kafka::record::{Address, Record};
use crate::kafka::scan::Scanner;

/// More letters than anybody has; they are held in memory.
const MOST: usize = 200_000;

/// One version of an order.
type Version = (Id, (i32, i64));

/// The dead letters of both sinks.
#[derive(Debug, Default)]
pub struct Letters {
    parked: HashMap<Store, HashSet<Version>>,
    /// Sent again, as this record of the sink's retry topic.
    again: HashMap<Store, HashMap<Version, Address>>,
    concerned: HashSet<Id>,
    /// Where and when they were received.
    received: Vec<(i32, i64)>,
}

impl Letters {
    /// Reads them all. Blocks.
    ///
    /// # Errors
    /// Where Kafka or the registry cannot be asked, the time is over, or there are more than can be held.
    pub fn read(scanner: &Scanner, decoder: &mut Decoder, until: Instant) -> anyhow::Result<Self> {
        let marks: Marks = marks::read(scanner, until)?;
        let mut letters = Self::default();
        for store in Store::ALL {
            let topic = store.stage().letters;
            for partition in 0..scanner.partitions(topic)? {
                let (low, end) = scanner.watermarks(topic, partition)?;
                let mut failed = None;
                let whole = scanner.read(topic, partition, low..end, until, |message| {
                    if let Err(err) = letters.take(store, Record::of(message), decoder, &marks) {
                        failed = Some(err);
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })?;
                if let Some(err) = failed {
                    return Err(err);
                }
                if !whole {
                    return Err(KafkaError::Late { topic: topic.to_owned(), partition }.into());
                }
            }
        }
        Ok(letters)
    }

    /// One that cannot be read is of no version that is expected anywhere.
    fn take(&mut self, store: Store, record: Record, decoder: &mut Decoder, marks: &Marks) -> anyhow::Result<()> {
        let Ok(letter) = Letter::of(record) else { return Ok(()) };
        let (Some(key), Some(value)) = (&letter.record.key, &letter.record.value) else { return Ok(()) };
        Handle::current().block_on(decoder.need(value))?;
        let Ok(fields) = decoder.fields(Some(value)) else { return Ok(()) };
        let Some(version) = decode::version(&fields).map(|version| (id_of(key), version)) else { return Ok(()) };
        let mark = marks.get(&marks::key(&letter.at.topic, &letter.of));
        match mark.filter(|mark| mark.did == Did::Replayed) {
            Some(mark) => {
                let to = mark.to.as_ref().and_then(|to| to.parse().ok());
                self.again.entry(store).or_default().extend(to.map(|to| (version, to)));
            }
            None => {
                self.parked.entry(store).or_default().insert(version);
                self.concerned.insert(version.0);
                let at = fields.iter().find(|field| field.path == "received_at");
                let at = at.and_then(|field| field.json.parse().ok());
                self.received.extend(at.map(|at| (version.1.0, at)));
            }
        }
        ensure!(
            self.concerned.len() <= MOST,
            "there are more than {MOST} orders in the sinks' dead letters; deal with them first: `connectors dead-letters list`"
        );
        Ok(())
    }

    /// Whether this version is a dead letter of that store's sink.
    #[must_use]
    pub fn has(&self, store: Store, id: Id, version: (i32, i64)) -> bool {
        self.parked.get(&store).is_some_and(|parked| parked.contains(&(id, version)))
    }

    /// Whether any version of this order is a dead letter.
    #[must_use]
    pub fn concern(&self, id: Id) -> bool {
        self.concerned.contains(&id)
    }

    /// Whether this version was sent again to the store's sink and is not yet read there.
    #[must_use]
    pub fn on_its_way(
        &self,
        store: Store,
        id: Id,
        version: (i32, i64),
        committed: &BTreeMap<(String, i32), i64>,
    ) -> bool {
        let again = self.again.get(&store).and_then(|again| again.get(&(id, version)));
        again.is_some_and(|to| {
            committed.get(&(to.topic.clone(), to.partition)).is_none_or(|committed| *committed <= to.offset)
        })
    }

    /// The partition and the time of receipt of each.
    pub fn received(&self) -> impl Iterator<Item = (i32, i64)> + '_ {
        self.received.iter().copied()
    }
}
