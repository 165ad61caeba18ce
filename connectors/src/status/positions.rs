//! What waits before each connector, and who heals, as Kafka tells it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use schemas::names::topics::DEAD_LETTER_MARKS;
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
    /// Nothing where it could not be seen.
    pub(super) lag: Option<i64>,
    pub(super) partitions: Vec<Partition>,
}

/// What Kafka told.
#[derive(Default)]
pub(super) struct Positions {
    pub(super) lags: Lags,
    pub(super) healers: Option<Vec<Healer>>,
    /// Why there are none, where somebody is to mend that.
    pub(super) healers_unknown: Option<String>,
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
        match reader(&mut told.readers, &servers, duty::GROUP.to_owned()).and_then(healers) {
            Ok(healers) => told.healers = Some(healers),
            Err(err) => {
                // A client tells a refusal once: the next look begins with another.
                told.readers.remove(duty::GROUP);
                told.healers_unknown = unknown(&err);
            }
        }
        told
    });
    let cut = |_| Positions { reasons: vec![KafkaError::Cut.to_string()], ..Positions::default() };
    work.await.unwrap_or_else(cut)
}

fn healers(reader: &Reader) -> Result<Vec<Healer>, KafkaError> {
    members(reader.instances()?, || reader.not_hidden(DEAD_LETTER_MARKS))
}

/// That nobody is there is known only of a group that we may see.
fn members(
    all: BTreeMap<String, bool>,
    not_hidden: impl FnOnce() -> Result<(), KafkaError>,
) -> Result<Vec<Healer>, KafkaError> {
    if all.is_empty() {
        not_hidden()?;
    }
    Ok(all.into_iter().map(|(name, on_duty)| Healer { name, on_duty }).collect())
}

/// Nothing where Kafka is away, which is told elsewhere and passes.
fn unknown(err: &KafkaError) -> Option<String> {
    match err {
        KafkaError::Group { group, .. } => Some(format!("{err}; what is missing is Describe on group {group}")),
        err => (!err.is_transient()).then(|| err.to_string()),
    }
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
/// sum is unknown. So it is where there is none to look into: of topics that are not there, or named by a pattern only.
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
        rate: None,
    };
    let partitions: Vec<Partition> = places.iter().map(partition).collect();
    let lag = if partitions.is_empty() { None } else { partitions.iter().map(|one| one.lag).sum() };
    Ok(Waits { lag, partitions })
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn that_nobody_heals_is_said_only_of_a_group_that_may_be_seen() {
        assert_eq!(members(BTreeMap::new(), || Ok(())).unwrap(), []);
        assert!(members(BTreeMap::new(), || Err(KafkaError::Cut)).is_err());
        let one = members(BTreeMap::from([("h".to_owned(), true)]), || Err(KafkaError::Cut));
        assert_eq!(one.unwrap(), [Healer { name: "h".to_owned(), on_duty: true }], "who sees it need not ask");
    }

    #[test]
    fn why_no_healer_is_known_names_the_right_that_is_missing_and_nothing_that_passes() {
        let group = |code| KafkaError::Group { group: duty::GROUP.to_owned(), code };
        let told = unknown(&group(Code::GroupAuthorizationFailed)).unwrap();
        assert!(told.ends_with("; what is missing is Describe on group connectors-healers"), "{told}");
        let late = KafkaError::Late { topic: "t".to_owned(), partition: 0 };
        assert_eq!((unknown(&late), unknown(&KafkaError::Cut)), (None, Some(KafkaError::Cut.to_string())));
    }
}
