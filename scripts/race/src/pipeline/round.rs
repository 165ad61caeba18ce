//! One rate, once: a warm-up at the rate, the orders that count, and the wait until both stores have all of them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;

use super::{
    Options,
    eye::{Eye, Taken},
    house::House,
    plan,
    usage::{Cpu, Memory, Most, Part, Used},
    watch::{Seen, watch},
};
use crate::{
    histogram::Histogram,
    load::{Load, Noted, Tally},
    sinks::stores::Kind,
};

/// Orders a second that are looked for; at higher rates a sample.
const LOOKED_FOR: u32 = 100;

/// What was found.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) rate: u32,
    /// Of whom CPU time and memory are told.
    pub(super) parts: Vec<Part>,
    /// From the intended time to the 202.
    pub(super) answered: Quantiles,
    /// Orders that were refused, of those that count.
    pub(super) refused: f64,
    /// Orders that were due and could not be sent: all connections waited for answers.
    pub(super) unsent: f64,
    /// How late the generator was with 99 % of its orders, in ms.
    pub(super) late: f64,
    /// The table, the index.
    pub(super) stores: [InStore; 2],
    /// CPU-seconds for an order, from quiet to quiet.
    pub(super) cpu: Used,
    pub(super) most: Most,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// What came of the orders in one store.
#[derive(Debug)]
pub(super) struct InStore {
    pub(super) flow: Flow,
    /// From the intended time until they were seen. Without a meaning where the store fell behind.
    pub(super) seen: Quantiles,
    /// Between two questions, at most and in 99 % of cases, in ms.
    pub(super) gaps: Quantiles,
    pub(super) sample: u64,
    pub(super) is_whole: bool,
    /// From the last answer until it had everything, in seconds.
    pub(super) drained: f64,
}

/// What came and what was stored meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) accepted: u64,
    pub(super) stored: u64,
    pub(super) seconds: f64,
}

impl Flow {
    pub(super) fn per_second(&self) -> f64 {
        self.stored as f64 / self.seconds
    }

    /// Whether the store kept up. It takes orders in gulps, so it may end a second behind, or a twentieth of what came.
    /// Beyond that its latency depends on how long one looks, and no quantile of it says anything.
    pub(super) fn keeps_up(&self) -> bool {
        let behind = self.accepted.saturating_sub(self.stored) as f64;
        behind <= (self.accepted as f64 / self.seconds).max(self.accepted as f64 / 20.0)
    }
}

impl Quantiles {
    fn of(histogram: &Histogram) -> Option<Self> {
        let millis = |share| Some(histogram.quantile(share)?.as_secs_f64() * 1000.0);
        Some(Self { p50: millis(0.5)?, p99: millis(0.99)? })
    }
}

/// What the orders that count came to.
struct Window {
    tally: Arc<Tally>,
    flows: [Flow; 2],
    seen: [Seen; 2],
    drained: [Duration; 2],
}

pub(super) async fn run(house: &mut House, options: &Options, rate: u32) -> anyhow::Result<Round> {
    let first = house.next_id();
    let (before, memory) = (Cpu::now(&house.parts).await?, Memory::watch(&house.parts));
    let warm_up = Load::run(&plan(house, rate, options.warm_up()), &house.ids).await;
    let warmed = house.accepted(&warm_up)?;
    let window = window(house, options, rate, (&first, warmed)).await?;
    let accepted = warmed + house.accepted(&window.tally)?;
    let cpu = Cpu::now(&house.parts).await?.since(&before, accepted as f64);
    let most = memory.end()?;
    told(rate, &house.parts, &window, (cpu, most))
}

/// Sends the orders that count and watches both stores for them; `warm` are the orders before: the first one's id, and how
/// many were accepted.
async fn window(house: &House, options: &Options, rate: u32, warm: (&str, u64)) -> anyhow::Result<Window> {
    let (first, warmed) = warm;
    let [mut table, mut index] = [
        Taken::since(&house.stores, Kind::Postgres, first).await?,
        Taken::since(&house.stores, Kind::Elasticsearch, first).await?,
    ];
    let noted = Arc::new(Noted::one_in(u64::from((rate / LOOKED_FOR).max(1))));
    let (mut rows, mut documents) =
        (Eye::open(&house.stores, Kind::Postgres).await?, Eye::open(&house.stores, Kind::Elasticsearch).await?);
    let before = tokio::try_join!(table.now(), index.now())?;
    let load = Load::noting(&plan(house, rate, options.window()), &house.ids, Some(&noted));
    let sent = async {
        let tally = load.finish().await;
        let after = tokio::try_join!(table.now(), index.now())?;
        noted.end();
        let drained = house.until_stored(first, warmed + tally.accepted()).await?;
        anyhow::Ok((tally, after, drained))
    };
    let ((tally, after, drained), rows, documents) = tokio::try_join!(
        sent,
        watch(&mut rows, Kind::Postgres, &noted, &house.ids),
        watch(&mut documents, Kind::Elasticsearch, &noted, &house.ids),
    )?;
    let (accepted, seconds) = (tally.accepted(), options.window().as_secs_f64());
    let flow = |before: u64, after: u64| Flow { accepted, stored: after.saturating_sub(before), seconds };
    Ok(Window { flows: [flow(before.0, after.0), flow(before.1, after.1)], seen: [rows, documents], drained, tally })
}

fn told(rate: u32, parts: &[Part], window: &Window, (cpu, most): (Used, Most)) -> anyhow::Result<Round> {
    let [table, index] = &window.seen;
    let [row_flow, document_flow] = window.flows;
    let [table_drained, index_drained] = window.drained;
    let store = |flow: Flow, seen: &Seen, drained: Duration| {
        let quantiles = Quantiles::of(&seen.after).context("no order was looked for")?;
        anyhow::Ok(InStore {
            flow,
            seen: quantiles,
            gaps: Quantiles::of(&seen.gaps).unwrap_or(Quantiles { p50: 0.0, p99: 0.0 }),
            sample: seen.after.count(),
            is_whole: seen.is_whole(),
            drained: drained.as_secs_f64(),
        })
    };
    Ok(Round {
        rate,
        parts: parts.to_vec(),
        answered: Quantiles::of(&window.tally.accepted_after).context("no order was accepted")?,
        refused: window.tally.others().values().sum::<u64>() as f64,
        unsent: window.tally.unsent.load(Ordering::Relaxed) as f64,
        late: window.tally.late.quantile(0.99).unwrap_or_default().as_secs_f64() * 1000.0,
        stores: [store(row_flow, table, table_drained)?, store(document_flow, index, index_drained)?],
        cpu,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_ends_further_behind_than_its_gulps_did_not_keep_up() {
        let flow = |accepted, stored, seconds| Flow { accepted, stored, seconds };
        for (flow, keeps_up) in [
            (flow(3_000, 3_000, 30.0), true),
            (flow(3_000, 3_100, 30.0), true), // what the warm-up had left, too
            (flow(1_000, 900, 10.0), true),   // a second
            (flow(1_000, 890, 10.0), false),
            (flow(30_000, 28_500, 30.0), true), // a twentieth
            (flow(30_000, 28_400, 30.0), false),
        ] {
            assert_eq!(flow.keeps_up(), keeps_up, "{flow:?}");
        }
        assert_eq!(flow(1_000, 940, 10.0).per_second(), 94.0);
    }
}
