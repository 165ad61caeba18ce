//! Each store against the output topic, and store against store.

use std::collections::{BTreeMap, HashMap, HashSet};

use schemas::names::topics;

use super::flow::{Flow, Truth};
use super::{Counter, Findings};
use crate::row::{Row, Version};
use crate::world::{Letter, Placed, Store, Stored, World};

/// Checks both stores.
pub(super) fn check(world: &World, flow: &Flow, findings: &mut Findings) {
    let placed: Outputs<'_> = world.placed.iter().map(|record| (record.at, record)).collect();
    let mut dead = BTreeMap::new();
    for store in Store::ALL {
        let letters = dead_letters(world, store, &placed, findings);
        one(world, store, flow, &letters, findings);
        dead.insert(store, letters);
    }
    mismatches(world, flow, &dead, findings);
}

/// The output topic, by place.
type Outputs<'a> = HashMap<Version, &'a Placed>;

/// The places in `order_placed` that lie in this store's dead letters: those that were to lie there, each whole.
fn dead_letters(world: &World, store: Store, placed: &Outputs<'_>, findings: &mut Findings) -> HashSet<Version> {
    let refused = world.refused.get(&store);
    let mut places = HashSet::new();
    for letter in world.sink_dead.get(&store).map_or(&[][..], Vec::as_slice) {
        let Some(origin) = letter.origin.as_ref().filter(|origin| origin.topic == topics::ORDER_PLACED) else {
            let text = format!("dead letter of {store} at {}: its headers do not say where it comes from", letter.at);
            findings.add(Counter::Wrong, text);
            continue;
        };
        match placed.get(&origin.at) {
            None => {
                findings.add(Counter::Phantom, format!("dead letter of {store}: {} is not in order_placed", origin.at));
            }
            Some(record) => {
                let words = refused.and_then(|refused| refused.get(&origin.at));
                for wrong in strange(letter, record, words.map(String::as_str)) {
                    findings.add(Counter::Wrong, format!("dead letter of {store} at {}: {wrong}", letter.at));
                }
            }
        }
        if !places.insert(origin.at) {
            findings.add(Counter::Duplicate, format!("dead letter of {store}: {} lies there twice", origin.at));
        }
    }
    for at in refused.into_iter().flat_map(BTreeMap::keys).filter(|at| !places.contains(*at)) {
        findings.add(Counter::Lost, format!("order_placed at {at}: {store} was to refuse it, and has no letter of it"));
    }
    places
}

/// Where the letter is no copy of its record, and where its reason is not the one that was to be. A record that nobody
/// announced is good.
fn strange(letter: &Letter, record: &Placed, words: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    if letter.key != record.key || letter.value != record.value {
        found.push(format!("key or value differ from order_placed at {}", record.at));
    }
    if !letter.headers.starts_with(&record.headers) {
        found.push(format!("the headers of order_placed at {} do not stand in front", record.at));
    }
    // It is the kind of the failure, and the failure in words.
    let is_named = !letter.reason.starts_with(": ");
    match words {
        None => found.push(format!("a good order (order_placed at {}): {}", record.at, letter.reason)),
        Some(words) if is_named && letter.reason.to_lowercase().contains(&words.to_lowercase()) => {}
        Some(words) => found.push(format!("the reason {:?} is not named, or has no {words:?} in it", letter.reason)),
    }
    found
}

/// The stored version of every order is its newest that this store took, field for field.
fn one(world: &World, store: Store, flow: &Flow, dead: &HashSet<Version>, findings: &mut Findings) {
    let stored = world.stores.get(&store).map_or(&[][..], Vec::as_slice);
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for found in stored {
        let id = found.row.id().unwrap_or_default();
        *seen.entry(id).or_default() += 1;
        if found.key != id {
            findings.add(Counter::Wrong, format!("{store}: {id} is stored under {:?}", found.key));
        }
        judge(world, store, flow, dead, found, findings);
    }
    for (id, count) in &seen {
        if *count > 1 {
            findings.add(Counter::Duplicate, format!("{store}: {id} is there {count} times"));
        }
    }
    for (id, versions) in &flow.orders {
        if newest(versions, dead).is_some() && !seen.contains_key(id.as_str()) {
            findings.add(Counter::Lost, format!("{store}: {id} is not there"));
        }
    }
}

/// The newest version that the store took.
fn newest<'a>(versions: &'a BTreeMap<Version, Truth>, dead: &HashSet<Version>) -> Option<(&'a Version, &'a Truth)> {
    versions.iter().rev().find(|(_, truth)| !dead.contains(&truth.at))
}

fn judge(world: &World, store: Store, flow: &Flow, dead: &HashSet<Version>, found: &Stored, findings: &mut Findings) {
    let id = found.row.id().unwrap_or_default();
    let Some(version) = found.row.version() else {
        findings.add(Counter::Wrong, format!("{store}: {id} has no version"));
        return;
    };
    let newest = flow.orders.get(id).and_then(|versions| newest(versions, dead));
    let aborted = world.uncommitted.contains(&version) && !flow.committed.contains(&version);
    let known = flow.orders.get(id).is_some_and(|versions| versions.contains_key(&version));
    match newest {
        _ if !known && aborted => {
            findings
                .add(Counter::AbortedRead, format!("{store}: {id} in version {version}, which was never committed"));
        }
        _ if !known => {
            findings.add(Counter::Phantom, format!("{store}: {id} in version {version}, which is nowhere else"));
        }
        Some((latest, truth)) if *latest == version => {
            let differences = found.row.differences(&comparable(&truth.row), None);
            if !differences.is_empty() {
                findings.add(Counter::Wrong, format!("{store}: {id}, version {version}: {}", differences.join("; ")));
            }
        }
        Some((latest, _)) => {
            findings.add(Counter::Lost, format!("{store}: {id} in version {version}, and {latest} is newer"));
        }
        None => findings.add(Counter::Phantom, format!("{store}: {id}, and every version of it is a dead letter here")),
    }
}

/// What both stores hold: line items are there as `items`, not as the text made for the table.
fn comparable(row: &Row) -> Row {
    let mut row = row.clone();
    row.0.remove("items_json");
    row
}

/// Store against store, without the ids that lie in exactly one store's dead letters.
fn mismatches(world: &World, flow: &Flow, dead: &BTreeMap<Store, HashSet<Version>>, findings: &mut Findings) {
    let by_id = |store| -> HashMap<&str, &Row> {
        let stored = world.stores.get(&store).map_or(&[][..], Vec::as_slice);
        stored.iter().map(|stored| (stored.row.id().unwrap_or_default(), &stored.row)).collect()
    };
    let (table, index) = (by_id(Store::Postgres), by_id(Store::Elasticsearch));
    let ids: HashSet<&str> = table.keys().chain(index.keys()).copied().collect();
    for id in ids {
        let lies = |store| {
            let places = dead.get(&store);
            let versions = flow.orders.get(id);
            versions.is_some_and(|versions| {
                versions.values().any(|truth| places.is_some_and(|places| places.contains(&truth.at)))
            })
        };
        if lies(Store::Postgres) != lies(Store::Elasticsearch) {
            continue;
        }
        match (table.get(id), index.get(id)) {
            (Some(row), Some(document)) => {
                let differences = document.differences(&comparable(row), None);
                if !differences.is_empty() {
                    findings.add(Counter::Mismatch, format!("{id}: {}", differences.join("; ")));
                }
            }
            (Some(_), None) => findings.add(Counter::Mismatch, format!("{id} is in postgres alone")),
            (None, _) => findings.add(Counter::Mismatch, format!("{id} is in elasticsearch alone")),
        }
    }
}
