//! Command `transforms`: parses, starts, reports; nothing else.

use std::process::ExitCode;

use clap::Parser;
use transforms::config::{Args, Command, Config};
use transforms::{app, command};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("transforms: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    service_kit::telemetry::init(&args.log)?;
    match args.command {
        Command::Serve(args) => {
            let config = Config::try_from(args)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let served = runtime.block_on(app::serve(config));
            // A hung client must not keep the process.
            runtime.shutdown_background();
            served.map(|()| ExitCode::SUCCESS)
        }
        Command::New(args) => command::new::run(args).map(|()| ExitCode::SUCCESS),
        Command::Build(args) => command::build::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => command::test::run(&args),
        Command::Dev(args) => command::dev::run(&args),
        Command::Push(args) => command::push::run(args).map(|()| ExitCode::SUCCESS),
    }
}
