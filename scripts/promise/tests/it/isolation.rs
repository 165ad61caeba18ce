//! Records that no sink takes, written straight into `order_placed`: the healer finds each of them among good ones, also
//! when it is killed at any moment with another one beside it, and nobody touches anything. `PROMISE_HEALER_KILLS` says
//! how often one of them is killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use promise::rng::Rng;
use promise::world::Fate;
use schemas::framing;
use schemas::names::topics;
use stack::Service;

use crate::house::House;
use crate::poison::{Plant, schema_id, write};

/// While it is looked for, its sink stands still; so many seconds each are allowed on a busy machine.
const SECONDS: u64 = 20;

/// Each is once in the dead letters of both sinks, with its reason; the orders around it are stored once.
pub(crate) fn planted(house: &mut House) {
    let plants = plants(schema_id(house));
    let begun = Instant::now();
    // Before any order, next to each other, between orders, and after the last.
    let (early, rest) = plants.split_at(3);
    let (middle, late) = rest.split_at(2);
    plant(house, early);
    let posts = house.stream("beside-isolation-1", 6, 300);
    house.load(posts, 150);
    plant(house, middle);
    let posts = house.stream("beside-isolation-2", 7, 300);
    house.load(posts, 150);
    plant(house, late);
    let kills = kill_the_healers(house);
    house.expect_all_zero();
    nothing_is_left(house);
    let took = begun.elapsed();
    println!(
        "{} records that no sink takes, 600 orders around them, the healer killed {kills} times: each is a dead letter \
         once, after {:.1} s in all",
        plants.len(),
        took.as_secs_f32()
    );
    let most = Duration::from_secs(SECONDS * (plants.len() as u64 + kills));
    assert!(took < most, "it took {took:?}, the limit is {most:?}");
}

/// A second healer, which stands by or is on duty; killed with this value.
struct Beside(Child);

impl Beside {
    /// As the stack's own was started, but for its name and its port.
    fn start(house: &House) -> Self {
        let mut beside = Command::new(house.options.binaries.join("connectors"));
        beside
            .args(["serve", "--listen", "127.0.0.1:0", "--instance", "beside"])
            .envs(house.stack.endpoints().environment());
        let log = house.stack.layout().dir().join("logs/connectors-beside.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        beside.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(beside.spawn().unwrap())
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One or the other, at moments that follow from a seed; answers how often.
fn kill_the_healers(house: &House) -> u64 {
    let kills = std::env::var("PROMISE_HEALER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut rng = Rng::new(20_261_126);
    let mut beside = Beside::start(house);
    for number in 0..kills {
        // A trial takes some seconds: any step of it may be hit, and some trials come to their end.
        std::thread::sleep(Duration::from_millis(500 + rng.bits() % 6_000));
        house.stack.wait_ready(Service::Connectors, Duration::from_secs(60)).unwrap();
        if number % 3 == 2 {
            assert!(beside.is_running(), "the second healer has ended by itself");
            beside.0.kill().unwrap();
            beside = Beside::start(house);
        } else {
            house.stack.kill(Service::Connectors).unwrap();
        }
    }
    kills
}

/// No trial is left, and the sinks run.
fn nothing_is_left(house: &House) {
    let url = format!("{}/connectors?expand=status", house.stack.endpoints().connect);
    let begun = Instant::now();
    loop {
        let listed: serde_json::Value =
            house.runtime.block_on(async { reqwest::get(&url).await.unwrap().json().await.unwrap() });
        let listed = listed.as_object().unwrap();
        let names: Vec<&str> = listed.keys().map(String::as_str).collect();
        let states: Vec<_> = listed.values().map(|one| one["status"]["connector"]["state"].as_str().unwrap()).collect();
        if names == ["orders-elasticsearch", "orders-postgres"] && states == ["RUNNING", "RUNNING"] {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "a trial is left: {names:?} {states:?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn plant(house: &mut House, plants: &[Plant]) {
    let places = write(house, topics::ORDER_PLACED, plants);
    house.poison.extend(places.into_iter().zip(plants.iter().map(|plant| plant.value.clone())));
}

fn plants(id: u32) -> Vec<Plant> {
    let framed = |id: u32, datum: &[u8]| [&framing::header(id)[..], datum].concat();
    let cases = [
        ("same-key", b"no Avro at all".to_vec()),
        ("same-key", framed(999_999, b"no such schema")),
        ("alone", framed(id, b"")),
        ("same-key", vec![0, 0]),
        ("elsewhere", framed(id, &[0xff; 40])),
        ("last", b"the last one".to_vec()),
    ];
    let plant = |(key, value): (&str, Vec<u8>)| Plant {
        key: Some(key.as_bytes().to_vec()),
        value: Some(value),
        headers: Vec::new(),
        fate: Fate::DeadLetter(String::new()),
    };
    cases.into_iter().map(plant).collect()
}
