//! The hidden subcommand that a serving process starts for each upload: reads the bytes, has them validated, compiled,
//! linked and described, and writes what came of it as one line of JSON. Before it reads a byte it gives away what it
//! could do harm with: memory, time, files, sockets. If the upload takes it down, nothing else goes with it.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, nice, set_parent_process_death_signal, setrlimit};
use transform_host::{Engine, Limits};

use crate::intake::child::{Proven, Said};
use crate::intake::refused;

/// It only ever has standard input, output and error; a limit of three opens no file and no socket any more.
const OPEN_FILES: u64 = 3;
/// wasmtime reserves address space that it never fills: 4 GiB and guards for each memory, of which a component has at
/// most two. So this limit is wide; what fills memory is under the other one.
const RESERVED: u64 = 24 << 30;
/// Of two processes that want the processor at once the serving one comes first.
const NICE: i32 = 10;

/// What the serving process says.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The process that must be alive
    #[arg(long)]
    pub parent: i32,
    /// Seconds of processor time
    #[arg(long)]
    pub cpu: u64,
    /// Bytes of memory that may be filled
    #[arg(long)]
    pub memory: u64,
    /// Bytes of a file that may be written
    #[arg(long)]
    pub file_bytes: u64,
}

/// Runs it. What it finds is on standard output, also when that is a refusal.
///
/// # Errors
/// When it cannot bound itself, or is not started by a serving process.
pub fn run(args: &Args) -> anyhow::Result<()> {
    bound(args)?;
    let mut wasm = Vec::new();
    let limit = u64::try_from(Limits::default().module_bytes)?;
    std::io::stdin().take(limit + 1).read_to_end(&mut wasm).context("cannot read the upload")?;
    let said = check(&wasm)?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &said)?;
    out.flush()?;
    Ok(())
}

fn bound(args: &Args) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have gone before the line above.
    ensure!(
        getppid().map(Pid::as_raw_nonzero).map(std::num::NonZeroI32::get) == Some(args.parent),
        "the parent is gone"
    );
    // Where memory runs out all the same, the system takes this process first. Not everybody may say so.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = nice(NICE);
    for (resource, soft, hard) in [
        (Resource::Core, 0, 0),
        (Resource::Fsize, args.file_bytes, args.file_bytes),
        // The first ends it with a signal that says why, the second without a word.
        (Resource::Cpu, args.cpu, args.cpu + 1),
        (Resource::Data, args.memory, args.memory),
        (Resource::As, RESERVED + args.memory, RESERVED + args.memory),
        (Resource::Nofile, OPEN_FILES, OPEN_FILES),
    ] {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
            .with_context(|| format!("cannot limit {resource:?} to {soft}"))?;
    }
    Ok(())
}

fn check(wasm: &[u8]) -> anyhow::Result<Said> {
    let limits = Limits::default();
    // Without files there is no clock of processor time, so wall-clock time counts, of which a busy machine takes more.
    let start = limits.start.saturating_mul(limits.wall_factor).max(Duration::from_secs(1));
    let engine = Engine::without_files(Limits { start, ..limits })?;
    Ok(match engine.load(wasm) {
        Ok(module) => {
            let description = module.description();
            Said::Proven(Proven {
                name: description.name.clone(),
                version: description.version.clone(),
                digest: module.digest().to_owned(),
            })
        }
        Err(error) => Said::Refused(refused::load(&error).into()),
    })
}
