//! Links that break half-way: a proxy stands in each of four, and what goes over it is late, cut, lost, slow or garbled,
//! while both ends are well; between the transforms and Kafka also the answer to a commit alone. Each under load, held for
//! some seconds and put right; then all moves again by itself, no process has ended, and at the end every counter is zero.
//! The same proxy finds the named points of a transaction, at which the transforms are killed: [`points`].
//!
//! `PROMISE_HOLD` is how many seconds each is held (4), `PROMISE_RATE` how many orders come in a second (80). Short ones
//! make only the hardest.

mod points;

use std::time::Duration;

use promise::ledger;
use promise::link::{Link, Mode, Protocol};
use promise::load::now_ms;
use promise::read::{Kafka, Positions, path};
use promise::report::Struck;
use serde_json::json;
use stack::Service;

use crate::beside::{Aside, Beside};
use crate::faults::{ASK, BACK, Load, moves_again, wait_for};
use crate::house::House;
use crate::lab::{is_wanted, setting};
use crate::processes::unanswered;
use crate::sink::Sink;

/// Orders a second: the sinks catch up with them.
const RATE: u32 = 80;
/// Steady load before each, in seconds.
const STEADY: u32 = 2;
/// Held for less than so many seconds, only the hardest are tried.
const LONG: u32 = 5;
/// Longer than the transforms wait for a commit (5 s), and than a transaction may be open (10 s).
const LATE: Duration = Duration::from_secs(12);
/// Each way.
const DELAY: Duration = Duration::from_millis(300);
/// Bytes a second.
const TRICKLE: usize = 200;

/// A link that a proxy can be put into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    EdgeAndKafka,
    TransformsAndKafka,
    SinkAndPostgres,
    SinkAndElasticsearch,
}

impl Between {
    const ALL: [Self; 4] =
        [Self::EdgeAndKafka, Self::TransformsAndKafka, Self::SinkAndPostgres, Self::SinkAndElasticsearch];

    const fn words(self) -> &'static str {
        match self {
            Self::EdgeAndKafka => "between the edge and Kafka",
            Self::TransformsAndKafka => "between the transforms and Kafka",
            Self::SinkAndPostgres => "between Connect and PostgreSQL",
            Self::SinkAndElasticsearch => "between Connect and Elasticsearch",
        }
    }
}

/// A fault of a link.
struct Fault {
    /// In the catalogue.
    id: &'static str,
    what: &'static str,
    mode: Mode,
    /// One of the hardest there.
    hardest: bool,
}

/// Of any link.
const ANY: [Fault; 5] = [
    Fault { id: "F10", what: "all is late", mode: Mode::Delay(DELAY), hardest: false },
    Fault { id: "F10", what: "cut", mode: Mode::Cut, hardest: true },
    Fault { id: "F10", what: "half-open", mode: Mode::HalfOpen, hardest: true },
    Fault { id: "F10", what: "a trickle", mode: Mode::Throttle(TRICKLE), hardest: false },
    Fault { id: "F10", what: "garbage", mode: Mode::Garbage, hardest: false },
];

/// Of the transforms' to Kafka.
const COMMITS: [Fault; 2] = [
    Fault { id: "F9", what: "the answer to a commit is lost", mode: Mode::LostCommit, hardest: true },
    Fault { id: "F9", what: "the answer to a commit is late", mode: Mode::LateCommit(LATE), hardest: false },
];

/// Those that are to be made, link by link.
fn wanted(between: Between, hold: u32) -> Vec<(&'static Fault, String)> {
    let (of_link, hard): (&[Fault], bool) = match between {
        Between::TransformsAndKafka => (&COMMITS, false),
        _ => (&[], between == Between::EdgeAndKafka),
    };
    let long = hold >= LONG;
    let any = ANY.iter().filter(|fault| long || hard && fault.hardest);
    let all = any.chain(of_link.iter().filter(|fault| long || fault.hardest));
    let named = all.map(|fault| (fault, format!("{} {}", fault.what, between.words())));
    named.filter(|(fault, name)| is_wanted(fault.id, name)).collect()
}

pub(crate) fn in_turn(house: &mut House) {
    let hold = setting("PROMISE_HOLD", 4);
    let plan = Between::ALL.map(|between| (between, wanted(between, hold)));
    let (in_place, elsewhere) = points::wanted(hold);
    if in_place.is_empty() && elsewhere.is_empty() && plan.iter().all(|(_, faults)| faults.is_empty()) {
        return;
    }
    let load = Load::start(house, "link", setting("PROMISE_RATE", RATE));
    let path = path(&Kafka::new(&house.places.kafka)).unwrap();
    let all = plan.iter().map(|(_, faults)| faults.len()).sum::<usize>() + in_place.len() + elsewhere.len();
    let (mut turns, lab) = ((0..all).map(|nth| (nth, all)), &house.lab);
    let mut announce = |id: &str, name: &str, held| lab.announce(turns.next().unwrap(), id, name, held);
    for (between, faults) in &plan {
        let kills: &[points::Kill] = if *between == Between::TransformsAndKafka { &in_place } else { &[] };
        if faults.is_empty() && kills.is_empty() {
            continue;
        }
        let mut detour = Detour::new(house, *between);
        // Who was started just now is to be there.
        moves(&load, &path[..1]);
        for (fault, name) in faults {
            load.go_on(STEADY);
            announce(fault.id, name, Some(hold));
            strike(house, &load, &path, &mut detour, (fault, name), hold);
        }
        for kill in kills {
            load.go_on(STEADY);
            announce(points::ID, &kill.name(), None);
            detour.process(|link, process| kill.strike(house, link, process));
        }
        detour.end(house);
        moves(&load, &path[..1]);
    }
    for kill in &elsewhere {
        announce(points::ID, &kill.name(), None);
        kill.elsewhere(house, &load);
    }
    load.go_on(STEADY);
    load.end();
    house.expect_all_zero();
}

