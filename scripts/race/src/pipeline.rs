//! `scripts/bench pipeline`: an order's whole way on one machine, with everything deployed as `scripts/up` deploys it. From
//! the intended time of a POST: to its 202, to a row that another connection can SELECT, to a document that a search
//! finds. And what each process takes for it: CPU time for an order, memory, and the time from `up` to the first order.
//!
//! Rates are run in turn, round by round. At the end the stores are compared with what was accepted; what is wrong fails
//! the run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use http::Method;
use schemas::names::topics;
use serde_json::Value;

use crate::{
    length::Length,
    load::{Load, Pace, Plan},
    machine::Machine,
    report::{Report, progress},
};

mod beside;
mod eye;
mod house;
mod round;
mod rows;
mod same;
mod usage;
mod watch;
mod way;

pub use beside::run as race;
use house::House;
use way::Way;

/// Connections of the load, as in the edge's own bench.
const CONNECTIONS: usize = 64;
/// The load after which a JVM has compiled what it needs.
const WARM_RATE: u32 = 500;

/// What is measured, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the servers' data lies; emptied at the start.
    pub dir: PathBuf,
    /// Orders a second.
    pub rates: Vec<u32>,
    /// Rounds of each rate.
    pub rounds: usize,
    /// How much of it is run.
    pub length: Length,
}

/// Orders a second where none are named.
#[must_use]
pub fn usual_rates(length: Length, beside_peers: bool) -> Vec<u32> {
    if length.is_full() && !beside_peers { vec![100, 500, 1_000] } else { vec![500] }
}

/// What depends on the length: in full, and in a quick run.
impl Options {
    /// Starts from nothing; the last one is measured on.
    fn starts(&self) -> usize {
        self.length.full_or(self.rounds, 1)
    }

    fn rounds(&self) -> usize {
        self.length.full_or(self.rounds, 1)
    }

    /// How long orders come at a rate before it counts.
    fn warm_up(&self) -> Duration {
        Duration::from_secs(self.length.full_or(5, 2))
    }

    /// How long a rate counts.
    fn window(&self) -> Duration {
        Duration::from_secs(self.length.full_or(30, 6))
    }

    /// How long nothing flows.
    fn idle(&self) -> Duration {
        Duration::from_secs(self.length.full_or(15, 1))
    }

    /// How long orders come once before everything.
    fn first_warm_up(&self) -> Duration {
        Duration::from_secs(self.length.full_or(60, 5))
    }

    /// Whether one of those who bring orders takes part.
    fn has(&self, way: &Way) -> bool {
        self.length.is_full() || way.is_ours() || way.is_tuned()
    }

    fn left_out(&self) -> Option<String> {
        self.length.left_out(
            "rates but 500/s, unless they are named; more than one start and one round; most of the warm-up (5 s once, 2 s \
             at a rate) and of the time that counts (6 s)",
        )
    }
}

/// Runs all of it.
///
/// # Errors
/// When a store has something else than was accepted, or something cannot be measured at all.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    ensure!(!options.rates.is_empty(), "no rate, nothing to measure");
    let machine = Machine::now();
    let (mut starts, mut house) = (Vec::new(), None);
    for start in 1..=options.starts() {
        progress(&format!("start {start} of {}", options.starts()));
        if let Some(house) = house.take() {
            House::leave(house).await?;
        }
        let (begun, took) = House::start(options.dir.clone(), &Way::Ours).await?;
        house = Some(begun);
        starts.push(took);
    }
    let mut house = house.context("nothing was started")?;
    progress("warming up");
    warm_up(&mut house, options.first_warm_up()).await?;
    let idle = usage::idle(&house.parts, options.idle()).await?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds() {
        for rate in &options.rates {
            progress(&format!("{rate}/s, round {number} of {}", options.rounds()));
            rounds.push(round::run(&mut house, &options, *rate).await.with_context(|| format!("at {rate}/s"))?);
        }
    }
    progress("comparing the stores with what was accepted");
    let compared = same::check(&house, &Way::Ours).await?;
    let setting = setting(&house, &options).await?;
    let mut found = rows::rows(&house.parts, &starts, &idle, &rounds, &options.rates)?;
    found.notes.push(compared);
    found.notes.extend(options.left_out());
    House::leave(house).await?;
    Ok(Report::new("pipeline", machine, setting, found))
}

fn plan(house: &House, rate: u32, time: Duration) -> Plan {
    Plan {
        address: house.edge,
        connections: CONNECTIONS,
        pace: Pace::Open(f64::from(rate)),
        time,
        batch: 1,
        obey_retry_after: false,
    }
}

async fn warm_up(house: &mut House, time: Duration) -> anyhow::Result<()> {
    let first = house.next_id();
    let tally = Load::run(&plan(house, WARM_RATE, time), &house.ids).await;
    let accepted = house.accepted(&tally)?;
    house.until_stored(&first, accepted).await.map(drop)
}

async fn setting(house: &House, options: &Options) -> anyhow::Result<Vec<(&'static str, String)>> {
    let path = format!("/{}/_settings", topics::ORDER_PLACED);
    let settings = house.stores.elasticsearch().call(Method::GET, &path, b"").await?;
    let refresh = settings.pointer(&format!("/{}/settings/index/refresh_interval", topics::ORDER_PLACED));
    let refresh = refresh.and_then(Value::as_str).context("the index has no refresh_interval of its own")?;
    let (window, warm) = (options.window().as_secs(), options.warm_up().as_secs());
    Ok(vec![
        ("deployed", "all services and the shipped connector files, as by scripts/up, on free ports".to_owned()),
        ("orders", format!("single ones of 353 bytes, open loop, {CONNECTIONS} connections")),
        ("rates", format!("{:?} a second; {window} s each after {warm} s at the same rate", options.rates)),
        ("rounds", format!("{}, the rates in turn", options.rounds())),
        ("refresh_interval of the index", refresh.to_owned()),
        ("start", house.archives.to_owned()),
        ("length", options.length.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_one_short_round_of_one_rate() {
        let of = |length| {
            let rates = usual_rates(length, false);
            let all = Options { dir: PathBuf::new(), rates, rounds: 3, length };
            (all.rates.len(), all.starts(), all.rounds(), all.window().as_secs(), all.first_warm_up().as_secs())
        };
        assert_eq!(of(Length::Full), (3, 3, 3, 30, 60));
        assert_eq!(of(Length::Quick), (1, 1, 1, 6, 5));
        assert_eq!(usual_rates(Length::Full, true), [500]);
    }
}
