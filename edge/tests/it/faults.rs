//! The fault run: orders over real sockets to a real edge process, one fault after another between it and the brokers,
//! kill -9 of it, and then the whole topic is read. No is never in it, yes is in it exactly once, and what is in doubt is
//! never more than what was in flight when something was cut.
//!
//! A short one runs with the tests. At length, some minutes, as often as one likes and the same again by its seed:
//! `scripts/faults edge [orders] [seed]`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Error},
};
use schemas::names::topics;
use tokio::time::sleep;

use crate::world::{StubRegistry, get, talk, until};

mod client;
mod log;
mod verdict;

use client::Crowd;
use log::Log;
use verdict::{Post, judge};

const BROKERS: i32 = 3;
/// One client for each.
const PARTITIONS: i32 = 48;
/// Without faults, in each round.
const CALM: usize = 2000;
/// The most posts within one fault; nearly all end with the fault.
const MOST: usize = 5000;

/// What can be wrong, in the order of a round before the seed has mixed it.
const FAULTS: [Fault; 9] = [
    Fault { name: "errors that are tried again", inject: Inject::Errors(&RETRIED), deadline_ms: None },
    Fault { name: "errors that are final", inject: Inject::Errors(&FINAL), deadline_ms: None },
    Fault { name: "connections cut", inject: Inject::Cuts, deadline_ms: None },
    Fault { name: "leaders change", inject: Inject::Leaders, deadline_ms: None },
    Fault { name: "partitions without leader", inject: Inject::Leaderless, deadline_ms: None },
    Fault { name: "brokers down, then up", inject: Inject::Down, deadline_ms: None },
    Fault { name: "slower than the deadline", inject: Inject::Slow, deadline_ms: Some(200) },
    Fault { name: "the edge is killed", inject: Inject::Kill, deadline_ms: None },
    Fault { name: "killed while brokers are down", inject: Inject::KillInTheDark, deadline_ms: None },
];

/// The broker has not stored it, and says so.
const RETRIED: [Error; 3] = [
    Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    Error::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
];
/// The broker has not stored it and will not.
const FINAL: [Error; 3] = [
    Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
    Error::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
];

#[derive(Clone, Copy)]
struct Fault {
    name: &'static str,
    inject: Inject,
    deadline_ms: Option<u32>,
}

#[derive(Clone, Copy)]
enum Inject {
    Errors(&'static [Error]),
    Cuts,
    Leaders,
    Leaderless,
    Down,
    Slow,
    Kill,
    KillInTheDark,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_is_never_stored_and_yes_is_stored_once_whatever_breaks() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let asked = number("EDGE_FAULT_ORDERS");
    let orders = usize::try_from(asked.unwrap_or(4000)).unwrap();
    // At length each run is another one; with the other tests it is always the same.
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("EDGE_FAULT_SEED").unwrap_or_else(|| asked.map_or(5, |_| clock()));
    println!("at least {orders} orders, seed {seed} (EDGE_FAULT_ORDERS, EDGE_FAULT_SEED)");
    let begun = Instant::now();
    let mut run = Run::start(seed).await;
    while run.posts.len() < orders {
        run.round().await;
    }
    run.log.read_on(&run.kafka.bootstrap_servers());
    let verdict = judge(&run.posts, &run.log.found, &run.in_flight);
    println!("{} orders in {:.0?}, seed {seed}\n{verdict}", run.posts.len(), begun.elapsed());
    assert_eq!(verdict.violations.len(), 0, "seed {seed}:\n{verdict}");
    for (fault, line) in &verdict.lines {
        assert!(0 < line.posts, "{fault}: nothing was posted");
    }
    assert!(verdict.lines[FAULTS[6].name].possibly > 0, "a broker that is slower than the deadline leaves doubts");
}

struct Run {
    kafka: MockCluster<'static, DefaultProducerContext>,
    _registry: StubRegistry,
    edge: Edge,
    begun: Instant,
    seed: u64,
    numbers: Arc<AtomicU64>,
    posts: Vec<Post>,
    in_flight: BTreeMap<&'static str, usize>,
    log: Log,
    /// Partitions are led by others than at the start.
    moved: bool,
}

impl Run {
    async fn start(seed: u64) -> Self {
        let kafka = MockCluster::new(BROKERS).unwrap();
        kafka.create_topic(topics::ORDERS_RECEIVED, PARTITIONS, BROKERS).unwrap();
        // The mock (2.12) dies of answering version 10 for a partition without a leader.
        kafka.apiversion(RDKafkaApiKey::Produce, Some(3), Some(9)).unwrap();
        let registry = StubRegistry::start().await;
        let edge = Edge::start(&kafka.bootstrap_servers(), &registry.url());
        let mut run = Self {
            kafka,
            _registry: registry,
            edge,
            begun: Instant::now(),
            seed,
            numbers: Arc::default(),
            posts: Vec::new(),
            in_flight: BTreeMap::new(),
            log: Log::new(topics::ORDERS_RECEIVED, PARTITIONS),
            moved: true,
        };
        run.mend();
        run.edge.until_calm().await;
        run
    }

