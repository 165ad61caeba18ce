//! Command `transforms`: parses, starts, reports; nothing else.

use std::io::Write;
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
        Command::Logs(args) => command::logs::run(&args).map(|()| ExitCode::SUCCESS),
        Command::List(args) => asked(async { Ok((command::list::run(&args).await?, true)) }),
        Command::Status(args) => asked(command::status::run(&args)),
        Command::Validate(args) => asked(async { Ok((command::validate::run(&args).await?, true)) }),
        Command::Promote(args) => asked(async { Ok((command::promote::promote(&args).await?, true)) }),
        Command::Rollback(args) => asked(async { Ok((command::promote::rollback(&args).await?, true)) }),
        Command::Shadow(args) => asked(async { Ok((command::shadow::run(&args).await?, true)) }),
        Command::Token(args) => command::token::run(&args).map(|()| ExitCode::SUCCESS),
        Command::CheckUpload(args) => command::check_upload::run(&args).map(|()| ExitCode::SUCCESS),
        Command::New(args) => command::new::run(args).map(|()| ExitCode::SUCCESS),
        Command::Build(args) => command::build::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => command::test::run(&args),
        Command::Dev(args) => command::dev::run(&args),
        Command::Replay(args) => command::replay::run(&args),
        Command::Push(args) => command::push::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// Asks a running process and prints what it says; an error when that is that something is not well.
fn asked(question: impl Future<Output = anyhow::Result<(String, bool)>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (text, well) = runtime.block_on(question)?;
    // A reader that has seen enough, as `head` does, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    anyhow::ensure!(well, "not every pipeline does what it should; it says above why");
    Ok(ExitCode::SUCCESS)
}
