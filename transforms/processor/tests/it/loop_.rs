//! Every record once, whatever the broker answers; and fast.

use std::fmt;
use std::sync::{Arc, Mutex};

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use transforms::status::State;
use transforms::work::Work;

use crate::harness::{Copy, INPUT, Make, Mock, PATIENCE, Running};

fn once(count: u64) -> std::collections::BTreeMap<u64, usize> {
    (0..count).map(|number| (number, 1)).collect()
}

#[test]
fn every_record_comes_out_once() {
    let mock = Mock::start();
    mock.write(0..1_000);
    let slot = Running::copying(&mock, "a");
    assert_eq!(mock.read(1_000), once(1_000));
    mock.write(1_000..1_010);
    assert_eq!(mock.read(1_010), once(1_010));
    assert_eq!(slot.metric("transforms_records_in_total"), 1_010.0);
    assert_eq!(slot.status.report().assigned.len(), 4);
}

/// What the loop must do about an error that the broker answers a call with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    /// The client asks again by itself.
    Nothing,
    Abort,
    Rebuild,
}

/// The mock broker stores no offsets of transactions and shows aborted records, so a record may be seen twice here once
/// a transaction was given up; that none is doubled is asserted against the real broker. None may be lost.
#[test]
fn injected_faults_are_dealt_with_as_the_table_says_and_lose_nothing() {
    use RDKafkaApiKey as Api;
    use RDKafkaRespErr as Error;
    let mock = Mock::start();
    let mut written = 50;
    mock.write(0..written);
    let slot = Running::copying(&mock, "a");
    assert_eq!(mock.read(50), once(50), "before the faults");
    for (name, api, errors, expected) in [
        ("coordinator loads", Api::EndTxn, &[Error::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS][..], Does::Nothing),
        ("not the coordinator", Api::EndTxn, &[Error::RD_KAFKA_RESP_ERR_NOT_COORDINATOR][..], Does::Nothing),
        ("busy", Api::AddPartitionsToTxn, &[Error::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS][..], Does::Nothing),
        ("stale generation", Api::TxnOffsetCommit, &[Error::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION][..], Does::Abort),
        ("unknown member", Api::TxnOffsetCommit, &[Error::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID][..], Does::Abort),
        ("too large", Api::Produce, &[Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE][..], Does::Abort),
        // As often as librdkafka asks again until its time is up, and some more.
        ("offsets time out", Api::TxnOffsetCommit, &[Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 20], Does::Rebuild),
        ("invalid state", Api::EndTxn, &[Error::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE][..], Does::Rebuild),
    ] {
        let before = did(&slot);
        // Paused meanwhile, so that the error meets the slot and not the test's own producer.
        slot.control.pause(true);
        slot.until("the pause", |status| status.report().state == State::Paused);
        mock.write(written..written + 50);
        written += 50;
        mock.cluster.request_errors(api, errors);
        slot.control.pause(false);
        if expected != Does::Nothing {
            // What an aborted transaction wrote is seen in the mock, so the output does not tell that it is over.
            slot.until(name, |_| did(&slot) != before);
            mock.cluster.clear_request_errors(api);
        }
        let seen = mock.read(usize::try_from(written).unwrap());
        assert_eq!(
            seen.keys().copied().collect::<Vec<_>>(),
            (0..written).collect::<Vec<_>>(),
            "{name}: {:?}",
            slot.status.report()
        );
        let after = did(&slot);
        let does = match (before.0 < after.0, before.1 < after.1) {
            (false, false) => Does::Nothing,
            (true, false) => Does::Abort,
            (_, true) => Does::Rebuild,
        };
        assert_eq!(does, expected, "{name}: aborts and rebuilds were {before:?}, are {after:?}");
        if does == Does::Nothing {
            assert!(seen.range(written - 50..).all(|(_, times)| *times == 1), "{name}: {seen:?}");
        }
    }
}

