//! What waits before each connector, and who heals, as Kafka tells it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use service_kit::kafka::Brokers;

use super::{Asked, Healer, Partition, SINK};
use crate::connect;
use crate::kafka::KafkaError;
use crate::kafka::lag::{Looked, Place, Reader};
use crate::names::sink_group;
use crate::retry::Transient as _;
use crate::serve::duty;

/// Readers of groups' positions, by group.
pub(super) type Readers = BTreeMap<String, Reader>;

/// By connector.
pub(super) type Lags = BTreeMap<String, Waits>;

/// What waits before a connector.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    /// Nothing where it could not be seen in time.
    pub(super) lag: Option<i64>,
    pub(super) partitions: Vec<Partition>,
}

/// What Kafka told.
#[derive(Default)]
pub(super) struct Positions {
    pub(super) lags: Lags,
    pub(super) healers: Option<Vec<Healer>>,
    /// Why the rest is missing.
    pub(super) reasons: Vec<String>,
    /// For the next time.
    pub(super) readers: Readers,
}

/// Asks with readers of before. Kafka's client blocks; all groups are asked in one blocking piece of work.
pub(super) async fn ask(servers: &Brokers, asked: &[Asked], readers: Readers) -> Positions {
    let groups: Vec<(String, String, Vec<String>)> = asked
        .iter()
        .map(|(kind, status, settings)| {
            let group = if *kind == SINK { sink_group(&status.name) } else { status.name.clone() };
            (status.name.clone(), group, connect::topics(settings))
        })
        .collect();
    let servers = servers.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut told = Positions { readers, ..Positions::default() };
        told.readers.retain(|known, _| known == duty::GROUP || groups.iter().any(|(_, group, _)| group == known));
        for (name, group, topics) in groups {
            match reader(&mut told.readers, &servers, group).and_then(|reader| waits(reader, &topics)) {
                Ok(waits) => drop(told.lags.insert(name, waits)),
                Err(err) => {
                    told.reasons.push(format!("Kafka: {err}"));
                    // One that may not be seen says nothing of the others; a Kafka that is away, all.
                    if err.is_transient() {
                        return told;
                    }
                }
            }
        }
        // Who may not see the group still sees the rest.
        let healers = reader(&mut told.readers, &servers, duty::GROUP.to_owned()).and_then(Reader::instances).ok();
        let healer = |(name, on_duty)| Healer { name, on_duty };
        told.healers = healers.map(|all| all.into_iter().map(healer).collect());
        told
    });
    let cut = |_| Positions { reasons: vec![KafkaError::Cut.to_string()], ..Positions::default() };
    work.await.unwrap_or_else(cut)
}

fn reader<'r>(readers: &'r mut Readers, servers: &Brokers, group: String) -> Result<&'r Reader, KafkaError> {
    Ok(match readers.entry(group) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => {
            let reader = Reader::new(servers, place.key())?;
            place.insert(reader)
        }
    })
}

/// A partition where only markers of transactions are left counts nothing; with one that nobody could look into, the
/// sum is unknown.
fn waits(reader: &Reader, topics: &[String]) -> Result<Waits, KafkaError> {
    let places = reader.places(topics)?;
    let waiting: Vec<Place> = places.iter().filter(|place| 0 < place.lag()).cloned().collect();
    let looked = if waiting.is_empty() { Looked::default() } else { reader.unread(&waiting)? };
    let partition = |place: &Place| Partition {
        topic: place.spot.0.clone(),
        partition: place.spot.1,
        committed: place.committed,
        lag: match (looked.unread.contains(&place.spot), looked.unknown.contains(&place.spot)) {
            (true, _) => Some(place.lag()),
            (false, true) => None,
            (false, false) => Some(0),
        },
    };
    let partitions: Vec<Partition> = places.iter().map(partition).collect();
    Ok(Waits { lag: partitions.iter().map(|one| one.lag).sum(), partitions })
}
