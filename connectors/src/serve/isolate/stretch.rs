//! The stretch of records that a sink may have failed on, laid out for its trial; and what becomes of it, in one
//! transaction: the dead letters, and the sink's offsets behind what was tried. Everything here blocks, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use schemas::contracts::Topic;
use schemas::framing;
use schemas::names::headers as names;
use service_kit::kafka::Brokers;

use super::reason::{Reason, VALUE_CONVERTER};
use crate::kafka::KafkaError;
use crate::kafka::client::{self, Consumer};
use crate::kafka::lag::{Place, Reader, Spot};
use crate::kafka::record::{Headers, Record};
use crate::kafka::scan::Scanner;
use crate::kafka::sender::{Outgoing, Sender};

/// How long reading a stretch may take.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// How long Kafka may take to say where a group stands.
const ASK_LIMIT: Duration = Duration::from_secs(3);
/// The most records of a stretch, and their bytes.
const RECORDS: usize = 2_000;
const BYTES: usize = 16 * 1024 * 1024;
/// Behind the suspects lies a value that no converter of ours takes: the trial fails on it when all others have passed,
/// and so says that it is through.
const END: &[u8] = b"end of the suspects";

/// Records that a sink has before it, each partition's in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// In the order of the trial.
    pub(crate) suspects: Vec<Record>,
}

/// A record that the sink does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Poison {
    /// Which of the stretch's.
    pub(crate) index: usize,
    /// Why.
    pub(crate) reason: Reason,
}

/// A topic to lay records out in, which are kept for so long.
pub(crate) fn topic(name: &str, retention_ms: &str) -> Topic {
    let config = [("retention.ms", retention_ms), ("cleanup.policy", "delete"), ("max.message.bytes", "4194304")];
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Topic { name: name.to_owned(), partitions: 1, config }
}

/// The records behind a group's offsets, at most `each` a partition; and whether one of them has more of those, for which
/// there was no room.
///
/// # Errors
/// [`KafkaError`].
pub(crate) fn read(
    brokers: &Brokers,
    group: &str,
    topics: &[String],
    each: usize,
) -> Result<(Stretch, bool), KafkaError> {
    let scanner = Scanner::new(brokers)?;
    let until = Instant::now() + READ_LIMIT;
    let waiting = waiting(&Reader::new(brokers, group)?, topics)?;
    // All partitions get their share, since one task may have failed on any of them.
    let share = each.min(RECORDS / waiting.len().max(1)).max(1);
    let mut stretch = Stretch::default();
    let (mut bytes, mut partial) = (0, false);
    for place in waiting {
        if BYTES <= bytes {
            return Ok((stretch, true));
        }
        let (topic, partition) = &place.spot;
        let (low, _) = scanner.watermarks(topic, *partition)?;
        let mut taken = 0;
        let whole = scanner.read(topic, *partition, place.committed.max(low)..place.end, until, |message| {
            if share <= taken || BYTES <= bytes {
                partial |= taken < each;
                return ControlFlow::Break(());
            }
            let record = Record::of(message);
            bytes += record.bytes();
            stretch.suspects.push(record);
            taken += 1;
            ControlFlow::Continue(())
        })?;
        if !whole {
            return Err(KafkaError::Late { topic: topic.clone(), partition: *partition });
        }
    }
    Ok((stretch, partial))
}

/// Where records wait. A partition with markers of transactions only needs no share.
fn waiting(reader: &Reader, topics: &[String]) -> Result<Vec<Place>, KafkaError> {
    let mut places = reader.places(topics)?;
    places.retain(|place| 0 < place.lag());
    if !places.is_empty() {
        let looked = reader.unread(&places)?;
        places.retain(|place| looked.unread.contains(&place.spot) || looked.unknown.contains(&place.spot));
    }
    Ok(places)
}

/// Writes each suspect so many times, one behind the other, and the end behind them; answers the offset of the first.
///
/// # Errors
/// [`KafkaError`]; also where another healer has taken over.
pub(crate) fn lay_out(sender: &Sender, topic: &str, stretch: &Stretch, copies: usize) -> Result<i64, KafkaError> {
    let suspect = |record: &Record| Outgoing {
        topic: topic.to_owned(),
        partition: 0,
        key: record.key.clone(),
        value: record.value.clone(),
        timestamp_ms: record.timestamp_ms,
        headers: record.headers.clone(),
    };
    let copied = |record| std::iter::repeat_n(suspect(record), copies);
    let mut all: Vec<Outgoing> = stretch.suspects.iter().flat_map(copied).collect();
    let end = Outgoing {
        key: None,
        value: Some(END.to_vec()),
        headers: Headers::new(),
        timestamp_ms: None,
        topic: topic.to_owned(),
        partition: 0,
    };
    // A sink may tell of a record's failure at the next one only. Behind the last that must be no other than itself, or
    // the end's own failure would stand for its reason.
    if copies < 2 {
        all.extend(all.last().cloned());
    }
    all.push(end);
    sender.begin()?;
    let offsets = sender.send_all(&all)?;
    sender.commit()?;
    // One writer, one transaction: they lie side by side.
    offsets.first().copied().ok_or(KafkaError::Cut)
}

