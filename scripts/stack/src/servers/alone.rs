//! What brokers outside any stack have in common: a folder of their own, free ports, quick starts.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::{Context, LOG4J};
use crate::endpoints::Endpoints;
use crate::install::jdk;
use crate::launch::{Launch, check_tools};
use crate::layout::Layout;
use crate::ports::Ports;
use crate::user::User;
use crate::{Options, Service, StackError, logs};

/// As long as a stack's broker may take.
const START: Duration = Service::Kafka.start_deadline();

impl Context {
    /// In a folder that is emptied first.
    pub(super) fn alone(dir: &Path, heap_mb: u32, ports: Ports) -> Result<Self, StackError> {
        check_tools()?;
        let layout = Layout::prepare(dir)?;
        layout.wipe()?;
        let layout = Layout::prepare(layout.dir())?;
        let mut options = Options { heap_mb, ..Options::private(layout.dir(), [Service::Kafka]) };
        options.resolve()?;
        let java_home = Some(jdk::find(&options)?);
        let endpoints = Endpoints::new(&ports, String::new());
        let config = layout.config(Service::Kafka);
        fs::create_dir_all(&config).map_err(StackError::file("make", &config))?;
        Ok(Self { options, layout, ports, endpoints, java_home })
    }

    /// A class of Kafka's.
    pub(super) fn kafka_java(&self, user: Option<User>, class: &str) -> Result<Launch, StackError> {
        let logging = self.write_config(Service::Kafka, "log4j2.properties", LOG4J)?;
        let launch = self.java(Service::Kafka, user)?;
        let launch = launch.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
        Ok(launch.arg("-cp").arg(self.options.servers.join("kafka/*")).arg(class))
    }
}

/// Waits until a process says that it serves, in a log that was empty when it began.
pub(super) fn wait_until_started(process: &mut Child, log: &Path) -> Result<(), StackError> {
    let end = Instant::now() + START;
    while !has_started(process, log)? {
        if Instant::now() >= end {
            return Err(no_start(log));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Whether it says so by now; one that has ended never will.
pub(super) fn has_started(process: &mut Child, log: &Path) -> Result<bool, StackError> {
    let serves = fs::read_to_string(log).unwrap_or_default().contains("Kafka Server started");
    if serves || matches!(process.try_wait(), Ok(None)) { Ok(serves) } else { Err(no_start(log)) }
}

fn no_start(log: &Path) -> StackError {
    StackError::Supervisor(format!("the broker does not start: {}", logs::tail(log, 12)))
}

/// The usual broker's settings, with these in the place of its own or beside them.
pub(super) fn with_settings(usual: &str, own: &str) -> String {
    let name = |line: &str| line.split_once('=').map(|(name, _)| name.to_owned());
    let is_set =
        |line: &&str| name(line).is_some_and(|wanted| own.lines().any(|line| name(line).as_ref() == Some(&wanted)));
    let kept = usual.lines().filter(|line| !is_set(line));
    kept.chain(own.lines()).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_takes_the_place_of_the_usual_one_and_nothing_else_changes() {
        assert_eq!(with_settings("a=1\nb=2\n# b=2\nc=3\n", "b=9=9\nd=4\n"), "a=1\n# b=2\nc=3\nb=9=9\nd=4\n");
    }
}
