//! Wiring of `connectors verify`.

use std::time::Duration;

use anyhow::ensure;

use crate::config::{self, Servers};
use crate::postgres::Postgres;
use crate::verify::slices::Span;
use crate::verify::stores::Stores;
use crate::verify::{self, Options, Repair, Sources, show};

/// There are differences.
const LEFT: u8 = 2;
/// What was on its way has arrived by then.
const PAUSE: Duration = Duration::from_secs(1);

/// `connectors verify`: compares, prints, and answers the exit code.
///
/// # Errors
/// Where no client can be made, or someone cannot be asked.
pub async fn verify(servers: &Servers, options: &config::Verify) -> anyhow::Result<u8> {
    let postgres = Postgres::new(&servers.postgres);
    let sources = Sources {
        kafka: servers.kafka.brokers()?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
        stores: Stores { postgres, elastic: super::elastic(servers)? },
    };
    let span = Span { since: options.since, until: options.until };
    ensure!(
        span.since.zip(span.until).is_none_or(|(since, until)| since < until),
        "--since is not before --until, so no order is meant"
    );
    let options_of = Options {
        span,
        slice_ms: i64::try_from(options.slice.as_millis())?,
        deep: options.deep,
        examples: usize::try_from(options.examples)?,
        repair: match (options.repair, options.yes) {
            (false, _) => Repair::No,
            (true, false) => Repair::Dry,
            (true, true) => Repair::Yes,
        },
        wait: options.wait,
        time_limit: options.time_limit,
        pause: PAUSE,
    };
    let report = verify::verify(&sources, &options_of).await?;
    super::search::print(options.format, &report, show::text)?;
    Ok(if report.wrong() == 0 { 0 } else { LEFT })
}
