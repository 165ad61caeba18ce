use super::*;

fn shipped() -> Both {
    Both::compile(schemas::contracts::ORDER_SCHEMA_JSON).unwrap()
}

/// A number from the environment, so that a run may be long and a difference be looked at again.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Builds without optimization take some twenty times as long.
fn bodies(release: u64) -> usize {
    let bodies = if cfg!(debug_assertions) { release / 20 } else { release };
    setting("DIFFERENTIAL_BODIES", bodies) as usize
}

#[test]
fn whatever_is_posted_the_fast_path_says_what_the_full_way_says() {
    let seed = setting("DIFFERENTIAL_SEED", 1);
    let bodies = bodies(200_000);
    let tally = shipped().run(seed, bodies, body).unwrap_or_else(|difference| panic!("{difference}"));
    println!("{tally:?}");
    // Both sides of the rules are visited, and the fast path is not beside the point.
    assert!(bodies < 1000 || bodies / 4 < tally.fast, "{tally:?}");
    assert!(bodies < 1000 || bodies / 4 < tally.refused, "{tally:?}");
}

#[test]
fn ordinary_orders_take_the_fast_path() {
    let bodies = bodies(20_000);
    let tally = shipped().run(1, bodies, ordinary).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(tally.refused, 0, "{tally:?}");
    assert!(tally.full * 100 <= bodies, "{tally:?}");
}
