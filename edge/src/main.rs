//! The command `edge`: reads its settings, starts, waits for a signal, drains. Everything else is in the library.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use edge::{
    app::App,
    config::{Args, Config},
    keys,
};
use service_kit::{Tasks, signals, telemetry};

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(id) = &args.keys.new_api_key {
        return new_key(id);
    }
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Not a service: the one thing that is for standard output.
fn new_key(id: &str) -> ExitCode {
    match keys::new::make(id) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("edge: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> anyhow::Result<()> {
    telemetry::init(&args.telemetry)?;
    let config = Config::try_from(args)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(run(config));
    // What blocks now has had its deadline.
    runtime.shutdown_background();
    ended
}

async fn run(config: Config) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    signals::watch(&tasks).context("cannot watch for signals")?;
    let app = App::start(config, tasks.clone()).await?;
    signals::reload_on_hangup(app.reloads.clone(), &tasks).context("cannot watch for SIGHUP")?;
    tasks.stopping().await;
    app.drain().await;
    match tasks.broken() {
        Some(part) => bail!("{part} ended before its time; whoever started this process should start it again"),
        None => Ok(()),
    }
}
