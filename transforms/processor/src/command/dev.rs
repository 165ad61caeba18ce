//! `transforms dev`: builds at each save and shows what the module does to orders. Ends at Ctrl-C, as any command does:
//! there is nothing to tidy up.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use transform_host::Engine;
use transform_host::build::{BuildError, one};

use super::test::{OrdersArgs, colour, exit_code};
use crate::author::orders::Orders;
use crate::author::report::Report;
use crate::author::show::{Look, duration};
use crate::author::trial;
use crate::author::watch::Watch;

/// Clears the screen and what was scrolled off it.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";

/// The flags of `dev`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The module's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Which orders.
    #[command(flatten)]
    orders: OrdersArgs,
    /// So many orders are shown one by one
    #[arg(long, default_value_t = 8)]
    show: usize,
    /// End after the first build instead of watching; exit codes as of `test`
    #[arg(long)]
    once: bool,
    /// End after so many builds
    #[arg(long, value_name = "N", hide = true, conflicts_with = "once")]
    builds: Option<u32>,
}

/// What does not change from save to save.
struct Desk<'a> {
    args: &'a Args,
    engine: Arc<Engine>,
    watch: Watch,
    /// A topic and standard input are read once: at each save the same orders.
    kept: Option<Orders>,
}

/// Builds and shows until it is told to end.
///
/// # Errors
/// When there is no module, or no orders.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = args.dir.canonicalize().with_context(|| format!("cannot find {}", args.dir.display()))?;
    super::build::warn_of_other_kit(&dir);
    let file = args.orders.watched(&dir);
    let kept = if file.is_none() { Some(args.orders.load(&dir)?) } else { None };
    let watch = Watch { dir, also: file.into_iter().collect() };
    let mut desk = Desk { args, engine: trial::engine()?, watch, kept };
    let bound = if args.once { Some(1) } else { args.builds };
    let (mut builds, mut why) = (0_u32, "first build".to_owned());
    loop {
        // Looked at before the build: what changes while it runs is the next round's.
        let seen = desk.watch.look();
        let shown = desk.round(&why);
        builds = builds.saturating_add(1);
        if bound.is_some_and(|bound| builds >= bound) {
            return match shown {
                Ok(report) => Ok(exit_code(&report)),
                Err(error) if is_nothing_to_try(&error) => Err(error),
                Err(_) => Ok(ExitCode::FAILURE),
            };
        }
        if let Err(error) = shown
            && is_nothing_to_try(&error)
        {
            return Err(error);
        }
        let changed = desk.watch.wait(&seen, None).unwrap_or_default();
        why = changed.strip_prefix(&desk.watch.dir).unwrap_or(&changed).display().to_string();
    }
}

/// No save of a source would help.
fn is_nothing_to_try(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(BuildError::NoTarget | BuildError::NoRust(_) | BuildError::NotOne { .. }))
}

impl Desk<'_> {
    /// One build and one look; what came out is on the screen then, and so is what is wrong.
    fn round(&mut self, why: &str) -> anyhow::Result<Report> {
        let started = Instant::now();
        self.draw(&format!("{why}: building …\n"), true);
        let result = self.tried();
        let text = match &result {
            Ok((report, warnings, built)) => {
                let look = Look { colour: colour(), orders: self.args.show };
                let took = format!("{} build, {} in all", duration(*built), duration(started.elapsed()));
                format!("{}\n{}{took}, after {why}\n", warnings.trim_end(), look.report(report))
            }
            Err(error) if is_nothing_to_try(error) => String::new(),
            Err(error) => format!("{error:#}\n\nafter {why}\n"),
        };
        self.draw(text.trim_start(), false);
        if !text.is_empty() && !self.args.once {
            self.draw("watching; Ctrl-C ends\n", false);
        }
        result.map(|(report, _, _)| report)
    }

    fn tried(&mut self) -> anyhow::Result<(Report, String, std::time::Duration)> {
        let started = Instant::now();
        let how = one::How { quick: true, colour: colour(), ..one::How::default() };
        let built = one::build(&self.watch.dir, &how)?;
        let took = started.elapsed();
        self.also_watch(&built.sources);
        let read;
        let orders = match &self.kept {
            Some(orders) => orders,
            None => {
                read = self.args.orders.load(&self.watch.dir)?;
                &read
            }
        };
        let report = self.args.orders.tried(&self.engine, &built.wasm, orders)?;
        Ok((report, built.warnings, took))
    }

    /// What cargo names beside the module's own folder: a schema or a crate elsewhere.
    fn also_watch(&mut self, sources: &[PathBuf]) {
        let file = self.args.orders.watched(&self.watch.dir);
        let elsewhere = |path: &&PathBuf| !path.starts_with(&self.watch.dir);
        let also: BTreeSet<PathBuf> = sources.iter().filter(elsewhere).cloned().chain(file).collect();
        self.watch.also = also;
    }

    fn draw(&self, text: &str, anew: bool) {
        let mut out = std::io::stdout().lock();
        let clear = anew && out.is_terminal() && !self.args.once;
        // A screen that is gone shows nothing; the next signal ends this.
        let _ = write!(out, "{}{text}", if clear { CLEAR } else { "" });
        let _ = out.flush();
    }
}
