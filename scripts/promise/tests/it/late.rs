//! A batch that comes late: a Connect worker that was paused wakes up and writes what it had in hand, though another one has
//! its tasks and has stored newer versions. The table refuses that; the index takes it, and `verify` mends it.

use std::collections::HashSet;
use std::time::Duration;

use promise::generator::{Class, Post};
use promise::read::{Isolation, Kafka, Offsets, Positions, Postgres};
use promise::settle;
use promise::world::Store;
use schemas::names::topics;
use serde_json::{Value, json};
use stack::Service;

use crate::beside::Beside;
use crate::faults::{ASK, BACK, Load, until_known, wait_for};
use crate::house::{House, REST};
use crate::strikes::Frozen;
use crate::targets::positions;
use crate::verify::verify;
use crate::worker::Worker;

/// For so many seconds Elasticsearch is frozen first, so that its sink's tasks then have full batches of fifty in hand, of
/// which each document is a request. Shorter than the sink waits for one (10 s).
const BACKLOG: u32 = 6;
/// So long after that they are in the midst of one.
const MIDST: Duration = Duration::from_millis(300);
/// How often the worker is paused until something of it came late: where each is in a batch goes by milliseconds.
const PAUSES: usize = 3;
/// Most orders that get a newer version while the worker is paused, and how many a second.
const NEWER: usize = 2_000;
const NEWER_RATE: u32 = 200;
/// Whose they are, which nobody else's are.
const NEWER_CUSTOMER: &str = "a newer version";

/// The first one takes over its tasks, and stores newer versions of what the paused one has in hand; that one wakes up and
/// writes the rest of its batch late, over newer ones. The table refuses that. The index cannot, so `verify` looks there
/// and mends. That it has come to this is counted: where nothing was late, nothing was tried.
pub(crate) fn old_batch(house: &House, load: &Load, hold: u32) -> String {
    let worker = Worker::like_the_first(house);
    let process = worker.start();
    wait_for("tasks on the second worker", BACK, ASK, || worker.has_tasks(house));
    let tasks = worker.tasks(house);
    let refusals = Refusals::count(house);
    let (mut pauses, mut late) = (0, Late::default());
    while pauses < PAUSES && late.came() == 0 {
        pauses += 1;
        late = pause(house, load, hold, (&worker, &process), &refusals, late.newer);
    }
    drop(process);
    worker.wait_for_the_first(house);
    refusals.end(house);
    // Nobody is left who could write more of it.
    let [stale, mended] = mend(house);
    let late = Late { stale: stale.max(late.stale), ..late };
    let Late { newer, refused, stale: taken } = late;
    let said = format!(
        "it had {tasks:?} tasks of the sinks, slept {pauses} times while {newer} orders in all got a newer version, woke up \
         and was killed; older versions: {refused} were refused by the table, {taken} taken by the index; verify mended \
         {mended}"
    );
    assert!(0 < late.came(), "nothing came late: {said}");
    assert!(stale == 0 || 0 < mended, "verify mended nothing: {said}");
    said
}

/// What a worker did that woke up.
#[derive(Clone, Copy, Default)]
struct Late {
    /// Orders that had got a newer version until then.
    newer: usize,
    /// Older versions over these that the table refused.
    refused: u64,
    /// Older versions that the index took.
    stale: u64,
}

impl Late {
    const fn came(self) -> u64 {
        self.refused + self.stale
    }
}

/// One pause, from the midst of a batch until the woken one has tasks again, and so has written what it had in hand. `posted`
/// orders got a newer version in those before.
fn pause(
    house: &House,
    load: &Load,
    hold: u32,
    (worker, process): (&Worker, &Beside),
    refusals: &Refusals,
    posted: usize,
) -> Late {
    load.go_on(2);
    let sinks = Store::ALL.map(|store| positions(house, store).1);
    let frozen = in_the_midst(house, load, process);
    let newer = posted + post_newer(house, &positions(house, Store::Elasticsearch).1, posted);
    // It had partitions of its own, which stand until its tasks have moved.
    worker.wait_for_the_first(house);
    load.go_on(2);
    let ends = until_known(sinks[0].group(), || sinks[0].ends());
    wait_for("the newer versions in both stores", BACK, ASK, || sinks.iter().all(|sink| is_at(sink, &ends)));
    load.go_on(hold);
    let before = refusals.so_far(house);
    drop(frozen);
    wait_for("the second worker to be one again", BACK, ASK, || worker.has_tasks(house));
    load.go_on(1);
    // It still runs: what the first one writes again after a kill is none of its batch.
    let refused = refusals.so_far(house) - before;
    Late { newer, refused, stale: stale(&verify(house, &[]).0) }
}

