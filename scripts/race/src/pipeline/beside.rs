//! `scripts/bench pipeline --peers`: the whole way beside the same job in other tools, at the same rates and on the same
//! servers, each on empty ones of its own, by turns. What is told is of processes that are warm.

use std::{path::Path, sync::Arc};

use anyhow::Context;

use super::{
    Options,
    house::{House, Start, StoodStill},
    round::{self, Round},
    same, setting,
    usage::Role,
    warm_up,
    way::Way,
};
use crate::{
    edge,
    machine::Machine,
    peers::{Built, claim},
    report::{Found, Report, progress},
    sinks::{self, stores::Kind},
    spread::{Goal, Spread},
    transforms,
};

/// One rate, once, by one of them.
struct Run {
    start: Start,
    round: Round,
}

/// What is told of a run.
type Figure = fn(&Run) -> f64;

/// Runs all of it.
///
/// # Errors
/// When a peer cannot be built, a store has something else than was accepted, or something cannot be measured at all.
pub async fn run(options: Options, dir: &Path) -> anyhow::Result<Report> {
    let machine = Machine::now();
    progress("building the peers");
    let into = dir.join("peers");
    let programs = [edge::Peer::Spring.program(), transforms::Peer::Streams.program(), sinks::Peer::Spring.program()];
    let built = tokio::task::spawn_blocking(move || Built::ensure(&into, &programs)).await??;
    let ways: Vec<Way> = Way::all(&Arc::new(built)).into_iter().filter(|way| options.has(way)).collect();
    let mut runs: Vec<Vec<Run>> = ways.iter().map(|_| Vec::new()).collect();
    let (mut notes, mut told) = (Vec::new(), None);
    for number in 1..=options.rounds() {
        for (way, runs) in ways.iter().zip(&mut runs) {
            progress(&format!("{}, round {number} of {}", way.name(), options.rounds()));
            let house = patient(&options, way, runs, &mut notes).await?;
            let compared = same::check(&house, way).await?;
            notes.push(format!("{}, round {number}: {compared}", way.name()));
            if told.is_none() {
                told = Some(setting(&house, &options).await?);
            }
            House::leave(house).await?;
        }
    }
    notes.extend(options.left_out());
    notes.extend(options.length.left_out("Spring as it comes, and the rules in both sinks (SMT)"));
    let mut found = Found { notes, ..Found::default() };
    for rate in &options.rates {
        found.extend(rows(&ways, &runs, *rate)?);
    }
    let mut setting = told.unwrap_or_default();
    setting.retain(|(name, _)| *name != "deployed");
    setting.extend(ways.iter().map(|way| (way.name(), way.setting())));
    Ok(Report::new("pipeline-peers", machine, setting, found))
}

/// A peer that stands still is a finding, and no reason to lose what was measured: it is started once more.
async fn patient(options: &Options, way: &Way, runs: &mut Vec<Run>, notes: &mut Vec<String>) -> anyhow::Result<House> {
    let error = match one(options, way, runs).await.with_context(|| way.name()) {
        Err(error) if !way.is_ours() && error.is::<StoodStill>() => error,
        ended => return ended,
    };
    let note = format!("started once more: {error:#}");
    progress(&note);
    notes.push(note);
    one(options, way, runs).await.with_context(|| way.name())
}

/// All rates by one of them, on servers of its own.
async fn one(options: &Options, way: &Way, runs: &mut Vec<Run>) -> anyhow::Result<House> {
    let (mut house, start) = House::start(options.dir.clone(), way).await?;
    warm_up(&mut house, options.first_warm_up()).await?;
    let mut all = Vec::new();
    for rate in &options.rates {
        let round = round::run(&mut house, options, *rate).await.with_context(|| format!("at {rate}/s"))?;
        all.push(Run { start, round });
    }
    runs.append(&mut all);
    Ok(house)
}

/// When a figure is told.
#[derive(Clone, Copy)]
enum Told {
    Always,
    /// Where it is not zero.
    IfAny,
    /// Where this store kept up: one that falls behind has no latency.
    IfKept(usize),
}

