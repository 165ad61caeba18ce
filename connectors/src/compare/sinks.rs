//! Sinks: their settings, their state, and what Kafka Connect's plugins say against the files.

use std::collections::BTreeMap;

use super::mask::Mask;
use super::{Deadline, Place, Refusal, Thing, connectors, told};
use crate::apply::Target;
use crate::connect::{Connect, ConnectError, Listed};
use crate::files::Connector;
use crate::retry;
use crate::serve::isolate::trial;
use schemas::mark;

pub(super) async fn compare(target: &Target, sinks: &[Connector], deadline: Deadline) -> Result<Vec<Thing>, String> {
    let listed = retry::until(deadline, "Kafka Connect", || target.connect.list()).await;
    let listed = listed.map_err(|err| told("Kafka Connect", err))?;
    let mut things = Vec::new();
    for sink in sinks {
        let there = listed.get(&sink.name);
        let mut thing = connectors::thing("sink", sink, there.map(|one| &one.info.config), &target.owner);
        if let Some(there) = there {
            state(&mut thing, there, &listed);
        }
        // What is as it should be has been found valid before.
        if thing.place == Place::File || thing.changes() {
            let faults = faults(&target.connect, sink, &target.owner, there, deadline).await;
            thing.refused.extend(faults.map_err(|err| told("Kafka Connect", err))?);
        }
        things.push(thing);
    }
    let there = listed.iter().map(|(name, one)| (name.as_str(), &one.info.config));
    things.extend(connectors::without_file("sink", there, sinks, &target.owner));
    Ok(things)
}

/// Held by an operator, or failed. One that a healer has stopped runs again by itself.
fn state(thing: &mut Thing, there: &Listed, listed: &BTreeMap<String, Listed>) {
    let status = &there.status;
    if status.is_held() && !listed.contains_key(&trial::name(&thing.name)) {
        thing.held = Some(status.connector.state.clone());
    } else if status.is_held() {
        thing.notes.push("`connectors serve` holds it while it tries its records".to_owned());
    }
    if let Some(failure) = status.failure() {
        let mask = Mask::of([&there.info.config]);
        thing.notes.push(format!("FAILED: {}", mask.hide(&failure)));
    }
}

/// What Connect says against a file's settings; a class that it does not have is a fault as well.
async fn faults(
    connect: &Connect,
    sink: &Connector,
    owner: &str,
    there: Option<&Listed>,
    deadline: Deadline,
) -> Result<Vec<Refusal>, ConnectError> {
    let (class, settings) = (sink.setting("connector.class"), mark::marked(&sink.settings, owner));
    let mask = Mask::of([&sink.settings].into_iter().chain(there.map(|one| &one.info.config)));
    let asked = retry::until(deadline, "Kafka Connect", || connect.validate(class, &sink.name, &settings));
    match asked.await {
        Ok(faults) => Ok(faults.iter().map(|fault| Refusal::new(&fault.key, mask.hide(&fault.words))).collect()),
        Err(ConnectError::Refused { message, .. }) => Ok(vec![Refusal::new("connector.class", mask.hide(&message))]),
        Err(err) => Err(err),
    }
}
