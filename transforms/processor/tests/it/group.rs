//! Several slots of one group, and what an operator tells a slot: whatever happens, every partition flows afterwards.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use transforms::control::Control;
use transforms::kafka::{Input, Outgoing};
use transforms::status::State;
use transforms::work::{Factory, Hold, NoWork, Tally, Work};

use crate::harness::{Copy, Make, Mock, Running};

fn numbers(count: u64) -> Vec<u64> {
    (0..count).collect()
}

/// librdkafka keeps a partition paused over a rebalance, and nothing says so: the slot looked as if it ran.
#[test]
fn a_partition_that_went_away_paused_flows_when_it_comes_back() {
    let mock = Mock::start();
    let stays = Running::copying(&mock, "a");
    stays.until("the assignment", |status| status.report().assigned.len() == 4);
    stays.control.pause(true);
    stays.until("the pause", |status| status.report().state == State::Paused);
    let leaves = Running::copying(&mock, "b");
    leaves.until("its half", |status| status.report().assigned.len() == 2);
    stays.until("its half", |status| status.report().assigned.len() == 2);
    stays.control.pause(false);
    stays.until("the end of the pause", |status| status.report().state == State::Running);
    drop(leaves);
    stays.until("all partitions", |status| status.report().assigned.len() == 4);
    mock.write(0..200);
    assert_eq!(mock.read(200).into_keys().collect::<Vec<_>>(), numbers(200), "{:?}", stays.status.report());
}

/// Copies at most so many records at a time, and none while it is told to hold.
struct Halting {
    hold: Arc<AtomicBool>,
    most: usize,
}

impl Work for Halting {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        if self.hold.load(Ordering::SeqCst) {
            return Err(Hold::Wait { reason: "told to".to_owned(), pause: Duration::from_millis(50) });
        }
        Copy.apply(batch.get(..self.most).unwrap_or(batch), out)
    }

    fn divert(&mut self, input: &Input, reason: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        Copy.divert(input, reason, out)
    }
}

fn halting(mock: &Mock, most: usize) -> (Arc<AtomicBool>, Running) {
    let hold = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&hold);
    let make = move || -> Box<dyn Work> { Box::new(Halting { hold: Arc::clone(&told), most }) };
    (hold, Running::start(mock, "a", Arc::new(Make(make))))
}

#[test]
fn a_held_batch_is_named_and_comes_once_when_it_may() {
    let mock = Mock::start();
    let (hold, slot) = halting(&mock, usize::MAX);
    hold.store(true, Ordering::SeqCst);
    mock.write(0..100);
    slot.until("the hold", |status| status.report().held.as_deref() == Some("told to") && status.check().is_err());
    // Another slot takes half of the partitions meanwhile, and gives them back.
    let other = Running::copying(&mock, "b");
    slot.until("its half", |status| status.report().assigned.len() == 2);
    hold.store(false, Ordering::SeqCst);
    assert_eq!(mock.read(100).into_keys().collect::<Vec<_>>(), numbers(100), "{:?}", slot.status.report());
    drop(other);
    slot.until("all partitions", |status| status.report().assigned.len() == 4);
    mock.write(100..200);
    assert_eq!(mock.read(200).into_keys().collect::<Vec<_>>(), numbers(200), "{:?}", slot.status.report());
    assert_eq!(slot.status.report().held, None);
}

#[test]
fn a_batch_that_is_done_in_parts_comes_out_once() {
    let mock = Mock::start();
    mock.write(0..100);
    let (_, slot) = halting(&mock, 7);
    assert!(mock.read(100).into_iter().eq((0..100).map(|number| (number, 1))), "each once");
    assert!(slot.metric("transforms_transactions_total") >= 15.0, "in parts of 7");
}

/// What a work tells its own slot, and what the slot still gives to it.
#[derive(Default)]
struct Word {
    control: OnceLock<Arc<Control>>,
    said: AtomicBool,
    /// How often it was asked for work after that.
    late: AtomicUsize,
}

/// Copies one record at a time, and speaks when it has the first one of a batch with more in it.
struct Speaking {
    word: Arc<Word>,
    say: fn(&Control),
}

impl Work for Speaking {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        if self.word.said.load(Ordering::SeqCst) {
            self.word.late.fetch_add(1, Ordering::SeqCst);
        } else if batch.len() > 1 {
            (self.say)(self.word.control.get().unwrap());
            self.word.said.store(true, Ordering::SeqCst);
        }
        Copy.apply(batch.get(..1).unwrap_or(batch), out)
    }

    fn divert(&mut self, input: &Input, reason: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        Copy.divert(input, reason, out)
    }
}

/// A slot that is told something in the middle of a batch.
fn told(mock: &Mock, say: fn(&Control)) -> (Arc<Word>, Running) {
    let word = Arc::new(Word::default());
    let made = Arc::clone(&word);
    let make = move || -> Box<dyn Work> { Box::new(Speaking { word: Arc::clone(&made), say }) };
    let slot = Running::start(mock, "a", Arc::new(Make(make)));
    assert!(word.control.set(Arc::clone(&slot.control)).is_ok(), "once");
    mock.write_under("k", 0..100);
    slot.until("the word", |_| word.said.load(Ordering::SeqCst));
    (word, slot)
}

#[test]
fn a_slot_that_is_told_to_stop_ends_after_its_transaction_and_not_after_its_batch() {
    let mock = Mock::start();
    let (word, slot) = told(&mock, Control::stop);
    drop(slot);
    assert_eq!(word.late.load(Ordering::SeqCst), 0, "the rest of the batch");
}

