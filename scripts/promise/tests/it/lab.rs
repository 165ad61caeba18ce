//! What the lab's report is made of: a look from outside each second while the stack runs, and each fault as it was made.
//! Written to `target/faults/` when the stages end, also where one of them fails. A call of `scripts/faults` may have several
//! runs: `PROMISE_PARTS` is the folder where each leaves what it saw, `PROMISE_PART` its own file there, and the last one,
//! [`REPORT`], puts all together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use promise::check::Findings;
use promise::ledger;
use promise::load::now_ms;
use promise::read::{Kafka, Positions, path};
use promise::report::{Call, Look, Report, Stage, Struck};
use stack::{Service, Stack};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Most looks that are kept: a day of them.
const LOOKS: usize = 86_400;

/// What `PROMISE_STAGE` must be for the report of a whole call.
pub(crate) const REPORT: &str = "the report";
/// The longest that rounds may go on: what is counted after each of them grows.
const LONGEST: u64 = 600;
/// Of the orders, where none is asked for.
const SEED: u64 = 77;

/// What the orders of a load follow from, and whatever else is by chance.
pub(crate) fn seed() -> u64 {
    setting("PROMISE_SEED", SEED)
}

/// For how long rounds of the chosen stages are begun: `PROMISE_MINUTES`; one round, where it is not set.
pub(crate) fn length() -> Duration {
    Duration::from_secs(60 * setting("PROMISE_MINUTES", 0).min(LONGEST))
}

/// The report of a call whose runs have ended, and who passed.
pub(crate) fn put_together() {
    let parts = std::env::var("PROMISE_PARTS").expect("PROMISE_PARTS: the folder of the call's parts");
    let call = Call::read(Path::new(&parts)).unwrap();
    call.write(&folder()).unwrap();
    println!("\n{}\nsee target/faults/report.html, or .json", call.summary());
}

fn folder() -> PathBuf {
    crate::house::root().join("target/faults")
}

/// What makes the same again. A seed would change also what has another one by itself.
fn command() -> String {
    std::env::var("PROMISE_COMMAND").unwrap_or_else(|_| match text("PROMISE_SEED") {
        Some(seed) => format!("PROMISE_SEED={seed} scripts/test"),
        None => "scripts/test".to_owned(),
    })
}

/// What the environment says under this name, if that is anything.
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The same as a value, or what is usual where it says nothing. What cannot be read is nothing usual: it fails.
pub(crate) fn setting<T: FromStr>(name: &str, usual: T) -> T {
    let read =
        |text: String| text.parse::<T>().unwrap_or_else(|_| panic!("{name}={text} cannot be read, or is too large"));
    text(name).map_or(usual, read)
}

/// Whether somebody asked for faults of this number: by the number, or by how long faults are held. CI does neither.
pub(crate) fn is_asked_for(id: &str) -> bool {
    text("PROMISE_HOLD").is_some() || wanted().iter().any(|word| word == id)
}

/// Whether a fault is to be made: `PROMISE_FAULTS` has its number in the catalogue or a part of its name, comma-separated;
/// all are, where it has nothing.
pub(crate) fn is_wanted(id: &str, name: &str) -> bool {
    let wanted = wanted();
    wanted.is_empty() || wanted.iter().any(|word| is_meant(word, id, name))
}

fn wanted() -> Vec<String> {
    text("PROMISE_FAULTS").iter().flat_map(|words| words.split(',')).map(str::to_owned).collect()
}

