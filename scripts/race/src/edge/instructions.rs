//! Instructions of one order, of the edge and of both floors; and of the way from bytes to Avro alone.

use std::{hint::black_box, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use edge::differential::Both;
use schemas::contracts::ORDER_SCHEMA_JSON;

use super::{Bench, Found, Options, encode, progress};
use crate::{
    callgrind::{self, Counting},
    floor::{self, Parse},
    load::{Load, Pace, Plan},
    orders::Ids,
    process::Process,
    report::Row,
    spread::Spread,
};

/// How long orders come in the short run and in the long one; not less when quick: there are few of them.
const TIMES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(9)];
const ENCODED: [u64; 2] = [200, 1_200];

/// What is counted of the way from bytes to Avro.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Way {
    /// In one pass.
    Fast,
    /// Through jsonschema and apache-avro.
    Full,
}

/// Encodes so many orders.
///
/// # Errors
/// When the order is not taken.
pub fn turn(way: Way, count: u64) -> anyhow::Result<()> {
    let both = Both::compile(ORDER_SCHEMA_JSON).context("there is no fast path for the shipped schema")?;
    let order = Ids::default().order(0).into_bytes();
    let taken = || match way {
        Way::Fast => encode::fast(&both, &order),
        Way::Full => encode::full(&both, &order),
    };
    ensure!((0..count).all(|_| black_box(taken())), "the order of the bench is not taken");
    Ok(())
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    if let Some(missing) = callgrind::missing() {
        return Ok(missing);
    }
    let mut found = Found::default();
    let spread = |runs: &[f64]| Spread::of(runs).context("no run");
    let [fast, full] = ["fast", "full"].map(|way| encoded(bench, way));
    let row = Row::new("instructions, one order from bytes to Avro", spread(&[fast?])?, "instructions");
    found.rows.push(row.beside("the full way", spread(&[full?])?));
    let servers = [Server::Edge, Server::Floor { produces: false }, Server::Floor { produces: true }];
    let mut runs = [const { Vec::new() }; 3];
    for round in 1..=bench.options.rounds() {
        for (server, runs) in servers.into_iter().zip(&mut runs) {
            progress(&format!("instructions: {}, round {round}", server.name()));
            runs.push(of_an_order(bench, server).await?);
        }
    }
    let [edge, floor, producing] = runs.map(|runs| spread(&runs));
    let row = |what, figure| Row::new(what, figure, "instructions");
    found.rows.extend([
        row("instructions of a single order, closed loop", edge?).beside("bare hyper, into a Value", floor?),
        row("the same of bare hyper that also produces", producing?),
    ]);
    let note = "instructions are those of user space, as callgrind counts them: threads run one at a time and slowly there, so \
                requests to the broker have other sizes than at full speed";
    found.notes.push(note.to_owned());
    Ok(found)
}

fn encoded(bench: &Bench, way: &str) -> anyhow::Result<f64> {
    progress(&format!("instructions: from bytes to Avro, {way}"));
    let counting = Counting::new(&bench.options.own, &bench.options.dir, way)?;
    counting.each(ENCODED, |count| vec!["encode".to_owned(), format!("--way={way}"), format!("--count={count}")])
}

/// Who answers.
#[derive(Clone, Copy, Debug)]
enum Server {
    Edge,
    Floor { produces: bool },
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Floor { produces: false } => "bare hyper",
            Self::Floor { produces: true } => "bare hyper that produces",
        }
    }

    async fn start(self, bench: &Bench) -> anyhow::Result<(Counting, Process, SocketAddr)> {
        let Options { dir, edge, own, .. } = &bench.options;
        match self {
            Self::Edge => {
                let counting = Counting::new(edge, dir, self.name())?;
                let edge = bench.edge_as(counting.command(), &bench.kafka).await?;
                Ok((counting, edge.process, edge.address))
            }
            Self::Floor { produces } => {
                let counting = Counting::new(own, dir, self.name())?;
                let kafka = produces.then(|| bench.kafka.servers.clone());
                let args = floor::Args { parse: Parse::Value, threads: 0, kafka };
                let (process, address) = floor::start_as(counting.command(), &args)?;
                Ok((counting, process, address))
            }
        }
    }
}

async fn of_an_order(bench: &Bench, server: Server) -> anyhow::Result<f64> {
    let mut runs = Vec::new();
    for time in TIMES {
        let (counting, process, address) = server.start(bench).await?;
        let connections = bench.options.connections;
        let plan = Plan { address, connections, pace: Pace::Closed, time, batch: 1, obey_retry_after: false };
        let tally = Load::run(&plan, &bench.ids).await;
        ensure!(tally.is_clean(1), "{}: not every order was accepted: {:?}", server.name(), tally.others());
        runs.push((counting.end(process)?, tally.accepted()));
    }
    let [short, long] = runs[..] else { anyhow::bail!("two runs were asked for") };
    callgrind::of_each(short, long).context("the longer run took less")
}
