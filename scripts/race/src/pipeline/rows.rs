//! How it is told: a row for each figure, and for a store that fell behind its rate in place of a latency.

use super::{
    house::Start,
    round::{InStore, Round},
    usage::{Part, Used},
    watch::pause,
};
use crate::{
    report::{Found, Sample},
    sinks::stores::Kind,
};

/// What is told of a start.
type Moment = fn(&Start) -> f64;

/// `parts` are the services, as `stack status` shows them.
pub(super) fn rows(
    parts: &[Part],
    starts: &[Start],
    idle: &Used,
    rounds: &[Round],
    rates: &[u32],
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for rate in rates {
        let rounds: Vec<&Round> = rounds.iter().filter(|round| round.rate == *rate).collect();
        latencies(&mut found, *rate, &rounds)?;
    }
    for rate in rates {
        let rounds: Vec<&Round> = rounds.iter().filter(|round| round.rate == *rate).collect();
        cpu(&mut found, parts, *rate, &rounds)?;
    }
    for (part, used) in parts.iter().zip(&idle.parts) {
        found.add(format!("CPU while nothing flows, {}", part.name), "% of a core", &[used * 100.0])?;
    }
    memory(&mut found, parts, rounds)?;
    let figures: [(&str, Moment); 5] = [
        ("all services ready", |start| start.ready),
        ("deployed", |start| start.deployed),
        ("the first 202", |start| start.accepted),
        ("the first row", |start| start.stored[0]),
        ("the first document that a search finds", |start| start.stored[1]),
    ];
    for (what, figure) in figures {
        found.add(format!("from the start to {what}"), "s", &starts.iter().map(figure).collect::<Vec<_>>())?;
    }
    Ok(found)
}

fn latencies(found: &mut Found, rate: u32, rounds: &[&Round]) -> anyhow::Result<()> {
    let all = |figure: fn(&Round) -> f64| rounds.iter().map(|round| figure(round)).collect::<Vec<f64>>();
    found.add(format!("POST to 202 at {rate}/s, p50"), "ms", &all(|round| round.answered.p50))?;
    found.add(format!("POST to 202 at {rate}/s, p99"), "ms", &all(|round| round.answered.p99))?;
    if rounds.iter().any(|round| 0.0 < round.refused) {
        found.add(format!("refused at {rate}/s"), "orders", &all(|round| round.refused))?;
    }
    if rounds.iter().any(|round| 0.0 < round.unsent) {
        found.add(format!("not sent at {rate}/s, as no connection was free"), "orders", &all(|round| round.unsent))?;
    }
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        let stores: Vec<&InStore> = rounds.iter().filter_map(|round| round.stores.get(at)).collect();
        in_store(found, rate, kind, &stores)?;
    }
    let late = all(|round| round.late).into_iter().fold(0.0, f64::max);
    found
        .notes
        .push(format!("at {rate}/s the generator sent 99 % of the orders within {late:.1} ms of their intended times"));
    Ok(())
}

fn in_store(found: &mut Found, rate: u32, kind: Kind, stores: &[&InStore]) -> anyhow::Result<()> {
    let what = match kind {
        Kind::Postgres => "POST to SELECT",
        Kind::Elasticsearch => "POST to searchable",
    };
    let all = |figure: fn(&InStore) -> f64| stores.iter().map(|store| figure(store)).collect::<Vec<f64>>();
    let stored = all(|store| store.flow.per_second());
    let behind = stores.iter().filter(|store| !store.flow.keeps_up()).count();
    if behind == 0 {
        found.add(format!("{what} at {rate}/s, p50"), "ms", &all(|store| store.seen.p50))?;
        found.add(format!("{what} at {rate}/s, p99"), "ms", &all(|store| store.seen.p99))?;
        let what = format!("{kind} stored at {rate}/s");
        found.samples.push(Sample { what, unit: kind.unit(), runs: stored });
    } else {
        found.add(format!("{what} at {rate}/s: FALLS BEHIND, stores"), kind.unit(), &stored)?;
        found.add(
            format!("{kind} at {rate}/s: has all of them after the last by"),
            "s",
            &all(|store| store.drained),
        )?;
        let rounds = stores.len();
        found.notes.push(format!(
            "{kind} falls behind at {rate}/s in {behind} of {rounds} rounds: its latency there depends on how long one looks"
        ));
    }
    let most = |figure: fn(&InStore) -> f64| all(figure).into_iter().fold(0.0, f64::max);
    found.notes.push(format!(
        "{kind} at {rate}/s: {} orders of each round were asked for by their ids, {} ms after each answer (from answer to \
         answer p50 {:.1} ms, p99 {:.1} ms){}; an order counts as there when the answer that holds it has come",
        stores.iter().map(|store| store.sample).max().unwrap_or_default(),
        pause(kind).as_millis(),
        most(|store| store.gaps.p50),
        most(|store| store.gaps.p99),
        if stores.iter().all(|store| store.is_whole) { "" } else { ", the oldest 500 that were waited for" },
    ));
    Ok(())
}

