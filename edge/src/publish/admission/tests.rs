//! A simulated edge: the real admission, a clock of the test's, a broker that takes so many orders a second in the order
//! in which they came, and clients that do as they are told.

use std::collections::{BTreeMap, VecDeque};

use super::*;

const TICK: Duration = Duration::from_millis(2);
const DEADLINE: Duration = Duration::from_secs(5);
/// The way to the broker and back, unless a test has another.
const WAY: Duration = Duration::from_millis(4);

/// How clients hear when to come back.
#[derive(Clone, Copy)]
enum Obeys {
    /// `Retry-After`: whole seconds, rounded up.
    Seconds,
    /// `retryAfterMs`.
    Millis,
}

/// The world up to now.
struct World {
    admission: Admission,
    now: Instant,
    /// Orders that the broker takes in a second, and what it has not used of that.
    capacity: f64,
    credit: f64,
    way: Duration,
    /// Of a broker that takes all that is there and then nothing for as long as its quota says: until when.
    throttled: Option<Instant>,
    queue: VecDeque<(Instant, Place)>,
    /// Who comes back when, with the number of times it was refused.
    returning: BTreeMap<(Instant, u64), u32>,
    next_id: u64,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    refused: usize,
    returned: usize,
    refused_again: usize,
    late: usize,
}

impl World {
    fn new(capacity: f64) -> Self {
        let now = Instant::now();
        Self {
            admission: Admission::new(now),
            now,
            capacity,
            credit: 0.0,
            way: WAY,
            throttled: None,
            queue: VecDeque::new(),
            returning: BTreeMap::new(),
            next_id: 0,
            seen: Seen::default(),
        }
    }

    /// For this long, with so many new orders a second.
    fn run(&mut self, time: Duration, new: f64, deadline: Duration, obeys: Obeys) {
        let end = self.now + time;
        let mut arriving = 0.0;
        while self.now < end {
            self.now += TICK;
            self.acknowledge();
            while let Some(entry) = self.returning.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((_, id), times) = entry.remove_entry();
                self.seen.returned += 1;
                self.post(id, times, deadline, obeys);
            }
            arriving += new * TICK.as_secs_f64();
            while 1.0 <= arriving {
                arriving -= 1.0;
                self.next_id += 1;
                self.post(self.next_id, 0, deadline, obeys);
            }
        }
    }

    fn acknowledge(&mut self) {
        self.credit = match self.throttled {
            None => (self.credit + self.capacity * TICK.as_secs_f64()).min(self.capacity),
            Some(until) if self.now < until => return,
            Some(_) => self.queue.len() as f64,
        };
        let before = self.queue.len();
        self.take();
        if let Some(until) = &mut self.throttled {
            let took = (before - self.queue.len()) as f64;
            *until = self.now + Duration::from_secs_f64(took / self.capacity);
        }
    }

    fn take(&mut self) {
        while 1.0 <= self.credit
            && let Some((came, place)) = self.queue.pop_front_if(|(came, _)| *came + self.way <= self.now)
        {
            self.credit -= 1.0;
            self.admission.acknowledged(self.now, place);
            self.seen.took.push(self.now - came);
        }
        if self.queue.is_empty() {
            self.credit = 0.0;
        }
    }

    fn post(&mut self, id: u64, times: u32, deadline: Duration, obeys: Obeys) {
        let id_text = id.to_le_bytes();
        let terms = Terms { order_id: &id_text, size: 500, deadline, share: None };
        match self.admission.admit(self.now, &terms) {
            Ok(place) => self.queue.push_back((self.now, place)),
            Err(refused) => {
                self.seen.refused += 1;
                self.seen.refused_again += usize::from(0 < times);
                self.seen.late += usize::from(matches!(refused, Unavailable::Late { .. }));
                let pause = match obeys {
                    Obeys::Seconds => Duration::from_secs(refused.pause().as_millis().div_ceil(1000).max(1) as u64),
                    Obeys::Millis => refused.pause(),
                };
                self.returning.insert((self.now + pause, id), times + 1);
            }
        }
    }

    fn p99(&self) -> Duration {
        let mut took = self.seen.took.clone();
        took.sort();
        took[took.len() * 99 / 100]
    }
}

