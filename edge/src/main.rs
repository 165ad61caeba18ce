//! The command `edge`: reads its settings, starts, waits for a signal, drains. Everything else is in the library.

use std::{ffi::OsString, io::Write, process::ExitCode};

use anyhow::{Context, bail};
use edge::{
    app::App,
    config::{Config, Settings},
    keys,
};
use service_kit::{Tasks, signals, telemetry};

// Most orders are freed by another thread than the one that took them, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let Settings { args, given, config } = Settings::read(&words).unwrap_or_else(|error| error.exit());
    let asked = args.as_ref().map(|args| args.source.clone()).unwrap_or_default();
    let new_key = args.as_ref().and_then(|args| args.keys.new_api_key.as_deref());
    let ended = match config {
        _ if let Some(id) = new_key => keys::new::make(id).map_err(anyhow::Error::msg).and_then(|key| say(&key)),
        Err(faults) if asked.check => {
            faults.iter().for_each(|fault| eprintln!("edge: {fault}"));
            return ExitCode::FAILURE;
        }
        Err(faults) => Err(faults.into()),
        Ok(_) if asked.check => say("ok\n"),
        Ok(_) if asked.print_config => say(&given.to_string()),
        Ok(config) => start(config),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// To standard output; whoever reads it may have gone.
fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn start(mut config: Config) -> anyhow::Result<()> {
    config.logs = Some(telemetry::init(&config.log)?);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(run(config));
    // What blocks now has had its deadline.
    runtime.shutdown_background();
    ended
}

async fn run(config: Config) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    signals::watch(&tasks).context("cannot watch for signals")?;
    let hangup = signals::hangup().context("cannot watch for SIGHUP")?;
    let app = App::start(config, tasks.clone()).await?;
    tasks.spawn(app.reloads.clone().at_each(hangup, tasks.clone()));
    tasks.stopping().await;
    app.drain().await;
    match tasks.broken() {
        Some(part) => bail!("{part} ended before its time; whoever started this process should start it again"),
        None => Ok(()),
    }
}
