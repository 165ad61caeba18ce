//! Healers beside each other, against librdkafka's mock cluster.

use std::time::{Duration, Instant};

use connectors::serve::duty::Duty;
use rdkafka::mocking::MockCluster;
use schemas::names::topics::DEAD_LETTER_MARKS;
use service_kit::Tasks;

/// Longer than a session's time and all pauses.
const PATIENCE: Duration = Duration::from_secs(60);

struct Healer {
    duty: Duty,
    tasks: Tasks,
}

impl Healer {
    fn start(servers: &str, name: &str) -> Self {
        let (duty, tasks) = (Duty::default(), Tasks::new());
        tasks.spawn(duty.clone().run(servers.into(), name.to_owned(), tasks.clone()));
        Self { duty, tasks }
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_on_duty_and_is_followed_when_it_ends() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(DEAD_LETTER_MARKS, 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let one = Healer::start(&servers, "one");
    until("duty", || one.duty.is_held()).await;
    // By name it would come first.
    let two = Healer::start(&servers, "a-second");
    for _ in 0..100 {
        assert!(one.duty.is_held() && !two.duty.is_held(), "who comes takes the duty from nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    one.tasks.drain(PATIENCE).await;
    until("the other on duty", || two.duty.is_held()).await;
    two.tasks.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_topic_nobody_is_on_duty_and_with_it_one_is() {
    let cluster = MockCluster::new(1).unwrap();
    let healer = Healer::start(&cluster.bootstrap_servers(), "one");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!healer.duty.is_held());
    cluster.create_topic(DEAD_LETTER_MARKS, 1, 1).unwrap();
    until("duty", || healer.duty.is_held()).await;
    healer.tasks.drain(PATIENCE).await;
}
