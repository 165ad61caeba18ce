//! A second process of ours beside the stack's own, which the supervisor knows nothing of.

use std::fs::OpenOptions;
use std::process::{Child, Command, Stdio};

use stack::Service;

use crate::house::House;
use crate::strikes::signal;

/// Killed with this value.
pub(crate) struct Beside(Child);

impl Beside {
    /// `program serve`, as the stack's own was started but for its name and its port.
    pub(crate) fn start(house: &House, program: &str) -> Self {
        Self::run(house, program, &["serve", "--listen", "127.0.0.1:0", "--instance", "beside"], &[])
    }

    /// The edge or the transforms at their own address, in the place of the stack's, which is stopped; only their Kafka is
    /// elsewhere.
    pub(crate) fn in_place_of(house: &House, service: Service, kafka: &str) -> Self {
        house.stack.stop(service).unwrap();
        let endpoints = house.stack.endpoints();
        let [edge, admin, transforms] = [&endpoints.edge, &endpoints.edge_admin, &endpoints.transforms]
            .map(|url| url.trim_start_matches("http://"));
        let arguments: &[&str] = match service {
            Service::Edge => &["--listen", edge, "--admin-listen", admin, "--instance", "beside"],
            _ => &["serve", "--listen", transforms, "--instance", "beside"],
        };
        Self::run(house, service.name(), arguments, &[("KAFKA_BOOTSTRAP_SERVERS", kafka)])
    }

    fn run(house: &House, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut beside = Command::new(house.options.binaries.join(program));
        beside.args(arguments).envs(house.stack.endpoints().environment()).envs(environment.iter().copied());
        let log = house.stack.layout().dir().join(format!("logs/{program}-beside.log"));
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        beside.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(beside.spawn().unwrap())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// SIGTERM, and its end.
    pub(crate) fn leave(mut self) {
        assert!(self.is_running(), "the process beside has ended by itself");
        assert!(signal(self.0.id(), "TERM"));
        let status = self.0.wait().unwrap();
        assert!(status.success(), "after SIGTERM: {status}");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