/// The model: three times what the broker can do for three seconds, which leaves six seconds of its work refused; then
/// new orders at nine tenths of what it can do, while those who were refused come back. (At three times for ever two
/// of three orders can never be stored, and no pause helps.)
#[test]
fn clients_that_come_back_when_told_are_seldom_refused_again_and_what_is_accepted_is_answered_fast() {
    for capacity in [200.0, 1500.0, 12_000.0] {
        // In milliseconds it is easier, so once is enough.
        for obeys in [Obeys::Seconds, Obeys::Millis].into_iter().take(if capacity < 1e4 { 2 } else { 1 }) {
            let mut world = World::new(capacity);
            world.run(Duration::from_secs(2), capacity * 0.5, DEADLINE, obeys);
            assert_eq!(world.seen.refused, 0, "nobody is refused without need");
            world.run(Duration::from_secs(3), capacity * 3.0, DEADLINE, obeys);
            let stored = world.seen.took.len();
            world.run(Duration::from_secs(12), capacity * 0.9, DEADLINE, obeys);
            let busy = (world.seen.took.len() - stored) as f64 / (capacity * 12.0);
            let Seen { refused, returned, refused_again, .. } = world.seen;
            let again = refused_again as f64 / returned as f64;
            let p99 = world.p99();
            println!(
                "{capacity}: refused {refused}, returned {returned}, again {again:.4}, p99 {p99:?}, busy {busy:.3}"
            );
            assert!((capacity as usize * 3).min(20_000) < returned, "{returned} came back");
            assert!(again < 0.05, "{again:.3} of {returned} were refused again");
            assert!(0.9 < busy, "the broker has work: {busy}");
            // Half a second for newcomers (but 256 orders in any case) and one for those that were promised room.
            let longest = (256.0 / capacity).max(0.5) + 1.1;
            assert!(p99.as_secs_f64() < longest, "{p99:?}");
            world.run(Duration::from_secs(30), capacity * 0.1, DEADLINE, obeys);
            assert!(world.returning.is_empty(), "all are stored in the end");
        }
    }
}

/// As Kafka's quotas work: what came is taken, and then nothing for as long as it should have lasted.
#[test]
fn clients_of_a_broker_with_a_quota_are_seldom_refused_again_too() {
    for capacity in [500.0, 1500.0, 3500.0] {
        let mut world = World::new(capacity);
        world.throttled = Some(world.now);
        world.run(Duration::from_secs(4), capacity * 0.5, DEADLINE, Obeys::Seconds);
        world.run(Duration::from_secs(3), capacity * 3.0, DEADLINE, Obeys::Seconds);
        let stored = world.seen.took.len();
        world.run(Duration::from_secs(12), capacity * 0.9, DEADLINE, Obeys::Seconds);
        let busy = (world.seen.took.len() - stored) as f64 / (capacity * 12.0);
        let Seen { refused, returned, refused_again, .. } = world.seen;
        let again = refused_again as f64 / returned as f64;
        let p99 = world.p99();
        println!("{capacity}: refused {refused}, returned {returned}, again {again:.4}, p99 {p99:?}, busy {busy:.3}");
        assert!(0.8 < busy, "the broker has work: {busy}");
        assert!(again < 0.05, "{again:.3} of {returned} were refused again");
    }
}

#[test]
fn a_short_deadline_at_overload_is_refused_and_not_accepted_in_vain() {
    let mut world = World::new(2000.0);
    world.run(Duration::from_secs(2), 1000.0, DEADLINE, Obeys::Millis);
    world.run(Duration::from_secs(3), 6000.0, DEADLINE, Obeys::Millis);
    let before = world.seen.took.len() + world.queue.len();
    let short = Duration::from_millis(200);
    let late = world.seen.late;
    world.run(Duration::from_secs(2), 6000.0, short, Obeys::Millis);
    assert!(1000 < world.seen.late - late, "they are told so");
    world.run(Duration::from_secs(1), 0.0, short, Obeys::Millis);
    let took = &world.seen.took[before.min(world.seen.took.len())..];
    let in_vain = took.iter().filter(|took| short < **took).count();
    assert!(took.len() > 2000, "{} are accepted all the same", took.len());
    assert!(in_vain * 50 < took.len(), "{in_vain} of {} were accepted in vain", took.len());
}

