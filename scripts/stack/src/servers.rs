//! How each server is set up and started: settings are rendered anew at every start, data is made once.
//! When and how often: the supervisor's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::endpoints::Endpoints;
use crate::launch::Launch;
use crate::layout::Layout;
use crate::ports::{PortName, Ports};
use crate::user::User;
use crate::{Options, Service, StackError, user};

mod alone;
mod cluster;
mod connect;
mod elasticsearch;
mod kafka;
mod ours;
pub(crate) mod postgres;
mod registry;
mod secured;

pub use cluster::KafkaCluster;
pub use secured::{Identity, SecuredKafka};

/// All that a server's start depends on.
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) ports: Ports,
    pub(crate) endpoints: Endpoints,
    /// `JAVA_HOME`; none if no service of this stack needs it.
    pub(crate) java_home: Option<PathBuf>,
}

impl Context {
    /// Makes what is missing on disk and says how to start the process.
    pub(crate) fn launch(&self, service: Service) -> Result<Launch, StackError> {
        let config = self.layout.config(service);
        fs::create_dir_all(&config).map_err(StackError::file("make", &config))?;
        match service {
            Service::Kafka => kafka::launch(self),
            Service::Postgres => postgres::launch(self),
            Service::Elasticsearch => elasticsearch::launch(self),
            Service::Registry => registry::launch(self),
            Service::Connect => connect::launch(self),
            Service::Edge | Service::Transforms | Service::Connectors => ours::launch(self, service),
        }
    }

    /// A Java server as its unprivileged user: heap, quick start, class archive; the caller adds classes and arguments.
    fn java(&self, service: Service, user: Option<User>) -> Result<Launch, StackError> {
        let home = self.java_home()?;
        let mut launch = Launch::new(home.join("bin/java"), self.layout.data(service))
            .arg(format!("-Xmx{}m", self.options.heap_mb))
            .arg("-Xms128m")
            .arg("-Duser.timezone=UTC")
            .arg("-XX:+ExitOnOutOfMemoryError");
        let scratch = self.scratch_of(service, user.as_ref())?;
        launch = launch.arg(format!("-Djava.io.tmpdir={}", scratch.display()));
        if self.options.fast_jvm {
            launch = launch.arg("-XX:TieredStopAtLevel=1");
        }
        launch = launch.args(self.class_archive(service));
        Ok(launch.run_as(user))
    }

    fn java_home(&self) -> Result<&Path, StackError> {
        self.java_home.as_deref().ok_or_else(|| StackError::Missing {
            what: "a JDK".to_owned(),
            remedy: "this stack was started without a Java server; start it again with one".to_owned(),
        })
    }

    /// Reads the archive that an earlier clean stop wrote; without one, this run writes it (under another name: see
    /// `keep_class_archive`), unless the stack is private and gone before it would pay.
    fn class_archive(&self, service: Service) -> Option<String> {
        let archive = self.archive(service);
        if archive.is_file() {
            return Some(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        self.writes_archive(service)
            .then(|| format!("-XX:ArchiveClassesAtExit={}", archive.with_extension("new").display()))
    }

    /// Whether the running process will write its archive when it ends.
    pub(crate) fn writes_archive(&self, service: Service) -> bool {
        service.is_java()
            && service != Service::Elasticsearch
            && self.archives() == self.layout.class_archives()
            && !self.archive(service).is_file()
    }

    /// Private stacks read the archives beside the shared servers and never write them.
    fn archives(&self) -> PathBuf {
        self.options.servers.parent().map_or_else(|| self.layout.class_archives(), |shared| shared.join("cds"))
    }

    fn archive(&self, service: Service) -> PathBuf {
        self.archives().join(format!("{service}.jsa"))
    }

    /// After a clean end: an archive that was written whole takes its place. After any other end it is thrown away.
    pub(crate) fn keep_class_archive(&self, service: Service, clean: bool) {
        let new = self.archive(service).with_extension("new");
        if !service.is_java() || self.archives() != self.layout.class_archives() || !new.exists() {
            return;
        }
        // Only speed depends on it.
        let _ = if clean { fs::rename(&new, self.archive(service)) } else { fs::remove_file(&new) };
    }

    /// Makes the folder of a server's data and gives it to its user.
    fn data_of(&self, service: Service, user: Option<&User>) -> Result<PathBuf, StackError> {
        let data = self.layout.data(service);
        fs::create_dir_all(&data).map_err(StackError::file("make", &data))?;
        user::give(&data, user)?;
        Ok(data)
    }

    /// Makes the folder of a server's passing files anew, empty: a killed server cleans nothing up.
    fn scratch_of(&self, service: Service, user: Option<&User>) -> Result<PathBuf, StackError> {
        let scratch = self.layout.scratch(service);
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StackError::file("remove", &scratch)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&scratch).map_err(StackError::file("make", &scratch))?;
        user::give(&scratch, user)?;
        Ok(scratch)
    }

    fn write_config(&self, service: Service, name: &str, text: &str) -> Result<PathBuf, StackError> {
        let path = self.layout.config(service).join(name);
        fs::write(&path, text).map_err(StackError::file("write", &path))?;
        Ok(path)
    }
}

/// What a service is told, one setting a line, by its settings file or, where it has none, its environment. Folders are
/// `DATA` and `PLUGINS`, the password is `PASSWORD`. For the test that holds `docker-compose.yml` to this stack.
#[must_use]
pub fn settings(service: Service, ports: &Ports) -> String {
    let endpoints = Endpoints::new(ports, "PASSWORD".to_owned());
    let lines = |pairs: &[(&str, String)]| pairs.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    match service {
        Service::Kafka => kafka::properties(ports, "DATA"),
        Service::Connect => connect::properties(&endpoints, ports.get(PortName::Connect), "PLUGINS"),
        Service::Elasticsearch => elasticsearch::settings(ports, "DATA"),
        Service::Registry => lines(&registry::environment(&endpoints, ports)),
        Service::Postgres | Service::Edge | Service::Transforms | Service::Connectors => {
            endpoints.environment().iter().map(|(name, value)| format!("{name}={value}\n")).collect()
        }
    }
}

/// One logging set-up for Kafka and Connect: to standard output, which the supervisor keeps in a file.
pub const LOG4J: &str = "\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1.} %m%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
# Says all settings of every client at every start of a task.
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = WARN
# One line for each health question.
logger.rest.name = org.apache.kafka.connect.runtime.rest.RestServer
logger.rest.level = WARN
";
