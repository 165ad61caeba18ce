//! Records that no sink takes, written straight into `order_placed`: the healer finds each of them among good ones, also
//! when it is killed at any moment with another one beside it, and nobody touches anything. `PROMISE_HEALER_KILLS` says
//! how often one of them is killed; `PROMISE_GUARDED`, that the guarded sink stands in the place of the shipped one.

use std::time::{Duration, Instant};

use promise::rng::Rng;
use promise::world::{Fate, Store};
use schemas::names::topics;
use schemas::{codec, framing};
use stack::{Service, State};

use crate::beside::{Aside, Beside};
use crate::guarded;
use crate::house::{House, Poison};
use crate::lab::setting;
use crate::poison::{Plant, schema_id, write};
use crate::sink::counted;

/// While it is looked for, its sink stands still; so many seconds each are allowed on a busy machine.
const SECONDS: u64 = 20;

/// So often a healer is killed.
const KILLS: u64 = 3;

/// So many orders are posted in a second.
const RATE: u32 = 150;

/// After so many kills there is new poison.
const REPLENISH: u64 = 10;

/// Each is once in the dead letters of the sinks that do not take it, with its reason; the orders around it are stored
/// once.
pub(crate) fn planted(house: &mut House) {
    if is_guarded() {
        guarded::put_in_place(house);
    }
    let (count, orders) = (setting("PROMISE_POISON", 6), setting("PROMISE_ORDERS", 600));
    // A run without kills is for its figures, which a healer that stops at so many a minute would have none of.
    let patient = (setting("PROMISE_HEALER_KILLS", KILLS) == 0).then(|| {
        let healer = Aside::new(house, Service::Connectors).allows("1000000");
        healer.start_in_its_place()
    });
    let id = schema_id(house);
    let plants: Vec<_> = (0..count).map(|number| kind(id, number)).collect();
    let begun = Instant::now();
    // Before any order, next to each other, between orders, and after the last.
    let (early, rest) = plants.split_at(plants.len() / 2);
    let (middle, late) = rest.split_at(rest.len() - rest.len() / 3);
    plant(house, early);
    let share = orders / (middle.len() as u64 + 1);
    for (at, one) in middle.iter().enumerate() {
        let posts = house.stream(&format!("beside-isolation-{at}"), 6 + at as u64, share);
        house.load(posts, RATE);
        plant(house, std::slice::from_ref(one));
    }
    let posts = house.stream("beside-isolation", 5, orders - share * middle.len() as u64);
    house.load(posts, RATE);
    plant(house, late);
    let kills = kill_the_healers(house, id, count);
    house.expect_all_zero();
    nothing_is_left(house);
    let took = begun.elapsed();
    println!(
        "{} records that a sink does not take, {orders} orders around them, the healer killed {kills} times: each is a \
         dead letter once, after {:.1} s in all",
        house.poison.len(),
        took.as_secs_f32()
    );
    if kills == 0 {
        time_of_a_poison(house);
        println!(
            "{:.2} % poison: {:.0} good orders/s are stored, of {RATE}/s that are posted",
            100.0 * count as f64 / (count + orders) as f64,
            orders as f64 / took.as_secs_f64()
        );
    }
    patient.into_iter().for_each(|healer| healer.give_place(house, Service::Connectors));
    let most = Duration::from_secs(SECONDS * (count + kills) + orders / 50);
    assert!(took < most, "it took {took:?}, the limit is {most:?}");
}

fn is_guarded() -> bool {
    std::env::var("PROMISE_GUARDED").is_ok_and(|word| !word.is_empty())
}

/// What the healer itself has counted, since nobody killed it.
fn time_of_a_poison(house: &House) {
    for sink in ["orders-postgres", "orders-elasticsearch"] {
        let seconds = counted(house, "orderflow_connectors_trial_seconds", &[sink]);
        let letters = counted(house, "orderflow_connectors_poison_records", &[sink]);
        println!("{sink}: trials took {seconds:.1} s, {:.2} s for each of {letters} dead letters", seconds / letters);
    }
}

