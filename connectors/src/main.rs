//! The command `connectors`: arguments and exit codes. The work is wired in `app.rs`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use connectors::app::{self, rehearsal, search};
use connectors::config::{Apply, DeadLetters, Lint, Rehearse, Serve, Servers, Status, Trace};
use service_kit::telemetry;

/// Deploys the connector files, shows how they run, and heals the sinks.
#[derive(Debug, Parser)]
#[command(name = "connectors", version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    telemetry: telemetry::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check connector files, touching no server; exit code 0 where they are fine, 1 otherwise
    Lint(Lint),
    /// Deploy topics, schemas, stores, modules, pipelines and sinks; repeatable
    Apply(Apply),
    /// Try what an edited sink makes of the newest records, beside the live one and without touching it
    Rehearse(Rehearse),
    /// Show state, tasks, lag and failures; exit code 0 where all runs, 2 otherwise
    Status(Status),
    /// Say where an order is: when received, what the modules made of it, and what became of it in each store
    Trace(Trace),
    /// List, show, replay and discard what transforms and sinks refused
    DeadLetters(DeadLetters),
    /// Watch the sinks and restart what fails
    Serve(Serve),
}

fn main() -> ExitCode {
    let args = Args::parse();
    match start(args) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("connectors: {err:#}");
            ExitCode::from(1)
        }
    }
}

fn start(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match args.command {
            Command::Lint(options) => Ok(ExitCode::from(app::lint(&options)?)),
            Command::Apply(options) => app::apply(&args.servers, &options).await.map(|()| ExitCode::SUCCESS),
            Command::Rehearse(options) => rehearsal::rehearse(&args.servers, &options).await.map(ExitCode::from),
            Command::Status(options) => app::status(&args.servers, &options).await.map(ExitCode::from),
            Command::Trace(options) => search::trace(&args.servers, &options).await.map(ExitCode::from),
            Command::DeadLetters(options) => search::dead_letters(&args.servers, &options).await.map(ExitCode::from),
            Command::Serve(options) => app::serve(&args.servers, &options).await.map(|()| ExitCode::SUCCESS),
        }
    })
}
