//! Two members of one group with each way to share partitions, and two processes with one identity.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use transforms::kafka::client::Protocol;
use transforms::status::State;

use crate::harness::{Mock, Running};

/// A slot, joined by a second one that ends again; every record must come out. The mock stores no offsets of
/// transactions, so a partition that moves is read from its first offset again: what came twice, moved.
fn two_members(protocol: Protocol) -> BTreeMap<u64, usize> {
    let mock = Mock { protocol, ..Mock::start() };
    let stays = Running::copying(&mock, "a");
    stays.until("the assignment", |status| status.report().assigned.len() == 4);
    mock.write(0..100);
    let first = mock.read(100);
    assert!(first.into_iter().eq((0..100).map(|number| (number, 1))), "each once while nothing moves");
    let comes = Running::copying(&mock, "b");
    comes.until("its half", |status| status.report().assigned.len() == 2);
    stays.until("its half", |status| status.report().assigned.len() == 2);
    mock.write(100..200);
    let seen = mock.read(200);
    assert!(seen.keys().copied().eq(0..200), "{protocol:?}: {:?}, {:?}", stays.status.report(), comes.status.report());
    let reports = (stays.status.report(), comes.status.report());
    assert!(reports.0.assigned.iter().all(|place| !reports.1.assigned.contains(place)), "{reports:?}");
    assert_eq!((reports.0.rebuilds, reports.1.rebuilds), (0, 0), "{reports:?}");
    drop(comes);
    stays.until("all partitions", |status| status.report().assigned.len() == 4);
    mock.write(200..300);
    let seen = mock.read(300);
    assert!(seen.keys().copied().eq(0..300), "{protocol:?}: {:?}", stays.status.report());
    seen
}

/// KIP-848: the broker says who reads what.
#[test]
fn two_members_share_as_the_broker_says_and_what_does_not_move_is_not_read_again() {
    let seen = two_members(Protocol::Consumer);
    let once = (0..100).filter(|number| seen[number] == 1).count();
    assert!(once > 0, "every partition was read again, as if all had moved");
}

#[test]
fn two_members_share_by_range() {
    two_members(Protocol::Range);
}

#[test]
fn two_members_share_cooperatively_and_what_does_not_move_is_not_read_again() {
    let seen = two_members(Protocol::CooperativeSticky);
    let once = (0..100).filter(|number| seen[number] == 1).count();
    assert!(once > 0, "every partition was read again, as if all had moved");
}

/// The mock gives an identity to everybody, so the broker's answer to the one that lost it is made here.
#[test]
fn a_slot_whose_transactional_id_is_stolen_stands_by() {
    let mock = Mock::start();
    let slot = Running::copying(&mock, "a");
    mock.write(0..10);
    assert_eq!(mock.read(10).len(), 10);
    slot.until("the count", |_| slot.metric("transforms_records_in_total") >= 10.0);
    slot.control.pause(true);
    slot.until("the pause", |status| status.report().state == State::Paused);
    mock.write(10..20);
    mock.cluster.request_errors(RDKafkaApiKey::EndTxn, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED]);
    slot.control.pause(false);
    slot.until("the word", |status| status.report().state == State::Restarting);
    std::thread::sleep(Duration::from_secs(1));
    let report = slot.status.report();
    assert_eq!((report.state, report.rebuilds), (State::Restarting, 1), "it does not fight: {report:?}");
    assert!(slot.metric("transforms_records_in_total") < 20.0, "not all is committed by who was fenced");
}
