//! Where the orders that findings name were last seen: each POST with its answer, then every place on the way to the stores.

use std::collections::HashSet;

use schemas::names::topics;

use crate::check::{Counter, Findings};
use crate::ledger::Entry;
use crate::row::{Row, Version};
use crate::world::{Letter, Placed, Received, Store, World};

/// How many orders are shown, and of how many findings of a counter.
const SHOWN: usize = 20;
/// How many places of an order are shown in one topic: the last ones.
const PLACES: usize = 5;

/// A line for each order that a finding names, in the order of the findings. A finding of partitions or sums names none.
#[must_use]
pub fn last_seen(world: &World, findings: &Findings) -> Vec<String> {
    let known = ids(world);
    let mut named: Vec<&str> = Vec::new();
    for text in Counter::ALL.into_iter().flat_map(|counter| findings.of(counter).iter().take(SHOWN)) {
        if let Some(id) = in_text(text, &known).or_else(|| at_place(text, world))
            && !named.contains(&id)
        {
            named.push(id);
        }
    }
    named.into_iter().take(SHOWN).map(|id| way(id, world)).collect()
}

/// Whoever was posted, taken or stored.
fn ids(world: &World) -> HashSet<&str> {
    let posted = world.posts.iter().map(|post| post.id.as_str());
    let taken = world.received.iter().filter_map(|record| record.row.as_ref().ok()?.id());
    let stored = world.stores.values().flatten().filter_map(|stored| stored.row.id());
    posted.chain(taken).chain(stored).collect()
}

/// An id that stands in the text as a word; a sentence's own marks may follow it.
fn in_text<'w>(text: &str, known: &HashSet<&'w str>) -> Option<&'w str> {
    let is_of_id = |letter: char| letter.is_ascii_alphanumeric() || "._:-".contains(letter);
    let words = text.split(|letter: char| !is_of_id(letter)).filter(|word| !word.is_empty());
    words.flat_map(or_less).find_map(|word| known.get(word).copied())
}

fn or_less(word: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(word), |word| word.strip_suffix([':', '.']))
}

/// Whose record lies at a place that the text names, in the words of [`crate::check`].
fn at_place<'w>(text: &str, world: &'w World) -> Option<&'w str> {
    let received = |at: Version| whose_received(world.received.iter().find(|record| record.at == at)?);
    let placed = |at: Version| whose_placed(world.placed.iter().find(|record| record.at == at)?);
    let letter = |all: &'w [Letter], at: Version| whose_letter(all.iter().find(|letter| letter.at == at)?);
    let of_store = |store: Store| {
        let letters = letters_of(store, world);
        let lies = behind(text, &format!("dead letter of {store} at ")).and_then(|at| letter(letters, at));
        lies.or_else(|| {
            let at = behind(text, &format!("dead letter of {store}: "))?;
            whose_letter(letters.iter().find(|letter| letter.origin.as_ref().is_some_and(|origin| origin.at == at))?)
        })
    };
    behind(text, "orders.received at ")
        .and_then(received)
        .or_else(|| behind(text, "order_placed at ").and_then(placed))
        .or_else(|| behind(text, "dead at ").and_then(|at| letter(&world.dead, at)))
        .or_else(|| behind(text, "dropped at ").and_then(|at| letter(&world.dropped, at)))
        .or_else(|| Store::ALL.into_iter().find_map(of_store))
        .or_else(|| behind(text, "planted record ").and_then(|at| whose_version(at, world)))
}

/// The place that stands behind these words.
fn behind(text: &str, words: &str) -> Option<Version> {
    let (_, place) = text.split_once(words)?;
    let (partition, rest) = place.split_once('@')?;
    let offset: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Version { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}

/// By what it says, or where that cannot be read, by its key.
fn whose<'w>(row: Option<&'w Row>, key: Option<&'w [u8]>) -> Option<&'w str> {
    row.and_then(Row::id).or_else(|| std::str::from_utf8(key?).ok())
}

fn whose_received(record: &Received) -> Option<&str> {
    whose(record.row.as_ref().ok(), record.key.as_deref())
}

fn whose_placed(record: &Placed) -> Option<&str> {
    whose(record.row.as_ref().ok(), record.key.as_deref())
}

fn whose_letter(letter: &Letter) -> Option<&str> {
    whose(None, letter.key.as_deref())
}

/// Whoever has this version, though `orders.received` has no record of it.
fn whose_version(at: Version, world: &World) -> Option<&str> {
    let placed = world.placed.iter().filter_map(|record| record.row.as_ref().ok());
    let stored = world.stores.values().flatten().map(|stored| &stored.row);
    placed.chain(stored).find(|row| row.version() == Some(at))?.id()
}

fn letters_of(store: Store, world: &World) -> &[Letter] {
    world.sink_dead.get(&store).map_or(&[][..], Vec::as_slice)
}

fn way(id: &str, world: &World) -> String {
    let mut seen = vec![("the ledger".to_owned(), posts(id, world))];
    let received = world.received.iter().filter(|record| whose_received(record) == Some(id)).map(|record| record.at);
    seen.push((topics::ORDERS_RECEIVED.to_owned(), places(received)));
    let placed = world.placed.iter().filter(|record| whose_placed(record) == Some(id)).map(|record| record.at);
    seen.push((topics::ORDER_PLACED.to_owned(), places(placed)));
    seen.push(("the dead letters".to_owned(), letters(id, &world.dead)));
    seen.push(("the dropped".to_owned(), letters(id, &world.dropped)));
    for store in Store::ALL {
        let stored = world.stores.get(&store).map_or(&[][..], Vec::as_slice).iter();
        let versions = stored.filter(|stored| stored.row.id() == Some(id)).map(|stored| version(&stored.row));
        seen.push((store.to_string(), versions.collect::<Vec<_>>().join(", ")));
        seen.push((format!("the dead letters of {store}"), letters(id, letters_of(store, world))));
    }
    seen.retain(|(_, what)| !what.is_empty());
    let last = seen.last().map_or("nowhere", |(place, _)| place.as_str());
    let all: Vec<String> = seen.iter().map(|(place, what)| format!("{place}: {what}")).collect();
    format!("{id} was last seen in {last}; {}", all.join("; "))
}

fn version(row: &Row) -> String {
    row.version().map_or_else(|| "no version".to_owned(), |at| format!("version {at}"))
}

fn posts(id: &str, world: &World) -> String {
    let told: Vec<String> = world.posts.iter().filter(|post| post.id == id).map(answered).collect();
    last(&told)
}

fn answered(post: &Entry) -> String {
    let answer = &post.answer;
    let status = answer.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let receipt = answer.receipt.map_or_else(String::new, |at| format!(" with receipt {at}"));
    let note = if answer.note.is_empty() { String::new() } else { format!(" ({})", answer.note) };
    format!("request {} at {} ms: {status}{receipt}{note}", post.seq, post.sent_ms)
}

fn places(all: impl Iterator<Item = Version>) -> String {
    last(&all.map(|at| at.to_string()).collect::<Vec<_>>())
}

fn letters(id: &str, all: &[Letter]) -> String {
    let of = all.iter().filter(|letter| letter.key.as_deref() == Some(id.as_bytes()));
    last(&of.map(|letter| format!("{} ({})", letter.at, letter.reason)).collect::<Vec<_>>())
}

fn last(all: &[String]) -> String {
    let (_, shown) = all.split_at(all.len().saturating_sub(PLACES));
    shown.join(", ")
}
