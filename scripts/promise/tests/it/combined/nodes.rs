//! Three brokers and their controller as victims. Of the brokers one at a time, and the next when all replicas are in sync
//! again: with two of three away nothing can be written, which is tried by itself (F41) and would only stop this run.

use std::time::{Duration, Instant};

use stack::KafkaCluster;

use super::strike::Mend;
use super::victims::Hit;
use crate::house::scratch;
use crate::replicas::Replicas;
use crate::strikes::Frozen;

/// A broker that was away says for a moment what was so before.
const STALE: Duration = Duration::from_secs(2);

pub(super) struct Nodes {
    cluster: KafkaCluster,
    replicas: Replicas,
    /// Begun again, and not seen to serve since.
    begun: Vec<i32>,
    /// When a broker was away last.
    away: Instant,
}

impl Nodes {
    pub(super) fn start() -> Self {
        let cluster = KafkaCluster::start(&scratch("promise-brokers")).unwrap_or_else(|error| panic!("{error}"));
        let replicas = Replicas::of(&cluster.bootstrap());
        Self { cluster, replicas, begun: Vec::new(), away: Instant::now() }
    }

    /// Where clients find them.
    pub(super) fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    /// Every topic that there is.
    pub(super) fn expect_three_copies(&self) {
        let (partitions, least, _) = self.replicas.fewest();
        assert_eq!(least, KafkaCluster::BROKERS.len(), "a topic of {partitions} partitions in all is kept fewer times");
    }

    pub(super) fn strike(&mut self, id: i32, hit: Hit) -> Mend {
        match hit {
            Hit::Kill => self.cluster.kill(id).unwrap(),
            Hit::Restart => self.cluster.ask_to_stop(id).unwrap(),
            Hit::Pause => return Mend::Wake(Frozen::process(self.cluster.pid(id).unwrap())),
        }
        Mend::Node(id)
    }

    pub(super) fn runs(&mut self, id: i32) -> bool {
        self.cluster.runs(id).unwrap()
    }

    /// Does not wait for it: it may need one that is away itself.
    pub(super) fn begin_again(&mut self, id: i32) {
        self.cluster.begin_again(id).unwrap();
        self.begun.push(id);
    }

    pub(super) fn wake(&mut self, frozen: Frozen) {
        drop(frozen);
        self.away = Instant::now();
    }

    /// The controller.
    pub(super) fn is_led(&mut self) -> bool {
        self.is_back(KafkaCluster::CONTROLLER)
    }

    /// All brokers are there and have all.
    pub(super) fn are_in_sync(&mut self) -> bool {
        KafkaCluster::BROKERS.into_iter().all(|id| self.is_back(id))
            && STALE < self.away.elapsed()
            && self.replicas.are_in_sync()
    }

    /// The same, where nobody is away who would have to be put right meanwhile.
    pub(super) fn wait_for_all(&self) {
        self.replicas.wait_for_all();
    }

    fn is_back(&mut self, id: i32) -> bool {
        if self.begun.contains(&id) && self.cluster.serves(id).unwrap_or_else(|error| panic!("{error}")) {
            self.begun.retain(|begun| *begun != id);
            self.away = Instant::now();
        }
        !self.begun.contains(&id)
    }
}
