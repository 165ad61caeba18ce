//! Memory with many connections, and how long a start takes.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Bench, Edge, Found, progress};
use crate::{
    load::{Client, Load, Pace, Plan},
    orders::Request,
    report::Row,
    spread::{Goal, Spread},
};

const BUSY: usize = 1000;
const IDLE: usize = 10_000;
/// Orders that are posted over the busy connections before memory is read.
const RATE: f64 = 2000.0;
const RUN: Duration = Duration::from_secs(3);
/// A connection that is not answered by then waits in the kernel's backlog.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let mut found = Found::default();
    progress("start");
    let (mut starts, mut fresh) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let edge = bench.edge().await?;
        starts.push(edge.ready_after.as_secs_f64() * 1000.0);
        fresh.push(mib(edge.process.memory()?.0));
    }
    found.rows.push(Row::new("from start to ready", spread(&starts)?, "ms").goal(Goal::AtMost(100.0)));
    found.rows.push(Row::new("RSS when ready", spread(&fresh)?, "MiB"));
    busy(bench, &mut found).await?;
    if bench.options.has_idle() {
        idle(bench, &mut found).await?;
    }
    Ok(found)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn spread(runs: &[f64]) -> anyhow::Result<Spread> {
    Spread::of(runs).context("a run without a figure")
}

/// Connections that each posted orders and are kept; then the same once more under load.
async fn busy(bench: &Bench, found: &mut Found) -> anyhow::Result<()> {
    progress("memory with 1,000 connections");
    let edge = bench.edge().await?;
    let clients = answered(bench, &edge, BUSY).await;
    ensure!(clients.len() == BUSY, "{} of {BUSY} connections were answered", clients.len());
    let (kept, _) = edge.process.memory()?;
    found.rows.push(Row::new("RSS, 1,000 connections", spread(&[mib(kept)])?, "MiB").goal(Goal::AtMost(32.0)));
    drop(clients);
    let plan = Plan {
        address: edge.address,
        connections: BUSY,
        pace: Pace::Open(RATE),
        time: bench.options.time(RUN),
        batch: 1,
        obey_retry_after: false,
    };
    Load::run(&plan, &bench.ids).await;
    let (_, most) = edge.process.memory()?;
    let name = format!("most RSS, 1,000 connections and {RATE} orders/s");
    found.rows.push(Row::new(name, spread(&[mib(most)])?, "MiB").goal(Goal::AtMost(32.0)));
    Ok(())
}

async fn idle(bench: &Bench, found: &mut Found) -> anyhow::Result<()> {
    progress("memory with 10,000 idle connections");
    let edge = bench.edge().await?;
    let mut clients = Vec::new();
    for _ in 0..IDLE {
        let mut client = Client::new(edge.address);
        let Ok(Ok(_)) = tokio::time::timeout(ANSWER, client.connect()).await else { break };
        clients.push(client);
    }
    // The last one is answered only if all before it were taken.
    let mut request = Request::new(&bench.ids, 1);
    let is_taken = match clients.last_mut() {
        Some(last) => {
            let exchange = last.exchange(request.numbered(bench.ids.take(1)), 1);
            tokio::time::timeout(ANSWER, exchange).await.is_ok_and(|reply| reply.is_ok())
        }
        None => false,
    };
    let (rss, _) = edge.process.memory()?;
    if clients.len() == IDLE && is_taken {
        found.rows.push(Row::new("RSS, 10,000 idle connections", spread(&[mib(rss)])?, "MiB").goal(Goal::AtMost(64.0)));
    } else {
        found.notes.push(format!(
            "RSS with 10,000 idle connections cannot be told: the edge takes fewer at once ({:.1} MiB with those)",
            mib(rss)
        ));
    }
    Ok(())
}

/// Clients that each posted one order and keep their connections; it ends with the first that gets no answer.
pub(super) async fn answered(bench: &Bench, edge: &Edge, count: usize) -> Vec<Client> {
    let (mut clients, mut request) = (Vec::new(), Request::new(&bench.ids, 1));
    // Hundreds at once: one by one each would wait for the linger.
    while clients.len() < count {
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..(count - clients.len()).min(250) {
            let (mut client, bytes) = (Client::new(edge.address), request.numbered(bench.ids.take(1)).to_vec());
            asked.spawn(async move {
                let exchange = client.exchange(&bytes, 1);
                let answered = tokio::time::timeout(ANSWER, exchange).await.is_ok_and(|reply| reply.is_ok());
                answered.then_some(client)
            });
        }
        let round = asked.join_all().await;
        let all = round.iter().all(Option::is_some);
        clients.extend(round.into_iter().flatten());
        if !all {
            break;
        }
    }
    clients
}
