//! The promise on the real servers: one private stack, started once, and one stage after another on it.
//!
//! One test for all stages on purpose: they share the stack, the ledger and the final counts, and each prints its
//! figures. What a user types is tried in another ([`commands`]), on a stack that only the scripts touch.
//! A missing server fails it with a plain message; nothing is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails fails its test"
)]

mod beside;
mod broken;
mod brokers;
mod clock;
mod combined;
mod commands;
mod connect;
mod defects;
mod evolution;
mod faults;
mod files;
mod foreign;
mod guarded;
mod house;
mod isolation;
mod java;
mod kafka_security;
mod lab;
mod late;
mod links;
mod orders;
mod poison;
mod processes;
mod rehearsal;
mod remade;
mod replicas;
mod sink;
mod small_disk;
mod strikes;
mod stub;
mod targets;
mod trace;
mod verify;
mod worker;

use std::time::Instant;

use house::House;

/// A part of the test, on the shared stack.
type Stage = fn(&mut House);

#[test]
fn the_promise_is_kept_on_the_real_servers() {
    // `scripts/faults` runs one of them, at length. Several parts of names stand with a | between them.
    let only = std::env::var("PROMISE_STAGE").unwrap_or_default();
    if only == lab::REPORT {
        return lab::put_together();
    }
    if only == brokers::STAGE {
        return brokers::on_three_brokers();
    }
    if only == combined::ON_THREE_BROKERS {
        return combined::on_three_brokers();
    }
    let mut house = House::start();
    let stages: [(&str, Stage); 22] = [
        ("one order", orders::one_order),
        ("stores are lost and made again", remade::made_again),
        ("ten thousand orders", orders::ten_thousand),
        ("the checker sees what is broken in the real stores", broken::stores),
        ("poison straight into orders.received", poison::planted),
        ("verify finds what is broken and mends it, while orders flow", verify::finds_and_mends),
        ("the exchanges of Connect's tools, with Connect beside", connect::exchanges_of_its_tools),
        ("edited files", files::edited),
        ("a rehearsal is killed half way", rehearsal::killed),
        ("a consumer of another make", foreign::python),
        ("a private stack beside it", house::neighbour),
        ("the schema pair in Java", java::reads_the_pair),
        // What the killed one left is over by now.
        ("edited sinks are rehearsed", rehearsal::edits),
        ("kill -9 under load", faults::each_in_turn),
        ("processes are paused, restarted and doubled", processes::in_turn),
        ("links break half-way", links::in_turn),
        ("what the sinks write to fails", targets::each_in_turn),
        ("what the guarded sink writes to fails", guarded::in_turn),
        ("faults meet", combined::by_a_seed),
        // Late: the files of the checkout know nothing of the field.
        ("a field is added under load", evolution::under_load),
        // Late: a reader that knows only good records, such as those of another make, stops at what this leaves behind.
        ("poison straight into order_placed", isolation::planted),
        // Last: it breaks the promise.
        ("five deliberate defects are caught", defects::each_is_caught),
    ];
    let chosen: Vec<_> = stages.iter().filter(|(name, _)| only.split('|').any(|part| name.contains(part))).collect();
    assert!(!chosen.is_empty(), "PROMISE_STAGE={only:?} names none of the stages {:?}", stages.map(|(name, _)| name));
    let first = Instant::now();
    for round in 1.. {
        for (name, stage) in &chosen {
            let begun = Instant::now();
            println!("\n=== {name}{}", if round == 1 { String::new() } else { format!(", round {round}") });
            stage(&mut house);
            println!("=== {name}: passed in {:.1} s", begun.elapsed().as_secs_f32());
        }
        if lab::length() <= first.elapsed() {
            break;
        }
    }
    house.lab.expect_all_wanted();
    house.down_leaves_nothing();
}