fn cpu(found: &mut Found, parts: &[Part], rate: u32, rounds: &[&Round]) -> anyhow::Result<()> {
    let millis =
        |figure: &dyn Fn(&Used) -> f64| rounds.iter().map(|round| figure(&round.cpu) * 1000.0).collect::<Vec<_>>();
    let all = millis(&|used| used.parts.iter().sum());
    found.add(format!("CPU of an order at {rate}/s, all services"), "CPU-ms", &all)?;
    for (at, part) in parts.iter().enumerate() {
        let each = millis(&|used| used.parts.get(at).copied().unwrap_or_default());
        found.add(format!("CPU of an order at {rate}/s, {}", part.name), "CPU-ms", &each)?;
    }
    found.add(format!("CPU of an order at {rate}/s, this bench beside them"), "CPU-ms", &millis(&|used| used.own))
}

fn memory(found: &mut Found, parts: &[Part], rounds: &[Round]) -> anyhow::Result<()> {
    let mut most = |what: String, figure: &dyn Fn(&Round) -> f64| {
        let highest = rounds.iter().map(figure).fold(0.0, f64::max);
        found.add(format!("the most RSS, {what}"), "MiB", &[highest])
    };
    for (at, part) in parts.iter().enumerate() {
        most(part.name.to_owned(), &|round| round.most.parts.get(at).copied().unwrap_or_default())?;
    }
    most("edge, transforms and connectors at one moment".to_owned(), &|round| round.most.programs)?;
    most("all services at one moment".to_owned(), &|round| round.most.all)
}

#[cfg(test)]
mod tests {
    use stack::Service;

    use super::*;
    use crate::pipeline::{
        round::{Flow, Quantiles},
        usage::Most,
    };

    fn round(rate: u32, stored: u64) -> Round {
        let quantiles = Quantiles { p50: 40.0, p99: 90.0 };
        let store = |stored| InStore {
            flow: Flow { accepted: u64::from(rate) * 30, stored, seconds: 30.0 },
            seen: quantiles,
            gaps: quantiles,
            sample: 3_000,
            is_whole: true,
            drained: 7.0,
        };
        Round {
            rate,
            parts: Vec::new(),
            answered: Quantiles { p50: 2.0, p99: 6.0 },
            refused: 0.0,
            unsent: 0.0,
            late: 0.3,
            stores: [store(u64::from(rate) * 30), store(stored)],
            cpu: Used { parts: vec![0.001; 8], own: 0.0002 },
            most: Most { parts: vec![100.0; 8], programs: 300.0, with_writers: 400.0, all: 800.0 },
        }
    }

    #[test]
    fn a_store_that_fell_behind_has_a_rate_and_no_latency() {
        let idle = Used { parts: vec![0.01; 8], own: 0.0 };
        let start = Start { ready: 20.0, deployed: 30.0, accepted: 30.1, stored: [31.0, 32.0] };
        let rounds = [round(100, 3_000), round(1_000, 30_000), round(100, 3_000), round(1_000, 18_000)];
        let parts = Service::ALL.map(|service| Part::of_service(service, 1));
        let found = rows(&parts, &[start], &idle, &rounds, &[100, 1_000]).unwrap();
        let row = |what: &str| found.rows.iter().find(|row| row.what == what).map(|row| row.figure.median);
        assert_eq!(
            (row("POST to searchable at 100/s, p99"), row("POST to SELECT at 1000/s, p99")),
            (Some(90.0), Some(90.0))
        );
        assert_eq!(row("POST to searchable at 1000/s, p99"), None, "one round that falls behind is enough");
        assert_eq!(row("POST to searchable at 1000/s: FALLS BEHIND, stores"), Some(800.0));
        assert!(found.notes.iter().any(|note| note.contains("Elasticsearch falls behind at 1000/s in 1 of 2 rounds")));
        assert_eq!(
            (row("CPU of an order at 100/s, all services"), row("the most RSS, kafka")),
            (Some(8.0), Some(100.0))
        );
    }
}
