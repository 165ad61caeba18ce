//! Good weather: one order all the way, then ten thousand seeded ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use promise::check::Counter;
use promise::decimal::Cents;
use promise::ledger::{self, Entry, Outcome};
use promise::oracle::Verdict;
use promise::read::{Elasticsearch, Postgres};
use promise::row::{Item, Row, Value, Version};
use promise::world::World;

use crate::house::House;
use crate::trace;

/// From the POST to both stores, as the project says it.
const VISIBLE: Duration = Duration::from_secs(5);
/// The seed of the ten thousand.
const SEED: u64 = 20_261_124;

/// POST → row and document within five seconds, cleaned, enriched, with the modules' names, found by the receipt.
pub(crate) fn one_order(house: &mut House) {
    let begun = Instant::now();
    house.post(
        "one-1",
        r#"{"orderId":"one-1","amount":1250e-2,"customer":"  Zoe\u0308 \t Müller ","currency":"usd","country":"de",
            "channel":"WEB","email":" Zoe@EXAMPLE.com","createdAt":"2026-01-31T12:00:00+02:00",
            "items":[{"sku":"A-1","quantity":2,"unitPrice":6.25}]}"#,
    );
    let receipt = receipt(house);
    let text = |text: &str| Value::Text(text.to_owned());
    let item = Item { sku: "A-1".to_owned(), quantity: 2, unit_price: Cents(625) };
    let mut expected = Row::default();
    for (name, value) in [
        ("order_id", text("one-1")),
        ("amount", Value::Money(Cents(1_250))),
        ("customer", text("Zoë Müller")),
        ("currency", text("USD")),
        ("items", Value::Items(vec![item])),
        ("email", text("Zoe@example.com")),
        ("country", text("DE")),
        ("channel", text("web")),
        ("created_at", Value::Whole(1_769_853_600_000)),
        ("amount_home", Value::Money(Cents(1_250))),
        ("home_currency", text("USD")),
        ("region", text("EMEA")),
        ("item_count", Value::Whole(2)),
        ("email_domain", text("example.com")),
        ("value_band", text("low")),
        ("received_partition", Value::Whole(i64::from(receipt.partition))),
        ("received_offset", Value::Whole(receipt.offset)),
    ] {
        expected.set(name, value);
    }
    let (row, document) = in_both(house, "one-1", receipt, begun);
    println!("in both stores {:.2} s after the POST, at {receipt}", begun.elapsed().as_secs_f32());
    for found in [&row, &document] {
        assert_eq!(found.differences(&expected, None), Vec::<String>::new());
        let Value::Text(modules) = found.get("transformed_by") else { panic!("no modules: {found:?}") };
        assert!(modules.starts_with("clean@1.0.1+sha256:") && modules.contains(",enrich@1.0.1+sha256:"), "{modules}");
    }
    println!("transformed_by {:?}", row.get("transformed_by"));
}

