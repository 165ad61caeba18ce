use std::collections::VecDeque;

use super::*;

const TICK: Duration = Duration::from_millis(10);

struct World {
    rate: DrainRate,
    now: Instant,
    open: VecDeque<Mark>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self { rate: DrainRate::new(now), now, open: VecDeque::new() }
    }

    /// For some seconds: so many are posted in each tick, and in each so many that are this old are acknowledged.
    fn run(&mut self, seconds: u32, posted: usize, acknowledged: usize, way: u64) {
        for _ in 0..seconds * 100 {
            self.now += TICK;
            for _ in 0..acknowledged {
                if let Some(mark) = self.open.pop_front_if(|mark| mark.at + Duration::from_millis(way) <= self.now) {
                    self.rate.acknowledged(self.now, &mark, 1000);
                }
            }
            self.open.extend((0..posted).map(|_| self.rate.mark(self.now)));
            let _ = self.forecast();
        }
    }

    fn forecast(&self) -> Forecast {
        self.rate.forecast(self.now, self.open.len())
    }

    fn wait(&self) -> Option<Duration> {
        self.forecast().wait((self.open.len(), self.open.len() * 1000))
    }
}

#[test]
fn what_few_clients_post_is_not_what_the_broker_can_do() {
    let mut world = World::new();
    world.run(5, 1, 30, 10);
    assert!((90.0..110.0).contains(&world.forecast().rate()), "{}", world.forecast().rate());
    assert_eq!(world.rate.forecast(world.now, 1).wait((1, 0)), None, "no order has waited");
    world.run(2, 60, 30, 10); // twice what it can do
    let wait = world.wait().unwrap();
    assert!((Duration::from_millis(1900)..Duration::from_millis(2200)).contains(&wait), "{wait:?}");
    let room = world.forecast().orders_in(Duration::from_secs(2)).unwrap();
    assert!((5800..6200).contains(&room), "{room}");
    world.run(4, 10, 1000, 10);
    assert!(2800.0 < world.forecast().rate(), "less is believed only when orders wait: {:?}", world.forecast());
    world.run(8, 1, 1000, 10);
    assert_eq!(world.wait(), None, "nothing has confirmed it for ten seconds");
}

#[test]
fn a_broker_that_is_far_away_is_not_slow() {
    let mut world = World::new();
    world.run(5, 10, 1000, 300);
    world.run(5, 100, 1000, 300);
    assert_eq!((world.wait(), world.forecast().way().as_millis()), (None, 300));
    world.run(5, 100, 1000, 600);
    let wait = world.wait().unwrap();
    assert!((Duration::from_millis(500)..Duration::from_millis(700)).contains(&wait), "now they wait: {wait:?}");
    assert!(world.forecast().way() < Duration::from_millis(400), "which is not the way");
}

/// Answers come in clumps, and a longer queue makes longer clumps.
#[test]
fn a_few_orders_that_waited_say_nothing_of_many() {
    let mut world = World::new();
    world.run(3, 1, 1000, 100);
    for _ in 0..20 {
        world.run(1, 1, 0, 100);
        world.now += TICK;
        while let Some(mark) = world.open.pop_front() {
            world.rate.acknowledged(world.now, &mark, 1000);
        }
    }
    let few = world.rate.forecast(world.now, 100).wait((100, 100_000)).unwrap();
    assert!((Duration::from_millis(500)..Duration::from_secs(8)).contains(&few), "{few:?}");
    assert_eq!(world.rate.forecast(world.now, 2000).wait((2000, 2_000_000)), None);
}

/// As one is that takes a request at a time: less in the queue makes it no faster.
#[test]
fn a_broker_that_takes_as_long_whatever_the_queue_is_not_given_less_and_less() {
    let mut world = World::new();
    world.run(5, 1, 1000, 300);
    let mut room = 0;
    for _ in 0..100 * 60 {
        world.now += TICK;
        while let Some(mark) = world.open.pop_front_if(|mark| mark.at + Duration::from_millis(950) <= world.now) {
            world.rate.acknowledged(world.now, &mark, 1000);
        }
        let forecast = world.forecast();
        room = forecast.orders_in(forecast.way() + Duration::from_millis(500)).unwrap_or(3000);
        while world.open.len() < room {
            world.open.push_back(world.rate.mark(world.now));
            if world.open.len().is_multiple_of(30) {
                break; // not all at once
            }
        }
    }
    assert!(1000 < room, "{room}");
}

#[test]
fn a_broker_that_stops_is_slower_from_moment_to_moment() {
    let mut world = World::new();
    world.run(1, 1, 10, 10);
    world.run(3, 20, 10, 10);
    let before = world.wait().unwrap();
    world.run(4, 0, 0, 10);
    let after = world.wait().unwrap();
    assert!(before * 6 < after && after < before * 15, "{before:?} {after:?}");
    world.run(600, 0, 0, 10);
    assert!(world.wait().unwrap() <= Duration::from_secs(3600), "and bounded");
}

/// As one with a quota does.
#[test]
fn a_broker_that_pauses_as_long_as_lately_has_not_stopped() {
    let mut world = World::new();
    for _ in 0..4 {
        world.run(1, 10, 0, 10);
        while let Some(mark) = world.open.pop_front() {
            world.rate.acknowledged(world.now, &mark, 1000);
        }
    }
    let lull = world.forecast().lull();
    assert!((Duration::from_millis(900)..Duration::from_millis(1100)).contains(&lull), "{lull:?}");
    let before = world.forecast().rate();
    world.run(1, 10, 0, 10);
    // It fades a little within the pause; without it a third would be lost.
    assert!(before * 0.9 < world.forecast().rate(), "{before} {:?}", world.forecast());
    world.run(2, 10, 0, 10);
    assert!(world.forecast().rate() < before * 0.7, "now it has: {before} {:?}", world.forecast());
}

#[test]
fn a_broker_that_had_nothing_to_do_has_not_stopped() {
    let mut world = World::new();
    world.run(1, 1, 10, 10);
    world.run(3, 20, 10, 10);
    let before = world.forecast().rate();
    world.run(3, 0, 100, 10);
    assert!(world.open.is_empty() && before * 0.9 < world.forecast().rate(), "{:?}", world.forecast());
    let before = world.forecast().rate();
    let order = |world: &mut World| {
        let _ = world.forecast(); // as before an order is let in
        let mark = world.rate.mark(world.now);
        world.now += WINDOW;
        world.rate.acknowledged(world.now, &mark, 1000);
        world.forecast().rate()
    };
    world.now += FORGOTTEN / 4;
    let after = order(&mut world);
    assert!(before * 0.99 < after, "{before} {after}");
    for _ in 0..4 {
        world.now += FORGOTTEN / 4;
        order(&mut world);
    }
    assert_eq!(world.rate.forecast(world.now, 1).wait((1, 1000)), None, "nothing has confirmed it for long");
}

#[test]
fn large_orders_are_reckoned_by_their_bytes() {
    let mut world = World::new();
    world.run(1, 1, 10, 10);
    world.run(3, 20, 10, 10);
    let forecast = world.rate.forecast(world.now, 100);
    let wait = forecast.wait((100, 5_000_000)).unwrap();
    assert!((Duration::from_millis(4500)..Duration::from_millis(5500)).contains(&wait), "{wait:?}");
    let load = forecast.load((100, 5_000_000));
    assert!((4900..5100).contains(&load), "orders of 1000 bytes: {load}");
}