#[test]
fn a_slot_that_is_told_to_change_does_it_after_its_transaction_and_loses_nothing_of_its_batch() {
    let mock = Mock::start();
    let copy = |control: &Control| {
        let copying = Arc::new(Make(|| -> Box<dyn Work> { Box::new(Copy) }));
        control.assign(copying, Vec::new());
    };
    let (word, slot) = told(&mock, copy);
    assert!(mock.read(100).into_iter().eq((0..100).map(|number| (number, 1))), "{:?}", slot.status.report());
    assert_eq!(word.late.load(Ordering::SeqCst), 0, "the rest of the batch");
}

/// Copies, and would begin a transaction every ten seconds only; counts its batches.
struct Patient(Arc<AtomicUsize>);

impl Work for Patient {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Copy.apply(batch, out)
    }

    fn commit_interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn divert(&mut self, input: &Input, reason: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        Copy.divert(input, reason, out)
    }
}

#[test]
fn a_change_does_not_wait_for_the_interval_and_has_the_batch_that_did() {
    let mock = Mock::start();
    let batches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&batches);
    let make = move || -> Box<dyn Work> { Box::new(Patient(Arc::clone(&counted))) };
    let slot = Running::start(&mock, "a", Arc::new(Make(make)));
    mock.write_under("k", 0..1);
    assert_eq!(mock.read(1).len(), 1);
    let begun = Instant::now();
    mock.write_under("k", 1..100);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(batches.load(Ordering::SeqCst), 1, "the others wait");
    slot.control.assign(Arc::new(Make(|| -> Box<dyn Work> { Box::new(Copy) })), Vec::new());
    assert!(mock.read(100).into_iter().eq((0..100).map(|number| (number, 1))), "{:?}", slot.status.report());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(batches.load(Ordering::SeqCst), 1, "what waited is the new work's");
}

#[test]
fn a_slot_that_is_told_to_pause_does_it_after_its_transaction_and_loses_nothing_of_its_batch() {
    let mock = Mock::start();
    let (word, slot) = told(&mock, |control| control.pause(true));
    slot.until("the pause", |status| status.report().state == State::Paused);
    assert_eq!(word.late.load(Ordering::SeqCst), 0, "the rest of the batch");
    slot.control.pause(false);
    assert!(mock.read(100).into_iter().eq((0..100).map(|number| (number, 1))), "{:?}", slot.status.report());
}

#[test]
fn a_gap_stops_its_partition_alone_until_it_is_accepted() {
    let mock = Mock::start();
    mock.write(0..100);
    mock.commit("copy", 2, 1_000);
    let slot = Running::copying(&mock, "a");
    slot.until("the gap", |status| !status.report().gaps.is_empty());
    let report = slot.status.report();
    let gap = report.gaps[0].clone();
    assert_eq!((report.gaps.len(), report.assigned.len(), gap.place.partition, gap.committed), (1, 3, 2, 1_000));
    assert!(slot.status.check().unwrap_err().contains("offsets/accept"));
    let there = usize::try_from(gap.log.1).unwrap();
    assert_eq!(mock.read(100 - there).len(), 100 - there, "the other partitions flow");
    slot.control.accept_gaps(vec![gap]);
    slot.until("the partition", |status| status.report().assigned.len() == 4);
    slot.until("health", |status| status.check().is_ok());
}

#[test]
fn who_lost_its_identity_stands_by_and_says_so() {
    let mock = Mock::start();
    let slot = Running::copying(&mock, "a");
    slot.until("the assignment", |status| status.report().assigned.len() == 4);
    let fenced = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID];
    mock.cluster.request_errors(RDKafkaApiKey::Heartbeat, &fenced);
    slot.until("the word", |status| status.report().state == State::Restarting);
    // Not tried again at once, or two processes would take the identity from each other for ever.
    std::thread::sleep(Duration::from_secs(1));
    let report = slot.status.report();
    assert_eq!((report.state, report.rebuilds), (State::Restarting, 1), "{report:?}");
}

#[test]
fn a_panic_is_shown_and_the_work_is_tried_again() {
    struct Panics;
    impl Work for Panics {
        fn apply(&mut self, _: &[Input], _: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
            panic!("the work broke");
        }
        fn divert(&mut self, _: &Input, _: &str, _: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
            panic!("not asked for");
        }
    }
    let mock = Mock::start();
    let broken = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&broken);
    let make = move || -> Box<dyn Work> { if told.load(Ordering::SeqCst) { Box::new(Panics) } else { Box::new(Copy) } };
    let slot = Running::start(&mock, "a", Arc::new(Make(make)));
    mock.write(0..10);
    slot.until("the word", |status| {
        let report = status.report();
        report.state == State::Restarting && report.trace.is_some_and(|trace| trace.contains("the work broke"))
    });
    broken.store(false, Ordering::SeqCst);
    assert!(mock.read(10).into_iter().eq((0..10).map(|number| (number, 1))), "{:?}", slot.status.report());
    slot.until("health", |status| status.check().is_ok());
}

#[test]
fn work_that_cannot_be_made_now_is_made_later() {
    struct Later(AtomicBool);
    impl Factory for Later {
        fn make(&self) -> Result<Box<dyn Work>, NoWork> {
            if self.0.swap(true, Ordering::SeqCst) {
                return Ok(Box::new(Copy));
            }
            Err(NoWork::Again("clean cannot be started: it ran out of time".to_owned()))
        }
    }
    let mock = Mock::start();
    let slot = Running::start(&mock, "a", Arc::new(Later(AtomicBool::new(false))));
    mock.write(0..10);
    assert!(mock.read(10).into_iter().eq((0..10).map(|number| (number, 1))), "{:?}", slot.status.report());
    assert_eq!(slot.status.report().rebuilds, 1);
}