/// Another order goes all the way in the same time.
pub(crate) fn one_more(house: &mut House, id: &str) {
    let begun = Instant::now();
    house.post(id, &format!(r#"{{"orderId":"{id}","amount":1,"customer":"one more"}}"#));
    let receipt = receipt(house);
    in_both(house, id, receipt, begun);
    println!("{id}: in both stores {:.2} s after the POST, at {receipt}", begun.elapsed().as_secs_f32());
}

/// Of the POST that was answered last.
pub(crate) fn receipt(house: &House) -> Version {
    ledger::read(&house.ledger_path).unwrap().last().unwrap().answer.receipt.expect("a receipt")
}

/// The row by its receipt and the document by its id, as soon as both are there.
fn in_both(house: &House, id: &str, receipt: Version, begun: Instant) -> (Row, Row) {
    house.runtime.block_on(async {
        let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
        let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
        loop {
            let rows = postgres.by_receipt(receipt.partition, receipt.offset).await.unwrap();
            let document = elasticsearch.document(id).await.unwrap();
            if let ([row], Some(document)) = (rows.as_slice(), document) {
                return (row.row.clone(), document.row);
            }
            assert!(begun.elapsed() < VISIBLE, "not in both stores after {VISIBLE:?}: {:?}", house.states());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// 5 % re-posts, 5 % that the edge must refuse, 5 % that a module must reject: every counter zero. Among so many others a
/// single one is found as well.
pub(crate) fn ten_thousand(house: &mut House) {
    let posts = house.stream("ten", SEED, 10_000);
    let begun = Instant::now();
    house.load(posts, 500);
    println!("seed {SEED}: 10,000 orders posted in {:.1} s", begun.elapsed().as_secs_f32());
    let world = house.world();
    let findings = promise::check::check(&world);
    println!("{}\n{findings}", world.summary());
    assert!(findings.all_zero(), "{findings}");
    assert_eq!(findings.count(Counter::Lost), 0);
    // The classes were really there: a run in which nothing could go wrong proves nothing.
    let ours = || world.posts.iter().filter(|post| post.id.starts_with("ten"));
    let count = |outcome| ours().filter(|post| post.answer.outcome == outcome).count();
    assert!((9_300..=9_700).contains(&count(Outcome::Ok)), "{} were taken", count(Outcome::Ok));
    // In good weather nothing is in doubt, and every answer is the one that the rules give.
    let expected = |post: &&Entry| match world.verdicts.get(&post.seq) {
        Some(Verdict::Refuse { status, .. }) => post.answer.status == Some(*status),
        Some(_) => post.answer.status == Some(202) && post.answer.receipt.is_some(),
        None => false,
    };
    let strange: Vec<&Entry> = ours().filter(|post| !expected(post)).collect();
    assert!(strange.is_empty(), "{}", told(&strange, ours().map(|post| post.sent_ms).min()));
    let batches = batches(ours());
    println!("{batches} batches of several orders");
    assert!(batches >= 100, "{batches} batches do not try them");
    let pairs = same_batch(&world);
    println!("{pairs} re-posts were transformed in the same transaction as the one before");
    assert!(pairs >= 50, "{pairs} re-posts in one batch window do not try the order within a batch");
    assert!((400..=700).contains(&count(Outcome::Fail)), "{} were refused", count(Outcome::Fail));
    assert!((400..=700).contains(&world.dead.len()), "{} were rejected", world.dead.len());
    for reason in ["customer is empty", "currency is not", "amount_home would be"] {
        let found = world.dead.iter().filter(|letter| letter.reason.contains(reason)).count();
        assert!(found > 50, "{found} were rejected because {reason}");
    }
    trace::in_each_state(house);
}

/// How many answers are not those of the rules, in which of the seconds since the first order, and some of them.
fn told(strange: &[&Entry], begun_ms: Option<i64>) -> String {
    let second = |entry: &&Entry| (entry.sent_ms - begun_ms.unwrap_or_default()) / 1_000;
    let seconds: BTreeSet<i64> = strange.iter().map(second).collect();
    let some: Vec<_> = strange.iter().map(|entry| (&entry.id, &entry.answer)).take(5).collect();
    format!("{} answers, to orders sent in the seconds {seconds:?}, such as {some:?}", strange.len())
}

/// Requests with more than one receipt.
fn batches<'e>(entries: impl Iterator<Item = &'e Entry>) -> usize {
    let mut receipts = BTreeMap::<&str, usize>::new();
    for id in entries.filter_map(|entry| entry.answer.told.request_id.as_deref()) {
        *receipts.entry(id).or_default() += 1;
    }
    receipts.values().filter(|count| 1 < **count).count()
}

/// Re-posts that lie behind the earlier version of their order without a marker between them: in one transaction.
fn same_batch(world: &World) -> usize {
    let mut last: BTreeMap<(i32, &[u8]), (i64, i64)> = BTreeMap::new();
    let mut counts = BTreeMap::<i32, i64>::new();
    let mut pairs = 0;
    for record in &world.placed {
        let Version { partition, offset } = record.at;
        let count = counts.entry(partition).or_default();
        *count += 1;
        let before = last.insert((partition, record.key.as_deref().unwrap_or_default()), (offset, *count));
        // As many records as offsets: an offset without a record is a marker.
        pairs += usize::from(before.is_some_and(|(at, number)| offset - at == *count - number));
    }
    pairs
}
