//! A second Connect worker beside the stack's own: the same command, settings and environment, read from the running one.

use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::Command;

use promise::world::Store;
use serde_json::Value;
use stack::Service;

use crate::beside::{Beside, free_address};
use crate::faults::{ASK, BACK, Load, wait_for};
use crate::house::{House, scratch};
use crate::sink::Sink;
use crate::strikes::Frozen;
use crate::targets::{committed, positions};
use crate::verify::verify;

/// The sinks, by name.
const SINKS: [&str; 2] = ["orders-postgres", "orders-elasticsearch"];

/// Killed with this value.
struct Worker {
    process: Beside,
    /// What Connect calls it.
    id: String,
}

impl Worker {
    /// Comes back when it has joined and runs tasks.
    fn start(house: &House) -> Self {
        let first = Path::new("/proc").join(house.stack.pid(Service::Connect).unwrap().to_string());
        let words = |name: &str| -> Vec<Vec<u8>> {
            let bytes = std::fs::read(first.join(name)).unwrap();
            bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
        };
        let text = |word: Vec<u8>| std::ffi::OsString::from_vec(word).into_string().unwrap();
        let mut line: Vec<String> = words("cmdline").into_iter().map(text).collect();
        let id = free_address();
        let settings = std::fs::read_to_string(line.pop().unwrap()).unwrap();
        let own = settings.lines().map(|setting| {
            if setting.starts_with("listeners=") { format!("listeners=http://{id}\n") } else { format!("{setting}\n") }
        });
        let folder = scratch("second-worker");
        std::fs::write(folder.join("worker.properties"), own.collect::<String>()).unwrap();
        let mut command = Command::new(line.remove(0));
        command.args(line).arg(folder.join("worker.properties")).current_dir(&folder).env_clear();
        // Without the mark of the stack, which would take it for a leftover.
        let environment = words("environ").into_iter().map(text).filter(|pair| !pair.starts_with("ORDERFLOW_STACK_"));
        command.envs(environment.filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))));
        let worker = Self { process: Beside::run(command, &folder.join("log")), id };
        wait_for("tasks on the second worker", BACK, ASK, || worker.tasks(house).iter().all(|tasks| 0 < *tasks));
        worker
    }

    /// How many of each sink's tasks it runs, by what the first worker says.
    fn tasks(&self, house: &House) -> [usize; 2] {
        SINKS.map(|name| {
            let status = Sink { house, name }.status();
            let tasks = status.as_ref().and_then(|status| status["tasks"].as_array());
            let own = |task: &&Value| task["worker_id"] == self.id.as_str() && task["state"] == "RUNNING";
            tasks.map_or(0, |tasks| tasks.iter().filter(own).count())
        })
    }
}

/// The first one takes over its tasks and goes on; what it has in hand it writes late, over newer ones. The table refuses
/// that. The index cannot, so `verify` looks there and mends.
pub(crate) fn old_batch(house: &House, load: &Load, hold: u32) -> String {
    let worker = Worker::start(house);
    let tasks = worker.tasks(house);
    load.go_on(2);
    let sinks = Store::ALL.map(|store| positions(house, store).1);
    let frozen = Frozen::process(worker.process.pid());
    // It had partitions of its own, which stand until its tasks have moved.
    wait_for("the first worker to take over", BACK, ASK, || {
        worker.tasks(house) == [0, 0] && SINKS.iter().all(|name| Sink { house, name }.runs())
    });
    let reached = sinks.each_ref().map(committed);
    wait_for("both sinks to go on", BACK, ASK, || {
        sinks.iter().zip(reached).all(|(sink, reached)| reached < committed(sink))
    });
    load.go_on(hold);
    drop(frozen);
    wait_for("the second worker to be one again", BACK, ASK, || worker.tasks(house).iter().all(|tasks| 0 < *tasks));
    load.go_on(1);
    drop(worker);
    wait_for("the first worker to take over", BACK, ASK, || SINKS.iter().all(|name| Sink { house, name }.runs()));
    let (told, _) = verify(house, &["--repair", "--yes"]);
    format!("it had {tasks:?} tasks of the sinks, woke up and was killed; verify mended {}", told["mended"]["mended"])
}
