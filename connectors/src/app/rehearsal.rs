//! Wiring of `connectors rehearse`.

use anyhow::bail;
use service_kit::{Tasks, signals};
use tracing::info;

use super::search::print;
use crate::config::{Rehearse, Servers};
use crate::files;
use crate::lint;
use crate::postgres::Postgres;
use crate::rehearse::{self, Options, Sources, report};

/// `connectors rehearse`: prints, and answers the exit code. A first Ctrl-C or SIGTERM ends it in order.
///
/// # Errors
/// Faults of the file, or why it could not be rehearsed.
pub async fn rehearse(servers: &Servers, options: &Rehearse) -> anyhow::Result<u8> {
    let (file, warnings) = match files::one(&options.file) {
        Ok(read) => read,
        Err(found) => {
            eprint!("{}", lint::human(&found));
            bail!("{} in {}; nothing was rehearsed", lint::counted(&found), options.file.display());
        }
    };
    eprint!("{}", lint::human(&warnings));
    let tasks = Tasks::new();
    signals::watch(&tasks)?;
    let wanted = Options {
        last: usize::try_from(options.last)?,
        time_limit: options.timeout,
        examples: usize::try_from(options.examples)?,
    };
    let say = |words: String| info!(connector = file.name, "{words}");
    let report = rehearse::rehearse(&sources(servers)?, &file, wanted, tasks.stopping(), &say).await?;
    print(options.format, &report, report::text)?;
    Ok(report.exit_code())
}

/// Everyone that a rehearsal asks.
///
/// # Errors
/// Where no client can be made.
pub fn sources(servers: &Servers) -> anyhow::Result<Sources> {
    Ok(Sources {
        kafka: servers.kafka.clone(),
        connect: super::connect(servers)?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
        postgres: Postgres::new(&servers.postgres),
        elastic: super::elastic(servers)?,
    })
}
