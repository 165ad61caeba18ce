//! How far a group has read, and who reads what. Never joins the group and never commits.
//!
//! The end is the last stable offset: an open transaction is nobody's lag. A committed transaction leaves a marker
//! that is an offset and no record, so a sink that has read everything stays a little below the end for ever. Whoever
//! must know whether a record is left asks [`Reader::unread`], which looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::{Message, Offset, TopicPartitionList};
use service_kit::kafka::Brokers;

use super::KafkaError;
use super::client::{self, Consumer};

/// How long Kafka may take for one question.
const TIMEOUT: Duration = Duration::from_secs(3);
/// One wait for what the client finds out by itself meanwhile.
const STEP: Duration = Duration::from_millis(200);
/// How long looking for records may take for all partitions together.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// A partition.
pub type Spot = (String, i32);

/// A partition's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub spot: Spot,
    /// The next offset that the group will read; 0 before its first commit.
    pub committed: i64,
    /// The last stable offset.
    pub end: i64,
}

impl Place {
    /// Offsets between the two: records and the markers of transactions.
    #[must_use]
    pub fn lag(&self) -> i64 {
        0.max(self.end - self.committed)
    }
}

/// What looking at places came to. A place in neither set has markers of transactions only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// There is a record at or after the committed offset.
    pub unread: BTreeSet<Spot>,
    /// Kafka showed neither a record nor the end in time: nothing is known.
    pub unknown: BTreeSet<Spot>,
}

/// Reads one group's positions. All calls block; each has a time limit.
pub struct Reader {
    consumer: Consumer,
    brokers: Brokers,
    group: String,
}

impl Reader {
    /// For a group. Does not connect yet.
    ///
    /// # Errors
    /// [`KafkaError::Client`] where the client cannot be made.
    pub fn new(brokers: &Brokers, group: &str) -> Result<Self, KafkaError> {
        let mut config = client::config(brokers, "connectors-lag");
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            // It looks for one record; it need not carry thousands.
            .set("fetch.message.max.bytes", "65536")
            .set("queued.max.messages.kbytes", "1024")
            .set("reconnect.backoff.max.ms", "2000");
        let consumer = client::consumer(&config, brokers)?;
        Ok(Self { consumer, brokers: brokers.clone(), group: group.to_owned() })
    }

