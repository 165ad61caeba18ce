//! The command `promise`: makes a load, and proves or disproves that the promise was kept.
//!
//! Only parses, starts and reports; see `app.rs`. Exit code 0: every counter is zero; 1: one is not; 2: could not tell.

mod app;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match app::run(app::Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("promise: {error:#}");
            ExitCode::from(2)
        }
    }
}
