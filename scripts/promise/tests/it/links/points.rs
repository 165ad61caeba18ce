//! kill -9 of the transforms at each named point of a transaction. The proxy between them and Kafka finds the point and lets
//! nothing more pass, so the kill is exact. Then: how long until orders flow again, once the process is back in its place,
//! and on another process where it never returns.

use std::time::{Duration, Instant};

use promise::link::{Link, Mode, Point, Stop};
use promise::load::now_ms;
use promise::read::{Isolation, Kafka, Offsets, Positions, TRANSFORMS_GROUP};
use promise::report::Struck;
use schemas::names::topics;
use stack::Service;

use super::LONG;
use crate::beside::{Aside, Beside};
use crate::faults::{BACK, GLANCE, Load, until_known, wait_for};
use crate::house::House;
use crate::lab::is_wanted;
use crate::strikes::aborted_in;

/// In the catalogue.
pub(super) const ID: &str = "F2";
/// A transaction begins some twenty times a second, but who was started just now has to join its group first.
const BEGINS: Duration = Duration::from_secs(60);
/// Seconds in which two processes share the partitions, before one is killed.
const SHARED: u32 = 4;
/// What fails a short run: a start of the process and a rebalance are in it, and a machine of CI has all else to do.
const LOOSE: Duration = Duration::from_secs(30);
/// Where a transaction has records. Those that are refused are dead letters of it, and may be all that it has.
const OUTPUTS: [&str; 2] = [topics::ORDER_PLACED, topics::ORDERS_DEAD_LETTER];
/// Between two looks at what is committed. A figure is later than the truth by as much.
const STEP: Duration = Duration::from_millis(20);

/// Who goes on with the orders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heir {
    /// It is started again at once.
    Itself,
    /// The stack's own process, which has a share of the partitions already.
    Another,
}

impl Heir {
    const fn words(self) -> &'static str {
        match self {
            Self::Itself => "and come back in their place",
            Self::Another => "and never return",
        }
    }

    /// What is promised. One that is back has every partition at once, so the first order is counted; another one has its
    /// own all the time, so the last.
    const fn goal(self) -> Duration {
        Duration::from_secs(match self {
            Self::Itself => 2,
            Self::Another => 10,
        })
    }

    /// What fails a long run, on a busy machine. It is less than a name that is new at each start would need, with which a
    /// session and a transaction of the killed one would have to run out; and than Kafka's own session of 45 s.
    const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Itself => 6,
            Self::Another => 20,
        })
    }
}

/// A kill, and who goes on.
#[derive(Clone, Copy)]
pub(super) struct Kill {
    point: Point,
    heir: Heir,
    /// Within which orders of every partition flow again.
    limit: Duration,
}

/// Those that are to be made: in place, and with another process. Another one needs some fifteen seconds for each, so short
/// runs have none; and of those in place the one that the stage of kills never makes, which waits for records that nobody
/// decides: there the offsets are on their way already.
pub(super) fn wanted(hold: u32) -> (Vec<Kill>, Vec<Kill>) {
    let of = |heir: Heir| -> Vec<Kill> {
        let is_long = LONG <= hold;
        let limit = if is_long { heir.limit() } else { LOOSE };
        let is_short = |point: &Point| heir == Heir::Itself && *point == Point::Produced;
        let points = Point::ALL.into_iter().filter(|point| is_long || is_short(point));
        points.map(|point| Kill { point, heir, limit }).filter(|kill| is_wanted(ID, &kill.name())).collect()
    };
    (of(Heir::Itself), of(Heir::Another))
}

impl Kill {
    pub(super) fn name(self) -> String {
        format!("the transforms are killed {} {}", self.point.words(), self.heir.words())
    }

    /// The process has a share of the partitions, and the stack's own has the rest.
    pub(super) fn elsewhere(self, house: &House, load: &Load) {
        let [_, link] = &house.doors;
        let mut process = Aside::new(house, Service::Transforms).kafka(&link.address()).at("127.0.0.1:0").start();
        load.go_on(SHARED);
        self.strike(house, link, &mut process);
    }

