use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::publish::witness::Witness;

fn known() -> (Arc<Broker>, Witness) {
    let broker = Arc::new(Broker::new());
    let witness = Witness::new(&broker);
    (broker, witness)
}

#[test]
fn evidence_changes_what_is_known_both_ways() {
    let (broker, kafka) = known();
    let admits = || broker.admits().map_err(|away| away.to_string());
    assert!(admits().is_err(), "nothing is known yet");
    kafka.lost("refused");
    assert_eq!(admits(), Err("refused".to_owned()), "no grace before the first evidence");
    kafka.seen();
    assert_eq!((admits(), broker.is_up()), (Ok(()), Ok(())));
    kafka.lost("reset");
    assert_eq!(admits(), Ok(()), "a short outage is waited for");
    assert_eq!(broker.is_up(), Err("reset".to_owned()));
    if let Now::Down { since, .. } = &mut broker.lock().now {
        *since -= GRACE;
    }
    assert_eq!(admits(), Err("reset".to_owned()));
    kafka.lost("refused");
    assert_eq!(admits(), Err("refused".to_owned()), "a second error does not start the grace anew");
    kafka.seen();
    assert_eq!(admits(), Ok(()));
}

#[test]
fn what_a_broker_says_against_us_explains_that_none_is_there() {
    let (broker, kafka) = known();
    kafka.refused("it does not know the password");
    kafka.lost("no broker can be reached");
    assert_eq!(broker.is_up(), Err("it does not know the password".to_owned()));
    kafka.seen();
    kafka.refused("it does not know the password");
    assert_eq!(broker.is_up(), Ok(()), "others do");
    kafka.seen();
    kafka.lost("no broker can be reached");
    assert_eq!(broker.is_up(), Err("no broker can be reached".to_owned()), "it took us since");
    kafka.refused("it does not know the password");
    broker.lock().cause.as_mut().unwrap().0 -= CAUSE_HOLDS;
    kafka.lost("no broker can be reached");
    assert_eq!(broker.is_up(), Err("no broker can be reached".to_owned()), "long ago");
}

#[test]
fn whether_we_may_write_is_unknown_at_first_and_after_each_refusal() {
    let (broker, kafka) = known();
    assert!(broker.is_permission_unknown());
    kafka.permitted();
    assert!(!broker.is_permission_unknown());
    kafka.lose_topic("not allowed");
    assert!(broker.is_permission_unknown() && broker.is_up().is_err());
    assert!(kafka.found_topic(), "it was handed nothing");
    kafka.stored();
    assert!(!broker.is_permission_unknown() && broker.is_up().is_ok());
    kafka.forgotten("broke");
    assert!(broker.is_permission_unknown());
}

#[test]
fn a_topic_that_was_lost_is_lost_until_the_producer_is_another_whatever_the_old_one_reports() {
    let (broker, kafka) = known();
    kafka.seen();
    kafka.lose_topic("not allowed");
    kafka.used();
    kafka.stored();
    assert_eq!(
        broker.admits().map_err(|away| away.reason),
        Err("not allowed".to_owned()),
        "no grace, and no report of the old one counts"
    );
    assert!(!kafka.found_topic(), "it is not shown to this one again");
    let fresh = Witness::new(&broker);
    fresh.begin();
    assert!(broker.admits().is_err(), "the new one has shown nothing yet");
    assert!(fresh.found_topic());
    assert_eq!(broker.admits(), Ok(()));
}

#[test]
fn a_slow_answer_counts_only_after_a_long_silence() {
    let (broker, kafka) = known();
    kafka.silent("slow");
    assert_eq!(broker.is_up(), Err("slow".to_owned()), "nothing was ever heard");
    kafka.seen();
    kafka.silent("slow");
    assert_eq!(broker.is_up(), Ok(()), "heard a moment ago");
    broker.lock().seen = Instant::now().checked_sub(SILENCE + Duration::from_millis(1));
    kafka.silent("slow");
    assert_eq!(broker.is_up(), Err("slow".to_owned()));
    kafka.stored();
    assert_eq!((broker.is_up(), broker.take_stored(), broker.take_stored()), (Ok(()), true, false));
}

#[test]
fn the_log_has_one_change_a_second_and_ends_with_what_holds() {
    let (broker, kafka) = known();
    kafka.seen();
    for _ in 0..100 {
        kafka.lost("flapping");
        assert!(broker.lock().told.up, "told a moment ago");
        kafka.seen();
    }
    kafka.lost("away");
    broker.lock().told.at = Instant::now().checked_sub(TELL);
    broker.tell();
    assert!(!broker.lock().told.up);
}

/// Counts the lines of the log, and those that are written while no order can be let in.
struct Log(Arc<Broker>, [Arc<AtomicUsize>; 2]);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.1[usize::from(self.0.state.try_lock().is_err())].fetch_add(1, Ordering::Relaxed);
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_log_that_nobody_reads_keeps_no_order_waiting() {
    let (broker, kafka) = known();
    let lines: [Arc<AtomicUsize>; 2] = Default::default();
    tracing::subscriber::with_default(Log(Arc::clone(&broker), lines.clone()), || {
        kafka.seen();
        kafka.refused("it does not know the password");
        kafka.lost("away");
        broker.lock().told.at = Instant::now().checked_sub(TELL);
        broker.tell();
    });
    assert_eq!(lines.map(|lines| lines.load(Ordering::Relaxed)), [3, 0]);
}

#[test]
fn a_broker_that_is_there_and_stores_nothing_lets_tries_in_until_one_is_stored() {
    let (broker, kafka) = known();
    kafka.seen();
    kafka.given_up(Instant::now());
    assert_eq!(broker.is_up(), Err(stuck::REASON.to_owned()));
    assert_eq!(broker.lets_in().map_err(|away| away.to_string()), Err(stuck::REASON.to_owned()));
    kafka.seen();
    assert!(broker.admits().is_err(), "that it shows the topic says nothing of its disk");
    broker.lock().stuck.wait_for_try();
    assert_eq!((broker.admits(), broker.lets_in()), (Ok(()), Ok(())));
    assert!(broker.admits().is_err(), "one at a time");
    kafka.stored();
    assert_eq!((broker.admits(), broker.is_up()), (Ok(()), Ok(())));
    kafka.given_up(Instant::now());
    kafka.lost("away");
    kafka.seen();
    assert_eq!((broker.admits(), broker.is_up()), (Ok(()), Ok(())), "it was away, which explains it");
}