/// A trial's place in its topic, seen from outside its group. One client for a whole run: a new one would have to find
/// the group's coordinator first, at each record that fails.
pub(crate) struct Seat {
    consumer: Consumer,
    brokers: Brokers,
    topic: String,
}

impl Seat {
    /// Does not connect yet.
    ///
    /// # Errors
    /// [`KafkaError::Client`] where the client cannot be made.
    pub(crate) fn new(brokers: &Brokers, group: &str, topic: &str) -> Result<Self, KafkaError> {
        Ok(Self { consumer: outsider(brokers, group)?, brokers: brokers.clone(), topic: topic.to_owned() })
    }

    /// Sets where the trial reads on. Kafka takes that only while its task is not there. Where a broker hangs, this has no
    /// end: librdkafka gives it none.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub(crate) fn set(&self, offset: i64) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset)).map_err(|cause| self.failed(cause))?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(|cause| self.failed(cause))
    }

    /// Where the trial will read on.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub(crate) fn position(&self) -> Result<i64, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let committed = self.consumer.committed_offsets(list, ASK_LIMIT).map_err(|cause| self.failed(cause))?;
        committed.elements().first().and_then(|element| element.offset().to_raw()).ok_or(KafkaError::Cut)
    }

    fn failed(&self, cause: rdkafka::error::KafkaError) -> KafkaError {
        client::failed(&self.consumer, &self.brokers, cause)
    }
}

/// Writes the dead letters and moves the sink behind the first `judged` suspects, in a transaction that [`end`] ends; false
/// where there is nothing to be written. Who is killed before the end leaves the transaction to the next holder of the
/// sender's name, or to its time-out.
///
/// # Errors
/// [`KafkaError`], also where another healer has taken over; then the sender is of no use any more, and what may be left
/// open is undone as above. [`KafkaError::Members`] while the sink's tasks are not all gone.
pub(crate) fn open(
    sender: &Sender,
    brokers: &Brokers,
    group: &str,
    letters: &str,
    (stretch, judged): (&Stretch, usize),
    poison: &[Poison],
) -> Result<bool, KafkaError> {
    let suspects = stretch.suspects.get(..judged).unwrap_or(&stretch.suspects);
    let letters: Vec<Outgoing> = poison
        .iter()
        .filter_map(|poison| Some(letter(stretch.suspects.get(poison.index)?, letters, &poison.reason)))
        .collect();
    let mut next: BTreeMap<Spot, i64> = BTreeMap::new();
    for record in suspects {
        let at = next.entry((record.at.topic.clone(), record.at.partition)).or_default();
        *at = (record.at.offset + 1).max(*at);
    }
    if next.is_empty() {
        return Ok(false);
    }
    // Kafka itself takes the offsets all the same.
    nobody(Reader::new(brokers, group)?.members())?;
    let consumer = outsider(brokers, group)?;
    sender.begin()?;
    if let Err(err) = sender.send_all(&letters) {
        // The next holder of the name undoes it as well.
        let _ = sender.abort();
        return Err(err);
    }
    // Where this fails, it may still be under way in the client, and an abort would meet it: left to the next holder.
    sender.offsets(&consumer, &next)?;
    Ok(true)
}

/// That nobody is in a group.
fn nobody(told: Result<BTreeSet<String>, KafkaError>) -> Result<(), KafkaError> {
    match told {
        Ok(members) if members.is_empty() => Ok(()),
        Ok(_) => Err(KafkaError::Members),
        // A broker that knows no such question; then Connect's word for its tasks is all there is.
        Err(KafkaError::Client { cause, .. }) if cause.rdkafka_error_code() == Some(Code::UnsupportedFeature) => Ok(()),
        Err(err) => Err(err),
    }
}

/// Ends what [`open`] began: with all of it, or with nothing.
///
/// # Errors
/// [`KafkaError`]; where all was to be kept, it may be kept all the same.
pub(crate) fn end(sender: &Sender, keeps: bool) -> Result<(), KafkaError> {
    if !keeps {
        return sender.abort();
    }
    let done = sender.commit();
    if done.is_err() {
        let _ = sender.abort();
    }
    done
}

