//! A second Connect worker beside the stack's own: the same command, settings and environment, read from the running one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stack::Service;

use crate::beside::{Beside, free_address};
use crate::faults::{ASK, BACK, LOOK, wait_for};
use crate::house::{House, scratch};
use crate::sink::{SINKS, Sink};

/// A JVM's end in order, and its tasks'; on a busy machine.
const ENDS: Duration = Duration::from_secs(60);
/// A word of the JVM's that names its folder of passing files.
const PASSING: &str = "-Djava.io.tmpdir=";

/// How it is started, any number of times; what runs then is a [`Beside`].
pub(crate) struct Worker {
    /// Where it listens, which is what Connect calls it.
    id: String,
    line: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
}

impl Worker {
    /// As the stack's own was, which must run.
    pub(crate) fn like_the_first(house: &House) -> Self {
        let first = Path::new("/proc").join(house.stack.pid(Service::Connect).unwrap().to_string());
        let words = |name: &str| -> Vec<String> {
            let text = String::from_utf8(fs::read(first.join(name)).unwrap()).unwrap();
            text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let (id, folder) = (free_address(), scratch("second-worker"));
        let mut line = words("cmdline");
        let settings = fs::read_to_string(line.pop().unwrap()).unwrap();
        let own = settings.lines().map(|setting| {
            if setting.starts_with("listeners=") { format!("listeners=http://{id}\n") } else { format!("{setting}\n") }
        });
        let properties = folder.join("worker.properties");
        fs::write(&properties, own.collect::<String>()).unwrap();
        line.push(properties.display().to_string());
        // The first one's is emptied whenever that one starts.
        for word in line.iter_mut().filter(|word| word.starts_with(PASSING)) {
            *word = format!("{PASSING}{}", folder.join("tmp").display());
        }
        // Without the mark of the stack, which would take it for a leftover.
        let environment = words("environ").into_iter().filter(|pair| !pair.starts_with("ORDERFLOW_STACK_"));
        let pair = |pair: String| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { id, line, environment: environment.filter_map(pair).collect(), folder }
    }

    /// Comes back at once.
    pub(crate) fn start(&self) -> Beside {
        let passing = self.folder.join("tmp");
        // One that was killed cleans nothing up.
        let _ = fs::remove_dir_all(&passing);
        fs::create_dir_all(&passing).unwrap();
        let mut command = Command::new(&self.line[0]);
        command.args(&self.line[1..]).current_dir(&self.folder).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Beside::run(command, &self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// How many of each sink's tasks it runs, by what the first worker says.
    pub(crate) fn tasks(&self, house: &House) -> [usize; 2] {
        SINKS.map(|name| {
            let status = Sink { house, name }.status();
            let tasks = status.as_ref().and_then(|status| status["tasks"].as_array());
            let own = |task: &&Value| task["worker_id"] == self.id.as_str() && task["state"] == "RUNNING";
            tasks.map_or(0, |tasks| tasks.iter().filter(own).count())
        })
    }

    /// Of each sink some.
    pub(crate) fn has_tasks(&self, house: &House) -> bool {
        self.tasks(house).iter().all(|tasks| 0 < *tasks)
    }

    /// Until all of the sinks' tasks run, and none of them here.
    pub(crate) fn wait_for_the_first(&self, house: &House) {
        wait_for("the first worker to take over", BACK, ASK, || {
            self.tasks(house) == [0, 0] && SINKS.iter().all(|name| Sink { house, name }.runs())
        });
    }

    /// SIGTERM, its end in order, and the first one does all.
    pub(crate) fn leave(&self, house: &House, mut process: Beside) {
        process.ask_to_leave();
        wait_for("the second worker to end", ENDS, LOOK, || !process.is_running());
        let log = fs::read_to_string(self.log()).unwrap();
        let last = log.lines().next_back().unwrap_or_default();
        assert!(last.ends_with("Kafka Connect stopped"), "the second worker's last word was: {last}");
        self.wait_for_the_first(house);
    }
}