fn strike(
    house: &House,
    load: &Load,
    path: &[Positions],
    detour: &mut Detour<'_>,
    (fault, name): (&Fault, &str),
    hold: u32,
) {
    let from_ms = now_ms();
    let before = load.gauge.taken();
    detour.link().set(fault.mode);
    load.go_on(hold);
    let (hits, taken) = (detour.link().hits(), load.gauge.taken() - before);
    detour.link().set(Mode::Through);
    let until_ms = now_ms();
    assert!(0 < hits, "{name}: it hit nothing");
    moves(load, path);
    let moved_ms = now_ms();
    detour.expect_no_end();
    // Whoever was left without an answer is so by now.
    load.go_on(STEADY);
    let (refused, doubts) = unanswered(house, from_ms);
    let silent = left_alone(house, from_ms);
    let said = format!(
        "it hit {hits} times; {taken} were answered 202 meanwhile, {refused} were told no, {doubts} are in doubt"
    );
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1_000.0;
    println!(
        "{} {name}: {:.1} s; {said}; moved after {:.1} s",
        fault.id,
        seconds(from_ms, until_ms),
        seconds(until_ms, moved_ms)
    );
    assert_eq!(silent, 0, "{name}: so many orders got no answer at all");
    house.lab.struck(Struck { id: fault.id, name: name.to_owned(), from_ms, until_ms, moved_ms, said });
}

/// Orders are taken again, and go all the way.
pub(crate) fn moves(load: &Load, path: &[Positions]) {
    let before = load.gauge.taken();
    wait_for("orders to be taken", BACK, ASK, || before + load.rate as usize <= load.gauge.taken());
    moves_again(path);
}

/// Whatever breaks behind it, the edge has an answer to each order.
fn left_alone(house: &House, from_ms: i64) -> usize {
    let entries = ledger::read(&house.ledger_path).unwrap();
    let since = entries.iter().filter(|entry| from_ms <= entry.sent_ms && entry.done_ms.is_some());
    since.filter(|entry| entry.answer.status.is_none()).count()
}

/// A proxy in a link that somebody goes over.
enum Detour<'h> {
    /// Another process in the place of the stack's own, told another address of Kafka.
    Process { link: &'h Link, service: Service, beside: Beside },
    /// A sink whose file names another address.
    Sink { link: Link, sink: Sink<'h>, setting: &'static str, direct: serde_json::Value },
}

impl<'h> Detour<'h> {
    fn new(house: &'h House, between: Between) -> Self {
        let [edge, transforms] = &house.doors;
        let process = |service, link: &'h Link| {
            let beside = Aside::new(house, service).kafka(&link.address()).start_in_its_place();
            Self::Process { link, service, beside }
        };
        let endpoints = house.stack.endpoints();
        match between {
            Between::EdgeAndKafka => process(Service::Edge, edge),
            Between::TransformsAndKafka => process(Service::Transforms, transforms),
            Between::SinkAndPostgres => {
                let at = format!("{}:{}", endpoints.postgres.host, endpoints.postgres.port);
                let own = endpoints.postgres.jdbc_url();
                Self::of_sink(house, "orders-postgres", "connection.url", &at, |_, link| own.replace(&at, link))
            }
            Between::SinkAndElasticsearch => {
                let at = endpoints.elasticsearch.trim_start_matches("http://");
                Self::of_sink(house, "orders-elasticsearch", "camel.sink.url", at, |url, link| {
                    url.replace("${env:ELASTICSEARCH_HOST}", link)
                })
            }
        }
    }

    /// `with` makes the sink's setting lead over the link.
    fn of_sink(
        house: &'h House,
        name: &'static str,
        setting: &'static str,
        target: &str,
        with: impl Fn(&str, &str) -> String,
    ) -> Self {
        let link = Link::open(house.runtime.handle(), Protocol::Turns).unwrap();
        link.lead_to(target);
        let sink = Sink { house, name };
        let direct = sink.config()[setting].clone();
        let detour = with(direct.as_str().unwrap(), &link.address());
        assert!(detour.contains(&link.address()), "{detour}");
        point(sink, setting, &json!(detour));
        Self::Sink { link, sink, setting, direct }
    }

    fn link(&self) -> &Link {
        match self {
            Self::Process { link, .. } => link,
            Self::Sink { link, .. } => link,
        }
    }

    /// Does something to the process that goes over it.
    fn process(&mut self, deed: impl FnOnce(&Link, &mut Beside)) {
        match self {
            Self::Process { link, beside, .. } => deed(link, beside),
            Self::Sink { sink, .. } => panic!("{} is a sink", sink.name),
        }
    }

    /// What it goes through ends no process of ours.
    fn expect_no_end(&mut self) {
        if let Self::Process { service, beside, .. } = self {
            assert!(beside.is_running(), "{service} has ended by itself");
        }
    }

    /// All is as it was.
    fn end(self, house: &House) {
        match self {
            Self::Process { service, beside, .. } => beside.give_place(house, service),
            Self::Sink { sink, setting, direct, .. } => point(sink, setting, &direct),
        }
    }
}

fn point(sink: Sink<'_>, setting: &str, value: &serde_json::Value) {
    sink.put_and_run(|config| config[setting] = value.clone());
}