const FIGURES: [(&str, &str, Figure, Told); 14] = [
    ("POST to 202, p50", "ms", |run| run.round.answered.p50, Told::Always),
    ("POST to 202, p99", "ms", |run| run.round.answered.p99, Told::Always),
    ("POST to SELECT, p50", "ms", |run| run.round.stores[0].seen.p50, Told::IfKept(0)),
    ("POST to SELECT, p99", "ms", |run| run.round.stores[0].seen.p99, Told::IfKept(0)),
    ("POST to searchable, p50", "ms", |run| run.round.stores[1].seen.p50, Told::IfKept(1)),
    ("POST to searchable, p99", "ms", |run| run.round.stores[1].seen.p99, Told::IfKept(1)),
    ("CPU of an order, programs", "CPU-ms", programs, Told::Always),
    ("CPU of an order, what writes the stores", "CPU-ms", |run| cpu(run, Role::Writer), Told::Always),
    ("CPU of an order, servers", "CPU-ms", |run| cpu(run, Role::Server), Told::Always),
    ("the most RSS, programs", "MiB", |run| run.round.most.programs, Told::Always),
    ("the most RSS, with what writes the stores", "MiB", |run| run.round.most.with_writers, Told::Always),
    ("start to the first order in both stores", "s", |run| run.start.stored[0].max(run.start.stored[1]), Told::Always),
    // Whoever takes less has less to do.
    ("refused", "orders", |run| run.round.refused, Told::IfAny),
    ("not sent in time", "orders", |run| run.round.unsent, Told::IfAny),
];

fn rows(ways: &[Way], runs: &[Vec<Run>], rate: u32) -> anyhow::Result<Found> {
    let of_rate = |run: &&Run| run.round.rate == rate;
    let runs: Vec<Vec<&Run>> = runs.iter().map(|runs| runs.iter().filter(of_rate).collect()).collect();
    let mut found = Found::default();
    for (what, unit, figure, told) in FIGURES {
        for (way, runs) in ways.iter().zip(&runs) {
            let all: Vec<f64> = runs.iter().map(|run| figure(run)).collect();
            let is_told = match told {
                Told::Always => true,
                Told::IfAny => all.iter().any(|figure| 0.0 < *figure),
                Told::IfKept(store) => behind(runs, store) == 0,
            };
            if is_told {
                found.add(format!("{}, {what} at {rate}/s", way.name()), unit, &all)?;
            }
        }
    }
    for (way, runs) in ways.iter().zip(&runs) {
        for (store, kind) in Kind::ALL.into_iter().enumerate().filter(|(store, _)| 0 < behind(runs, *store)) {
            let (times, of) = (behind(runs, store), runs.len());
            found.notes.push(format!("{}: {kind} fell behind at {rate}/s in {times} of {of} rounds", way.name()));
        }
    }
    found.extend(claims(ways, &runs, rate)?);
    Ok(found)
}

/// In how many of them a store fell behind.
fn behind(runs: &[&Run], store: usize) -> usize {
    runs.iter().filter(|run| run.round.stores.get(store).is_some_and(|store| !store.flow.keeps_up())).count()
}

fn claims(ways: &[Way], runs: &[Vec<&Run>], rate: u32) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let (ours, theirs) = runs.split_first().context("nobody ran")?;
    let quarter = Some(Goal::AtMost(0.25));
    let eighth = Some(Goal::AtMost(0.125));
    let figures: [(&str, Figure, Option<Goal>); 4] = [
        ("CPU of programs, of that of", programs, quarter),
        ("memory of programs, of that of", |run| run.round.most.programs, eighth),
        ("CPU of programs and what writes the stores, of that of", |run| programs(run) + cpu(run, Role::Writer), None),
        ("CPU of everything, of that of", |run| run.round.cpu.parts.iter().sum(), None),
    ];
    for (way, theirs) in ways.iter().skip(1).zip(theirs) {
        for (what, figure, goal) in figures {
            // With the rules in the sinks nothing stands between the edge and them.
            if matches!(way, Way::Smt(_)) && goal.is_some() {
                continue;
            }
            let of = |runs: &[&Run]| runs.iter().map(|run| figure(run)).collect::<Vec<f64>>();
            let ratio = Spread::of_ratios(&of(ours), &of(theirs)).context("no ratio")?;
            found.rows.push(claim(&format!("our {what} {} at {rate}/s", way.name()), ratio, goal));
        }
    }
    Ok(found)
}

fn cpu(run: &Run, role: Role) -> f64 {
    run.round.cpu.of(&run.round.parts, role) * 1000.0
}

fn programs(run: &Run) -> f64 {
    cpu(run, Role::Program)
}
