//! Three brokers, which keep each record three times, and a controller of their own. For tests of what happens when some of
//! them go; no part of a stack: [`Options::with_kafka_at`](crate::Options) makes one use them. All end when the value does,
//! or with the thread that started them.
//!
//! The controller is none of the three: it must say which replicas are in sync when two of them are gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::alone::{has_started, wait_until_started, with_settings};
use super::{Context, kafka};
use crate::endpoints::HOST;
use crate::launch::{turn_over, unprivileged};
use crate::ports::{Block, PortName, Ports, take_free_block};
use crate::user::{self, User};
use crate::{Service, StackError, processes};

/// Heap of each in MB: there are four of them.
const HEAP_MB: u32 = 256;

/// The running cluster. Each node has the number that Kafka knows it by.
pub struct KafkaCluster {
    nodes: Vec<Node>,
    user: Option<User>,
    _block: Block,
}

/// A broker, or the controller.
struct Node {
    id: i32,
    context: Context,
    process: Option<Child>,
}

impl KafkaCluster {
    /// The brokers.
    pub const BROKERS: [i32; 3] = [1, 2, 3];
    /// The controller.
    pub const CONTROLLER: i32 = 4;

    /// Starts it in a folder that is emptied first, and waits until every broker serves.
    ///
    /// # Errors
    /// If something is missing, or one does not come up.
    pub fn start(dir: &Path) -> Result<Self, StackError> {
        let (block, user) = (take_free_block()?, unprivileged()?);
        let ids = || Self::BROKERS.into_iter().chain([Self::CONTROLLER]);
        let listens: Vec<(i32, u16)> = ids().zip(block.spare.iter().copied()).collect();
        let port = |id| listens.iter().find(|(node, _)| *node == id).map(|(_, port)| *port);
        let mut cluster = Self { nodes: Vec::new(), user, _block: block };
        for id in ids() {
            let (Some(own), Some(controller)) = (port(id), port(Self::CONTROLLER)) else {
                return Err(StackError::Setting("a block has too few spare ports for four nodes".to_owned()));
            };
            let mut ports = Ports::default();
            ports.set(PortName::Kafka, own);
            ports.set(PortName::KafkaController, controller);
            let context = Context::alone(&dir.join(format!("node-{id}")), HEAP_MB, ports)?;
            cluster.nodes.push(Node { id, context, process: None });
        }
        // Beside each other: no broker serves without the controller.
        for node in &mut cluster.nodes {
            node.start(cluster.user.as_ref())?;
        }
        cluster.nodes.iter_mut().try_for_each(Node::wait)?;
        Ok(cluster)
    }

    /// Where clients find it: all three.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let brokers = self.nodes.iter().filter(|node| node.id != Self::CONTROLLER);
        brokers.map(|node| format!("{HOST}:{}", node.context.ports.get(PortName::Kafka))).collect::<Vec<_>>().join(",")
    }

    /// The process of a node.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self, id: i32) -> Result<u32, StackError> {
        let node = self.nodes.iter().find(|node| node.id == id);
        let process = node.and_then(|node| node.process.as_ref());
        process.map(Child::id).ok_or_else(|| StackError::Supervisor(format!("node {id} does not run")))
    }

    /// What a node has said since its last start.
    ///
    /// # Errors
    /// If there is none of this number, or its log cannot be read.
    pub fn log(&mut self, id: i32) -> Result<String, StackError> {
        let log = self.node(id)?.log();
        fs::read_to_string(&log).map_err(StackError::file("read", &log))
    }

    /// kill -9.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, id: i32) -> Result<(), StackError> {
        self.pid(id)?;
        self.node(id)?.kill();
        Ok(())
    }

    /// A clean stop: it hands over what it leads before it ends.
    ///
    /// # Errors
    /// If it does not run, or does not end in its time.
    pub fn stop(&mut self, id: i32) -> Result<(), StackError> {
        self.ask_to_stop(id)?;
        let limit = Service::Kafka.stop_deadline(false);
        let end = Instant::now() + limit;
        while self.runs(id)? {
            if Instant::now() >= end {
                return Err(StackError::Supervisor(format!("node {id} did not stop in {} s", limit.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The same, without waiting for its end, which [`KafkaCluster::runs`] shows: it may need another node for it.
    ///
    /// # Errors
    /// If it does not run.
    pub fn ask_to_stop(&self, id: i32) -> Result<(), StackError> {
        processes::signal(self.pid(id)?, Signal::TERM);
        Ok(())
    }

    /// Whether a node runs.
    ///
    /// # Errors
    /// If there is none of this number.
    pub fn runs(&mut self, id: i32) -> Result<bool, StackError> {
        let node = self.node(id)?;
        let runs = node.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)));
        if !runs {
            node.process = None;
        }
        Ok(runs)
    }

    /// Takes away all that a node has on disk. It must not run.
    ///
    /// # Errors
    /// If it runs, or something cannot be removed.
    pub fn wipe(&mut self, id: i32) -> Result<(), StackError> {
        if self.pid(id).is_ok() {
            return Err(StackError::Supervisor(format!("node {id} runs")));
        }
        let data = self.node(id)?.context.layout.data(Service::Kafka);
        fs::remove_dir_all(&data).map_err(StackError::file("remove", &data))
    }

    /// Starts a node that was killed or stopped, and waits until it serves.
    ///
    /// # Errors
    /// If it runs, or does not come up.
    pub fn start_again(&mut self, id: i32) -> Result<(), StackError> {
        self.begin_again(id)?;
        self.node(id)?.wait()
    }

    /// The same, without waiting for it: it may need another node for its start.
    ///
    /// # Errors
    /// If it runs, or cannot be started.
    pub fn begin_again(&mut self, id: i32) -> Result<(), StackError> {
        if self.pid(id).is_ok() {
            return Err(StackError::Supervisor(format!("node {id} runs already")));
        }
        let user = self.user.clone();
        self.node(id)?.start(user.as_ref())
    }

    /// Whether a node that was begun again serves by now.
    ///
    /// # Errors
    /// If it has ended instead.
    pub fn serves(&mut self, id: i32) -> Result<bool, StackError> {
        let node = self.node(id)?;
        let log = node.log();
        node.process.as_mut().map_or(Ok(false), |process| has_started(process, &log))
    }

    fn node(&mut self, id: i32) -> Result<&mut Node, StackError> {
        let found = self.nodes.iter_mut().find(|node| node.id == id);
        found.ok_or_else(|| StackError::Setting(format!("the cluster has no node {id}")))
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        // Its data are of no use to anybody.
        self.nodes.iter_mut().for_each(Node::kill);
    }
}

impl std::fmt::Debug for KafkaCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaCluster").field("bootstrap", &self.bootstrap()).finish_non_exhaustive()
    }
}

