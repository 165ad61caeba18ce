//! How quickly one sink alone drains a backlog: as its file has it, with the connector's defaults, beside a native bulk
//! loop and whatever other file is named. By turns, after a drain that is not measured.

use anyhow::Context;

use super::{Bench, Found, Took, contestant::Contestant, drain::drain, floor, stores::Kind};
use crate::{
    report::{Row, progress},
    spread::{Goal, Spread},
};

/// What our settings are to be worth.
const GOAL: Goal = Goal::AtLeast(1.5);

/// All runs of one of those that take part.
type Runs = Vec<Took>;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for kind in Kind::ALL.into_iter().filter(|kind| bench.options.store.is_none_or(|only| only == *kind)) {
        let ours = Contestant::of_file(&bench.servers.files.join(kind.file()), "our settings")?;
        let others = bench.beside.iter().filter(|other| other.kind == kind).cloned();
        let contestants: Vec<Contestant> = [ours.clone(), ours.defaults()].into_iter().chain(others).collect();
        let runs = runs(bench, kind, &contestants).await?;
        tell(kind, &contestants, &runs, &mut found)?;
    }
    let note = "after every drain, count, amounts and versions of each partition were those of the orders written";
    found.notes.push(note.to_owned());
    Ok(found)
}

/// The contestants in their order, then the floor, by turns.
async fn runs(bench: &Bench, kind: Kind, contestants: &[Contestant]) -> anyhow::Result<Vec<Runs>> {
    let ([count, bulk], pairs) = (bench.options.drained(kind), bench.options.drains());
    let all = contestants.len() + 1;
    let mut runs: Vec<Runs> = vec![Vec::new(); all];
    for round in 0..=pairs {
        let is_warm_up = round == 0;
        let told = if is_warm_up { "warm-up".to_owned() } else { format!("{round} of {pairs}") };
        let of_round = if is_warm_up { bench.options.warmed(all) } else { all };
        for (at, runs) in runs.iter_mut().enumerate().take(of_round) {
            let (name, took) = match contestants.get(at) {
                Some(contestant) => (&*contestant.name, drain(bench, contestant, count).await?),
                None => ("native bulk loop", floor::bulk(bench, kind, bulk).await?),
            };
            progress(&format!("rates, {kind}, {name}, {told}: {:.0} {}", took.rate, kind.unit()));
            if !is_warm_up {
                runs.push(took);
            }
        }
    }
    Ok(runs)
}

/// What a run is asked for.
type Figure = fn(&Took) -> f64;

fn tell(kind: Kind, contestants: &[Contestant], runs: &[Runs], found: &mut Found) -> anyhow::Result<()> {
    let [ours, defaults, others @ .., floor] = runs else { return Ok(()) };
    let all = |runs: &Runs, of: Figure| runs.iter().map(of).collect::<Vec<f64>>();
    let spread = |runs: &Runs, of| Spread::of(&all(runs, of)).context("a run without a figure");
    let rate: Figure = |took| took.rate;
    let of = |runs: &Runs, base: &Runs| Spread::of_ratios(&all(runs, rate), &all(base, rate)).context("no ratio");
    let (connect, store): (Figure, Figure) = (|took| took.connect * 1e6, |took| took.store * 1e6);
    let row = |what: &str, figure, unit| Row::new(format!("{kind}: {what}"), figure, unit);
    found.rows.extend([
        row("our settings", spread(ours, rate)?, kind.unit()).beside("defaults", spread(defaults, rate)?),
        row("our settings, of the defaults", of(ours, defaults)?, "x").goal(GOAL),
        row("our settings, of a native bulk loop", of(ours, floor)?, "x").beside("native", spread(floor, rate)?),
        row("CPU of Kafka Connect", spread(ours, connect)?, "µs/order").beside("defaults", spread(defaults, connect)?),
        row("CPU of the store", spread(ours, store)?, "µs/order").beside("native", spread(floor, store)?),
        row("CPU of the store, defaults", spread(defaults, store)?, "µs/order"),
    ]);
    for (other, runs) in contestants.iter().skip(2).zip(others) {
        let name = &other.name;
        found.rows.extend([
            row(name, spread(runs, rate)?, kind.unit()),
            row(&format!("{name}, of our settings"), of(runs, ours)?, "x"),
            row(&format!("CPU of Kafka Connect, {name}"), spread(runs, connect)?, "µs/order"),
            row(&format!("CPU of the store, {name}"), spread(runs, store)?, "µs/order"),
        ]);
    }
    if let [ours, defaults, ..] = contestants {
        let differ = ours.differences(defaults);
        found.notes.push(format!("{kind}: our settings are the defaults and {}", differ.join(", ")));
    }
    Ok(())
}
