//! The output and the dead letters against the input: each record of `orders.received` became exactly one thing,
//! and the right one.

use std::collections::{BTreeMap, HashMap, HashSet};

use schemas::names::{headers, topics};

use super::claims::{Claims, Must};
use super::{Counter, Findings};
use crate::row::{Row, Value, Version};
use crate::world::{Headers, Letter, Placed, Received, World};

/// An order as it must lie in a store, and where its record lies in `order_placed`.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    /// Its record's place in `order_placed`.
    pub(super) at: Version,
    /// All its fields.
    pub(super) row: Row,
}

/// The orders in `order_placed`: by id, then by version.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) orders: HashMap<String, BTreeMap<Version, Truth>>,
    /// Every version in it, whosever.
    pub(super) committed: HashSet<Version>,
}

/// The input topic, by version.
type Inputs<'a> = HashMap<Version, &'a Received>;

/// Checks the transforms' work.
pub(super) fn check(world: &World, claims: &Claims, findings: &mut Findings) -> Flow {
    let mut flow = Flow::default();
    let inputs: Inputs<'_> = world.received.iter().map(|record| (record.at, record)).collect();
    let mut fates: BTreeMap<Version, Vec<&'static str>> = BTreeMap::new();
    for record in world.placed.iter().filter(|record| !is_poison(world, record)) {
        if let Some(version) = placed((world, &inputs), record, claims, &mut flow, findings) {
            fates.entry(version).or_default().push("placed");
        }
    }
    letters(&inputs, &world.dead, "dead", claims, &mut fates, findings);
    letters(&inputs, &world.dropped, "dropped", claims, &mut fates, findings);
    for record in &world.received {
        match fates.get(&record.at).map_or(0, Vec::len) {
            0 => findings.add(Counter::Lost, format!("orders.received at {}: nothing became of it", record.at)),
            1 => {}
            _ => {
                let all = fates.get(&record.at).map(|fates| fates.join(" and ")).unwrap_or_default();
                findings.add(Counter::Duplicate, format!("orders.received at {}: {all}", record.at));
            }
        }
    }
    inversions(world, findings);
    sums(world, &fates, findings);
    flow
}

/// Written past the transforms, for a store to refuse: the caller said so, and it has no version, as all of theirs have.
fn is_poison(world: &World, record: &Placed) -> bool {
    let is_refused = world.refused.values().any(|places| places.contains_key(&record.at));
    is_refused && record.row.as_ref().ok().and_then(Row::version).is_none()
}

