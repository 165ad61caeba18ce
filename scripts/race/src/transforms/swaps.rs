//! Hot swaps under load: the chain is replaced again and again while records flow. No record may be lost, doubled or late.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    Bench, Found,
    flow::Running,
    progress,
    service::{Service, shipped},
};
use crate::{
    report::Row,
    spread::{Goal, Spread},
};

const SWAPS: usize = 200;
const RATE: f64 = 1_000.0;
/// Between two swaps: longer than one takes, so that each is one.
const PAUSE: Duration = Duration::from_millis(150);
/// The consumers' and the broker's first records are no part of it.
const WARM_UP: Duration = Duration::from_secs(3);
/// What alternates: the bounds of a value band that the bench's orders are far from.
const BANDS: [&str; 2] = ["low:0,mid:50,high:500", "low:0,mid:50,high:600"];

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let swaps = bench.options.count(SWAPS);
    let mut service = Service::start(bench, "race-swaps").await?;
    service.deploy(bench).await?;
    progress(&format!("{swaps} swaps at {RATE}/s"));
    let (swapped, time) = longest(bench, &mut service, swaps, Duration::ZERO).await?;
    progress(&format!("as long, {time:.0?}, without a swap"));
    let (still, _) = longest(bench, &mut service, 0, time).await?;
    let counted = service.counter("transforms_swaps_total").await?;
    ensure!(counted >= swaps as f64, "{counted} swaps of a task were counted, {swaps} were made");
    let stall = service.bound("transforms_swap_stall_seconds").await?;
    let one = |value: f64| Spread::of(&[value]).context("no figure");
    let mut rows = vec![
        Row::new(format!("longest a record took, {swaps} swaps at {RATE}/s"), one(swapped)?, "ms")
            .beside("as long without a swap", one(still)?)
            .goal(Goal::AtMost(100.0)),
    ];
    let mut notes = vec![format!("{swaps} swaps: every record came out once, with the modules that made it")];
    match stall {
        Some(stall) => {
            rows.push(Row::new("a task stood still for one of these swaps, at most", one(stall * 1000.0)?, "ms"));
        }
        None => notes.push("a task stood still for a swap for longer than the service's histogram tells".to_owned()),
    }
    Ok(Found { rows, notes, ..Found::default() })
}

/// The longest time that a record took, in milliseconds, while so many swaps were made and for at least so long; and how
/// long that was.
async fn longest(
    bench: &Bench,
    service: &mut Service,
    swaps: usize,
    at_least: Duration,
) -> anyhow::Result<(f64, Duration)> {
    let running = Running::start(&bench.servers.kafka, RATE)?;
    tokio::time::sleep(WARM_UP).await;
    let begun = Instant::now();
    let mut config = shipped();
    for swap in 0..swaps {
        let bands = BANDS.get(swap % 2).copied().unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            config.insert("transforms.enrich.bands".to_owned(), Value::String(bands.to_owned()));
        }
        service.put(&config).await?;
        tokio::time::sleep(PAUSE).await;
    }
    tokio::time::sleep(at_least.saturating_sub(begun.elapsed())).await;
    let time = begun.elapsed();
    let flow = tokio::task::spawn_blocking(move || running.finish()).await??;
    ensure!(flow.seen.values().all(|(_, modules)| !modules.is_empty()), "a record does not say which modules made it");
    let latencies = flow.latencies();
    let settled = latencies.get((RATE * WARM_UP.as_secs_f64()) as usize..).unwrap_or_default();
    ensure!(!settled.is_empty(), "no record came in time");
    let longest = settled.iter().max().copied().unwrap_or_default();
    Ok((longest.as_secs_f64() * 1000.0, time))
}