/// In the record's own partition, byte for byte, with Connect's headers behind its own.
fn letter(record: &Record, topic: &str, reason: &Reason) -> Outgoing {
    let at = &record.at;
    let (partition, offset) = (at.partition.to_string(), at.offset.to_string());
    let message = reason.message.clone() + &about_the_frame(record, reason);
    let own = [
        (names::ERROR_TOPIC, at.topic.as_str()),
        (names::ERROR_PARTITION, &partition),
        (names::ERROR_OFFSET, &offset),
        (names::ERROR_STAGE, reason.stage),
        (names::ERROR_CLASS, &reason.class),
        (names::ERROR_MESSAGE, &message),
    ];
    let mut headers = record.headers.clone();
    headers.extend(own.map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))));
    Outgoing {
        topic: topic.to_owned(),
        partition: at.partition,
        key: record.key.clone(),
        value: record.value.clone(),
        timestamp_ms: record.timestamp_ms,
        headers,
    }
}

/// A converter that cannot read a value may say as little as "artifactId cannot be null": the frame says more.
fn about_the_frame(record: &Record, reason: &Reason) -> String {
    match record.value.as_deref().map(framing::split) {
        Some(Ok((id, _))) if reason.stage == VALUE_CONVERTER => format!("; the value names schema id {id}"),
        Some(Err(fault)) if reason.stage == VALUE_CONVERTER => format!("; {fault}"),
        _ => String::new(),
    }
}

/// A client that names a group and is not in it.
fn outsider(brokers: &Brokers, group: &str) -> Result<Consumer, KafkaError> {
    let mut config = client::config(brokers, "connectors-heal");
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.max.ms", "2000")
        // It joins no group, but a commit waits so long for a coordinator, 45 s by default.
        .set("session.timeout.ms", client::SESSION);
    client::consumer(&config, brokers)
}

#[cfg(test)]
mod tests {
    use rdkafka::error::KafkaError as ClientError;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::kafka::record::Address;

    fn record(offset: i64, value: &[u8]) -> Record {
        Record {
            at: Address::new("t", 3, offset),
            timestamp_ms: Some(1_000),
            key: Some(b"k".to_vec()),
            value: Some(value.to_vec()),
            headers: vec![(b"h".to_vec(), Some(b"v".to_vec()))],
        }
    }

    #[test]
    fn a_letter_says_what_the_frame_says_where_the_converter_failed() {
        let letter = |value: &[u8], stage| {
            let record = record(7, value);
            let message = "artifactId cannot be null".to_owned();
            let letter = letter(&record, "dead", &Reason { stage, class: "a.B".to_owned(), message });
            let (_, message) =
                letter.headers.into_iter().find(|(name, _)| name == names::ERROR_MESSAGE.as_bytes()).unwrap();
            String::from_utf8(message.unwrap()).unwrap()
        };
        let framed = [&framing::header(999_999)[..], b"datum"].concat();
        assert_eq!(letter(&framed, VALUE_CONVERTER), "artifactId cannot be null; the value names schema id 999999");
        assert!(letter(b"no frame", VALUE_CONVERTER).contains("; value begins with byte 0x6e"));
        assert_eq!(letter(&framed, "TASK_PUT"), "artifactId cannot be null");
    }

    /// Kafka's mock has no list of groups, so what it would say is given here.
    #[test]
    fn offsets_are_moved_only_where_nobody_is_in_the_group() {
        let failed = |code| KafkaError::Client { servers: "k".to_owned(), cause: ClientError::GroupListFetch(code) };
        assert!(nobody(Ok(BTreeSet::new())).is_ok());
        assert!(matches!(nobody(Ok(BTreeSet::from(["task-0".to_owned()]))), Err(KafkaError::Members)));
        assert!(nobody(Err(failed(Code::UnsupportedFeature))).is_ok());
        assert!(nobody(Err(failed(Code::OperationTimedOut))).is_err(), "nothing is known then");
    }

