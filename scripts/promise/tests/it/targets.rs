//! Everything that a store can do to its sink except die (that is `kill -9`): each in turn, under load, held for some
//! seconds and put right. The sink writes again by itself, and at the end nothing is lost, doubled or taken for poison.
//!
//! `PROMISE_HOLD` is how many seconds each is held (4). Some have no form as short as CI's: they say why, and are tried where
//! their time is asked for.

use std::time::Instant;

use promise::load::now_ms;
use promise::read::{Elasticsearch, Isolation, Kafka, Positions, Postgres, SINK_GROUPS};
use promise::report::Struck;
use promise::world::Store;
use reqwest::Method;
use schemas::names::topics;
use serde_json::{Value, json};
use stack::Service;

use crate::faults::{ASK, BACK, Load, until_known, wait_for};
use crate::house::House;
use crate::lab::{is_wanted, setting};
use crate::sink::{Sink, connectors, counted};
use crate::small_disk::SmallDisk;
use crate::strikes::Frozen;

/// Orders a second: the sinks keep up with them, and each batch holds some.
const RATE: u32 = 60;
/// Steady load before each fault, in seconds.
const STEADY: u32 = 2;

/// Records that a standing sink may commit: what it had in hand for longer than the first half of a fault. One that goes
/// on commits five times as many in the shortest.
const IN_HAND: usize = 24;

/// A fault of a store.
struct Fault {
    /// In the catalogue.
    id: &'static str,
    name: &'static str,
    store: Store,
    how: How,
    /// Some records may still be written meanwhile.
    slow: bool,
    /// Held for at least so many seconds: in these a healer that took the store for well would try the records one by
    /// one, and take good ones for poison.
    seconds: u32,
    /// Tried only where each is held for at least so long.
    least: u32,
}

/// How it is made and put right.
enum How {
    /// Statements of the table's owner; what they hold ends with the second.
    Sql(&'static str, &'static str),
    /// The role has another password than the sink.
    Password,
    /// Settings of the index.
    Blocked(&'static str),
    /// The index is closed, and opened.
    Closed,
    /// The server is stopped cleanly, and started.
    Stopped(Service),
    /// The server is stopped as by a debugger.
    Frozen(Service),
    /// The registry is away, and Connect starts without any schema in memory.
    ColdConverters,
    /// The table lies on a disk of its own, which has no room left.
    SmallDisk,
    /// The sink waits for ever for a row, with its tasks RUNNING: its address has no time limit.
    Hang,
}

/// Ends all sessions of the table's owner but this one, so that the sink has to open new ones.
const OTHERS: &str =
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user and pid <> pg_backend_pid();";

/// All rows that are there; new ones pass.
const LOCK_ROWS: &str = "begin; select order_id from order_placed for update";

const FAULTS: [Fault; 18] = [
    Fault::of("F14", "PostgreSQL is stopped", Store::Postgres, How::Stopped(Service::Postgres)),
    Fault::of("F15", "PostgreSQL is frozen", Store::Postgres, How::Frozen(Service::Postgres)),
    Fault::of(
        "F16",
        "the role may only read",
        Store::Postgres,
        How::Sql(
            "alter role current_user set default_transaction_read_only = on",
            "set default_transaction_read_only = off; alter role current_user reset default_transaction_read_only",
        ),
    ),
    Fault::of("F14", "the password is wrong", Store::Postgres, How::Password),
    Fault::of(
        "F15",
        "the table is locked",
        Store::Postgres,
        How::Sql("begin; lock table order_placed in access exclusive mode", "commit"),
    ),
    Fault::of(
        "F14",
        "the table is away",
        Store::Postgres,
        How::Sql("alter table order_placed rename to put_away", "alter table put_away rename to order_placed"),
    )
    .held(16),
    Fault {
        slow: true,
        ..Fault::of(
            "F15",
            "each statement takes two seconds",
            Store::Postgres,
            How::Sql(
                "create function dawdle() returns trigger language plpgsql as 'begin perform pg_sleep(2); return null; end'; \
                 create trigger dawdle before insert on order_placed for each statement execute function dawdle()",
                "drop trigger dawdle on order_placed; drop function dawdle()",
            ),
        )
    },
    Fault { slow: true, ..Fault::of("F15", "rows are locked", Store::Postgres, How::Sql(LOCK_ROWS, "commit")) },
    Fault::of(
        "F16",
        "the disk is said to be full",
        Store::Postgres,
        How::Sql(
            "create function no_room() returns trigger language plpgsql as 'begin \
             raise exception using errcode = ''disk_full'', \
             message = ''could not extend file \"base/1/2\": No space left on device''; end'; \
             create trigger no_room before insert on order_placed for each statement execute function no_room()",
            "drop trigger no_room on order_placed; drop function no_room()",
        ),
    )
    .held(16),
    // Only root may mount a disk, and the table moves there and back as a whole: what the server says then, and what the
    // sink makes of it, is in the fault before.
    Fault { least: 30, ..Fault::of("F16", "the disk is full", Store::Postgres, How::SmallDisk) },
    // The healer waits for 4 s to look, then for a minute, which is no setting: the slowest honest batch that was seen took
    // 15 s, and a restart throws it away. So no form of it is short; `serve/progress/tests.rs` of the connectors has the
    // same on a clock of its own.
    Fault { least: 60, slow: true, ..Fault::of("F15", "a task hangs and is RUNNING", Store::Postgres, How::Hang) }
        .held(100),
    // A JVM's end in order and its start take some 15 s more than it is held. `kill -9` is its short form: of both the sink
    // sees that nobody listens.
    Fault {
        least: 5,
        ..Fault::of("F18", "Elasticsearch is stopped", Store::Elasticsearch, How::Stopped(Service::Elasticsearch))
    },
    Fault::of("F18", "Elasticsearch is frozen", Store::Elasticsearch, How::Frozen(Service::Elasticsearch)),
    Fault::of("F18", "the index takes no writes (403)", Store::Elasticsearch, How::Blocked("index.blocks.write"))
        .held(16),
    Fault::of(
        "F18",
        "the disk is said to be full (429)",
        Store::Elasticsearch,
        How::Blocked("index.blocks.read_only_allow_delete"),
    ),
    Fault::of("F18", "the index is closed (400)", Store::Elasticsearch, How::Closed),
    Fault { slow: true, ..Fault::of("F11", "the registry is away", Store::Postgres, How::Stopped(Service::Registry)) },
    Fault::of("F11", "the registry is away, converters cold", Store::Postgres, How::ColdConverters),
];

impl Fault {
    const fn of(id: &'static str, name: &'static str, store: Store, how: How) -> Self {
        Self { id, name, store, how, slow: false, seconds: 0, least: 0 }
    }