/// The second worker, paused while its tasks have some of a batch written and some not.
fn in_the_midst(house: &House, load: &Load, process: &Beside) -> Frozen {
    let index = Frozen::whole(house, Service::Elasticsearch);
    load.go_on(BACKLOG);
    drop(index);
    std::thread::sleep(MIDST);
    Frozen::process(process.pid())
}

/// A newer version of whatever may be in hand, what comes next in a partition first; and of how many orders that is. So many
/// were posted already.
fn post_newer(house: &House, sink: &Positions, posted: usize) -> usize {
    let from = until_known(sink.group(), || sink.committed());
    let to = until_known(sink.group(), || sink.ends());
    let kafka = Kafka::new(&house.places.kafka);
    let mut waiting = kafka.between(topics::ORDER_PLACED, &from, &to, Isolation::Committed).unwrap();
    waiting.sort_by_key(|record| record.at.offset - from.get(&record.at.partition).unwrap_or(&0));
    let mut seen = HashSet::new();
    let ids = waiting.into_iter().filter_map(|record| String::from_utf8(record.key?).ok());
    let ids: Vec<String> = ids.filter(|id| seen.insert(id.clone())).take(NEWER).collect();
    // The last numbers of the load that is running, which it never comes to.
    let last = house.next_seq() - posted as u64;
    let posts = ids.iter().zip(1..).map(|(id, back)| Post {
        seq: last - back,
        id: id.clone(),
        body: json!({ "orderId": id, "amount": 7.25, "customer": NEWER_CUSTOMER }).to_string().into_bytes(),
        content_type: "application/json",
        class: Class::Valid,
        repost: true,
    });
    house.load(posts, NEWER_RATE);
    ids.len()
}

/// Whether all before these ends is committed.
fn is_at(sink: &Positions, ends: &Offsets) -> bool {
    let Ok(now) = sink.committed() else { return false };
    ends.iter().all(|(partition, end)| now.get(partition).is_some_and(|at| end <= at))
}

/// How many documents are older than they should be, by what `verify` found.
fn stale(told: &Value) -> u64 {
    let stores = told["stores"].as_array().unwrap();
    let index = stores.iter().find(|store| store["store"] == "elasticsearch").unwrap();
    index["differences"]["stale"].as_u64().unwrap_or_default()
}

/// Counts the older versions that are written over the rows of [`post_newer`], before the table's own trigger refuses them:
/// triggers go by their names, and a sequence counts on whatever becomes of the transaction. Other rows do not count: a task
/// that takes over writes what was not committed once more, and with it older versions of orders that come twice.
struct Refusals;

impl Refusals {
    fn count(house: &House) -> Self {
        Self::run(
            house,
            &format!(
                "create sequence late_writes; \
                 create function a_late_write() returns trigger language plpgsql as 'begin \
                 if new.received_partition = old.received_partition and new.received_offset < old.received_offset \
                 and old.customer = ''{NEWER_CUSTOMER}'' \
                 then perform nextval(''late_writes''); end if; return new; end'; \
                 create trigger a_late_write before update on order_placed for each row execute function a_late_write()"
            ),
        );
        Self
    }

    fn so_far(&self, house: &House) -> u64 {
        let sql = "select case when is_called then last_value else 0 end from late_writes";
        let counted = house.runtime.block_on(async {
            let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
            postgres.number(sql).await.unwrap()
        });
        counted.unsigned_abs()
    }

    fn end(self, house: &House) {
        Self::run(
            house,
            "drop trigger a_late_write on order_placed; drop function a_late_write(); drop sequence late_writes",
        );
    }

    fn run(house: &House, sql: &str) {
        house.runtime.block_on(async {
            let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
            // A task that holds the table longer is none of this.
            postgres.run("set lock_timeout = '60s'").await.unwrap();
            postgres.run(sql).await.unwrap();
        });
    }
}

/// Once all is at rest: mends what tasks wrote late that another worker had taken over, and says how many orders that were.
pub(crate) fn mend_late_writes(house: &House) -> u64 {
    settle::wait(&house.places, REST).unwrap();
    let [_, mended] = mend(house);
    mended
}

/// Mends older versions in the index, which cannot refuse them (F17): how many there were, and how many are mended. Anything
/// else that differs fails the run, for a repair would hide it.
fn mend(house: &House) -> [u64; 2] {
    let (told, code) = verify(house, &[]);
    if code == 0 {
        return [0, 0];
    }
    for store in told["stores"].as_array().unwrap() {
        let kinds: Vec<&String> = store["differences"].as_object().unwrap().keys().collect();
        let is_late = store["store"] == "elasticsearch" && kinds == ["stale"];
        assert!(kinds.is_empty() || is_late, "{told:#}");
    }
    let stale = stale(&told);
    let (told, code) = verify(house, &["--repair", "--yes"]);
    assert_eq!(code, 0, "{told:#}");
    [stale, told["mended"]["mended"].as_u64().unwrap()]
}
