//! What each command does, step by step. Progress goes to standard error, data to standard output.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use stack::layout::Layout;
use stack::progress::Progress;
use stack::{Service, ServiceStatus, Stack, StackError, State, install, logs};

use crate::cli::{Cli, Command};

mod up;

pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // The servers' users must be able to read what we and our tools write; what they must not is written with a mode of
    // its own. What psql writes is its caller's.
    if !matches!(cli.command, Command::Psql { .. }) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    }
    let mut options = cli.options()?;
    match cli.command {
        Command::Up(arguments) => return up::up(options, &arguments),
        Command::Down { wipe } => down(&options.dir, wipe)?,
        Command::Status { json } => return status(&options.dir, json),
        Command::Logs { name, lines, follow } => show_logs(&options.dir, name, lines, follow)?,
        Command::Restart { name } => order(&options.dir, |stack| stack.restart(name))?,
        Command::Stop { name } => order(&options.dir, |stack| stack.stop(name))?,
        Command::Start { name } => order(&options.dir, |stack| stack.start_again(name))?,
        Command::Kill { name } => order(&options.dir, |stack| stack.kill(name))?,
        Command::Env => environment(&options.dir)?,
        Command::Psql { arguments } => psql(&options.dir, &arguments)?,
        Command::Fetch => install::ensure(&mut options, &Progress::default())?,
        Command::Lock => {
            let path = install::write_lock(&mut options, &Progress::default())?;
            writeln!(std::io::stdout(), "{}", path.display())?;
        }
        Command::Supervise => {
            tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(std::io::stderr).init();
            stack::supervise(&options.dir)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn down(dir: &Path, wipe: bool) -> anyhow::Result<()> {
    let progress = Progress::default();
    match Stack::attach(dir) {
        Ok(stack) => {
            progress.say(&format!("stopping the stack in {}", stack.layout().dir().display()));
            stop(stack, &progress, Stack::down)?;
            progress.say("stopped; the data is kept");
        }
        Err(StackError::NotRunning(_)) => {
            Stack::clear_leftovers(dir)?;
            progress.say("nothing is running");
        }
        Err(error) => return Err(error.into()),
    }
    if wipe {
        Stack::wipe(dir)?;
        progress.say("data, logs and settings are removed");
    }
    Ok(())
}

/// Stops it, and says now and then what is still stopping: a JVM's first clean stop writes its class archive.
fn stop(stack: Stack, progress: &Progress, how: fn(Stack) -> Result<(), StackError>) -> Result<(), StackError> {
    let watched = Stack::attach(stack.layout().dir())?;
    let (mut told, stopping) = (Instant::now(), std::thread::spawn(move || how(stack)));
    while !stopping.is_finished() {
        if told.elapsed() >= Duration::from_secs(5) {
            told = Instant::now();
            let all = watched.status().unwrap_or_default();
            let left: Vec<_> = all
                .iter()
                .filter(|status| status.state != State::Stopped)
                .map(|status| status.service.name())
                .collect();
            progress.say(&format!("still stopping: {}", left.join(", ")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    stopping.join().unwrap_or_else(|_| Err(StackError::Deploy("stopping failed inside".to_owned())))
}

fn status(dir: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let all = Stack::attach(dir)?.status()?;
    let mut out = std::io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        for status in &all {
            writeln!(out, "{}", line(status).trim_end())?;
        }
    }
    let ready = all.iter().all(|status| status.state == State::Ready);
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(status: &ServiceStatus) -> String {
    let pid = status.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let restarts = match status.restarts {
        0 => String::new(),
        1 => "started again once  ".to_owned(),
        n => format!("started again {n} times  "),
    };
    let (name, state) = (status.service.name(), status.state.word());
    format!(
        "{name:14} {state:9} {:>6} s  pid {pid:8} port {:12} {restarts}{}",
        status.seconds,
        words(&status.ports),
        status.note
    )
}

fn words(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn show_logs(dir: &Path, name: Option<Service>, lines: usize, follow: bool) -> anyhow::Result<()> {
    let layout = Layout::open(dir)?;
    let mut out = std::io::stdout();
    if let Some(service) = name {
        let log = layout.log(service);
        writeln!(out, "{}", logs::tail(&log, lines))?;
        if follow {
            logs::follow(&log, &mut out)?;
        }
        return Ok(());
    }
    if follow {
        bail!("name one service to follow, as in `stack logs --follow edge`");
    }
    let all = Service::ALL.into_iter().map(|service| layout.log(service)).chain([layout.supervisor_log()]);
    for log in all.filter(|log| log.is_file()) {
        writeln!(out, "==> {} <==\n{}\n", log.display(), logs::tail(&log, lines))?;
    }
    Ok(())
}

fn order(dir: &Path, give: impl FnOnce(&Stack) -> Result<String, StackError>) -> anyhow::Result<()> {
    let words = give(&Stack::attach(dir)?)?;
    writeln!(std::io::stdout(), "{words}")?;
    Ok(())
}

fn environment(dir: &Path) -> anyhow::Result<()> {
    let stack = Stack::attach(dir)?;
    for (name, value) in stack.endpoints().environment() {
        writeln!(std::io::stdout(), "export {name}='{value}'")?;
    }
    Ok(())
}

/// Becomes psql; the password goes by the environment, not by the command line that all can see.
fn psql(dir: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let stack = Stack::attach(dir)?;
    let postgres = &stack.endpoints().postgres;
    let mut command = Process::new("psql");
    command.env("PGHOST", &postgres.host).env("PGPORT", postgres.port.to_string());
    command.env("PGDATABASE", &postgres.database).env("PGUSER", &postgres.user).env("PGPASSWORD", &postgres.password);
    let error = command.args(arguments).exec();
    Err(error).context("cannot run psql; as root: apt-get install -y --no-install-recommends postgresql-client")
}
