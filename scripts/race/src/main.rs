//! The command `race`, which `scripts/bench` runs: measures our programs beside their floors and peers.
//!
//! Only parses, starts and reports; see `app.rs`. Exit code 0: it was measured, whatever came out; 1: an output was
//! wrong, or it could not be measured.

mod app;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match app::run(app::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("race: {error:#}");
            ExitCode::FAILURE
        }
    }
}
