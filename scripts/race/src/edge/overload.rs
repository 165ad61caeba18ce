//! Three times as many orders as the broker takes: what is accepted must not wait longer for it, and a refused client
//! that waits as long as it was told should then be taken.
//!
//! The broker is the bottleneck, made slow on purpose: on a machine that the generator shares, it cannot send three times
//! what the edge can do. A mock broker lets each answer wait. A real one is taken as it is, so it should have a quota:
//!
//! ```sh
//! kafka-configs.sh --bootstrap-server HOST:PORT --alter --add-config producer_byte_rate=500000 \
//!     --entity-type clients --entity-name edge-race
//! ```
//!
//! Clients are a population, each with one order at a time, as real ones are: whoever waits for
//! its time to try again sends nothing else meanwhile.

use std::{sync::atomic::Ordering, time::Duration};

use super::{Bench, Edge, Found, memory, progress};
use crate::{
    kafka::Kafka,
    load::{Load, Pace, Plan, Tally},
    report::Row,
    spread::{Goal, Spread},
};

/// More than the edge lets wait, so that some are refused.
const CLIENTS: usize = edge::publish::settings::MAX_ORDERS + 2500;
/// Of one request; the edge has one of a partition under way, so an order may wait for those of all others.
const ROUND_TRIP: Duration = Duration::from_millis(50);
const CAPACITY: Duration = Duration::from_secs(9);
const RUN: Duration = Duration::from_secs(15);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mock = match bench.options.kafka {
        None => Some(Kafka::mock()?),
        Some(_) => None,
    };
    let edge = bench.edge_for(mock.as_ref().unwrap_or(&bench.kafka)).await?;
    progress("overload: how many clients at once");
    if memory::answered(bench, &edge, CLIENTS).await.len() < CLIENTS {
        found.notes.push(format!(
            "overload cannot be told: the edge does not take {CLIENTS} connections at once, and fewer cannot fill the \
             queue of {} orders with single orders",
            edge::publish::settings::MAX_ORDERS
        ));
        return Ok(found);
    }
    let broker = match &mock {
        Some(mock) => {
            mock.set_round_trip(ROUND_TRIP)?;
            format!("a mock broker with a round trip of {ROUND_TRIP:?}")
        }
        None => format!("{} with whatever quota it has for the client edge-race", bench.kafka.description()),
    };
    progress("overload: how much the broker takes");
    let full = run(bench, &edge, Pace::Closed, CAPACITY).await;
    let capacity = full.accepted() as f64 / bench.options.time(CAPACITY).as_secs_f64();
    progress(&format!("overload: half of {capacity:.0}/s"));
    let half = run(bench, &edge, Pace::Open(capacity / 2.0), RUN).await;
    progress(&format!("overload: three times {capacity:.0}/s"));
    let over = run(bench, &edge, Pace::Open(capacity * 3.0), RUN).await;
    rows(&mut found, [&half, &full, &over]);
    found.notes.push(format!(
        "overload: {broker} takes {capacity:.0} orders/s from {CLIENTS} clients; p99 is from sending to the answer, \
         because a client that waits to try again sends nothing; at three times that {} requests were sent, {} refused, \
         {} of them sent again after the time that they were told, {} got no \
         answer, {} could not be sent because every client was busy or waiting; other answers: {:?}",
        count(&over.answered),
        count(&over.refused),
        count(&over.second_tries),
        count(&over.failed),
        count(&over.unsent),
        over.others()
    ));
    Ok(found)
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

async fn run(bench: &Bench, edge: &Edge, pace: Pace, time: Duration) -> std::sync::Arc<Tally> {
    let (address, time) = (edge.address, bench.options.time(time));
    let plan = Plan { address, connections: CLIENTS, pace, time, batch: 1, obey_retry_after: true };
    Load::run(&plan, &bench.ids).await
}

fn rows(found: &mut Found, [half, full, over]: [&Tally; 3]) {
    let p99 = |tally: &Tally| {
        let millis = tally.accepted_since_sent.quantile(0.99)?.as_secs_f64() * 1000.0;
        Spread::of(&[millis])
    };
    if let (Some(half), Some(full), Some(over)) = (p99(half), p99(full), p99(over)) {
        let goal = Goal::AtMost(full.median * 1.1);
        let row = Row::new("p99 of accepted orders at 3x overload", over, "ms");
        found.rows.push(row.beside("the same with the broker just full", full).goal(goal));
        found.rows.push(Row::new("p99 of accepted orders at half load", half, "ms"));
    }
    let share = count(&over.refused_again) as f64 / count(&over.second_tries) as f64 * 100.0;
    if let Some(share) = Spread::of(&[share]) {
        found.rows.push(Row::new("refused again after Retry-After", share, "%").goal(Goal::AtMost(5.0)));
    }
}
