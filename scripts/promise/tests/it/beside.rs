//! A second process of ours beside the stack's own, which the supervisor knows nothing of.

use std::fs::OpenOptions;
use std::process::{Child, Command, Stdio};

use crate::house::House;
use crate::strikes::signal;

/// Killed with this value.
pub(crate) struct Beside(Child);

impl Beside {
    /// `program serve`, as the stack's own was started but for its name and its port.
    pub(crate) fn start(house: &House, program: &str) -> Self {
        let mut beside = Command::new(house.options.binaries.join(program));
        beside
            .args(["serve", "--listen", "127.0.0.1:0", "--instance", "beside"])
            .envs(house.stack.endpoints().environment());
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
