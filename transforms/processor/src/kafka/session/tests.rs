//! A session over clients that have what the test gives them, in the test's own time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::*;
use crate::control::Control;
use crate::kafka::Cluster;

fn input(partition: i32, offset: i64) -> Input {
    let topic = Arc::from("t");
    Input { topic, partition, offset, timestamp_ms: None, key: None, value: None, headers: Vec::new() }
}

fn place(partition: i32) -> Place {
    Place { topic: Arc::from("t"), partition }
}

/// A cluster whose time goes on only when somebody waits.
#[derive(Clone)]
struct Told {
    begun: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    gone: Duration,
    /// Each when it comes.
    records: VecDeque<(Duration, Input)>,
    /// For how long each poll was ready to wait.
    polls: Vec<u128>,
    /// Whether the broker settles no identity.
    unsettled: bool,
}

impl Told {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Clock for Told {
    fn now(&self) -> Instant {
        self.begun + self.state().gone
    }
    fn sleep(&self, time: Duration) {
        self.state().gone += time;
    }
    fn wait(&self, _: &Control, time: Duration) {
        self.sleep(time);
    }
}

impl Kafka for Told {
    fn open(&self, _: &Identity, _: &[String], _: Arc<Rebalances>) -> Result<Box<dyn Clients>, Fault> {
        Ok(Box::new(self.clone()))
    }
    fn members(&self, _: &Identity) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }
    fn beside(&self, _: Box<dyn FnOnce() + Send>) {}
}

