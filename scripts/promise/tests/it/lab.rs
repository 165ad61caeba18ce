//! What the lab's report is made of: a look from outside each second while the stack runs, and each fault as it was made.
//! Written to `target/faults/` when the stages end, also where one of them fails.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use promise::check::Findings;
use promise::ledger;
use promise::load::now_ms;
use promise::read::{Kafka, Positions, path};
use promise::report::{Look, Report, Struck};
use stack::{Service, Stack};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Most looks that are kept: a day of them.
const LOOKS: usize = 86_400;

/// What the environment says under this name, or what is usual.
pub(crate) fn setting<T: FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Whether a fault is to be made: `PROMISE_FAULTS` has its number in the catalogue or a part of its name, comma-separated;
/// all are, where it has nothing.
pub(crate) fn is_wanted(id: &str, name: &str) -> bool {
    let wanted = std::env::var("PROMISE_FAULTS").unwrap_or_default();
    wanted.is_empty() || wanted.split(',').any(|word| word == id || name.contains(word) && !is_number(word))
}

/// `F1` is no part of "F14".
fn is_number(word: &str) -> bool {
    word.strip_prefix('F').is_some_and(|digits| digits.parse::<u8>().is_ok())
}

/// Looks on, and keeps what it is told.
pub(crate) struct Lab {
    looks: Arc<Mutex<Vec<Look>>>,
    faults: Mutex<Vec<Struck>>,
    findings: Mutex<Option<Findings>>,
    looking: Option<(SyncSender<()>, JoinHandle<()>)>,
    ledger: PathBuf,
    machine: String,
}

impl Lab {
    /// Looks on from now on. A Kafka that is away is a gap in what was seen.
    pub(crate) fn open(stack: &Stack, ledger: &Path) -> Self {
        let looks = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = sync_channel(1);
        let (dir, kafka) = (stack.layout().dir().to_owned(), Kafka::new(&stack.endpoints().kafka));
        let seen = Arc::clone(&looks);
        let looking = std::thread::spawn(move || {
            let path = path(&kafka).unwrap_or_default();
            let Ok(stack) = Stack::attach(&dir) else { return };
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK) {
                let look = look(&stack, &path);
                let mut seen = seen.lock().unwrap();
                if seen.len() < LOOKS {
                    seen.push(look);
                }
            }
        });
        let (looking, ledger) = (Some((stop, looking)), ledger.to_owned());
        let machine = stack::machine::Machine::now().to_string();
        Self { looks, faults: Mutex::default(), findings: Mutex::default(), looking, ledger, machine }
    }

    /// A fault that was made, put right and got over.
    pub(crate) fn struck(&self, struck: Struck) {
        self.faults.lock().unwrap().push(struck);
    }

    /// What a full check found.
    pub(crate) fn checked(&self, findings: &Findings) {
        *self.findings.lock().unwrap() = Some(findings.clone());
    }

    /// Stops looking, and writes the report if there was a fault.
    pub(crate) fn close(&mut self) {
        let Some((stop, looking)) = self.looking.take() else { return };
        drop(stop);
        let faults = std::mem::take(&mut *self.faults.lock().unwrap());
        let looked = looking.join().is_ok();
        if !looked || faults.is_empty() {
            return;
        }
        let entries = ledger::read(&self.ledger).unwrap_or_default();
        let looks = std::mem::take(&mut *self.looks.lock().unwrap());
        let report = Report::new(self.machine.clone(), self.findings.lock().unwrap().as_ref(), &entries, faults, looks);
        let folder = crate::house::root().join("target/faults");
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("report.json"), serde_json::to_vec(&report)?))
            .and_then(|()| std::fs::write(folder.join("report.html"), report.html()));
        match written {
            Ok(()) => println!("{} faults: see target/faults/report.html, or .json", report.faults.len()),
            Err(error) => println!("the report of {} faults cannot be written: {error}", report.faults.len()),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.close();
    }
}

fn look(stack: &Stack, path: &[Positions]) -> Look {
    let at_ms = now_ms();
    // Offsets, with the markers of transactions: to tell them apart would cost a read of each.
    let lag = path.iter().filter_map(|group| Some((group.group().to_owned(), group.lag(0).ok()?))).collect();
    let all = stack.status().unwrap_or_default();
    let ours = all.iter().filter(|status| Service::is_ours(status.service));
    let rss_mib = ours.filter_map(|status| Some((status.service.to_string(), rss_mib(status.pid?)?))).collect();
    Look { at_ms, lag, rss_mib }
}

fn rss_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1_024)
}
