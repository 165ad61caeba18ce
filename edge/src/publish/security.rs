//! Who we are to Kafka, read anew while the edge runs.

use std::sync::Arc;

use service_kit::{Reloads, kafka::SecurityArgs};

use super::Publisher;

/// At SIGHUP the files are read anew: a renewed certificate or another password needs no restart.
pub fn read_anew(reloads: &Reloads, args: SecurityArgs, publisher: &Arc<Publisher>) {
    let publisher = Arc::clone(publisher);
    reloads.add("kafka security", move || {
        let mut faults = Vec::new();
        let security = args.check(&mut faults);
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let now = security.in_words();
        match publisher.secure(security) {
            Ok(true) => Ok(format!("{now}; changed, orders go by a new producer")),
            Ok(false) => Ok(format!("{now}; unchanged")),
            Err(error) => Err(error.to_string()),
        }
    });
}

#[cfg(test)]
mod tests;
