//! Records that no sink takes, written straight into `order_placed`: the healer finds each of them among good ones, and
//! nobody touches anything.

use std::time::{Duration, Instant};

use promise::world::Fate;
use schemas::framing;
use schemas::names::topics;

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
    house.expect_all_zero();
    let took = begun.elapsed();
    println!(
        "{} records that no sink takes, 600 orders around them: each is a dead letter once, after {:.1} s in all",
        plants.len(),
        took.as_secs_f32()
    );
    let most = Duration::from_secs(SECONDS * plants.len() as u64);
    assert!(took < most, "it took {took:?}, the limit is {most:?}");
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
