//! The command `connectors`: arguments and exit codes. The work is wired in `app.rs`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use connectors::app::{self, evolve, plan, rehearsal, search, verify};
use connectors::config::{
    Apply, Compare, DeadLetters, Evolve, Lint, Plan, Prune, Rehearse, Serve, Servers, Status, Trace, Verify, Watch,
};
use service_kit::telemetry;

/// What still asks Kafka when all is done has so long to end.
const LEAVE: Duration = Duration::from_secs(3);

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
    /// Say what apply would change, touching nothing; exit code 0 nothing, 1 error or refused, 2 something
    Plan(Plan),
    /// Say what on the servers was changed past the files; exit code 0 nothing, 1 error, 2 something
    Drift(Compare),
    /// Remove connectors and pipelines that are ours and have no file any more; without --yes say which
    Prune(Prune),
    /// Try what an edited sink makes of the newest records, beside the live one and without touching it
    Rehearse(Rehearse),
    /// Add a field to the orders that are stored: checked, rehearsed, and rolled out in the right order
    Evolve(Evolve),
    /// Show state, tasks, lag and failures; exit code 0 where all runs, 2 otherwise
    Status(Status),
    /// Draw the status again and again, with rates and the time that a backlog still takes; Ctrl-C ends it
    Watch(Watch),
    /// Say where an order is: when received, what the modules made of it, and what became of it in each store
    Trace(Trace),
    /// List, show, replay and discard what transforms and sinks refused
    DeadLetters(DeadLetters),
    /// Hold the topic, the table and the index against each other, and put right what differs
    Verify(Verify),
    /// Watch the sinks and restart what fails
    Serve(Serve),
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(told) => return ExitCode::from(not_begun(&told)),
    };
    match start(args) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("connectors: {err:#}");
            ExitCode::from(1)
        }
    }
}

/// Help and the version are what was asked for. What is not understood is an error as any other: 2 is what commands answer
/// that have found something. `lint` has no other 2, and is documented so.
fn not_begun(told: &clap::Error) -> u8 {
    // A reader that has seen enough, as `head` does, is no failure.
    let _ = told.print();
    match told.use_stderr() {
        false => 0,
        true if named().as_deref() == Some("lint") => 2,
        true => 1,
    }
}

/// The command that was called, whatever is wrong with the rest.
fn named() -> Option<String> {
    let read = Args::command().ignore_errors(true).try_get_matches();
    read.ok()?.subcommand_name().map(str::to_owned)
}

fn start(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        match args.command {
            Command::Lint(options) => Ok(ExitCode::from(app::lint(&options)?)),
            Command::Apply(options) => app::apply(&args.servers, &options).await.map(|()| ExitCode::SUCCESS),
            Command::Plan(options) => plan::plan(&args.servers, &options).await.map(ExitCode::from),
            Command::Drift(options) => plan::drift(&args.servers, &options).await.map(ExitCode::from),
            Command::Prune(options) => plan::prune(&args.servers, &options).await.map(ExitCode::from),
            Command::Rehearse(options) => rehearsal::rehearse(&args.servers, &options).await.map(ExitCode::from),
            Command::Evolve(options) => evolve::evolve(&args.servers, &options).await.map(ExitCode::from),
            Command::Status(options) => app::status(&args.servers, &options).await.map(ExitCode::from),
            Command::Watch(options) => app::watch(&args.servers, &options).await.map(|()| ExitCode::SUCCESS),
            Command::Trace(options) => search::trace(&args.servers, &options).await.map(ExitCode::from),
            Command::DeadLetters(options) => search::dead_letters(&args.servers, &options).await.map(ExitCode::from),
            Command::Verify(options) => verify::verify(&args.servers, &options).await.map(ExitCode::from),
            Command::Serve(options) => app::serve(&args.servers, &options).await.map(|()| ExitCode::SUCCESS),
        }
    });
    // What blocks now has had its deadline. Clients that still speak TLS when the process exits may crash it.
    runtime.shutdown_timeout(LEAVE);
    ended
}
