//! `connectors trace` on the real servers: an order in each state, found by its id and by the addresses of its records.

use promise::read::{Kafka, path};
use promise::row::Version;
use promise::settle;
use schemas::names::topics;
use serde_json::{Value, json};

use crate::faults::{ASK, BACK, wait_for};
use crate::house::{House, REST};
use crate::orders::receipt;
use crate::sink::{SINKS, Sink, connectors};

/// Stored, rejected by a module, behind a sink that somebody paused, and never posted.
pub(crate) fn in_each_state(house: &mut House) {
    stored(house);
    rejected(house);
    waiting(house);
    never_posted(house);
}

/// Both stores hold it, and each module is named with its digest and with what it changed.
fn stored(house: &mut House) {
    let at = posted(house, "traced-stored", r#""amount":1.25,"country":"de""#);
    settle::wait(&house.places, REST).unwrap();
    let by_id = Traced::of(house, "traced-stored");
    let made = last(&by_id.told["deliveries"]);
    let placed = made["at"].as_str().unwrap();
    for asked in ["traced-stored", &received(at), placed] {
        let traced = Traced::of(house, asked);
        for store in traced.expect(["stored"; 2], 0) {
            let held = &store["held"]["row"][1];
            let seen = json!([store["version"], held["order_id"], held["customer"], held["region"]]);
            assert_eq!(seen, json!([version(at), "traced-stored", "Ada", "EMEA"]), "{asked}: {store:#}");
            // The sinks took that from the record's header by themselves.
            assert_eq!(held["transformed_by"], labels(made).join(","), "{asked}: {store:#}");
        }
        assert_eq!(last(&traced.told["posts"])["at"], received(at), "{asked}: {:#}", traced.told);
        assert_eq!(last(&traced.told["deliveries"]), made, "{asked}");
    }
    for (nth, (module, field, after)) in
        [("clean@", "customer", "\"Ada\""), ("enrich@", "region", "\"EMEA\"")].into_iter().enumerate()
    {
        let (label, step) = (labels(made)[nth], &made["steps"][nth]);
        let digest = label.split_once("+sha256:").map_or("", |(_, digest)| digest);
        let is_whole = digest.len() == 12 && digest.chars().all(|digit| digit.is_ascii_hexdigit());
        assert!(label.starts_with(module) && is_whole && step["module"] == label, "{made:#}");
        let changes = step["changes"].as_array().unwrap();
        let is_made = changes.iter().any(|change| change["field"] == field && change["after"] == after);
        assert!(is_made, "{module} made {field} {after}: {made:#}");
    }
    let Version { partition, offset } = at;
    expect_words(
        house,
        &received(at),
        &[
            format!("{placed} of {partition}/{offset} by {}\n", labels(made).join(", ")),
            format!("orders-postgres (PostgreSQL table order_placed): stored, received at {partition}/{offset}\n"),
            format!(
                "orders-elasticsearch (Elasticsearch index order_placed): stored, received at {partition}/{offset}\n"
            ),
        ],
    );
}

/// It says in which dead-letter topic it lies, why, and what sends it again; also who asks by the letter's own address.
fn rejected(house: &mut House) {
    let at = posted(house, "traced-rejected", r#""amount":1,"currency":"ABC""#);
    settle::wait(&house.places, REST).unwrap();
    let traced = Traced::of(house, "traced-rejected");
    let stores = traced.expect(["dead-letter"; 2], 2);
    let letter = &stores[0]["letter"];
    let (lies, said) = (letter["at"].as_str().unwrap(), &letter["said"]);
    assert!(lies.starts_with("orders.dead-letter/") && letter["of"] == received(at), "{letter:#}");
    let [module, message] = ["module", "message"].map(|key| said[key].as_str().unwrap());
    assert!(module.starts_with("clean@") && message.contains("currency is not"), "{letter:#}");
    let again = format!("transforms replay {lies} --send");
    for store in stores {
        assert_eq!((&store["letter"], &store["replay"]), (letter, &json!(again)), "{store:#}");
    }
    expect_words(house, lies, &[format!("{message}; to send it again: {again}\n")]);
}

/// For the sink that somebody paused, with so many records before it. The other store has it meanwhile.
fn waiting(house: &mut House) {
    let [table, _] = SINKS;
    Sink { house, name: table }.pause();
    let [older, newer] = ["1", "2"].map(|amount| posted(house, "traced-waiting", &format!(r#""amount":{amount}"#)));
    // One behind the other.
    let all = path(&Kafka::new(&house.places.kafka)).unwrap();
    for group in all.iter().filter(|group| !group.group().ends_with(table)) {
        let at_rest = || group.lag(usize::MAX).is_ok_and(|lag| lag == 0);
        wait_for(&format!("{} to come to rest", group.group()), BACK, ASK, at_rest);
    }
    let traced = Traced::of(house, "traced-waiting");
    let [waits, has] = traced.expect(["waiting", "stored"], 2);
    let (sink, state, before) = (&waits["reader"]["name"], &waits["reader"]["state"], &waits["before"]);
    assert_eq!((sink, state, before), (&json!(table), &json!("PAUSED"), &json!(1)), "{waits:#}");
    assert_eq!(has["version"], version(newer), "{has:#}");
    let lies = waits["at"].as_str().unwrap();
    expect_words(house, "traced-waiting", &[format!("): waiting for {table} at {lies}, 1 record before it; PAUSED\n")]);
    for store in Traced::of(house, &received(older)).expect(["replaced"; 2], 0) {
        assert_eq!(store["by"], version(newer), "{store:#}");
    }
    Sink { house, name: table }.resume();
    settle::wait(&house.places, REST).unwrap();
    Traced::of(house, "traced-waiting").expect(["stored"; 2], 0);
}

/// That is told from one that was not found.
fn never_posted(house: &House) {
    Traced::of(house, "traced-nobody").expect(["never-acknowledged"; 2], 2);
    expect_words(house, "traced-nobody", &["never acknowledged: no such order was received\n".to_owned()]);
    let nowhere = "orders.received/0/999999999";
    let answer = connectors(house, &["trace", nowhere]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{}", answer.err);
    assert!(answer.err.contains(&format!("no committed record lies at {nowhere}")), "{}", answer.err);
}

/// An order with these fields beside those that it must have; where it was received.
fn posted(house: &mut House, id: &str, fields: &str) -> Version {
    house.post(id, &format!(r#"{{"orderId":"{id}","customer":"  Ada ",{fields}}}"#));
    receipt(house)
}

/// The receipt's address.
fn received(at: Version) -> String {
    format!("{}/{}/{}", topics::ORDERS_RECEIVED, at.partition, at.offset)
}

fn version(at: Version) -> Value {
    json!({ "partition": at.partition, "offset": at.offset })
}

fn last(list: &Value) -> &Value {
    list.as_array().and_then(|list| list.last()).unwrap_or(&Value::Null)
}

/// The modules that made a record.
fn labels(made: &Value) -> Vec<&str> {
    let modules = made["modules"].as_array().unwrap_or_else(|| panic!("no modules: {made:#}"));
    modules.iter().map(|label| label.as_str().unwrap()).collect()
}

/// What it says to programs.
struct Traced {
    told: Value,
    code: i32,
}

impl Traced {
    /// Everybody must have answered, and every topic have been searched to its beginning.
    fn of(house: &House, asked: &str) -> Self {
        let answer = connectors(house, &["trace", asked, "--format", "json"]);
        let (told, code) = (answer.json(), answer.code);
        assert_eq!((&told["unreachable"], &told["unsearched"]), (&json!([]), &json!({})), "{asked}: {told:#}");
        Self { told, code }
    }

    /// That these are the verdicts, and this the exit code; answers the stores. All in the order of [`SINKS`].
    fn expect(&self, verdicts: [&str; 2], code: i32) -> [&Value; 2] {
        let told = &self.told;
        let stores = SINKS.map(|sink| {
            let mut stores = told["stores"].as_array().into_iter().flatten();
            stores.find(|store| store["sink"]["name"] == sink).unwrap_or_else(|| panic!("{sink} is missing: {told:#}"))
        });
        let found = stores.map(|store| store["verdict"].as_str().unwrap_or_default());
        assert_eq!((found, self.code), (verdicts, code), "{told:#}");
        stores
    }
}

/// What it says to people has all of these in it.
fn expect_words(house: &House, asked: &str, wanted: &[String]) {
    let text = connectors(house, &["trace", asked]).out;
    println!("{text}");
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}