#[test]
fn without_evidence_the_queue_takes_what_it_holds() {
    let (admission, now) = (Admission::new(Instant::now()), Instant::now());
    let order = |id: usize| id.to_le_bytes();
    let admit = |id: usize| {
        let order_id = order(id);
        admission.admit(now, &Terms { order_id: &order_id, size: 500, deadline: DEADLINE, share: None })
    };
    let taken: Vec<_> = (0..settings::MAX_ORDERS).map(|id| admit(id).unwrap()).collect();
    let Err(Unavailable::QueueFull { pause }) = admit(9999) else { panic!("it is full") };
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(5)).contains(&pause),
        "it goes within a message's time: {pause:?}"
    );
    drop(taken);
}

/// As with too few replicas: the broker answers, and stores nothing.
#[test]
fn however_long_the_broker_has_stored_nothing_nobody_is_told_to_wait_longer_than_an_order_can() {
    let mut world = World::new(2000.0);
    world.run(Duration::from_secs(2), 1000.0, DEADLINE, Obeys::Millis);
    world.run(Duration::from_secs(3), 6000.0, DEADLINE, Obeys::Millis);
    for _ in 0..60 {
        world.now += Duration::from_secs(1);
        let order_id = world.now.elapsed().as_nanos().to_le_bytes();
        let terms = Terms { order_id: &order_id, size: 500, deadline: DEADLINE, share: None };
        if let Err(Unavailable::Late { wait, .. }) = world.admission.admit(world.now, &terms) {
            assert!(wait <= settings::MESSAGE_TIMEOUT, "{wait:?}");
        }
    }
    let order_id = b"last";
    let terms = Terms { order_id, size: 500, deadline: DEADLINE, share: None };
    let Err(Unavailable::Late { pause, .. }) = world.admission.admit(world.now, &terms) else { panic!("it is late") };
    assert!(pause < Duration::from_secs(10), "{pause:?}");
}

#[test]
fn a_client_that_floods_leaves_room_for_another_at_any_length_of_the_queue() {
    let mut world = World::new(1000.0);
    world.run(Duration::from_secs(2), 500.0, DEADLINE, Obeys::Millis);
    world.run(Duration::from_secs(5), 3000.0, DEADLINE, Obeys::Millis);
    world.queue.clear();
    let (noisy, quiet): (Arc<Share>, Arc<Share>) = Default::default();
    let (admission, now) = (&world.admission, world.now);
    let admit = |share, id: usize| {
        let order_id = id.to_le_bytes();
        admission.admit(now, &Terms { order_id: &order_id, size: 500, deadline: DEADLINE, share: Some(share) })
    };
    let mut held = Vec::new();
    let refused = loop {
        match admit(&noisy, held.len()) {
            Ok(permit) => held.push(permit),
            Err(refused) => break refused,
        }
    };
    assert!((200..350).contains(&held.len()), "half of half a second's work: {}", held.len());
    assert!(matches!(refused, Unavailable::ShareTaken { .. }), "{refused:?}");
    held.extend((10_000..10_050).map(|id| admit(&quiet, id).unwrap()));
    let pause = refused.pause();
    assert!((Duration::from_millis(100)..Duration::from_millis(500)).contains(&pause), "{pause:?}");
}

/// Whether it could do more with a longer queue nobody can tell from its answers; whether it is overloaded neither.
#[test]
fn a_broker_whose_every_answer_takes_seconds_gets_the_shortest_queue_and_no_less() {
    let mut world = World::new(100_000.0);
    world.way = Duration::from_secs(2);
    world.run(Duration::from_secs(240), 1000.0, DEADLINE, Obeys::Millis);
    let before = world.seen.took.len();
    world.run(Duration::from_secs(60), 1000.0, DEADLINE, Obeys::Millis);
    let a_second = (world.seen.took.len() - before) as f64 / 60.0;
    // 256 orders every two seconds; or as many as are posted, if that was not yet forgotten.
    println!("{a_second:.0} orders a second, {} in the queue", world.queue.len());
    assert!(120.0 <= a_second, "{a_second:.0} orders a second");
}