impl Node {
    /// Formats its disk if need be.
    fn start(&mut self, user: Option<&User>) -> Result<(), StackError> {
        let context = &self.context;
        let data = context.data_of(Service::Kafka, user)?;
        let text = properties(self.id, &context.ports, &data.display().to_string());
        let properties = context.write_config(Service::Kafka, "server.properties", &text)?;
        user::give(&properties, user)?;
        let java = |class: &str| context.kafka_java(user.cloned(), class);
        if !data.join("meta.properties").exists() {
            let format = java("kafka.tools.StorageTool")?.args(["format", "-t", kafka::CLUSTER_ID, "-c"]);
            let alone = (self.id == KafkaCluster::CONTROLLER).then_some("--standalone");
            format.arg(&properties).args(alone).run(context.layout.dir())?;
        }
        let log = self.log();
        turn_over(&log);
        self.process = Some(java("kafka.Kafka")?.arg(properties).spawn_here(context.layout.dir(), &log)?);
        Ok(())
    }

    fn wait(&mut self) -> Result<(), StackError> {
        let log = self.log();
        self.process.as_mut().map_or(Ok(()), |process| wait_until_started(process, &log))
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn log(&self) -> PathBuf {
        self.context.layout.log(Service::Kafka)
    }
}

/// The usual broker's, three times, and as safe as three can be. The controller needs them, too: it makes the topics.
fn properties(id: i32, ports: &Ports, data: &str) -> String {
    let (role, listener) = match id {
        KafkaCluster::CONTROLLER => {
            ("controller", format!("CONTROLLER://{HOST}:{}", ports.get(PortName::KafkaController)))
        }
        _ => ("broker", format!("PLAINTEXT://{HOST}:{}", ports.get(PortName::Kafka))),
    };
    let own = format!(
        "\
process.roles={role}
node.id={id}
listeners={listener}
advertised.listeners={listener}
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
"
    );
    with_settings(&kafka::properties(ports, data).replace("# one broker\n", ""), &own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_keep_three_copies_and_the_controller_is_none_of_them() {
        let mut ports = Ports::default();
        ports.set(PortName::Kafka, 19_092);
        let broker = properties(2, &ports, "/d");
        for line in [
            "process.roles=broker",
            "node.id=2",
            "listeners=PLAINTEXT://127.0.0.1:19092",
            "advertised.listeners=PLAINTEXT://127.0.0.1:19092",
            "controller.quorum.bootstrap.servers=127.0.0.1:9093",
            "min.insync.replicas=2",
            "offsets.topic.replication.factor=3",
            "auto.create.topics.enable=false",
        ] {
            assert_eq!(broker.lines().filter(|found| *found == line).count(), 1, "{line} in {broker}");
        }
        assert!(!broker.contains("=1\n"), "nothing is kept once: {broker}");
        let controller = properties(KafkaCluster::CONTROLLER, &ports, "/d");
        assert!(controller.contains("process.roles=controller\n") && controller.contains("min.insync.replicas=2\n"));
        assert!(controller.contains("\nlisteners=CONTROLLER://127.0.0.1:9093\n"), "{controller}");
    }
}