/// One or the other, at moments that follow from a seed; answers how often.
fn kill_the_healers(house: &mut House, id: u32, count: u64) -> u64 {
    let kills = setting("PROMISE_HEALER_KILLS", KILLS);
    if kills == 0 {
        return 0;
    }
    let mut rng = Rng::new(20_261_126);
    // It stands by, or is on duty.
    let mut beside = Beside::start(house, Service::Connectors);
    for number in 0..kills {
        // A trial takes some seconds: any step of it may be hit, and some trials come to their end.
        std::thread::sleep(Duration::from_millis(500 + rng.bits() % 6_000));
        if house.stack.status_of(Service::Connectors).unwrap().state == State::Failed {
            // Who dies so often is given up; a person starts it again.
            house.stack.start_again(Service::Connectors).unwrap();
        }
        house.stack.wait_ready(Service::Connectors, Duration::from_secs(60)).unwrap();
        if number % REPLENISH == REPLENISH - 1 {
            // In a long run all of it would be found long before the last kill.
            let first = house.poison.len() as u64;
            plant(house, &(first..first + count).map(|number| kind(id, number)).collect::<Vec<_>>());
        }
        if number % 3 == 2 {
            assert!(beside.is_running(), "the second healer has ended by itself");
            drop(beside);
            beside = Beside::start(house, Service::Connectors);
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

fn plant(house: &mut House, plants: &[Poison]) {
    let written = |one: &Poison| Plant {
        key: Some(one.key.clone()),
        value: one.value.clone(),
        headers: Vec::new(),
        fate: Fate::DeadLetter(String::new()),
    };
    let places = write(house, topics::ORDER_PLACED, &plants.iter().map(written).collect::<Vec<_>>());
    house.poison.extend(places.into_iter().zip(plants.iter().cloned()));
}

/// The kinds in turn. Three are no orders at all; of the others one store takes what the other one refuses.
fn kind(id: u32, number: u64) -> Poison {
    let name = format!("poison-{number}");
    let framed = |id: u32, datum: &[u8]| [&framing::header(id)[..], datum].concat();
    let order = |amount: &[u8], customer: &[u8]| framed(id, &datum(name.as_bytes(), amount, customer));
    let (both, table, index): (&[_], &[_], &[_]) = (&Store::ALL, &[Store::Postgres], &[Store::Elasticsearch]);
    let (value, refused_by, reason) = match number % 6 {
        0 => (b"no Avro at all".to_vec(), both, ""),
        1 => (framed(999_999, b"no such schema"), both, "999999"),
        2 => (order(&[1], b"a \0 customer"), table, "0x00"),
        3 => (framed(id, &[0xff; 40]), both, ""),
        4 => (order(&[0x7f; 9], b"a customer"), table, "numeric field overflow"),
        _ => (order(&[1], &[b'x'; 40_000]), index, "customer"),
    };
    // These have no version, as orders.received has none; without one the guarded form takes nothing.
    let refused_by = if is_guarded() && refused_by == table { both } else { refused_by };
    let reason = if is_guarded() { "" } else { reason };
    // Those that no store takes lie side by side in one partition.
    let key = if refused_by.len() == 2 { b"same-key".to_vec() } else { name.into_bytes() };
    Poison { key, value: Some(value), refused_by, reason }
}

/// An order as `orders.received` has it, with values that the edge would refuse.
fn datum(id: &[u8], amount: &[u8], customer: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for bytes in [id, amount, customer] {
        codec::put_bytes(&mut out, bytes);
    }
    codec::put_optional(&mut out, None);
    codec::put_len(&mut out, 0);
    for _ in ["email", "country", "channel"] {
        codec::put_optional(&mut out, None);
    }
    for _ in ["created_at", "received_at"] {
        codec::put_long(&mut out, 1_770_000_000_000);
    }
    out
}
