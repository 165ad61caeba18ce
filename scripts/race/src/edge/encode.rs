//! From bytes to Avro by both ways: first that they never differ, on a million bodies of every kind; then what each
//! costs on an ordinary order, in time of one core.

use std::{hint::black_box, time::Instant};

use anyhow::{Context, anyhow};
use edge::{
    differential::{Both, body},
    orders::encode_in_full,
};
use schemas::{contracts::ORDER_SCHEMA_JSON, order::Timestamp};

use super::{Bench, Found, progress};
use crate::{report::Row, spread::Spread};

/// Orders that are encoded for one figure.
const ORDERS: u32 = 20_000;
const SCHEMA_ID: u32 = 1;
const RECEIVED_AT: Timestamp = Timestamp(1_700_000_000_000);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let both = Both::compile(ORDER_SCHEMA_JSON).context("there is no fast path for the shipped schema")?;
    let bodies = bench.options.bodies();
    progress("both ways from bytes to Avro");
    // Another beginning each time: what was compared before is known to agree.
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()) << 20;
    let tally = both.run(seed, bodies, body).map_err(|difference| anyhow!("the fast path is wrong\n{difference}"))?;
    let compared = format!(
        "{bodies} bodies from seed {seed}: {} taken by both ways, {} by the full way alone, {} refused; no difference",
        tally.fast, tally.full, tally.refused
    );

    let order = bench.ids.order(0).into_bytes();
    let full = spread(bench, || full(&both, &order))?;
    let row = Row::new("one order from bytes to Avro", spread(bench, || fast(&both, &order))?, "µs");
    Ok(Found { rows: vec![row.beside("the full way", full)], notes: vec![compared], ..Found::default() })
}

/// Whether an order is taken in one pass.
pub(super) fn fast(both: &Both, order: &[u8]) -> bool {
    both.fast.encode(black_box(order), SCHEMA_ID, RECEIVED_AT, &mut Vec::with_capacity(order.len())).is_some()
}

/// Whether it is taken by the full way.
pub(super) fn full(both: &Both, order: &[u8]) -> bool {
    encode_in_full(&both.rules, black_box(order), SCHEMA_ID, RECEIVED_AT).is_ok()
}

fn spread(bench: &Bench, encode: impl Fn() -> bool) -> anyhow::Result<Spread> {
    let mut runs = Vec::new();
    for _ in 0..bench.options.closed() {
        let begun = Instant::now();
        anyhow::ensure!((0..ORDERS).all(|_| black_box(encode())), "the order of the bench is not taken");
        runs.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(ORDERS));
    }
    Spread::of(&runs).context("no run")
}
