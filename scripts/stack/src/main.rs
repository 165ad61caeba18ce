//! The command `stack`. Arguments and the exit code only; what the commands do: `app.rs`.

use std::process::ExitCode;

use clap::Parser;

mod app;
mod cli;

#[expect(clippy::print_stderr, reason = "the last word of a failed command is for the person at the terminal")]
fn main() -> ExitCode {
    match app::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stack: {error:#}");
            ExitCode::FAILURE
        }
    }
}
