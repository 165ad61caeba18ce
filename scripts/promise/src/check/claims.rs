//! The input topic against the ledger: which POST made which record of `orders.received`.
//!
//! A receipt names its record, and says nothing that is not so. A POST with an unknown end may have made one, and a 202
//! without an offset has made one: the content tells, and each may claim one record at most. A record that no POST claims
//! is a phantom.

use std::collections::{BTreeMap, HashMap};

use schemas::partition;

use super::{Counter, Findings};
use crate::ledger::{Entry, Outcome, Told};
use crate::oracle::Verdict;
use crate::row::{Row, Version};
use crate::world::{Fate, Received, World};

/// How far two clocks' readings of the same machine may lie apart, in milliseconds.
const CLOCK_MS: i64 = 5;

/// What a record of the input topic must become.
#[derive(Debug, Clone)]
pub(super) enum Must {
    /// Stored with these fields; the times of receipt are filled in.
    Place(Row),
    /// A dead letter with this in its reason, in lower case; nothing in particular when empty.
    Die(String),
}

/// What each record must become, by its version.
pub(super) type Claims = BTreeMap<Version, Must>;

/// Finds the POST of each record.
pub(super) fn check(world: &World, findings: &mut Findings) -> Claims {
    let records: HashMap<Version, &Received> = world.received.iter().map(|record| (record.at, record)).collect();
    let mut claims = Claims::new();
    planted(world, findings, &mut claims);
    let mut open: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for post in &world.posts {
        if post.answer.outcome == Outcome::Ok && !post.answer.note.is_empty() {
            findings.add(Counter::Wrong, format!("request {} ({}): {}", post.seq, post.id, post.answer.note));
        }
        match (post.answer.outcome, post.answer.receipt) {
            (Outcome::Ok, Some(receipt)) => claim_receipt(world, post, receipt, &records, &mut claims, findings),
            (Outcome::Ok, None) | (Outcome::Info, _) => open.entry(&post.id).or_default().push(post),
            (Outcome::Fail, _) => {}
        }
    }
    for record in &world.received {
        if !claims.contains_key(&record.at) {
            claim_by_content(world, record, &mut open, &mut claims, findings);
        }
    }
    for post in open.values().flatten().filter(|post| post.answer.outcome == Outcome::Ok) {
        findings.add(Counter::Lost, format!("request {} ({}): 202, and not in orders.received", post.seq, post.id));
    }
    claims
}

fn planted(world: &World, findings: &mut Findings, claims: &mut Claims) {
    for (at, fate) in &world.planted {
        if !world.received.iter().any(|record| record.at == *at) {
            findings.add(Counter::Lost, format!("the planted record {at} is not in orders.received"));
        }
        let must = match fate {
            Fate::DeadLetter(reason) => Must::Die(reason.to_lowercase()),
            Fate::Stored(row) => Must::Place(row.clone()),
        };
        claims.insert(*at, must);
    }
}

fn claim_receipt(
    world: &World,
    post: &Entry,
    receipt: Version,
    records: &HashMap<Version, &Received>,
    claims: &mut Claims,
    findings: &mut Findings,
) {
    let name = format!("request {} ({})", post.seq, post.id);
    let Some(record) = records.get(&receipt) else {
        findings
            .add(Counter::Lost, format!("{name}: 202 with receipt {receipt}, and no such record in orders.received"));
        return;
    };
    if claims.contains_key(&receipt) {
        findings.add(Counter::Wrong, format!("{name}: receipt {receipt} was given to another order too"));
        return;
    }
    let mut wrong = differences(world, post, record);
    wrong.extend(untrue(post, record));
    if !wrong.is_empty() {
        findings.add(Counter::Wrong, format!("{name} in orders.received at {receipt}: {}", wrong.join("; ")));
    }
    claims.insert(receipt, must(world, post, record));
}

