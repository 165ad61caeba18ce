//! Instructions of one record in the chain, in the sandbox and without one.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Bench, Found, judges, progress, sandbox};
use crate::{
    callgrind::{self, Counting},
    report::Row,
    spread::Spread,
};

/// Rounds of the short run and of the long one.
const ROUNDS: [u64; 2] = [1, 5];

/// What a process of its own judges.
#[derive(Clone, Debug, clap::Args)]
pub struct Judge {
    /// The folder of the modules; natively if absent
    #[arg(long)]
    modules: Option<PathBuf>,
    /// How often it judges the same records
    #[arg(long)]
    rounds: u64,
}

/// Judges the bench's records.
///
/// # Errors
/// When a module cannot be read, or the chain stops early.
pub fn judge(args: &Judge) -> anyhow::Result<()> {
    let records = judges::records(sandbox::RECORDS)?;
    match &args.modules {
        Some(modules) => {
            let mut chain = judges::sandboxed(modules)?;
            (0..args.rounds).try_for_each(|_| sandbox::judge(&mut chain, &records))
        }
        None => {
            let native = judges::Unboxed::new(String::new())?;
            (0..args.rounds).try_for_each(|_| sandbox::judge_natively(&native, &records))
        }
    }
}

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Found> {
    if let Some(missing) = callgrind::missing() {
        return Ok(missing);
    }
    let Bench { options, servers, .. } = bench;
    let modules = format!("--modules={}", servers.modules.display());
    let (boxed, unboxed) =
        (counted(&options.own, &options.dir, Some(&modules))?, counted(&options.own, &options.dir, None)?);
    let single = |figure: f64| Spread::of(&[figure]).context("no figure");
    let row = Row::new("instructions, clean and enrich in the sandbox", single(boxed)?, "instructions/record");
    Ok(Found { rows: vec![row.beside("native, same frames", single(unboxed)?)], ..Found::default() })
}

fn counted(own: &Path, dir: &Path, modules: Option<&String>) -> anyhow::Result<f64> {
    let name = if modules.is_some() { "sandbox" } else { "native" };
    progress(&format!("instructions: the chain, {name}"));
    let counting = Counting::new(own, dir, name)?;
    let round = counting.each(ROUNDS, |rounds| {
        let rounds = format!("--rounds={rounds}");
        ["judge".to_owned(), rounds].into_iter().chain(modules.cloned()).collect()
    })?;
    Ok(round / sandbox::RECORDS as f64)
}