fn is_meant(word: &str, id: &str, name: &str) -> bool {
    word == id || name.contains(word) && !is_number(word)
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
    /// How many loads have begun under each name.
    loads: Mutex<BTreeMap<String, u64>>,
    begun: Instant,
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
        println!("the orders follow from seed {}", seed());
        let (faults, findings, loads) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { looks, faults, findings, looking, loads, begun: Instant::now(), ledger, machine }
    }

    /// The name and the seed of a load's stream: those of the first one under `run`, and for each later one, in another
    /// round, others that follow from them.
    pub(crate) fn stream_of(&self, run: &str) -> (String, u64) {
        let mut loads = self.loads.lock().unwrap();
        let before = loads.entry(run.to_owned()).or_default();
        let stream = match *before {
            0 => (run.to_owned(), seed()),
            before => (format!("{run}-{}", before + 1), seed().wrapping_add(before)),
        };
        *before += 1;
        stream
    }

    /// Says what is done next, before it is: the fault of this number, the `nth` of `all` in this stage, and for how many
    /// seconds it is held, where that is settled.
    pub(crate) fn announce(&self, (nth, all): (usize, usize), id: &str, name: &str, seconds: Option<u32>) {
        let held = seconds.map_or_else(String::new, |seconds| format!(", held {seconds} s"));
        println!("[{:6.0} s] {} of {all}: {id} {name}{held}", self.begun.elapsed().as_secs_f32(), nth + 1);
    }

    /// A fault that was made, put right and got over.
    pub(crate) fn struck(&self, struck: Struck) {
        self.faults.lock().unwrap().push(struck);
    }

    /// Fails where something was asked for and never made: no fault has that name, or it is held for too short a time.
    pub(crate) fn expect_all_wanted(&self) {
        let is_made = |word: &String| {
            let faults = self.faults.lock().unwrap();
            faults.iter().any(|struck| is_meant(word, struck.id, &struck.name))
        };
        let missing: Vec<String> = wanted().into_iter().filter(|word| !is_made(word)).collect();
        assert!(
            missing.is_empty(),
            "no fault was made of {missing:?}: scripts/promise/FAULTS.md has their numbers and names; some need more seconds"
        );
    }

    /// What a full check found.
    pub(crate) fn checked(&self, findings: &Findings) {
        *self.findings.lock().unwrap() = Some(findings.clone());
    }

    /// Stops looking, and writes the report: where it is part of a call always, otherwise if there was a fault.
    pub(crate) fn close(&mut self) {
        let Some((stop, looking)) = self.looking.take() else { return };
        drop(stop);
        let passed = !std::thread::panicking();
        if !passed {
            println!("the seed was {}; the same orders again: {}", seed(), command());
        }
        if looking.join().is_err() {
            return;
        }
        let report = self.report();
        let part = std::env::var("PROMISE_PART").ok().map(PathBuf::from);
        if part.is_none() && report.faults.is_empty() {
            return;
        }
        let count = report.faults.len();
        match self.write(report, part.as_deref(), passed) {
            Ok(()) => println!("{count} faults: see target/faults/report.html, or .json"),
            Err(error) => println!("the report of {count} faults cannot be written: {error}"),
        }
    }

    fn report(&self) -> Report {
        let faults = std::mem::take(&mut *self.faults.lock().unwrap());
        let looks = std::mem::take(&mut *self.looks.lock().unwrap());
        let entries = ledger::read(&self.ledger).unwrap_or_default();
        let findings = self.findings.lock().unwrap();
        Report::new((self.machine.clone(), seed()), findings.as_ref(), &entries, faults, looks)
    }

    /// The whole call as far as it has come, or this run alone.
    fn write(&self, report: Report, part: Option<&Path>, passed: bool) -> std::io::Result<()> {
        let call = match part.and_then(|part| Some((part, part.parent()?))) {
            Some((part, parts)) => {
                std::fs::write(part.with_extension("json"), serde_json::to_vec(&report)?)?;
                Call::read(parts)?
            }
            None => {
                let (name, seconds) =
                    (setting("PROMISE_STAGE", "all stages".to_owned()), self.begun.elapsed().as_secs());
                let stage = Stage { name, passed: Some(passed), seconds, report: Some(report) };
                Call { command: command(), stages: vec![stage] }
            }
        };
        call.write(&folder())
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