    #[test]
    fn the_last_record_lies_there_twice_and_the_end_behind_it() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("copies", 1, 1).unwrap();
        let servers = Brokers::from(cluster.bootstrap_servers());
        let stretch = Stretch { suspects: vec![record(7, b"first"), record(9, b"last")] };
        let base = lay_out(&Sender::new(&servers, "s").unwrap(), "copies", &stretch, 1).unwrap();
        let (mut laid, until) = (Vec::new(), Instant::now() + READ_LIMIT);
        let scanner = Scanner::of_everything(&servers).unwrap();
        let all = scanner.read("copies", 0, 0..4, until, |message| {
            laid.push(Record::of(message));
            ControlFlow::Continue(())
        });
        assert!(all.unwrap(), "four lie there");
        let values: Vec<_> = laid.iter().map(|record| record.value.as_deref().unwrap()).collect();
        assert_eq!((base, values), (0, vec![&b"first"[..], b"last", b"last", END]));
        assert_eq!((&laid[0].key, &laid[0].headers), (&stretch.suspects[0].key, &stretch.suspects[0].headers));
    }

    #[test]
    fn behind_each_copied_suspect_lies_itself() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("copies", 1, 1).unwrap();
        let servers = Brokers::from(cluster.bootstrap_servers());
        let stretch = Stretch { suspects: vec![record(7, b"first"), record(9, b"last")] };
        lay_out(&Sender::new(&servers, "s").unwrap(), "copies", &stretch, 2).unwrap();
        let (mut laid, until) = (Vec::new(), Instant::now() + READ_LIMIT);
        let scanner = Scanner::of_everything(&servers).unwrap();
        let all = scanner.read("copies", 0, 0..5, until, |message| {
            laid.push(Record::of(message).value.unwrap());
            ControlFlow::Continue(())
        });
        assert!(all.unwrap(), "five lie there");
        assert_eq!(laid, [&b"first"[..], b"first", b"last", b"last", END]);
    }

    #[test]
    fn poison_is_a_dead_letter_in_its_own_partition_byte_for_byte() {
        // The offsets are not looked at: the mock cluster drops those of a transaction.
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 4, 1).unwrap();
        cluster.create_topic("letters", 4, 1).unwrap();
        let servers = Brokers::from(cluster.bootstrap_servers());
        let suspects =
            [(7, "good"), (9, "poison"), (10, "not judged")].map(|(offset, value)| record(offset, value.as_bytes()));
        let stretch = Stretch { suspects: suspects.into() };
        let reason = Reason { stage: "TASK_PUT", class: "a.B".to_owned(), message: "no".to_owned() };
        let poison = [Poison { index: 1, reason }];
        let sender = Sender::new(&servers, "s").unwrap();
        assert!(open(&sender, &servers, "connect-s", "letters", (&stretch, 2), &poison).unwrap());
        end(&sender, true).unwrap();

        let at = Address::new("letters", 3, 0);
        let letter = Scanner::of_everything(&servers).unwrap().one(&at).unwrap().unwrap();
        let header = |name: &str| letter.header(name).map(str::to_owned);
        let said =
            [names::ERROR_TOPIC, names::ERROR_PARTITION, names::ERROR_OFFSET, names::ERROR_STAGE, "h"].map(header);
        assert_eq!(said, ["t", "3", "9", "TASK_PUT", "v"].map(|text| Some(text.to_owned())));
        let poisoned = &stretch.suspects[1];
        assert_eq!((&letter.key, &letter.value, letter.timestamp_ms), (&poisoned.key, &poisoned.value, Some(1_000)));
    }

    #[test]
    fn the_suspects_are_what_the_sink_reads_next_and_no_more_than_it_takes_at_once() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let servers = Brokers::from(cluster.bootstrap_servers());
        let all = Stretch { suspects: (0..4).map(|offset| record(offset, b"v")).collect() };
        lay_out(&Sender::new(&servers, "s").unwrap(), "t", &all, 1).unwrap();
        Seat::new(&servers, "connect-s", "t").unwrap().set(1).unwrap();
        let offsets = |each| -> (Vec<i64>, bool) {
            let (stretch, partial) = read(&servers, "connect-s", &["t".to_owned()], each).unwrap();
            (stretch.suspects.iter().map(|record| record.at.offset).collect(), partial)
        };
        assert_eq!(offsets(2), (vec![1, 2], false), "the sink takes no more at once");
        assert_eq!(offsets(500), (vec![1, 2, 3, 4, 5], false), "to the end");
    }

    #[test]
    fn what_a_share_leaves_out_is_told() {
        let cluster = MockCluster::new(1).unwrap();
        let servers = Brokers::from(cluster.bootstrap_servers());
        cluster.create_topic("t", 3, 1).unwrap();
        // Two of the three wait, so each gets half of the room.
        let sender = Sender::new(&servers, "s").unwrap();
        let outgoing = |partition| Outgoing {
            topic: "t".to_owned(),
            partition,
            key: None,
            value: Some(b"v".to_vec()),
            timestamp_ms: None,
            headers: Headers::new(),
        };
        let all: Vec<Outgoing> = (0..RECORDS / 2 + 1).map(|_| outgoing(0)).chain((0..3).map(|_| outgoing(1))).collect();
        sender.begin().unwrap();
        sender.send_all(&all).unwrap();
        sender.commit().unwrap();
        let read = |each| {
            let (stretch, partial) = read(&servers, "connect-s", &["t".to_owned()], each).unwrap();
            (stretch.suspects.len(), partial)
        };
        assert_eq!(read(RECORDS / 2), (RECORDS / 2 + 3, false), "what a poll brings is there");
        assert_eq!(read(RECORDS), (RECORDS / 2 + 3, true), "a poll brings one more");
    }
}
