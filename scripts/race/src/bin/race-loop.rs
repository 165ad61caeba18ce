//! The command `race-loop`: what `race transforms` measures in a process of its own, with the allocator that `transforms`
//! is shipped with. Only parses, starts and reports.

use std::process::ExitCode;

use clap::Parser;
use race::transforms::{self, Judge, TurnArgs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, clap::Parser)]
enum Command {
    /// Transforms so many records
    Turn(TurnArgs),
    /// Judges the same records so many times
    Judge(Judge),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Turn(args) => transforms::turn(&args),
        Command::Judge(args) => transforms::judge(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("race-loop: {error:#}");
            ExitCode::FAILURE
        }
    }
}
