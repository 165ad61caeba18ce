//! The description at `/openapi.json` is true: whatever it says can be sent is taken, each answer is one that it names
//! and has the schema that it gives, and whatever answer it names was seen.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::keys::{File, bearer};
use crate::world::{Answer, NDJSON, PATIENCE, World, get, order, request, talk, until};

const PATH: &str = "/api/orders";

/// What the description names and no test can bring about from outside.
const NOT_PROVOKED: [(&str, &str); 1] = [("internal", "a fault of ours; `app/tests.rs` makes one")];

/// The description, and what of it was seen.
struct Described {
    document: Value,
    statuses: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Described {
    async fn of(world: &World) -> Self {
        let answer = get(world.app.address, "/openapi.json").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
        let mut described = Self { document: answer.json(), statuses: BTreeSet::new(), kinds: BTreeSet::new() };
        described.holds("/openapi.json", "get", &answer);
        described
    }

    /// What stands at a pointer or, if that is a reference, where it leads.
    fn at(&self, pointer: &str) -> &Value {
        let value = self.document.pointer(pointer).unwrap_or_else(|| panic!("nothing is at {pointer}"));
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.at(reference.strip_prefix('#').expect("within the document")),
            None => value,
        }
    }

    /// A validator for the schema at a pointer; references within it lead into the whole document.
    fn validator(&self, pointer: &str) -> Validator {
        let mut root = self.document.clone();
        root["$ref"] = Value::from(format!("#{pointer}"));
        jsonschema::options().offline().should_validate_formats(true).build(&root).expect("a schema")
    }