/// The mock refuses whole requests, so it refuses as often as the search needs: five times the whole, then 8, 4, 2 and 1
/// records. All records have one key, and so are one request.
#[test]
fn a_record_that_the_broker_refuses_is_found_and_diverted_and_the_slot_says_so_meanwhile() {
    let mock = Mock::start();
    let slot = Running::copying(&mock, "a");
    slot.until("the assignment", |status| status.report().assigned.len() == 4);
    slot.control.pause(true);
    slot.until("the pause", |status| status.report().state == State::Paused);
    mock.write_under("k", 0..16);
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD; 9]);
    slot.control.pause(false);
    slot.until("the word", |status| {
        let report = status.report();
        report.state == State::Restarting && report.trace.is_some_and(|trace| trace.contains("out refuses a record"))
    });
    slot.until("the dead letter", |_| slot.metric("transforms_dead_letters_total") > 0.0);
    slot.until("the end", |_| slot.metric("transforms_records_in_total") >= 16.0);
    assert_eq!(slot.metric("transforms_dead_letters_total"), 1.0, "one record was to blame, and no other");
    assert_eq!(slot.metric("transforms_records_out_total"), 15.0);
    let report = slot.status.report();
    assert_eq!((report.state, report.trace, report.rebuilds), (State::Running, None, 0));
}

/// How many transactions the slot gave up, and how often it made new clients.
fn did(slot: &Running) -> (f64, f64) {
    (slot.metric("transforms_transactions_aborted_total"), slot.metric("transforms_rebuilds_total"))
}

/// The crate's own commit takes 100 ms; ours must not come near.
#[test]
fn a_commit_takes_milliseconds() {
    let mock = Mock::start();
    let slot = Running::copying(&mock, "a");
    for round in 0..60_u32 {
        mock.write(u64::from(round) * 10..u64::from(round) * 10 + 10);
        slot.until("the commit", |_| slot.metric("transforms_records_in_total") >= f64::from(round + 1) * 10.0);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &slot.registry).unwrap();
    let buckets: Vec<(f64, f64)> = text
        .lines()
        .filter(|line| line.starts_with("transforms_commit_seconds_bucket"))
        .map(|line| {
            let le = line.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
            (le.parse().unwrap_or(f64::INFINITY), line.rsplit(' ').next().unwrap().parse().unwrap())
        })
        .collect();
    let total = buckets.last().unwrap().1;
    let p50 = buckets.iter().find(|(_, count)| *count * 2.0 >= total).unwrap().0;
    assert!(total >= 30.0, "only {total} commits");
    assert!(p50 <= 0.02, "commit p50 is at most {p50} s of {total} commits, the limit is 0.02 s");
}

/// Keeps what is said of traces.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        if line.0.contains("trace.parent") {
            self.0.lock().unwrap().push(line.0);
        }
    }
}

#[test]
fn a_record_that_carries_a_trace_is_told_when_it_is_committed() {
    let (mock, ear) = (Mock::start(), Ear::default());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", &mock.brokers).create().unwrap();
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(trace) });
    let record = BaseRecord::to(INPUT).key("7").payload("7").partition(2).headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    // With one subscriber only, what another test's thread says first is held to interest nobody (`tracing_core::callsite`).
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let heard = ear.clone();
    let copying = Arc::new(Make(|| -> Box<dyn Work> { Box::new(Copy) }));
    let slot = Running::start_in(&mock, "a", copying, |slot| tracing::subscriber::with_default(heard, || slot.run()));
    slot.until("the commit", |_| slot.metric("transforms_records_in_total") >= 1.0);
    let lines = ear.0.lock().unwrap().clone();
    let [read, written] = &lines[..] else { panic!("{lines:?}") };
    for part in [trace, "record is committed", "kafka.topic=\"in\"", "kafka.partition=2", "kafka.offset=0"] {
        assert!(read.contains(part), "{part} is not in {read}");
    }
    for part in [trace, "record is written", "kafka.topic=\"out\""] {
        assert!(written.contains(part), "{part} is not in {written}");
    }
}