    /// The process goes over the link. Alone, it is at the address of the stack's own.
    ///
    /// Between the kill and the start Kafka is asked nothing, as an answer may take its time; and who reads committed
    /// records only is not told of offsets while a transaction holds some back, and asks again up to a second later.
    pub(super) fn strike(self, house: &House, link: &Link, process: &mut Beside) {
        let kafka = Kafka::new(&house.places.kafka);
        let uncommitted = Isolation::Uncommitted;
        let group = Positions::new(&kafka, TRANSFORMS_GROUP, topics::ORDERS_RECEIVED, uncommitted).unwrap();
        let outputs = OUTPUTS.map(|topic| Output::new(house, topic));
        let stop = self.reach(link);
        let (killed, from_ms) = (Instant::now(), now_ms());
        process.kill();
        link.set(Mode::Through);
        if self.heir == Heir::Itself {
            let again = Aside::new(house, Service::Transforms).kafka(&link.address()).at_its_address();
            *process = again.start();
        }
        let until_ms = now_ms();
        let before = until_known(group.group(), || group.ends());
        let [first, all] = flows(&group, &before, killed);
        let moved_ms = now_ms();
        let said = format!(
            "{} was killed {} ms after the point; {}; an order that came later was through after {:.2} s, one of each \
             partition after {:.2} s (goal {} s)",
            stop.producer,
            (killed - stop.at).as_millis(),
            self.aborted(house, &outputs),
            first.as_secs_f32(),
            all.as_secs_f32(),
            self.heir.goal().as_secs()
        );
        println!("{ID} {}: {said}", self.name());
        assert!(all < self.limit, "{}: {all:?}, the limit is {:?}", self.name(), self.limit);
        house.lab.struck(Struck { id: ID, name: self.name(), from_ms, until_ms, moved_ms, said });
    }

    fn reach(self, link: &Link) -> Stop {
        link.set(Mode::StopAt(self.point));
        let mut stop = None;
        wait_for(&format!("a transaction {}", self.point.words()), BEGINS, GLANCE, || {
            stop = link.stopped();
            stop.is_some()
        });
        stop.unwrap()
    }

    /// What became of what was written and not decided at the kill.
    fn aborted(self, house: &House, outputs: &[Output]) -> String {
        let aborted: usize = outputs.iter().map(|output| output.aborted(house)).sum();
        let must = matches!(self.point, Point::Produced | Point::OffsetsSent);
        assert!(!must || 0 < aborted, "{}: nothing was aborted, so nothing was open", self.name());
        format!("{aborted} records of it are aborted")
    }
}

/// A topic that transactions write to, from what was decided before one of them is held.
struct Output {
    topic: &'static str,
    written: Positions,
    from: Offsets,
}

impl Output {
    fn new(house: &House, topic: &'static str) -> Self {
        let kafka = Kafka::new(&house.places.kafka);
        let of = |isolation| Positions::new(&kafka, "promise-checker", topic, isolation).unwrap();
        Self { topic, written: of(Isolation::Uncommitted), from: of(Isolation::Committed).ends().unwrap() }
    }

    /// Nobody else aborts anything: those who go on have no trouble.
    fn aborted(&self, house: &House) -> usize {
        aborted_in(house, self.topic, &self.from, &self.written.ends().unwrap())
    }
}

/// How long after the kill the first order is committed that came behind these ends, and one of each partition. What the
/// killed one had in hand does not count, whatever became of it.
fn flows(group: &Positions, ends: &Offsets, killed: Instant) -> [Duration; 2] {
    let mut first = None;
    wait_for("orders of every partition to flow again", BACK, STEP, || {
        let Ok(now) = group.committed() else { return false };
        let is_behind = |(partition, end): &(&i32, &i64)| now.get(*partition).is_some_and(|at| *end < at);
        let flowing = ends.iter().filter(is_behind).count();
        if 0 < flowing {
            first.get_or_insert_with(|| killed.elapsed());
        }
        flowing == ends.len()
    });
    [first.unwrap(), killed.elapsed()]
}
