//! The settings that are read anew on SIGHUP: the limits, and what is logged. All of them or none: while anything in the
//! settings is wrong, everything stays as it was. (Files that settings name, such as keys and certificates, are read anew
//! by the parts that use them, each on its own.)

use service_kit::{Reloads, telemetry::Logs};

use crate::{
    config::{Config, Source},
    limits::{self, Limits},
};

/// The settings that are taken anew; the others are for the next start.
const TAKEN: [&str; 4] = ["max-body-bytes", "max-batch-bytes", "max-batch-orders", "log"];

/// The limits of a configuration, which follow its source.
#[must_use]
pub fn limits(config: &Config, reloads: &Reloads) -> limits::Current {
    let limits = limits::Current::new(Limits::from(config));
    if let Some(source) = config.source.clone() {
        let (limits, logs) = (limits.clone(), config.logs.clone());
        reloads.add("settings", move || again(&source, &limits, logs.as_ref()));
    }
    limits
}

/// What is in use now, in words; or all that is wrong, and then nothing has changed.
fn again(source: &Source, limits: &limits::Current, logs: Option<&Logs>) -> Result<String, String> {
    let (config, changed) = source.again().map_err(|faults| faults.to_string())?;
    if let Some(logs) = logs {
        logs.set(&config.log).map_err(|error| error.to_string())?;
    }
    let read = Limits::from(&config);
    let Limits { body, batch_bytes, batch_orders } = read;
    limits.set(read);
    let mut now = format!(
        "max-body-bytes {body}, max-batch-bytes {batch_bytes}, max-batch-orders {batch_orders}, log {:?}",
        config.log.filter
    );
    let (taken, rest): (Vec<_>, Vec<_>) = changed.into_iter().partition(|name| TAKEN.contains(&name.as_str()));
    for (names, what) in
        [(taken, "changed since the start and in use"), (rest, "changed too, and in need of a restart")]
    {
        if !names.is_empty() {
            now.push_str(&format!("; {what}: {}", names.join(", ")));
        }
    }
    Ok(now)
}
