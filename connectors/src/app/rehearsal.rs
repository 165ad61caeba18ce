//! Wiring of `connectors rehearse`.

use anyhow::bail;
use service_kit::{Tasks, signals};
use tracing::info;

use super::search::print;
use crate::config::{Extent, Rehearse, Servers};
use crate::files::{self, Connector};
use crate::lint;
use crate::plan::Plan;
use crate::postgres::Postgres;
use crate::rehearse::{self, Options, RehearseError, Sources, report};

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
    let wanted = wanted(&options.extent)?;
    let say = |words: String| info!(connector = file.name, "{words}");
    let report = rehearse::rehearse(&sources(servers)?, &file, wanted, tasks.stopping(), &say).await?;
    print(options.format, &report, report::text)?;
    Ok(report.exit_code())
}

/// The sinks that a plan would make or change, one after the other, into the plan.
///
/// # Errors
/// Where no client can be made, or it was told to stop.
pub async fn join(servers: &Servers, sinks: &[Connector], extent: &Extent, plan: &mut Plan) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    signals::watch(&tasks)?;
    let (sources, wanted) = (sources(servers)?, wanted(extent)?);
    for file in sinks {
        if !plan.moves("sink", &file.name) {
            continue;
        }
        let say = |words: String| info!(connector = file.name, "{words}");
        match rehearse::rehearse(&sources, file, wanted, tasks.stopping(), &say).await {
            Err(RehearseError::Stopped) => bail!("it was stopped"),
            Err(err) => plan.cannot_rehearse(&file.name, &format!("{:#}", anyhow::Error::from(err))),
            Ok(report) => plan.rehearsals.push(report),
        }
    }
    Ok(())
}

fn wanted(extent: &Extent) -> anyhow::Result<Options> {
    Ok(Options {
        last: usize::try_from(extent.last)?,
        time_limit: extent.timeout,
        examples: usize::try_from(extent.examples)?,
    })
}

/// Everyone that a rehearsal asks.
///
/// # Errors
/// Where no client can be made.
pub fn sources(servers: &Servers) -> anyhow::Result<Sources> {
    Ok(Sources {
        kafka: servers.kafka.brokers()?,
        connect: super::connect(servers)?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
        postgres: Postgres::new(&servers.postgres),
        elastic: super::elastic(servers)?,
    })
}
