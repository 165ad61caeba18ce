//! Wiring of `connectors evolve`.

use anyhow::{Context as _, bail};
use service_kit::{Tasks, signals};
use tracing::info;

use super::search::print;
use crate::config::{Evolve, Servers};
use crate::evolve::{self, EvolveError, Options, report};
use crate::lint;
use crate::rehearse;

/// `connectors evolve`: prints, and answers the exit code. A first Ctrl-C or SIGTERM ends a rehearsal in order.
///
/// # Errors
/// Faults of the files, or what stopped it.
pub async fn evolve(servers: &Servers, options: &Evolve) -> anyhow::Result<u8> {
    let add = match (options.add.clone(), &options.default) {
        (Some(field), Some(default)) => Some(field.with_default(default).map_err(anyhow::Error::msg)?),
        (field, _) => field,
    };
    let rehearsal =
        rehearse::Options { last: usize::try_from(options.last)?, time_limit: options.timeout, examples: 0 };
    let wanted = Options {
        files: options.files.files.clone(),
        add: add.map(|field| field.with_doc(options.doc.clone())),
        module: options.module.clone(),
        rehearsal: Some(rehearsal).filter(|_| (options.yes && !options.without_rehearsal) || options.rehearse),
        yes: options.yes,
    };
    let tasks = Tasks::new();
    signals::watch(&tasks)?;
    let stop = || {
        let tasks = tasks.clone();
        Box::pin(async move { tasks.stopping().await }) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
    };
    let target = super::target(servers, &options.files.owner, options.wait)?;
    let sources = super::rehearsal::sources(servers)?;
    let say = |words: String| info!("{words}");
    match evolve::evolve(&target, &sources, &wanted, stop, &say).await {
        Ok(told) => {
            print(options.format, &told, report::text)?;
            Ok(told.exit_code())
        }
        Err(EvolveError::Findings(found)) => {
            eprint!("{}", lint::human(&found));
            bail!("{} in {}; nothing was changed", lint::counted(&found), wanted.files.display());
        }
        Err(err) => Err(err).context("evolve stopped"),
    }
}