    const fn held(self, seconds: u32) -> Self {
        Self { seconds, ..self }
    }
}

/// What puts a fault right.
pub(crate) type Mend = Box<dyn FnOnce(&House)>;

pub(crate) fn each_in_turn(house: &mut House) {
    of(house, |_| true);
}

/// Those of one store alone.
pub(crate) fn of_elasticsearch(house: &mut House) {
    of(house, |fault| fault.store == Store::Elasticsearch);
}

fn of(house: &mut House, wanted: impl Fn(&Fault) -> bool) {
    let hold = setting("PROMISE_HOLD", 4);
    let wanted = |fault: &&Fault| fault.least <= hold && wanted(fault) && is_wanted(fault.id, fault.name);
    let wanted: Vec<&Fault> = FAULTS.iter().filter(wanted).collect();
    if wanted.is_empty() {
        return;
    }
    let load = Load::start(house, "target", RATE);
    let all = wanted.len();
    for (nth, fault) in wanted.into_iter().enumerate() {
        load.go_on(STEADY);
        let hold = hold.max(fault.seconds);
        house.lab.announce((nth, all), fault.id, fault.name, Some(hold));
        strike(house, fault, &load, hold);
    }
    load.go_on(STEADY);
    load.end();
    house.expect_all_zero();
}

/// One fault, until the sink writes again.
fn strike(house: &House, fault: &Fault, load: &Load, hold: u32) {
    let from_ms = now_ms();
    let (group, sink) = positions(house, fault.store);
    let written = || committed(&sink);
    let mend = make(house, &fault.how);
    // What was under way when it began may be committed after it.
    load.go_on(hold.div_ceil(2));
    let before = until_known(group, || sink.committed());
    load.go_on(hold / 2);
    // Offsets would not do: a restarted task commits those of the markers, and every transaction writes some.
    let during = until_known(group, || sink.records(&before, &sink.committed()?));
    assert!(fault.slow || during <= IN_HAND, "{}: {during} records were committed meanwhile", fault.name);
    let behind = until_known(group, || sink.lag(0));
    let told = told(house, group);
    let (reached, begun, until_ms) = (written(), Instant::now(), now_ms());
    mend(house);
    let mended = begun.elapsed();
    wait_for(&format!("{group} to write again"), BACK, ASK, || written() > reached);
    println!(
        "{}: for {hold} s; {behind} offsets behind; put right in {:.1} s, and {:.1} s later the sink had moved\n  \
         status said: {told}",
        fault.name,
        mended.as_secs_f32(),
        (begun.elapsed() - mended).as_secs_f32()
    );
    let until_ms = until_ms + i64::try_from(mended.as_millis()).unwrap();
    let name = fault.name.to_owned();
    house.lab.struck(Struck { id: fault.id, name, from_ms, until_ms, moved_ms: now_ms(), said: told });
}

/// What `connectors status` says of a sink that is not well. A worker that starts does not know it for a moment.
fn told(house: &House, group: &str) -> String {
    let mut row = None;
    wait_for(&format!("{group} to be known to Connect"), BACK, ASK, || {
        let status = connectors(house, &["status", "--format", "json"]).json();
        let rows = status["connectors"].as_array().unwrap();
        row = rows.iter().find(|row| group.ends_with(row["name"].as_str().unwrap())).cloned();
        row.is_some()
    });
    let row = row.unwrap();
    let words = ["state", "failure", "healing"].map(|word| row[word].as_str().unwrap_or_default().to_owned());
    words.join(" | ")
}

/// A store's sink: its group, and how far it is.
pub(crate) fn positions(house: &House, store: Store) -> (&'static str, Positions) {
    let (_, group) = SINK_GROUPS.into_iter().find(|(of, _)| *of == store).unwrap();
    let kafka = Kafka::new(&house.places.kafka);
    (group, Positions::new(&kafka, group, topics::ORDER_PLACED, Isolation::Committed).unwrap())
}

/// The sum of its offsets.
pub(crate) fn committed(sink: &Positions) -> i64 {
    until_known(sink.group(), || sink.committed().map(|offsets| offsets.values().sum()))
}

/// The fault of this name, as it stands in the catalogue.
pub(crate) fn make_named(house: &House, name: &str) -> Mend {
    let fault = FAULTS.iter().find(|fault| fault.name == name).unwrap_or_else(|| panic!("no fault is named {name:?}"));
    make(house, &fault.how)
}

fn make(house: &House, how: &How) -> Mend {
    match *how {
        How::Sql(make, mend) => sql(house, make, mend.to_owned()),
        How::Password => {
            let right = &house.stack.endpoints().postgres.password;
            let mend = format!("alter role current_user password '{right}'");
            sql(house, "alter role current_user password 'another'", mend)
        }
        How::Blocked(setting) => {
            settings(house, setting, &json!(true));
            Box::new(move |house| settings(house, setting, &Value::Null))
        }
        How::Closed => {
            index(house, Method::POST, "_close", None);
            Box::new(|house| index(house, Method::POST, "_open", None))
        }
        How::Stopped(service) => {
            house.stack.stop(service).unwrap();
            Box::new(move |house| start_again(house, service))
        }
        How::Frozen(service) => {
            let frozen = Frozen::whole(house, service);
            Box::new(move |_| drop(frozen))
        }
        How::ColdConverters => {
            house.stack.stop(Service::Registry).unwrap();
            house.stack.kill(Service::Connect).unwrap();
            Box::new(|house| start_again(house, Service::Registry))
        }
        How::SmallDisk => {
            let disk = SmallDisk::under_the_table(house);
            disk.fill();
            Box::new(move |house| disk.put_right(house))
        }
        How::Hang => hang(house),
    }
}

fn start_again(house: &House, service: Service) {
    house.stack.start_again(service).unwrap();
    house.stack.wait_ready(service, service.start_deadline()).unwrap();
}

/// The session that makes the fault is the one that puts it right: it is in already, and holds what it holds.
fn sql(house: &House, make: &'static str, mend: String) -> Mend {
    let postgres = house.runtime.block_on(async {
        let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
        postgres.run(make).await.unwrap();
        // A sink that holds a lock would stand in the way of nothing: it only keeps what it has of its session.
        let own_transaction = make.starts_with("begin");
        if !own_transaction {
            postgres.run(OTHERS).await.unwrap();
        }
        postgres
    });
    Box::new(move |house| {
        house.runtime.block_on(async {
            // A batch that is under way would hold the table for as many slow statements as it has.
            if mend.starts_with("drop") {
                postgres.run(OTHERS).await.unwrap();
            }
            postgres.run(&mend).await.unwrap();
        });
    })
}

/// The sink gets an address without a time limit, then its rows are locked. After a minute the healer starts its tasks
/// again, though Connect says RUNNING; those that hung before wake up at the end, with an old batch.
fn hang(house: &House) -> Mend {
    let endpoints = house.stack.endpoints();
    let own = endpoints.postgres.jdbc_url();
    let endless = own.split('&').filter(|option| !option.starts_with("socketTimeout=")).collect::<Vec<_>>().join("&");
    assert_ne!(own, endless);
    let address = |house: &House, value: &str| {
        let sink = Sink { house, name: "orders-postgres" };
        sink.put(|config| config["connection.url"] = json!(value));
        wait_for("tasks with another address", BACK, ASK, || sink.runs());
    };
    let stuck = |house: &House| counted(house, "orderflow_connectors_restarts", &["orders-postgres", "stuck"]);
    address(house, &endless);
    let before = stuck(house);
    let unlock = sql(house, LOCK_ROWS, "commit".to_owned());
    Box::new(move |house| {
        assert!(before < stuck(house), "the healer did not see that it hangs");
        unlock(house);
        address(house, "${env:POSTGRES_JDBC_URL}");
    })
}

fn settings(house: &House, setting: &str, value: &Value) {
    index(house, Method::PUT, "_settings", Some(json!({ (setting): value })));
}

fn index(house: &House, method: Method, path: &str, body: Option<Value>) {
    house.runtime.block_on(async {
        let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
        let _: Value = elasticsearch.call(method, &format!("/order_placed/{path}"), body).await.unwrap();
    });
}