impl Clients for Told {
    fn poll(&self, timeout: Duration) -> Option<Result<Input, Fault>> {
        let mut state = self.state();
        state.polls.push(timeout.as_millis());
        let over = state.gone + timeout;
        let record = state.records.pop_front_if(|(at, _)| *at <= over);
        state.gone = record.as_ref().map_or(over, |(at, _)| state.gone.max(*at));
        record.map(|(_, input)| Ok(input))
    }
    fn init_transactions(&self, timeout: Duration) -> Result<(), Fault> {
        let mut state = self.state();
        if state.unsettled {
            state.gone += timeout;
            return Err(Fault::found(Call::Init, Signal::Retriable, "busy"));
        }
        Ok(())
    }
    fn assignment_lost(&self) -> bool {
        false
    }
    fn begin_transaction(&self) -> Result<(), Fault> {
        Ok(())
    }
    fn produce(&self, _: &Outgoing) -> Result<(), Fault> {
        Ok(())
    }
    fn send_offsets(&self, _: &Offsets, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
    fn commit_transaction(&self, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
    fn abort_transaction(&self, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
    fn refusal(&self) -> Option<Refusal> {
        None
    }
    fn seek(&self, _: &Offsets, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
    fn pause(&self, _: bool) -> Result<(), Fault> {
        Ok(())
    }
    fn member_id(&self) -> Option<String> {
        None
    }
    fn close(self: Box<Self>) -> bool {
        true
    }
}

/// A session that has one partition.
fn begin() -> (Told, Session) {
    let told = Told { begun: Instant::now(), state: Arc::default() };
    let kafka: Arc<dyn Kafka> = Arc::new(told.clone());
    let session = Session::open(&kafka, &Identity::new("p", "a", 0), &["t".to_owned()], Vec::new()).unwrap();
    session.rebalances.lock().next.insert(place(0), 0);
    (told, session)
}

const AT_ONCE: (Duration, &dyn Fn() -> bool) = (Duration::ZERO, &|| false);

#[test]
fn a_batch_waits_for_more_only_while_the_broker_finishes_the_transaction_before() {
    let (told, mut session) = begin();
    let mut batch = Vec::new();
    // How long after a commit the first record of the next batch comes, and how long the batch then waits for more.
    for (offset, (pause, waits)) in (0..).zip([(0, 0), (0, 5), (3, 2), (20, 0)]) {
        told.sleep(Duration::from_millis(pause));
        told.state().records.push_back((Duration::ZERO, input(0, offset)));
        assert_eq!(session.gather(Duration::from_millis(100), AT_ONCE, &mut batch).unwrap(), Gathered::Batch);
        assert_eq!(batch.len(), 1);
        assert_eq!(std::mem::take(&mut told.state().polls), [100, waits], "{pause} ms after the commit");
        session.transact(&batch, &[], &|_| ()).unwrap();
    }
}

/// The transactions of records that come every 4 ms: when each begins after the first, in milliseconds, and its size.
fn begun(interval: u64, records: usize) -> Vec<(u128, usize)> {
    let (told, mut session) = begin();
    let coming = (0..).take(records).map(|at| (Duration::from_millis(4 * at), input(0, at.try_into().unwrap())));
    told.state().records = coming.collect();
    let (mut batch, mut seen) = (Vec::new(), Vec::new());
    let interval = Duration::from_millis(interval);
    while seen.iter().map(|(_, records)| records).sum::<usize>() < records {
        session.gather(Duration::from_millis(100), (interval, &|| false), &mut batch).unwrap();
        seen.push((told.state().gone.as_millis(), batch.len()));
        session.transact(&batch, &[], &|_| ()).unwrap();
    }
    seen
}

#[test]
fn transactions_begin_an_interval_apart_and_the_first_at_once() {
    // Without one only the broker's time to finish lies between them.
    assert_eq!(begun(0, 5), [(0, 1), (5, 1), (10, 1), (15, 1), (20, 1)]);
    assert_eq!(begun(40, 20), [(0, 1), (40, 10), (80, 9)]);
    assert_eq!(begun(250, 70), [(0, 1), (250, 62), (500, 7)], "longer than one poll");
    // Whoever comes later than that waits for nobody.
    assert_eq!(begun(3, 3), begun(0, 3));
}

#[test]
fn what_was_given_up_is_done_again_at_once_and_who_is_told_something_does_not_wait() {
    let (told, mut session) = begin();
    let (mut batch, interval) = (Vec::new(), Duration::from_secs(1));
    let mut next = |session: &mut Session, over: &dyn Fn() -> bool| {
        told.state().records.push_back((Duration::ZERO, input(0, 0)));
        let begun = told.now();
        session.gather(Duration::from_millis(100), (interval, over), &mut batch).unwrap();
        session.transact(&batch, &[], &|_| ()).unwrap();
        session.rebalances.lock().next.insert(place(0), 0);
        (told.now() - begun).as_millis()
    };
    assert_eq!((next(&mut session, &|| false), next(&mut session, &|| false)), (0, 1_000));
    session.abort().unwrap();
    assert_eq!(next(&mut session, &|| false), 5, "the broker's time only");
    let stop = told.now() + Duration::from_millis(250);
    assert_eq!(next(&mut session, &|| stop <= told.now()), 300, "at the next look");
}

#[test]
fn a_stop_does_not_wait_for_an_identity_to_be_settled() {
    let told = Told { begun: Instant::now(), state: Arc::default() };
    let kafka: Arc<dyn Kafka> = Arc::new(told.clone());
    let session = || Session::open(&kafka, &Identity::new("p", "a", 0), &["t".to_owned()], Vec::new()).unwrap();
    assert_eq!(session().settle(&|| false), Ok(true));
    told.state().unsettled = true;
    // Told after three seconds.
    let stop = kafka.now() + Duration::from_secs(3);
    assert_eq!(session().settle(&|| stop <= kafka.now()), Ok(false));
    assert!(kafka.now() < stop + INIT_STEP, "{:?}", kafka.now() - stop);
    session().settle(&|| false).unwrap_err();
}

#[test]
fn the_offset_after_a_batch_is_one_past_the_last_record() {
    let next = after(&[input(0, 5), input(1, 2), input(0, 8)]);
    assert_eq!(next, BTreeMap::from([(place(0), 9), (place(1), 3)]));
}

#[test]
fn a_call_that_stays_retriable_ends_as_indefinite() {
    let clock = Cluster::new("nowhere");
    let retriable = || Fault::found(Call::Commit, Signal::Retriable, "busy");
    let mut calls = 0;
    let ended: Result<(), Fault> = until(&clock, Instant::now() + Duration::from_millis(30), |_| {
        calls += 1;
        Err(retriable())
    });
    assert_eq!(ended.unwrap_err().signal, Signal::Indefinite);
    assert!(calls > 1);
    let mut once = Some(retriable());
    assert_eq!(until(&clock, Instant::now() + CALL_DEADLINE, |_| once.take().map_or(Ok(7), Err)), Ok(7));
}