    /// A calm time and every fault once, in an order of the seed's.
    async fn round(&mut self) {
        let calm = Crowd::start(client::CALM, self.edge.address, PARTITIONS, CALM, None, &self.numbers);
        self.posts.extend(calm.finish().await);
        println!("{:6.1} s: {} posts", self.begun.elapsed().as_secs_f32(), self.posts.len());
        let mut faults = FAULTS;
        for last in (1..faults.len()).rev() {
            faults.swap(last, self.below(last + 1));
        }
        for fault in faults {
            self.suffer(fault).await;
        }
        // The mock keeps 5 MiB of each partition.
        self.log.read_on(&self.kafka.bootstrap_servers());
    }

    async fn suffer(&mut self, fault: Fault) {
        let Fault { name, inject, deadline_ms } = fault;
        let crowd = Crowd::start(name, self.edge.address, PARTITIONS, MOST, deadline_ms, &self.numbers);
        sleep(Duration::from_millis(50)).await;
        let in_flight = match inject {
            Inject::Errors(errors) => self.errors(errors).await,
            Inject::Cuts => self.cuts(&crowd).await,
            Inject::Leaders => self.leaders(600, |run| Some(1 + i32::try_from(run.below(3)).unwrap())).await,
            Inject::Leaderless => {
                self.leaders(300, |run| (run.below(3) == 0).then_some(1)).await;
                self.leaders(100, |run| Some(1 + i32::try_from(run.below(3)).unwrap())).await
            }
            Inject::Down => self.down(&crowd).await,
            Inject::Slow => {
                self.kafka.broker_round_trip_time(-1, Duration::from_millis(600)).unwrap();
                sleep(Duration::from_millis(1000)).await;
                usize::MAX
            }
            Inject::Kill => self.kill(&crowd).await,
            Inject::KillInTheDark => {
                let at_the_cut = self.cut(&crowd);
                let at_the_kill = self.kill(&crowd).await;
                at_the_cut + at_the_kill
            }
        };
        self.mend();
        let posts = crowd.stop().await;
        println!("{:6.1} s: {name}: {} posts", self.begun.elapsed().as_secs_f32(), posts.len());
        // All that were begun while it was slow were in flight when it ended.
        *self.in_flight.entry(name).or_default() += in_flight.min(posts.len());
        self.posts.extend(posts);
        let mended = Instant::now();
        self.edge.until_calm().await;
        println!("    calm after {:.1?}", mended.elapsed());
    }

    /// Errors for some of the requests. The broker stores nothing of those.
    async fn errors(&mut self, errors: &[Error]) -> usize {
        for _ in 0..8 {
            let error = errors[self.below(errors.len())];
            self.kafka.request_errors(RDKafkaApiKey::Produce, &[error, error]);
            sleep(Duration::from_millis(40)).await;
        }
        0
    }

