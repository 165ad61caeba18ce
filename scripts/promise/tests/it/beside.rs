//! A second process of ours beside the stack's own, which the supervisor knows nothing of.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stack::Service;

use crate::clock::Clock;
use crate::faults::LOOK;
use crate::house::House;
use crate::strikes::signal;

/// Ten seconds are promised.
const LEAVES: Duration = Duration::from_secs(15);
/// So many lines of a log say why a process ended otherwise than it should.
const LAST: usize = 12;

/// Free when it was looked for: for who must come back to where others know it, or says nowhere where it listens.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Killed with this value.
pub(crate) struct Beside {
    child: Child,
    log: PathBuf,
}

/// One that is to start: as the stack's own was, but for its name, its port and what is said here.
pub(crate) struct Aside<'h> {
    house: &'h House,
    service: Service,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
}

impl<'h> Aside<'h> {
    pub(crate) fn new(house: &'h House, service: Service) -> Self {
        let arguments = if service == Service::Edge { vec![] } else { vec!["serve".to_owned()] };
        let log = house.stack.layout().dir().join(format!("logs/{service}-beside.log"));
        let aside = Self { house, service, arguments, environment: Vec::new(), log };
        aside.with("--instance", "beside")
    }

    fn with(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Where it listens.
    pub(crate) fn at(self, address: &str) -> Self {
        self.with("--listen", address)
    }

    /// Where an edge's admin port listens.
    pub(crate) fn admin_at(self, address: &str) -> Self {
        self.with("--admin-listen", address)
    }

    /// A healer that lets so many records of a sink become dead letters in a minute.
    pub(crate) fn allows(self, letters: &str) -> Self {
        self.with("--poison-per-minute", letters)
    }

    /// Its Kafka is elsewhere.
    pub(crate) fn kafka(mut self, kafka: &str) -> Self {
        self.environment.push(("KAFKA_BOOTSTRAP_SERVERS", kafka.to_owned()));
        self
    }

    /// It logs all that it has to say, to this file.
    pub(crate) fn logs_all_to(mut self, log: &Path) -> Self {
        self.environment.push(("ORDERFLOW_LOG", "debug".to_owned()));
        log.clone_into(&mut self.log);
        self
    }

    /// Its clock is [`Clock`]'s.
    pub(crate) fn clock(mut self, clock: &Clock) -> Self {
        self.environment.extend(clock.environment());
        self
    }

    pub(crate) fn start(self) -> Beside {
        let house = self.house;
        let mut command = Command::new(house.options.binaries.join(self.service.name()));
        command.args(self.arguments).envs(house.stack.endpoints().environment()).envs(self.environment);
        Beside::run(command, &self.log)
    }

    /// At the address of the stack's own.
    pub(crate) fn at_its_address(self) -> Self {
        let endpoints = self.house.stack.endpoints();
        let [edge, admin, transforms, connectors] =
            [&endpoints.edge, &endpoints.edge_admin, &endpoints.transforms, &endpoints.connectors]
                .map(|url| url.trim_start_matches("http://"));
        match self.service {
            Service::Edge => self.admin_at(admin).at(edge),
            Service::Connectors => self.at(connectors),
            _ => self.at(transforms),
        }
    }

    /// The same, and the stack's own is stopped.
    pub(crate) fn start_in_its_place(self) -> Beside {
        self.house.stack.stop(self.service).unwrap();
        self.at_its_address().start()
    }
}

impl Beside {
    /// Beside the stack's own, at any port.
    pub(crate) fn start(house: &House, service: Service) -> Self {
        Aside::new(house, service).at("127.0.0.1:0").start()
    }

    /// Any command, its output in `log`.
    pub(crate) fn run(mut command: Command, log: &Path) -> Self {
        let output = OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL, and its end. It must have run until then.
    pub(crate) fn kill(&mut self) {
        assert!(self.is_running(), "the process beside has ended by itself: {}", self.last_words());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn ask_to_leave(&self) {
        assert!(signal(self.child.id(), "TERM"));
    }

    /// SIGTERM, its end, and the stack's own in its place again.
    pub(crate) fn give_place(self, house: &House, service: Service) {
        self.leave();
        house.stack.start_again(service).unwrap();
        house.stack.wait_ready(service, service.start_deadline()).unwrap();
    }

    /// SIGTERM, and its end, in time and in order.
    pub(crate) fn leave(mut self) {
        assert!(self.is_running(), "the process beside has ended by itself: {}", self.last_words());
        self.ask_to_leave();
        let asked = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(asked.elapsed() < LEAVES, "it does not end after SIGTERM: {}", self.last_words()),
            }
            std::thread::sleep(LOOK);
        };
        assert!(status.success(), "after SIGTERM: {status}, and it says: {}", self.last_words());
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{}\n{}", self.log.display(), lines[lines.len().saturating_sub(LAST)..].join("\n"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