/// One record of the output; its version when it belongs to the input.
fn placed(
    (world, inputs): (&World, &Inputs<'_>),
    record: &Placed,
    claims: &Claims,
    flow: &mut Flow,
    findings: &mut Findings,
) -> Option<Version> {
    let place = format!("order_placed at {}", record.at);
    let row = match &record.row {
        Ok(row) => row,
        Err(reason) => {
            findings.add(Counter::Wrong, format!("{place}: {reason}"));
            return None;
        }
    };
    let id = row.id().unwrap_or_default().to_owned();
    let Some(version) = row.version() else {
        findings.add(Counter::Wrong, format!("{place} ({id}): no received_partition and received_offset"));
        return None;
    };
    let mut truth = row.clone();
    match claims.get(&version) {
        // A record of the input that no POST explains was counted there.
        None if inputs.contains_key(&version) => {}
        None => findings.add(Counter::Phantom, format!("{place} ({id}): version {version} is not in orders.received")),
        Some(Must::Place(expected)) => {
            let mut differences = row.differences(expected, None);
            differences.extend(envelope(record, &id, version));
            differences.extend(inputs.get(&version).and_then(|input| strange_headers(world, record, input)));
            if !differences.is_empty() {
                findings.add(Counter::Wrong, format!("{place} ({id}, version {version}): {}", differences.join("; ")));
            }
            truth.0.extend(expected.0.clone());
        }
        Some(Must::Die(reason)) => {
            findings.add(Counter::Wrong, format!("{place} ({id}, version {version}): must be a dead letter: {reason}"));
        }
    }
    truth.set("transformed_by", record.modules().map_or(Value::Null, Value::Text));
    flow.committed.insert(version);
    flow.orders.entry(id).or_default().insert(version, Truth { at: record.at, row: truth });
    Some(version)
}

/// Key and partition of an output record.
fn envelope(record: &Placed, id: &str, version: Version) -> Vec<String> {
    let mut found = Vec::new();
    if record.key.as_deref() != Some(id.as_bytes()) {
        found.push(format!("key: {:?}", record.key.as_deref().map(String::from_utf8_lossy)));
    }
    if record.at.partition != version.partition {
        found.push(format!("partition {} instead of {}", record.at.partition, version.partition));
    }
    found
}

/// Of the input's headers two travel along, and one is added: the modules that run.
fn strange_headers(world: &World, record: &Placed, input: &Received) -> Option<String> {
    let travels = |(name, _): &&(String, _)| [headers::REQUEST_ID, headers::TRACEPARENT].contains(&name.as_str());
    let modules = (headers::MODULES.to_owned(), Some(world.modules.clone().into_bytes()));
    let expected: Headers = input.headers.iter().filter(travels).cloned().chain([modules]).collect();
    (record.headers != expected).then(|| format!("headers {} instead of {}", shown(&record.headers), shown(&expected)))
}

fn shown(headers: &Headers) -> String {
    let text = |value: &Option<Vec<u8>>| value.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let all: Vec<String> = headers.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    format!("[{}]", all.join(", "))
}

/// Dead letters or markers: whole, where they belong, with their reason.
fn letters(
    inputs: &Inputs<'_>,
    letters: &[Letter],
    kind: &'static str,
    claims: &Claims,
    fates: &mut BTreeMap<Version, Vec<&'static str>>,
    findings: &mut Findings,
) {
    for letter in letters {
        let place = format!("{kind} at {}", letter.at);
        let Some(origin) = letter.origin.as_ref().filter(|origin| origin.topic == topics::ORDERS_RECEIVED) else {
            findings.add(Counter::Wrong, format!("{place}: its headers do not say where it comes from"));
            continue;
        };
        let Some(record) = inputs.get(&origin.at) else {
            findings.add(Counter::Phantom, format!("{place}: {} is not in orders.received", origin.at));
            continue;
        };
        fates.entry(origin.at).or_default().push(kind);
        if letter.key != record.key || (kind == "dead" && letter.value != record.value) {
            findings.add(Counter::Wrong, format!("{place}: key or value differ from orders.received at {}", origin.at));
        }
        if kind == "dead" && !letter.headers.starts_with(&record.headers) {
            let text = format!("{place}: the headers of orders.received at {} do not stand in front", origin.at);
            findings.add(Counter::Wrong, text);
        }
        match claims.get(&origin.at) {
            Some(Must::Die(expected)) if letter.reason.to_lowercase().contains(expected.as_str()) => {}
            Some(Must::Die(expected)) => {
                findings.add(
                    Counter::Wrong,
                    format!("{place}: the reason {:?} does not have {expected:?} in it", letter.reason),
                );
            }
            Some(Must::Place(_)) => {
                findings.add(Counter::Wrong, format!("{place}: a good order ({}): {}", origin.at, letter.reason));
            }
            None => {}
        }
    }
}

/// Within a partition of the output, the versions of a key only rise.
fn inversions(world: &World, findings: &mut Findings) {
    let mut records: Vec<&Placed> = world.placed.iter().collect();
    records.sort_by_key(|record| record.at);
    let mut last: HashMap<(i32, &[u8]), Version> = HashMap::new();
    for record in records {
        let (Some(key), Some(version)) = (record.key.as_deref(), record.row.as_ref().ok().and_then(Row::version))
        else {
            continue;
        };
        let before = last.insert((record.at.partition, key), version);
        if before.is_some_and(|before| before > version) {
            let name = String::from_utf8_lossy(key);
            findings.add(
                Counter::Inversion,
                format!("{name}: version {version} behind a later one, order_placed at {}", record.at),
            );
        }
    }
}

/// In = out + dead + dropped, and the committed offset is the last transformed one plus one.
fn sums(world: &World, fates: &BTreeMap<Version, Vec<&'static str>>, findings: &mut Findings) {
    let known: HashSet<Version> = world.received.iter().map(|record| record.at).collect();
    let counted =
        fates.iter().filter(|(version, _)| known.contains(version)).map(|(_, fates)| fates.len()).sum::<usize>();
    if counted != world.received.len() {
        findings.add(Counter::Integrity, format!("{} in, {counted} out, dead and dropped", world.received.len()));
    }
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    for record in &world.received {
        let end = ends.entry(record.at.partition).or_default();
        *end = (*end).max(record.at.offset + 1);
    }
    for (partition, end) in ends {
        match world.committed.get(&partition) {
            Some(committed) if *committed == end => {}
            committed => {
                let text = format!("orders.received partition {partition} ends at {end}, committed is {committed:?}");
                findings.add(Counter::Integrity, text);
            }
        }
    }
}
