//! The comparison of settings, and what it takes for ours.

use super::*;
use crate::serve::isolate::trial;
use schemas::mark::{OWNER, marked};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn file(pairs: &[(&str, &str)]) -> Connector {
    Connector { file: "s.json".to_owned(), name: "s".to_owned(), settings: settings(pairs) }
}

/// As `key: server -> file`, with a dash for nothing.
fn told(found: &[Difference]) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    found.iter().map(|one| format!("{}: {} -> {}", one.key, text(&one.server), text(&one.file))).collect()
}

#[test]
fn each_key_that_differs_is_told_once_and_the_name_that_connect_adds_is_none() {
    let file = file(&[("a", "1"), ("b", "2"), ("d", "4")]);
    let mut there = marked(&settings(&[("a", "1"), ("b", "3"), ("c", "5")]), OWNER);
    there.insert("name".to_owned(), "s".to_owned());
    assert_eq!(told(&differences(&there, &file, OWNER)), ["b: 3 -> 2", "c: 5 -> -", "d: - -> 4"]);
    assert_eq!(differences(&marked(&file.settings, OWNER), &file, OWNER), []);
}

#[test]
fn a_secret_on_either_side_is_masked_and_still_a_difference() {
    let file = file(&[("connection.password", "${env:P}")]);
    let there = marked(&settings(&[("connection.password", "hunter2")]), OWNER);
    assert_eq!(told(&differences(&there, &file, OWNER)), ["connection.password: ******** -> ${env:P}"]);
    let other = Connector { settings: settings(&[("connection.password", "tiger")]), ..file };
    assert_eq!(told(&differences(&there, &other, OWNER)), ["connection.password: ******** -> ********"]);
}

#[test]
fn what_is_there_without_our_mark_gets_it_and_what_has_anothers_is_refused() {
    let file = file(&[("a", "1")]);
    let bare = thing("sink", &file, Some(&file.settings), OWNER);
    assert_eq!((bare.differences.len(), bare.refused.len(), bare.moved), (1, 0, Moved::Unknown));
    assert_eq!(bare.differences[0].key, APPLIED);
    let other = thing("sink", &file, Some(&marked(&file.settings, "team-b")), OWNER);
    assert!(other.refused[0].message.contains("belongs to `team-b`"), "{other:?}");
}

#[test]
fn the_mark_tells_which_side_has_moved() {
    let (old, new, third) = (settings(&[("a", "1")]), settings(&[("a", "2")]), settings(&[("a", "3")]));
    let moved = |given: &Settings, there: &Settings, says: &Settings| {
        let mut there = there.clone();
        there.insert(APPLIED.to_owned(), marked(given, OWNER)[APPLIED].clone());
        let file = Connector { settings: says.clone(), ..file(&[]) };
        thing("sink", &file, Some(&there), OWNER).moved
    };
    assert_eq!(moved(&old, &old, &new), Moved::File);
    assert_eq!(moved(&old, &new, &old), Moved::Server);
    assert_eq!(moved(&old, &new, &third), Moved::Both);
    assert_eq!(moved(&old, &old, &old), Moved::Unknown);
}

#[test]
fn only_what_carries_our_mark_and_has_no_file_is_ours_to_remove() {
    let own = [("connector.class", crate::names::JDBC_CLASS), ("collection.name.format", "t"), ("topics", "t")];
    let ours = marked(&settings(&own), OWNER);
    let trial = trial::settings("s", &ours, "here").unwrap();
    let there = [
        ("s", ours.clone()),
        ("gone-trial", trial),
        ("gone", ours),
        ("foreign", settings(&[("a", "1")])),
        ("theirs", marked(&settings(&[("a", "1")]), "team-b")),
        ("forged", settings(&[(APPLIED, "orderflow")])),
    ];
    let found = without_file("sink", there.iter().map(|(name, one)| (*name, one)), &[file(&[])], OWNER);
    assert_eq!(found.iter().map(|thing| thing.name.as_str()).collect::<Vec<_>>(), ["gone"]);
}
