//! Java's Avro on our pair of schemas: `orders.received` read as `order_placed` and the reverse, and Java's datums
//! read by the Rust codec.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use promise::decimal::Cents;
use promise::fieldset::{self, Raw};
use promise::row::{Item, Row, Value};
use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::order::Timestamp;
use schemas::resolution::Resolver;
use schemas::{Order, codec};

use crate::house::{House, root, scratch};

/// A Java compiler that runs on a JDK without one, such as the slim one that the stack fetches.
const COMPILER: &str = "org.eclipse.jdt:ecj:3.40.0";

pub(crate) fn reads_the_pair(house: &mut House) {
    let resolver = Resolver::new(ORDERS_RECEIVED_AVSC, ORDER_PLACED_AVSC).unwrap();
    let orders = orders();
    let (mut lines, mut expected) = (String::new(), Vec::new());
    for order in &orders {
        let mut received = Vec::new();
        codec::encode(order, &mut received);
        let placed = resolver.resolve(&received).unwrap();
        for (writer, reader, datum) in [
            ("orders.received", "orders.received", &received),
            ("orders.received", "order_placed", &received),
            ("order_placed", "order_placed", &placed),
            ("order_placed", "orders.received", &placed),
        ] {
            let hex: String = datum.iter().map(|byte| format!("{byte:02x}")).collect();
            lines.push_str(&format!("{writer} {reader} {hex}\n"));
            expected.push((order, reader));
        }
    }
    let output = java(house, &lines);
    assert_eq!(output.lines().count(), expected.len());
    for (line, (order, reader)) in output.lines().zip(expected) {
        let (json, hex) = line.split_once('\t').unwrap();
        let read = fieldset::row(&serde_json::from_str::<Raw>(json).unwrap());
        assert_eq!(read.differences(&row(order, reader), None), Vec::<String>::new(), "{json}");
        assert_eq!(read.0.len(), if reader == "order_placed" { 19 } else { 10 }, "{json}");
        if reader == "orders.received" {
            let datum: Vec<u8> =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
            assert_eq!(codec::decode(&datum).as_ref(), Ok(order), "Java's datum, read by the codec");
        }
    }
    println!("{} orders, each written and read under both schemas by Java's Avro", orders.len());
}

fn orders() -> Vec<Order> {
    let money = |cents| schemas::Money::from_hundredths(cents).unwrap();
    let bare = Order {
        order_id: "java-1".parse().unwrap(),
        amount: money(0),
        customer: "x".to_owned(),
        currency: None,
        items: Vec::new(),
        email: None,
        country: None,
        channel: None,
        created_at: Timestamp(946_684_800_000),
        received_at: Timestamp(1_770_000_000_001),
    };
    let item =
        |cents, quantity| schemas::Item { sku: "é\"\\\u{1f4e6}".to_owned(), quantity, unit_price: money(cents) };
    let full = Order {
        amount: money(999_999_999_999_999),
        customer: "Zoë \u{1f469}\u{200d}\u{1f680} \t".to_owned(),
        currency: Some("EUR".to_owned()),
        items: vec![item(127, 1), item(128, 1_000_000), item(999_999_999_999_999, 2)],
        email: Some("a@b".to_owned()),
        country: Some("DE".to_owned()),
        channel: Some("web".to_owned()),
        ..bare.clone()
    };
    let edges = [1, 127, 128, 255, 256, 32_767, 32_768, 8_388_607, 8_388_608]
        .map(|cents| Order { amount: money(cents), ..bare.clone() });
    [bare, full].into_iter().chain(edges).collect()
}

/// What Java must read: the order's fields, and the defaults of what only the wider schema has.
fn row(order: &Order, reader: &str) -> Row {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
    let cents = |money: schemas::Money| Cents(i128::from(money.hundredths()));
    let items = order.items.iter().map(|item| Item {
        sku: item.sku.clone(),
        quantity: i64::from(item.quantity),
        unit_price: cents(item.unit_price),
    });
    let mut row = Row::default();
    row.set("order_id", Value::Text(order.order_id.to_string()));
    row.set("amount", Value::Money(cents(order.amount)));
    row.set("customer", Value::Text(order.customer.clone()));
    row.set("currency", text(&order.currency));
    row.set("items", Value::Items(items.collect()));
    row.set("email", text(&order.email));
    row.set("country", text(&order.country));
    row.set("channel", text(&order.channel));
    row.set("created_at", Value::Whole(order.created_at.0));
    row.set("received_at", Value::Whole(order.received_at.0));
    if reader == "order_placed" {
        for name in ["amount_home", "home_currency", "region", "email_domain", "value_band", "items_json"] {
            row.set(name, Value::Null);
        }
        row.set("item_count", Value::Whole(0));
        row.set("received_partition", Value::Whole(-1));
        row.set("received_offset", Value::Whole(-1));
    }
    row
}

fn java(house: &House, lines: &str) -> String {
    let (java, classes) = (program(house), scratch("java"));
    let jars = jars(&house.options.servers.join("plugins/apicurio-avro"));
    let compiler = compiler(&classes);
    let source = root().join("scripts/promise/java/ReadPair.java");
    let mut compile = Command::new(&java);
    compile
        .arg("-jar")
        .arg(compiler)
        .args(["-source", "17", "-target", "17", "-cp", &jars, "-d"])
        .arg(&classes)
        .arg(source);
    run(&mut compile);
    let mut command = Command::new(&java);
    command.arg("-cp").arg(format!("{}:{jars}", classes.display())).arg("ReadPair").arg(root().join("schemas"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    String::from_utf8(output.stdout).unwrap()
}

/// The JDK that the stack has fetched, else the machine's.
fn program(house: &House) -> PathBuf {
    let fetched = house.options.servers.with_file_name("jdk").join("current/bin/java");
    if fetched.is_file() { fetched } else { PathBuf::from("java") }
}

fn jars(folder: &Path) -> String {
    let all = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}; `stack fetch` fills it", folder.display()));
    let wanted = ["avro-1", "jackson-core", "jackson-databind", "jackson-annotations", "slf4j-api", "commons-compress"];
    let found = all.filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (wanted.iter().any(|wanted| name.starts_with(wanted)) && name.ends_with(".jar"))
            .then(|| path.display().to_string())
    });
    found.collect::<Vec<_>>().join(":")
}

fn compiler(folder: &Path) -> PathBuf {
    let [_, name, version] = COMPILER.split(':').collect::<Vec<_>>()[..] else { panic!("{COMPILER}") };
    let jar = folder.join(format!("{name}-{version}.jar"));
    if !jar.is_file() {
        let mut fetch = Command::new("mvn");
        fetch.args(["-B", "-q", "dependency:copy"]).arg(format!("-Dartifact={COMPILER}"));
        run(fetch.arg(format!("-DoutputDirectory={}", folder.display())));
    }
    jar
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    assert!(output.status.success(), "{command:?} failed: {said}");
}