    /// The broker hangs up instead of storing a request.
    async fn cuts(&mut self, crowd: &Crowd) -> usize {
        let mut in_flight = 0;
        for _ in 0..5 {
            self.kafka.request_errors(RDKafkaApiKey::Produce, &[Error::RD_KAFKA_RESP_ERR__TRANSPORT]);
            in_flight += crowd.control.open();
            let pause = 50 + self.below(100) as u64;
            sleep(Duration::from_millis(pause)).await;
        }
        in_flight
    }

    /// Some partitions get another leader, or none.
    async fn leaders(&mut self, millis: u64, leader: impl Fn(&mut Self) -> Option<i32>) -> usize {
        self.moved = true;
        for partition in 0..PARTITIONS {
            let leader = leader(self);
            self.kafka.partition_leader(topics::ORDERS_RECEIVED, partition, leader).unwrap();
            sleep(Duration::from_millis(millis / PARTITIONS.unsigned_abs() as u64)).await;
        }
        0
    }

    /// All brokers go, with answers under way: what they stored is then sent again.
    async fn down(&mut self, crowd: &Crowd) -> usize {
        let in_flight = self.cut(crowd);
        sleep(Duration::from_millis(1500)).await;
        in_flight
    }

    fn cut(&self, crowd: &Crowd) -> usize {
        self.kafka.broker_round_trip_time(-1, Duration::from_millis(50)).unwrap();
        std::thread::sleep(Duration::from_millis(70));
        self.kafka.broker_down(-1).unwrap();
        crowd.control.open()
    }

    async fn kill(&mut self, crowd: &Crowd) -> usize {
        self.kafka.broker_round_trip_time(-1, Duration::from_millis(20)).unwrap();
        let pause = 100 + self.below(300) as u64;
        sleep(Duration::from_millis(pause)).await;
        let in_flight = crowd.control.shut();
        self.edge.kill();
        self.mend();
        self.edge.start_again().await;
        crowd.control.let_go_on();
        sleep(Duration::from_millis(200)).await;
        in_flight
    }

    /// Nothing is wrong with the brokers any more.
    fn mend(&mut self) {
        self.kafka.clear_request_errors(RDKafkaApiKey::Produce);
        self.kafka.broker_up(-1).unwrap();
        self.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
        // Now and then the mock takes a quarter of a second for each of these.
        let moved = std::mem::take(&mut self.moved);
        for partition in (0..PARTITIONS).filter(|_| moved) {
            let leader = Some(1 + partition % BROKERS);
            self.kafka.partition_leader(topics::ORDERS_RECEIVED, partition, leader).unwrap();
        }
    }

    /// A number below another, by the seed (splitmix64).
    fn below(&mut self, end: usize) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

// === the process ===

/// An edge that does not outlive its test, and is always found at the same place.
struct Edge {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    kafka: String,
    registry: String,
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Edge {
    fn start(kafka: &str, registry: &str) -> Self {
        let listeners = [(), ()].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, admin] = listeners.map(|listener| listener.local_addr().unwrap());
        let child = spawn(address, admin, kafka, registry);
        Self { child, address, admin, kafka: kafka.to_owned(), registry: registry.to_owned() }
    }

    /// With SIGKILL.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn start_again(&mut self) {
        self.child = spawn(self.address, self.admin, &self.kafka, &self.registry);
        self.until_calm().await;
    }

    /// It is ready, and everything that it took is settled.
    async fn until_calm(&self) {
        until("the edge is ready", async || {
            let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            talk(self.admin, request).await.is_some_and(|answer| answer.status == 200)
        })
        .await;
        until("nothing waits for the broker", async || {
            get(self.admin, "/metrics").await.text.contains("orderflow_edge_queue_orders 0")
        })
        .await;
    }
}

fn spawn(address: SocketAddr, admin: SocketAddr, kafka: &str, registry: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_edge"))
        .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string(), "--instance", "test"])
        .args(["--kafka", kafka, "--registry", registry, "--log=off"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}
