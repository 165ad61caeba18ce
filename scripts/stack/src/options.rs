//! What a stack is started with: the folder, the set of services, the ports. Checked before anything is started.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::ports::{PortName, Ports};
use crate::{Service, StackError, launch, servers};

/// Which ports the servers get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortChoice {
    /// These numbers; a taken one is a fault.
    Fixed(Ports),
    /// A block of free ones, kept from other stacks for as long as this one runs.
    Free,
}

/// How a stack is started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// The folder of its data, logs and settings.
    pub dir: PathBuf,
    /// The folder of the unpacked servers; shared by all stacks of a checkout.
    pub servers: PathBuf,
    /// The folder with the binaries `stack`, `edge`, `transforms` and `connectors`.
    pub binaries: PathBuf,
    /// The checkout: connector files, schemas, coordinates.
    pub root: PathBuf,
    /// Which services to run.
    pub services: Vec<Service>,
    /// Their ports.
    pub ports: PortChoice,
    /// Starts in half the time and runs a third slower: for tests.
    pub fast_jvm: bool,
    /// Heap of each Java server in MB.
    pub heap_mb: u32,
    /// Handed to our three commands only, after everything else.
    pub environment: Vec<(String, String)>,
    /// Folders of plugins that Kafka Connect finds beside the shipped ones.
    #[serde(default)]
    pub plugins: Vec<PathBuf>,
    /// For tests that stand between the broker and its clients: for each of these ports a listener more, which sends all
    /// that ask there to this port of loopback. [`Endpoints::kafka_doors`](crate::Endpoints) says where they listen.
    #[serde(default)]
    pub kafka_doors: Vec<u16>,
    /// Bootstrap servers of a Kafka that runs elsewhere; the stack has none of its own then.
    #[serde(default)]
    pub kafka: Option<String>,
}

impl Options {
    /// The user's stack of the checkout: `.stack/`, all services, the documented ports.
    ///
    /// # Errors
    /// If the checkout or the folder of the binaries cannot be found.
    pub fn user() -> Result<Self, StackError> {
        let root = checkout();
        Ok(Self {
            dir: root.join(".stack"),
            servers: root.join(".stack/servers"),
            binaries: binaries()?,
            root,
            services: Service::ALL.to_vec(),
            ports: PortChoice::Fixed(Ports::default()),
            fast_jvm: false,
            heap_mb: 512,
            environment: Vec::new(),
            plugins: Vec::new(),
            kafka_doors: Vec::new(),
            kafka: None,
        })
    }

    /// A private stack for a test: a folder of its own, free ports, quick starts, the checkout's unpacked servers.
    #[must_use]
    pub fn private(dir: impl AsRef<Path>, services: impl IntoIterator<Item = Service>) -> Self {
        let root = checkout();
        Self {
            dir: dir.as_ref().to_owned(),
            servers: shared_servers(&root),
            // Found again, with a clear fault, when the stack starts.
            binaries: binaries().unwrap_or_default(),
            root,
            services: services.into_iter().collect(),
            ports: PortChoice::Free,
            fast_jvm: true,
            heap_mb: 512,
            environment: Vec::new(),
            plugins: Vec::new(),
            kafka_doors: Vec::new(),
            kafka: None,
        }
    }

    /// For a Kafka that runs elsewhere, at these bootstrap servers.
    #[must_use]
    pub fn with_kafka_at(mut self, servers: String) -> Self {
        self.services.retain(|service| *service != Service::Kafka);
        Self { kafka: Some(servers), kafka_doors: Vec::new(), ..self }
    }

    /// Sets ports by name, as in `edge=18080`.
    ///
    /// # Errors
    /// If a name or number is not understood.
    pub fn set_ports(&mut self, settings: &[String]) -> Result<(), StackError> {
        if settings.is_empty() {
            return Ok(());
        }
        let mut ports = match &self.ports {
            PortChoice::Fixed(ports) => ports.clone(),
            PortChoice::Free => {
                return Err(StackError::Setting("a stack on free ports takes no --port".to_owned()));
            }
        };
        for setting in settings {
            let (name, number) = PortName::parse(setting)?;
            ports.set(name, number);
        }
        ports.check_distinct()?;
        self.ports = PortChoice::Fixed(ports);
        Ok(())
    }

    /// Looks at what is cheap to see, before anything is fetched or built: tools, PostgreSQL, ports.
    ///
    /// # Errors
    /// If something is missing, or a port is taken. The supervisor looks at the ports again.
    pub fn check_machine(&self) -> Result<(), StackError> {
        launch::check_tools()?;
        if self.has(Service::Postgres) {
            servers::postgres::binaries()?;
        }
        match &self.ports {
            PortChoice::Fixed(ports) => {
                ports.check_distinct()?;
                ports.check_free(&self.services)
            }
            PortChoice::Free => Ok(()),
        }
    }

    /// Follows links on the way to the servers: their users may not be able to follow the one in the checkout.
    pub(crate) fn resolve(&mut self) -> Result<(), StackError> {
        if let (Some(parent), Some(name)) = (self.servers.parent(), self.servers.file_name()) {
            self.servers = Layout::prepare(parent)?.dir().join(name);
        }
        Ok(())
    }

    /// Whether a service is part of this stack.
    #[must_use]
    pub fn has(&self, service: Service) -> bool {
        self.services.contains(&service)
    }
}

/// The checkout that this was built in; `ORDERFLOW_ROOT` names another.
fn checkout() -> PathBuf {
    std::env::var_os("ORDERFLOW_ROOT").map_or_else(
        || {
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            here.ancestors().nth(2).unwrap_or(here).to_owned()
        },
        PathBuf::from,
    )
}

/// Private stacks use what the user's stack has fetched, also when that lies elsewhere.
fn shared_servers(root: &Path) -> PathBuf {
    std::env::var_os("ORDERFLOW_STACK_DIR").map_or_else(|| root.join(".stack"), PathBuf::from).join("servers")
}

/// The folder of the running program; tests run one folder deeper.
fn binaries() -> Result<PathBuf, StackError> {
    let program = std::env::current_exe().map_err(StackError::file("find", Path::new("the running program")))?;
    let dir = program.parent().unwrap_or(Path::new("/"));
    Ok(if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() })
}
