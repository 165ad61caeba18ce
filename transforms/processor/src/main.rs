//! Command `transforms`: parses, starts, reports; nothing else.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use transforms::command::{check_upload, token};
use transforms::config::{Args, Command, Config};
use transforms::{app, command, push};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("transforms: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    service_kit::telemetry::init(&args.log)?;
    match args.command {
        Command::Serve(args) => {
            let config = Config::try_from(args)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let served = runtime.block_on(app::serve(config));
            // A hung client must not keep the process.
            runtime.shutdown_background();
            served
        }
        Command::Build { dir, out } => {
            for module in transform_host::build::guests(&dir, &out)? {
                println!("{}", module.display());
            }
            Ok(())
        }
        Command::Logs(args) => command::logs::run(&args),
        Command::List(args) => asked(async { Ok((command::list::run(&args).await?, true)) }),
        Command::Status(args) => asked(command::status::run(&args)),
        Command::Validate(args) => asked(async { Ok((command::validate::run(&args).await?, true)) }),
        Command::Promote(args) => asked(async { Ok((command::promote::promote(&args).await?, true)) }),
        Command::Rollback(args) => asked(async { Ok((command::promote::rollback(&args).await?, true)) }),
        Command::Token(args) => token::run(&args),
        Command::CheckUpload(args) => check_upload::run(&args),
        Command::Push { file, url, token, stateful } => {
            let wasm = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            println!("{}", runtime.block_on(push::push(wasm, &url, &token, stateful))?);
            Ok(())
        }
    }
}

/// Asks a running process and prints what it says; an error when that is that something is not well.
fn asked(question: impl Future<Output = anyhow::Result<(String, bool)>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (text, well) = runtime.block_on(question)?;
    // A reader that has seen enough, as `head` does, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    anyhow::ensure!(well, "not every pipeline does what it should; it says above why");
    Ok(())
}
