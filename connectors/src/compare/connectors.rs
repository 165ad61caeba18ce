//! What sinks and pipelines have in common: settings by key, the mark, and what is there without a file.

use std::collections::BTreeMap;

use super::mask::shown;
use super::{Difference, Moved, Place, Refusal, Thing};
use crate::connect::Settings;
use crate::files::Connector;
use schemas::mark;
use schemas::mark::APPLIED;

/// Every key in which a file differs from what runs, the mark included where `apply` would set it.
pub(crate) fn differences(there: &Settings, wanted: &Connector, owner: &str) -> Vec<Difference> {
    let (has, says): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (mark::own(there).collect(), mark::own(&wanted.settings).collect());
    let mut found = Vec::new();
    for (key, value) in &has {
        if says.get(key) != Some(value) {
            let file = says.get(key).map(|value| shown(key, value));
            found.push(Difference::new(key, Some(shown(key, value)), file));
        }
    }
    for (key, value) in says.iter().filter(|(key, _)| !has.contains_key(*key)) {
        found.push(Difference::new(key, None, Some(shown(key, value))));
    }
    if mark::of(there).is_none_or(|mark| mark.owner != owner) {
        let (before, after) = (there.get(APPLIED).cloned(), mark::marked(&wanted.settings, owner));
        found.push(Difference::new(APPLIED, before, after.get(APPLIED).cloned()));
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

/// A connector of the files beside the one that is there.
pub(super) fn thing(kind: &'static str, wanted: &Connector, there: Option<&Settings>, owner: &str) -> Thing {
    let mut thing = Thing::new(kind, &wanted.name, &wanted.file);
    let nothing = Settings::new();
    thing.differences = differences(there.unwrap_or(&nothing), wanted, owner);
    let Some(there) = there else {
        thing.place = Place::File;
        return thing;
    };
    let mark = mark::of(there);
    thing.moved = moved(mark.as_ref().map(|mark| mark.digest.as_str()), there, &wanted.settings);
    thing.refused.extend(foreign(there, owner).map(|why| Refusal::new(APPLIED, why)));
    thing
}

/// Why settings that are there are not ours to change; those without any mark are.
pub(crate) fn foreign(there: &Settings, owner: &str) -> Option<String> {
    let other = mark::of(there).filter(|mark| mark.owner != owner)?.owner;
    Some(format!(
        "it belongs to `{other}`, and these are the files of `{owner}`: give it another name, or say --owner {other}"
    ))
}

/// Which side is not what was applied last; without a mark that was read nothing tells.
fn moved(applied: Option<&str>, there: &Settings, wanted: &Settings) -> Moved {
    let Some(applied) = applied else { return Moved::Unknown };
    match (mark::digest(there) == applied, mark::digest(wanted) == applied) {
        (true, false) => Moved::File,
        (false, true) => Moved::Server,
        (false, false) => Moved::Both,
        (true, true) => Moved::Unknown,
    }
}

/// Those that carry our mark and stand in no file. What a healer or a rehearsal made is theirs, although it has the
/// settings of one of ours.
pub(super) fn without_file<'s>(
    kind: &'static str,
    there: impl Iterator<Item = (&'s str, &'s Settings)>,
    files: &[Connector],
    owner: &str,
) -> Vec<Thing> {
    there
        .filter(|(name, _)| !files.iter().any(|file| file.name == *name))
        .filter(|(_, settings)| mark::of(settings).is_some_and(|mark| mark.owner == owner) && !is_passing(settings))
        .map(|(name, _)| Thing { place: Place::Server, ..Thing::new(kind, name, "") })
        .collect()
}

/// Made for a while by a command of ours, which also removes it: it says so in a setting of its own.
fn is_passing(settings: &Settings) -> bool {
    settings.keys().any(|key| key.starts_with("orderflow.") && key != APPLIED)
}

#[cfg(test)]
mod tests;