    /// The group's position in each partition of the topics.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn places(&self, topics: &[String]) -> Result<Vec<Place>, KafkaError> {
        let mut wanted = TopicPartitionList::new();
        for topic in topics {
            let metadata = self.consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(|e| self.failed(e))?;
            for found in metadata.topics().iter().filter(|found| found.name() == topic) {
                for partition in client::seen(found)?.partitions() {
                    wanted.add_partition(topic, partition.id());
                }
            }
        }
        if wanted.count() == 0 {
            return Ok(Vec::new());
        }
        let mut ends = wanted.clone();
        ends.set_all_offsets(Offset::End).map_err(|e| self.failed(e))?;
        let ends = self.consumer.offsets_for_times(ends, TIMEOUT).map_err(|e| self.failed(e))?;
        let committed = self.consumer.committed_offsets(wanted, TIMEOUT).map_err(|e| self.failed(e))?;
        let ends = ends
            .elements()
            .iter()
            .map(|e| (spot(e.topic(), e.partition()), offset(e.offset())))
            .collect::<BTreeMap<_, _>>();
        Ok(committed
            .elements()
            .iter()
            .map(|element| {
                let spot = spot(element.topic(), element.partition());
                let end = ends.get(&spot).copied().unwrap_or(0);
                Place { spot, committed: offset(element.offset()), end }
            })
            .collect())
    }

    /// Which member of the group reads which partition, by the member's client id. Nothing for other protocols.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn owners(&self) -> Result<BTreeMap<Spot, String>, KafkaError> {
        let owned = self.described(|member| {
            let spots = member.assignment().and_then(assigned).unwrap_or_default();
            spots.into_iter().map(|spot| (spot, member.client_id().to_owned())).collect::<Vec<_>>()
        })?;
        Ok(owned.into_iter().flatten().collect())
    }

    /// The group's static members (KIP-345) by their names, and whether each has a partition. Nothing for other protocols.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn instances(&self) -> Result<BTreeMap<String, bool>, KafkaError> {
        let has_any = |bytes: &[u8]| assigned(bytes).is_some_and(|spots| !spots.is_empty());
        let all =
            self.described(|member| (instance(member.id()).to_owned(), member.assignment().is_some_and(has_any)))?;
        Ok(all.into_iter().collect())
    }

    /// The ids of the group's members. A member that comes back has another id. Nothing for other protocols.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn members(&self) -> Result<BTreeSet<String>, KafkaError> {
        Ok(self.described(|member| member.id().to_owned())?.into_iter().collect())
    }

    /// That we may describe the group: one that we may not is in no list, as one that is not there. What tells them
    /// apart is the search for its coordinator, which a client makes by itself, and of which it tells a refusal once.
    /// `topic` is any, to ask for a position in it.
    ///
    /// # Errors
    /// [`KafkaError::Group`] where we may not.
    pub fn not_hidden(&self, topic: &str) -> Result<(), KafkaError> {
        let is_refusal = |err: &ClientError| err.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed);
        let (until, mut step) = (Instant::now() + TIMEOUT, STEP);
        loop {
            let mut list = TopicPartitionList::new();
            list.add_partition(topic, 0);
            let Err(cause) = self.consumer.committed_offsets(list, step) else { return Ok(()) };
            let mut told = (0..client::WAITING).filter_map(|_| self.consumer.poll(Duration::ZERO)?.err());
            if is_refusal(&cause) || told.any(|err| is_refusal(&err)) {
                return Err(KafkaError::Group { group: self.group.clone(), code: Code::GroupAuthorizationFailed });
            }
            if cause.rdkafka_error_code() != Some(Code::OperationTimedOut) || until <= Instant::now() {
                return Err(self.failed(cause));
            }
            step = (2 * step).min(TIMEOUT);
        }
    }

    fn described<T>(&self, of: impl Fn(&GroupMemberInfo) -> T) -> Result<Vec<T>, KafkaError> {
        let list = self.consumer.fetch_group_list(Some(&self.group), TIMEOUT).map_err(|e| self.failed(e))?;
        Ok(list.groups().iter().flat_map(|group| group.members()).map(of).collect())
    }

    /// Which of the places have a record at or after the committed offset, and of which that could not be seen in time.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn unread(&self, places: &[Place]) -> Result<Looked, KafkaError> {
        let mut looked = Looked::default();
        let deadline = Instant::now() + LOOK_LIMIT;
        // One topic at a time: the end comes per partition and without the topic's name.
        let topics: BTreeSet<&String> = places.iter().map(|place| &place.spot.0).collect();
        for topic in topics {
            let mut list = TopicPartitionList::new();
            let mut open = BTreeSet::new();
            for Place { spot, committed, .. } in places.iter().filter(|place| place.spot.0 == *topic) {
                list.add_partition_offset(topic, spot.1, Offset::Offset(*committed)).map_err(|e| self.failed(e))?;
                open.insert(spot.clone());
            }
            self.consumer.assign(&list).map_err(|e| self.failed(e))?;
            let found = self.look(open, deadline, &mut looked);
            self.consumer.unassign().map_err(|e| self.failed(e))?;
            found?;
        }
        Ok(looked)
    }

    fn look(&self, mut open: BTreeSet<Spot>, deadline: Instant, looked: &mut Looked) -> Result<(), KafkaError> {
        while !open.is_empty() && Instant::now() < deadline {
            match self.consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(record)) => {
                    let spot = spot(record.topic(), record.partition());
                    if open.remove(&spot) {
                        looked.unread.insert(spot);
                    }
                }
                Some(Err(ClientError::PartitionEOF(partition))) => open.retain(|(_, open)| *open != partition),
                Some(Err(err)) => return Err(self.failed(err)),
            }
        }
        looked.unknown.append(&mut open);
        Ok(())
    }

    fn failed(&self, cause: ClientError) -> KafkaError {
        client::failed(&self.consumer, &self.brokers, cause)
    }
}

fn spot(topic: &str, partition: i32) -> Spot {
    (topic.to_owned(), partition)
}

fn offset(offset: Offset) -> i64 {
    match offset {
        Offset::Offset(offset) => offset,
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => 0,
    }
}

/// The broker makes the id of a static member of its name, a hyphen and a UUID of 36 characters.
fn instance(id: &str) -> &str {
    let name = id.len().checked_sub(37).and_then(|end| id.split_at_checked(end));
    name.filter(|(_, uuid)| uuid.starts_with('-')).map_or(id, |(name, _)| name)
}

/// The classic protocol's assignment: version i16, then topics with their partitions; the rest is not ours.
fn assigned(bytes: &[u8]) -> Option<Vec<Spot>> {
    let mut read = bytes.get(2..)?;
    let mut spots = Vec::new();
    for _ in 0..number(&mut read)? {
        let (length, rest) = read.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        read = rest;
        for _ in 0..number(&mut read)? {
            spots.push((String::from_utf8_lossy(name).into_owned(), number(&mut read)?));
        }
    }
    Some(spots)
}

fn number(read: &mut &[u8]) -> Option<i32> {
    let (number, rest) = read.split_first_chunk::<4>()?;
    *read = rest;
    Some(i32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests;
