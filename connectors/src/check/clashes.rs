//! What two files of a folder do to each other: names, groups, targets.

use std::collections::BTreeMap;

use super::{split, target};
use crate::files::{At, Document, Folder};
use crate::finding::{Finding, Severity};
use crate::rules;

pub(super) fn findings(folder: &Folder) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut names = BTreeMap::new();
    let mut groups = BTreeMap::new();
    for document in &folder.documents {
        let name = &document.connector.name;
        if let Some(first) = names.insert(name.clone(), document) {
            let message = format!("`{name}` is also the name in {}", first.text.file);
            found.push(clash(document, At::Name, &message, "give one of them another name"));
        }
        let own = document.connector.setting("consumer.override.group.id");
        let group = if own.is_empty() { crate::names::sink_group(name) } else { own.to_owned() };
        if document.connector.is_pipeline() {
            continue;
        }
        if let Some(first) = groups.insert(group.clone(), document).filter(|first| first.connector.name != *name) {
            let message =
                format!("`{group}` is also the group of {}: each record reaches only one of them", first.text.file);
            found.push(clash(document, At::Value("consumer.override.group.id"), &message, "take it out"));
        }
    }
    for (place, later) in folder.documents.iter().enumerate() {
        let before = folder.documents.iter().take(place).filter(|first| first.connector.name != later.connector.name);
        found.extend(before.filter_map(|first| targets(first, later)));
    }
    found
}

/// Two that write the same: of the same topic each record twice, of different topics one over the other.
fn targets(first: &Document, later: &Document) -> Option<Finding> {
    let (one, two) = (&first.connector, &later.connector);
    if one.is_pipeline() && two.is_pipeline() {
        let shared =
            split(two.setting("topics")).find(|topic| split(one.setting("topics")).any(|other| other == *topic))?;
        let output = two.setting("output.topic");
        let same = !output.is_empty() && output == one.setting("output.topic");
        let message = format!("`{output}` gets each record of {shared} from {} as well", first.text.file);
        return same.then(|| clash(later, At::Value("output.topic"), &message, "name another topic, or one pipeline"));
    }
    let of = |sink| {
        split(crate::files::Connector::setting(sink, "topics"))
            .filter_map(|topic| Some((topic, target::of(sink, topic)?)))
    };
    let pairs = of(one).flat_map(|left| of(two).map(move |right| (left.clone(), right)));
    if target::server(one) != target::server(two) {
        return None;
    }
    // The worse of the two kinds is told.
    let (left, right) = pairs.filter(|((_, a), (_, b))| a == b).max_by_key(|((a, _), (b, _))| a == b)?;
    let (target::Target::Table(name) | target::Target::Index(name)) = &right.1;
    let fix = "let one of them write somewhere else, or make one sink of the two";
    if left.0 == right.0 {
        let message =
            format!("`{}` goes into `{name}` by {} as well, and neither waits for the other", right.0, first.text.file);
        return Some(clash(later, At::Part("topics", right.0), &message, fix));
    }
    let message = format!("`{}` goes into `{name}`, where {} puts `{}`", right.0, first.text.file, left.0);
    Some(clash(later, At::Part("topics", right.0), &message, fix).weighing(Severity::Warning))
}

fn clash(document: &Document, at: At<'_>, message: &str, fix: &str) -> Finding {
    Finding::new(&rules::NAME_CLASH, (&document.text.file, document.place(at)), at.key(), message, fix)
}