    fn valid(&self, pointer: &str, value: &Value) {
        let errors: Vec<String> = self
            .validator(pointer)
            .iter_errors(value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{value} against {pointer}: {errors:?}");
    }

    /// The answer is one that is named for this operation, by status, media type, headers and schema.
    fn holds(&mut self, path: &str, method: &str, answer: &Answer) {
        let operation = format!("/paths/{}/{method}/responses", path.replace('/', "~1"));
        let mut place = format!("{operation}/{}", answer.status);
        if self.document.pointer(&place).is_none() {
            // What is said of the paths and methods that are not there.
            place = format!("/components/responses/Problem{}", answer.status);
            assert!(matches!(answer.status, 404 | 405), "{place} is not named: {answer:?}");
        } else if let Some(reference) = self.document.pointer(&place).and_then(|response| response["$ref"].as_str()) {
            place = reference.trim_start_matches('#').to_owned();
        }
        let response = self.at(&place).clone();
        for (name, header) in response["headers"].as_object().expect("headers") {
            let pointer = header["$ref"].as_str().unwrap().trim_start_matches('#');
            let required = self.at(pointer)["required"] == true;
            assert!(!required || answer.header(name).is_some(), "{name} is not in {answer:?}");
        }
        let media_type = answer.header("content-type").expect("a type");
        let content = format!("{place}/content/{}", media_type.replace('/', "~1"));
        assert!(self.document.pointer(&content).is_some(), "{media_type} is not named for {}", answer.status);
        self.statuses.insert(format!("{path} {method} {}", answer.status));
        if self.document.pointer(&format!("{content}/x-itemSchema")).is_some() {
            for line in answer.receipts() {
                self.body_holds(&format!("{content}/x-itemSchema"), &line);
            }
        } else {
            self.body_holds(&format!("{content}/schema"), &answer.json());
        }
    }

    fn body_holds(&mut self, schema: &str, body: &Value) {
        self.valid(schema, body);
        let known: Vec<&Map<String, Value>> = ["Problem", "Receipt", "LineReceipt"]
            .map(|name| self.at(&format!("/components/schemas/{name}/properties")).as_object().unwrap())
            .to_vec();
        if let Some(kind) = body["type"].as_str() {
            let names = self.at("/components/schemas/Problem/properties");
            let unknown: Vec<&String> =
                body.as_object().unwrap().keys().filter(|name| names.get(name).is_none()).collect();
            assert!(unknown.is_empty(), "{unknown:?} are not described: {body}");
            self.kinds.insert(kind.trim_start_matches("urn:orderflow:problem:").to_owned());
        } else if body.get("openapi").is_none() {
            let names = body.as_object().unwrap().keys();
            let unknown: Vec<&String> =
                names.filter(|name| !known.iter().any(|known| known.contains_key(*name))).collect();
            assert!(unknown.is_empty(), "{unknown:?} are not described: {body}");
        }
    }

    async fn post(&mut self, world: &World, body: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = world.post_with(body, headers).await;
        self.holds(PATH, "post", &answer);
        answer
    }
}

/// Each object in a document with its pointer.
fn walk<'d>(value: &'d Value, at: &str, found: &mut Vec<(String, &'d Value)>) {
    match value {
        Value::Object(members) => {
            found.push((at.to_owned(), value));
            for (name, value) in members {
                walk(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                walk(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_one_and_its_examples_are_valid() {
    let world = World::ready().await;
    let described = Described::of(&world).await;
    let document = &described.document;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut objects = Vec::new();
    walk(document, "", &mut objects);
    let mut ids = BTreeSet::new();
    for (at, object) in objects {
        if let Some(reference) = object.get("$ref") {
            described.at(reference.as_str().unwrap().strip_prefix('#').expect("within the document"));
        }
        if let Some(responses) = object.get("responses").filter(|_| at.starts_with("/paths")) {
            assert!(ids.insert(object["operationId"].as_str().unwrap().to_owned()), "{at}: an id for each operation");
            for (status, _) in responses.as_object().unwrap() {
                assert!(described.at(&format!("{at}/responses/{status}"))["description"].is_string(), "{at}: {status}");
            }
        }
        for (name, example) in object.get("examples").and_then(Value::as_object).into_iter().flatten() {
            if object.get("x-itemSchema").is_some() {
                for line in example["value"].as_str().unwrap().lines() {
                    described.valid(&format!("{at}/x-itemSchema"), &serde_json::from_str(line).unwrap());
                }
            }
            described.valid(&format!("{at}/schema"), &example["value"]);
            assert!(!name.is_empty());
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema.is_object(), "{name}");
        described.validator(&format!("/components/schemas/{name}"));
    }
    let head =
        talk(world.app.address, b"HEAD /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let head = head.unwrap();
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    let length = head.header("content-length").unwrap();
    assert_eq!(length, document_length(&world).await);
}

async fn document_length(world: &World) -> String {
    get(world.app.address, "/openapi.json").await.text.len().to_string()
}

/// The order, with something done to it at a place.
fn changed(order: &Value, at: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut order = order.clone();
    change(order.pointer_mut(at).unwrap());
    order
}

/// Orders on both sides of each rule that the schema has for a value.
fn around_rules(described: &Described, order: &Value, at: &str, schema: &str, orders: &mut Vec<Value>) {
    let rules = described.at(schema).clone();
    let mut put = |value: Value| orders.push(changed(order, at, |place| *place = value));
    for value in
        [json!(null), json!(true), json!(7), json!(-1), json!(0.5), json!(""), json!("a"), json!([]), json!({})]
    {
        put(value);
    }
    let whole = rules["type"] == "integer";
    for bound in ["minimum", "maximum"].iter().filter_map(|name| rules.get(name)) {
        let step = if whole { 1.0 } else { 0.01 };
        for value in [bound.as_f64().unwrap() - step, bound.as_f64().unwrap(), bound.as_f64().unwrap() + step] {
            put(if whole { json!(value as i64) } else { json!((value * 100.0).round() / 100.0) });
        }
    }
    for bound in ["minLength", "maxLength"].iter().filter_map(|name| rules.get(name)).filter_map(Value::as_u64) {
        for length in [bound.saturating_sub(1), bound, bound + 1] {
            put(json!("x".repeat(length as usize)));
            put(json!("\u{1f600}".repeat(length as usize)));
            put(json!(format!("{}@x", "x".repeat(length.saturating_sub(2) as usize))));
        }
    }
    for text in
        ["\0", " ", "x\0", "USD", "US", "us-1", "Ä", "a@b", "@", "2024-02-30T00:00:00Z", "2024-02-29T23:59:59+01:00"]
    {
        put(json!(text));
    }
    if rules.get("pattern").is_some() {
        for length in [1, 2, 3, 4, 32, 33, 128, 129] {
            put(json!("A".repeat(length)));
        }
    }
    if let Some(most) = rules.get("maxItems").and_then(Value::as_u64) {
        let element = order.pointer(&format!("{at}/0")).unwrap().clone();
        put(json!(vec![element.clone(); most as usize]));
        put(json!(vec![element; most as usize + 1]));
    }
    around_members(described, order, at, schema, orders);
    if rules.get("items").is_some() {
        around_rules(described, order, &format!("{at}/0"), &format!("{schema}/items"), orders);
    }
}

fn around_members(described: &Described, order: &Value, at: &str, schema: &str, orders: &mut Vec<Value>) {
    let rules = described.at(schema).clone();
    let Some(properties) = rules.get("properties").and_then(Value::as_object) else { return };
    for name in properties.keys() {
        orders.push(changed(order, at, |object| drop(object.as_object_mut().unwrap().remove(name))));
        around_rules(described, order, &format!("{at}/{name}"), &format!("{schema}/properties/{name}"), orders);
    }
    orders.push(changed(order, at, |object| object["unknown"] = json!(1)));
}

/// The schema in the description tells beforehand what becomes of an order: each one that it admits is stored, each
/// other refused, alone and in a batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_tells_what_becomes_of_an_order() {
    let world = World::ready().await;
    let mut described = Described::of(&world).await;
    let json = "/paths/~1api~1orders/post/requestBody/content/application~1json";
    let whole = described.at(&format!("{json}/examples/whole/value")).clone();
    let mut orders = Vec::new();
    around_members(&described, &whole, "", "/components/schemas/Order", &mut orders);
    let validator = described.validator("/components/schemas/Order");
    let expected: Vec<u16> = orders.iter().map(|order| if validator.is_valid(order) { 202 } else { 422 }).collect();
    let (good, bad) = (expected.iter().filter(|status| **status == 202).count(), expected.len());
    assert!(20 < good && 200 < bad, "{good} of {bad} orders are good");
    for (order, expected) in orders.iter().zip(&expected).step_by(3) {
        let answer = described.post(&world, &order.to_string(), &[]).await;
        assert_eq!(answer.status, *expected, "{order}: {answer:?}");
    }
    let lines: Vec<String> = orders.iter().map(Value::to_string).collect();
    let answer = described.post(&world, &lines.join("\n"), &[NDJSON]).await;
    let told: Vec<u64> = answer.receipts().iter().map(|receipt| receipt["status"].as_u64().unwrap()).collect();
    for ((order, expected), told) in orders.iter().zip(&expected).zip(&told) {
        assert_eq!(*told, u64::from(*expected), "{order}");
    }
    assert_eq!(told.len(), orders.len());
    // Beyond what a validator without our keywords knows.
    for (at, value) in [("/amount", json!(1.005)), ("/createdAt", json!("1999-12-31T23:59:59Z"))] {
        let order = changed(&whole, at, |place| *place = value);
        assert_eq!(described.post(&world, &order.to_string(), &[]).await.status, 422, "{order}");
    }
    assert!(described.at("/components/schemas/Order/properties/createdAt").get("x-range").is_some());
}

/// What only an edge that asks for keys answers.
async fn with_keys(described: &mut Described) {
    let once = json!({ "requestsPerSecond": 1, "burst": 1 });
    let file = File::new(&[("shop", once), ("old", json!({ "disabled": true }))]);
    let world = file.world().await;
    for (key, status) in [("shop", 202), ("shop", 429), ("old", 403), ("nobody", 401)] {
        let answer = described.post(&world, &order("a"), &[("authorization", &bearer(key))]).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("ratelimit-policy").is_some(), key == "shop", "{answer:?}");
    }
}

/// Sends a body that does not come to its end, and reads the answer.
async fn unfinished(world: &World, close: bool) -> Answer {
    let sent = request(&order("slow"), &[]);
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    stream.write_all(&sent.as_bytes()[..sent.len() - 5]).await.unwrap();
    if close {
        stream.shutdown().await.unwrap();
    }
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("an answer in time").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), text: body.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_that_is_named_comes_as_it_is_described() {
    let world = World::ready().await;
    let mut described = Described::of(&world).await;
    let slow = async { unfinished(&world, false).await };
    let (slow, ()) = tokio::join!(slow, provoke(&world, &mut described));
    described.holds(PATH, "post", &slow);
    elsewhere(&mut described).await;
    with_keys(&mut described).await;

    let mut named = BTreeSet::new();
    let mut kinds: BTreeMap<String, &str> = BTreeMap::new();
    for (path, operations) in described.document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(method, _)| *method != "head") {
            let statuses = operation["responses"].as_object().unwrap().keys();
            named.extend(statuses.map(|status| format!("{path} {method} {status}")));
        }
    }
    for (_, schema) in described.document["components"]["schemas"].as_object().unwrap() {
        if let Some(kind) = schema.pointer("/properties/type/const").and_then(Value::as_str) {
            kinds.insert(kind.trim_start_matches("urn:orderflow:problem:").to_owned(), "");
        }
    }
    named.remove("/api/orders post 500"); // `internal`
    let unseen: Vec<&String> = named.difference(&described.statuses).collect();
    assert!(unseen.is_empty(), "named and never seen: {unseen:?}");
    let excused: BTreeSet<String> = NOT_PROVOKED.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    let named: BTreeSet<String> = kinds.into_keys().collect();
    let seen: BTreeSet<String> = described.kinds.union(&excused).cloned().collect();
    assert_eq!(seen, named, "each kind that is named is seen, and no other");
}

/// What one edge that is well can be brought to answer.
async fn provoke(world: &World, described: &mut Described) {
    let body = described.at("/paths/~1api~1orders/post/requestBody/content").clone();
    for (media_type, content) in body.as_object().unwrap() {
        for (name, example) in content["examples"].as_object().unwrap() {
            let value = &example["value"];
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let answer = described.post(world, &text, &[("content-type", media_type)]).await;
            let is_batch = media_type != "application/json" || value.is_array();
            assert_eq!(answer.status, if is_batch { 207 } else { 202 }, "{media_type}, {name}: {answer:?}");
        }
    }
    let deadline = described.at("/components/parameters/Deadline/schema").clone();
    let (min, max) = (deadline["minimum"].as_u64().unwrap(), deadline["maximum"].as_u64().unwrap());
    for (deadline, status) in [(min - 1, 400), (min, 202), (max, 202), (max + 1, 400)] {
        let answer = described.post(world, &order("deadline"), &[("x-deadline-ms", &deadline.to_string())]).await;
        assert!(answer.status == status || (status, answer.status) == (202, 504), "{deadline}: {answer:?}");
    }
    let codings = described.at("/components/parameters/Coding/schema/enum").clone();
    for coding in codings.as_array().unwrap() {
        // Not coded, but taken for it.
        let status = if coding == "identity" { 202 } else { 400 };
        let answer = described.post(world, &order("coded"), &[("content-encoding", coding.as_str().unwrap())]).await;
        assert_eq!(answer.status, status, "{coding}: {answer:?}");
    }
    let large = "x".repeat((1 << 20) + 1);
    for (body, headers, status) in [
        ("{", &[][..], 400),
        ("{}", &[], 422),
        (r#"[{"orderId":"#, &[], 207),
        (&large, &[], 413),
        ("", &[NDJSON], 207),
        (&order("a"), &[("content-type", "text/plain")], 415),
        (&order("a"), &[("content-encoding", "br")], 415),
    ] {
        let answer = described.post(world, body, headers).await;
        assert_eq!(answer.status, status, "{body:.40}: {answer:?}");
    }
    let old = request(&order("a"), &[NDJSON]).replacen("HTTP/1.1", "HTTP/1.0", 1);
    let answer = talk(world.app.address, old.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 505, "{answer:?}");
    described.holds(PATH, "post", &answer);
    for path in [PATH, "/openapi.json"] {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"] {
            if described.document["paths"][path].get(method.to_lowercase()).is_none() {
                let sent = request("", &[]).replacen("POST /api/orders", &format!("{method} {path}"), 1);
                let answer = talk(world.app.address, sent.as_bytes()).await.unwrap();
                assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
                described.holds(path, &method.to_lowercase(), &answer);
                let allowed: Vec<String> = answer.header("allow").unwrap().split(", ").map(str::to_lowercase).collect();
                let named: Vec<&String> = described.document["paths"][path].as_object().unwrap().keys().collect();
                assert_eq!(allowed.iter().collect::<Vec<_>>(), named, "{path}");
            }
        }
    }
    let answer = get(world.app.address, "/elsewhere").await;
    assert_eq!(answer.status, 404);
    described.holds("/elsewhere", "get", &answer);
    described.holds(PATH, "post", &unfinished(world, true).await);
}

/// What it takes other circumstances for.
async fn elsewhere(described: &mut Described) {
    let unready = World::started_without_registry().await;
    until("kafka is known", async || {
        get(unready.app.admin_address, "/readyz").await.json()["conditions"][0]["met"] == true
    })
    .await;
    assert_eq!(described.post(&unready, &order("a"), &[]).await.status, 503);

    // The description follows the schema in use.
    let schema = schemas::contracts::ORDER_SCHEMA_JSON.replace(r#""maxItems": 500"#, r#""maxItems": 5000"#);
    let schema = schema.replace(r#""maxLength": 256"#, r#""maxLength": 4"#);
    let narrow = World::with(|config| {
        (config.order_schema, config.max_batch_orders) = (schema, 1);
    })
    .await;
    let other = Described::of(&narrow).await;
    let order_of = |described: &Described, at: &str| described.at(&format!("/components/schemas/Order/{at}")).clone();
    assert_eq!(order_of(&other, "properties/items/maxItems"), 5000);
    assert_eq!(order_of(&other, "properties/amount"), order_of(described, "$defs/money"), "references lead home");
    let examples = "/paths/~1api~1orders/post/requestBody/content/application~1json/examples";
    assert_eq!(
        other.at(examples).as_object().unwrap().keys().collect::<Vec<_>>(),
        ["batch", "whole"],
        "only valid ones"
    );
    let item = format!(r#"{{"sku":"{}","quantity":1,"unitPrice":1}}"#, "\u{1f600}".repeat(64));
    let items = vec![item; 1010].join(",");
    let large = format!(r#"{{"orderId":"a","amount":1,"customer":"c","items":[{items}]}}"#);
    assert_eq!(described.post(&narrow, &large, &[]).await.status, 413);
    let two = r#"{"orderId":"a","amount":1,"customer":"c"}"#.to_owned() + "\n";
    assert_eq!(described.post(&narrow, &two.repeat(2), &[NDJSON]).await.receipts()[1]["status"], 413);

    narrow.kafka.broker_round_trip_time(-1, std::time::Duration::from_secs(2)).unwrap();
    let late = r#"{"orderId":"late","amount":1,"customer":"c"}"#;
    assert_eq!(described.post(&narrow, late, &[("x-deadline-ms", "200")]).await.status, 504);
    narrow.kafka.broker_round_trip_time(-1, std::time::Duration::ZERO).unwrap();
}