fn claim_by_content(
    world: &World,
    record: &Received,
    open: &mut HashMap<&str, Vec<&Entry>>,
    claims: &mut Claims,
    findings: &mut Findings,
) {
    let id = record.row.as_ref().ok().and_then(Row::id).unwrap_or_default();
    let fits = |post: &&Entry| differences(world, post, record).is_empty();
    // Those that were promised first: an unknown end may well have left nothing.
    let promised = |post: &&Entry| post.answer.outcome == Outcome::Ok && fits(post);
    let found = open.get_mut(id).and_then(|posts| {
        posts.iter().position(promised).or_else(|| posts.iter().position(fits)).map(|at| posts.swap_remove(at))
    });
    match found {
        Some(post) => {
            let untrue = untrue(post, record);
            if !untrue.is_empty() {
                let text = format!("request {} ({}) at {}: {}", post.seq, post.id, record.at, untrue.join("; "));
                findings.add(Counter::Wrong, text);
            }
            claims.insert(record.at, must(world, post, record));
        }
        None => {
            let text = match &record.row {
                Ok(_) => format!("{id} in orders.received at {}: no POST explains it", record.at),
                Err(reason) => format!("orders.received at {}: {reason}", record.at),
            };
            findings.add(Counter::Phantom, text);
        }
    }
}

/// Where the record differs from what the POST must have made.
fn differences(world: &World, post: &Entry, record: &Received) -> Vec<String> {
    let row = match &record.row {
        Ok(row) => row,
        Err(reason) => return vec![reason.clone()],
    };
    let expected = match world.verdicts.get(&post.seq) {
        Some(Verdict::Place { received, .. } | Verdict::Reject { received, .. }) => received,
        Some(Verdict::Refuse { .. }) | None => return vec!["must not have been taken".to_owned()],
    };
    let received_at = row.whole("received_at");
    let mut found = row.differences(expected, received_at);
    if record.key.as_deref() != Some(post.id.as_bytes()) {
        found.push(format!("key: {:?}", record.key.as_deref().map(String::from_utf8_lossy)));
    }
    let of_id = partition::of(post.id.as_bytes(), world.partitions).filter(|of_id| *of_id != record.at.partition);
    found.extend(of_id.map(|of_id| format!("partition {} instead of {of_id}", record.at.partition)));
    // An order whose client gave up may lie in a socket and be read later: only an answer ends the time of receipt.
    let ended = post.done_ms.filter(|_| post.answer.outcome == Outcome::Ok);
    let (low, high) = (post.sent_ms - CLOCK_MS, ended.map_or(i64::MAX, |done| done + CLOCK_MS));
    let wrong = world.clocks.iter().filter(|clock| clock.from_ms <= high && low <= clock.until_ms);
    let mut ahead = wrong.map(|clock| clock.ahead_ms).chain([0]);
    if !received_at.is_some_and(|at| ahead.any(|ahead| (low..=high).contains(&(at - ahead)))) {
        found.push(format!("received_at: {received_at:?}, and it was under way from {low} to {high}"));
    }
    found
}

/// What the receipt says beside the place, and is not so.
fn untrue(post: &Entry, record: &Received) -> Vec<String> {
    let Told { order_id, request_id, schema_id } = &post.answer.told;
    let mut found = Vec::new();
    if order_id.as_ref().is_some_and(|told| *told != post.id) {
        found.push(format!("the receipt is of order {order_id:?}"));
    }
    if request_id.is_some() && *request_id != record.request_id() {
        found.push(format!("the receipt is of request {request_id:?}, the record of {:?}", record.request_id()));
    }
    if schema_id.is_some() && *schema_id != record.schema_id() {
        found.push(format!("the receipt is of schema {schema_id:?}, the record of {:?}", record.schema_id()));
    }
    found
}

fn must(world: &World, post: &Entry, record: &Received) -> Must {
    match world.verdicts.get(&post.seq) {
        Some(Verdict::Place { placed, .. }) => Must::Place(complete(placed, record)),
        Some(Verdict::Reject { reason, .. }) => Must::Die(reason.to_lowercase()),
        Some(Verdict::Refuse { .. }) | None => Must::Die(String::new()),
    }
}

/// The expected order with what only the record knows: the time of receipt, and its own place.
fn complete(placed: &Row, record: &Received) -> Row {
    use crate::row::Value;
    let mut row = placed.clone();
    let received_at =
        record.row.as_ref().ok().and_then(|row| row.whole("received_at")).map_or(Value::Null, Value::Whole);
    for value in row.0.values_mut().filter(|value| **value == Value::Receipt) {
        *value = received_at.clone();
    }
    row.set("received_at", received_at);
    row.set("received_partition", Value::Whole(i64::from(record.at.partition)));
    row.set("received_offset", Value::Whole(record.at.offset));
    row
}
