//! Several slots of one group, and what an operator tells a slot: whatever happens, every partition flows afterwards.

use transforms::status::State;

use crate::harness::{Mock, Running};

fn numbers(count: u64) -> Vec<u64> {
    (0..count).collect()
}

/// librdkafka keeps a partition paused over a rebalance, and nothing says so: the slot looked as if it ran.
#[test]
fn a_partition_that_went_away_paused_flows_when_it_comes_back() {
    let mock = Mock::start();
    let stays = Running::copying(&mock, "a");
    stays.until("the assignment", |status| status.report().assigned.len() == 4);
    stays.control.pause(true);
    stays.until("the pause", |status| status.report().state == State::Paused);
    let leaves = Running::copying(&mock, "b");
    leaves.until("its half", |status| status.report().assigned.len() == 2);
    stays.until("its half", |status| status.report().assigned.len() == 2);
    stays.control.pause(false);
    stays.until("the end of the pause", |status| status.report().state == State::Running);
    drop(leaves);
    stays.until("all partitions", |status| status.report().assigned.len() == 4);
    mock.write(0..200);
    assert_eq!(mock.read(200).into_keys().collect::<Vec<_>>(), numbers(200), "{:?}", stays.status.report());
}
