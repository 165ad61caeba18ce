//! Pipelines: as sinks are compared, and which version `name@1` means now.

use serde_json::Value;

use super::mask::Mask;
use super::{Deadline, Difference, Place, Refusal, Thing, connectors, told};
use crate::apply::Target;
use crate::connect::{Connect, ConnectError, Settings, Status};
use crate::files::Connector;
use crate::retry;
use schemas::mark;

pub(super) async fn compare(
    target: &Target,
    pipelines: &[Connector],
    deadline: Deadline,
) -> Result<Vec<Thing>, String> {
    let ask = || all(&target.transforms, pipelines, &target.owner);
    retry::until(deadline, "transforms", ask).await.map_err(|err| told("transforms", err))
}

/// Without its topics `transforms` answers nothing.
pub(super) fn waits_for(topic: &Thing) -> bool {
    topic.place == Place::File && topic.name.starts_with("transforms.")
}

/// The pipelines of the files, while `transforms` cannot be asked.
pub(super) fn unasked(pipelines: &[Connector]) -> Vec<Thing> {
    let note = "transforms waits for its topics, so it could not say what it thinks of it";
    let thing = |pipeline: &Connector| Thing {
        place: Place::File,
        notes: vec![note.to_owned()],
        ..Thing::new("pipeline", &pipeline.name, &pipeline.file)
    };
    pipelines.iter().map(thing).collect()
}

async fn all(transforms: &Connect, pipelines: &[Connector], owner: &str) -> Result<Vec<Thing>, ConnectError> {
    let mut there = Vec::new();
    for name in transforms.names().await? {
        if let Some(settings) = transforms.settings(&name).await? {
            there.push((name, settings));
        }
    }
    let modules = transforms.modules().await?;
    let mut things = Vec::new();
    for pipeline in pipelines {
        let found = there.iter().find(|(name, _)| *name == pipeline.name).map(|(_, settings)| settings);
        things.push(one(transforms, pipeline, found, &modules, owner).await?);
    }
    let there = there.iter().map(|(name, settings)| (name.as_str(), settings));
    things.extend(connectors::without_file("pipeline", there, pipelines, owner));
    Ok(things)
}

async fn one(
    transforms: &Connect,
    pipeline: &Connector,
    there: Option<&Settings>,
    modules: &[(String, String)],
    owner: &str,
) -> Result<Thing, ConnectError> {
    let mut thing = connectors::thing("pipeline", pipeline, there, owner);
    if there.is_some() {
        let info = transforms.info(&pipeline.name).await?;
        versions(&mut thing, pipeline, &info, modules);
        if let Some(status) = transforms.status(&pipeline.name).await? {
            state(&mut thing, &status);
        }
    }
    if thing.place == Place::File || thing.changes() {
        let (class, settings) = (pipeline.setting("connector.class"), mark::marked(&pipeline.settings, owner));
        let mask = Mask::of([&pipeline.settings]);
        let faults = transforms.validate(class, &pipeline.name, &settings).await?;
        thing.refused.extend(faults.iter().map(|fault| Refusal::new(&fault.key, mask.hide(&fault.words))));
    }
    Ok(thing)
}

fn state(thing: &mut Thing, status: &Status) {
    if status.is_held() {
        thing.held = Some(status.connector.state.clone());
    }
    if let Some(trace) = status.connector.trace.as_deref().and_then(|trace| trace.lines().next()) {
        thing.notes.push(trace.to_owned());
    }
}

/// Where an alias says `clean@1`: what it is pinned to beside the newest that it means. A new upload is a change that no
/// file shows.
fn versions(thing: &mut Thing, pipeline: &Connector, info: &Value, modules: &[(String, String)]) {
    for alias in pipeline.setting("transforms").split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
        let key = format!("transforms.{alias}.type");
        let wanted = pipeline.setting(&key);
        let pinned = info.pointer(&format!("/modules/{alias}/module")).and_then(Value::as_str);
        let Some((pinned, newest)) = pinned.zip(newest(wanted, modules)) else { continue };
        if thing.differences.iter().any(|difference| difference.key == key) || pinned == newest {
            continue;
        }
        let say = |module: &str| Some(format!("{wanted} ({module})"));
        thing.differences.push(Difference::new(&key, say(pinned), say(&newest)));
    }
}

/// The newest of the modules that `wanted` means, as `name@version`.
fn newest(wanted: &str, modules: &[(String, String)]) -> Option<String> {
    let (name, version) = wanted.split_once('@').unwrap_or((wanted, ""));
    let prefix: Vec<u64> = numbers(version)?;
    let fits = modules.iter().filter(|(module, _)| module == name).filter_map(|(_, version)| {
        let numbers = numbers(version)?;
        numbers.starts_with(&prefix).then_some((numbers, version))
    });
    fits.max().map(|(_, version)| format!("{name}@{version}"))
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_a_file_means_is_found() {
        let modules = ["1.2.0", "1.10.0", "2.0.0", "odd"].map(|version| ("clean".to_owned(), version.to_owned()));
        let newest = |wanted| newest(wanted, &modules);
        assert_eq!(newest("clean@1").as_deref(), Some("clean@1.10.0"));
        assert_eq!(newest("clean@1.2").as_deref(), Some("clean@1.2.0"));
        assert_eq!(newest("clean").as_deref(), Some("clean@2.0.0"));
        assert_eq!(newest("clean@3"), None);
        assert_eq!(newest("other@1"), None);
    }

    #[test]
    fn an_upload_that_a_file_means_is_a_change_although_no_text_differs() {
        let settings = [("transforms", "c"), ("transforms.c.type", "clean@1")];
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let pipeline = Connector { file: String::new(), name: "p".to_owned(), settings };
        let info = serde_json::json!({"modules": {"c": {"module": "clean@1.0.0"}}});
        let found = |version: &str| {
            let mut thing = Thing::default();
            versions(&mut thing, &pipeline, &info, &[("clean".to_owned(), version.to_owned())]);
            thing.differences
        };
        let expected = Difference::new(
            "transforms.c.type",
            Some("clean@1 (clean@1.0.0)".to_owned()),
            Some("clean@1 (clean@1.1.0)".to_owned()),
        );
        assert_eq!(found("1.1.0"), [expected]);
        assert_eq!(found("1.0.0"), []);
    }
}
