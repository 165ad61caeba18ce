//! Whether both stores hold what was accepted, all of it and nothing else.
//!
//! Every order of the load has the same text but for its id, so one row and one document are written here as the
//! documentation of the schema and of the modules makes them, and every one must be it. Where and when each was
//! received is told by sums and bounds of both stores, and by offsets without a gap. For our own way `connectors verify`
//! holds topic, table and index against each other as well, field by field.

use std::time::Duration;

use anyhow::{Context, ensure};
use connectors::verify::{self, Repair, Sources, slices::Span, stores};
use http::Method;
use schemas::{names::topics, registry::Registry};
use serde_json::{Value, json};

use super::{eye::Eye, house::House, way::Way};
use crate::sinks::stores::Kind;

/// What becomes of the load's order, with the rates of the shipped pipeline.
const RIGHT: &str = r#"
    amount = 149.85 and customer = 'Zoe Berg' and currency = 'EUR' and email = 'zoe.b@example.com'
    and items = '[{"sku":"SKU-0001","quantity":2,"unit_price":49.95},{"sku":"SKU-0002","quantity":1,"unit_price":24.95},
                  {"sku":"SKU-0003","quantity":1,"unit_price":25.00}]'::jsonb
    and country = 'DE' and channel = 'web' and created_at = '2026-05-06T07:08:09.123Z' and amount_home = 161.84
    and home_currency = 'USD' and region = 'EMEA' and item_count = 4 and email_domain = 'example.com'
    and value_band = 'mid' and received_partition between 0 and 11 and 0 <= received_offset"#;
/// By whom; a peer does not say so.
const BY: &str = "transformed_by like 'clean@1.%+sha256:%,enrich@1.%+sha256:%'";

/// What was compared, in words.
///
/// # Errors
/// When the stores are not as they should be.
pub(super) async fn check(house: &House, way: &Way) -> anyhow::Result<String> {
    all_right(house, way).await.with_context(|| format!("{}: the stores are not as they should be", way.name()))
}

async fn all_right(house: &House, way: &Way) -> anyhow::Result<String> {
    rows(house, way).await?;
    house.stores.elasticsearch().call(Method::POST, &format!("/{}/_refresh", topics::ORDER_PLACED), b"").await?;
    let documents = Eye::open(&house.stores, Kind::Elasticsearch).await?.found("").await?;
    ensure!(documents == house.total, "{documents} documents of {} accepted orders", house.total);
    let right = right_documents(house).await?;
    ensure!(right == documents, "{right} of {documents} documents are as they must be");
    let (table, index) = (places_in_table(house).await?, places_in_index(house).await?);
    ensure!(table == index, "the index says of where and when orders were received {index:?}, the table {table:?}");
    let every = format!(
        "every one of {} accepted orders is once in the table and once in the index, with every field as it must be",
        house.total
    );
    if !way.is_ours() {
        return Ok(every);
    }
    let report = verified(house).await?;
    ensure!(report.wrong() == 0 && report.orders == house.total, "connectors verify: {report:?}");
    Ok(format!("{every}; `connectors verify --deep` finds no difference between topic, table and index"))
}

async fn rows(house: &House, way: &Way) -> anyhow::Result<()> {
    let by = if way.is_ours() { BY } else { "true" };
    let question = format!(
        "select count(*), count(*) filter (where {RIGHT} and {by}), coalesce(sum(right(order_id, 12)::bigint), 0)::bigint from {}",
        topics::ORDER_PLACED
    );
    let row = house.stores.sql().await?.query_one(&question, &[]).await?;
    let (count, right, sum): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let total = i64::try_from(house.total)?;
    ensure!(count == total, "{count} rows of {total} accepted orders");
    ensure!(right == count, "{} of {count} rows are not as they must be", count - right);
    // Nothing was refused: so they are the orders from 0 on, without a gap.
    if house.refused == 0 {
        ensure!(sum == total * (total - 1) / 2, "the rows are not those of the orders that were sent");
    }
    Ok(())
}

/// Documents that are what the order becomes.
async fn right_documents(house: &House) -> anyhow::Result<u64> {
    let term = |field: &str, value: Value| json!({ "term": { field: value } });
    let item = |sku: &str, quantity: u32, price: f64| {
        let is = [("sku", json!(sku)), ("quantity", json!(quantity)), ("unit_price", json!(price))];
        let is = is.map(|(field, value)| term(&format!("items.{field}"), value));
        json!({ "nested": { "path": "items", "query": { "bool": { "filter": is } } } })
    };
    let is = json!({
        "amount": 149.85, "customer": "Zoe Berg", "currency": "EUR", "email": "zoe.b@example.com", "country": "DE",
        "channel": "web", "created_at": "2026-05-06T07:08:09.123Z", "amount_home": 161.84, "home_currency": "USD",
        "region": "EMEA", "item_count": 4, "email_domain": "example.com", "value_band": "mid"
    });
    let fields = is.as_object().into_iter().flatten().map(|(field, value)| term(field, value.clone()));
    let items = [item("SKU-0001", 2, 49.95), item("SKU-0002", 1, 24.95), item("SKU-0003", 1, 25.0)];
    let asked = json!({ "query": { "bool": { "filter": fields.chain(items).collect::<Vec<_>>() } } }).to_string();
    let path = format!("/{}/_count", topics::ORDER_PLACED);
    let answer = house.stores.elasticsearch().call(Method::POST, &path, asked.as_bytes()).await?;
    answer.get("count").and_then(Value::as_u64).context("Elasticsearch does not count")
}

/// Where and when orders were received, as sums and bounds that both stores can tell; and their items.
#[derive(Debug, PartialEq)]
struct Places {
    partitions: i64,
    offsets: i64,
    first_ms: i64,
    last_ms: i64,
    items: i64,
}

/// Each order has an offset of its own, without a gap, as nothing else is in the topic.
async fn places_in_table(house: &House) -> anyhow::Result<Places> {
    let client = house.stores.sql().await?;
    let gaps = format!(
        "select count(*) from (select count(distinct received_offset) as own, max(received_offset) + 1 as most from {} \
         group by received_partition) as of_each where own <> most",
        topics::ORDER_PLACED
    );
    let gaps: i64 = client.query_one(&gaps, &[]).await?.try_get(0)?;
    ensure!(gaps == 0, "in {gaps} partitions the offsets of the rows are not those of the records");
    let question = format!(
        "select sum(received_partition)::bigint, sum(received_offset)::bigint, \
         (extract(epoch from min(received_at)) * 1000)::bigint, (extract(epoch from max(received_at)) * 1000)::bigint, \
         sum(jsonb_array_length(items))::bigint from {}",
        topics::ORDER_PLACED
    );
    let row = client.query_one(&question, &[]).await?;
    Ok(Places {
        partitions: row.try_get(0)?,
        offsets: row.try_get(1)?,
        first_ms: row.try_get(2)?,
        last_ms: row.try_get(3)?,
        items: row.try_get(4)?,
    })
}

async fn places_in_index(house: &House) -> anyhow::Result<Places> {
    let of = |how: &str, field: &str| json!({ how: { "field": field } });
    let asked = json!({ "size": 0, "aggs": {
        "partitions": of("sum", "received_partition"), "offsets": of("sum", "received_offset"),
        "first": of("min", "received_at"), "last": of("max", "received_at"), "items": { "nested": { "path": "items" } }
    } });
    let path = format!("/{}/_search", topics::ORDER_PLACED);
    let answer = house.stores.elasticsearch().call(Method::POST, &path, asked.to_string().as_bytes()).await?;
    let found = |what: &str| {
        let number = answer.pointer(&format!("/aggregations/{what}")).and_then(Value::as_f64);
        number.map(|number| number as i64).with_context(|| format!("Elasticsearch does not tell {what}"))
    };
    Ok(Places {
        partitions: found("partitions/value")?,
        offsets: found("offsets/value")?,
        first_ms: found("first/value")?,
        last_ms: found("last/value")?,
        items: found("items/doc_count")?,
    })
}

async fn verified(house: &House) -> anyhow::Result<verify::Report> {
    let endpoints = house.stack.endpoints();
    let sources = Sources {
        kafka: endpoints.kafka.clone().into(),
        registry: Registry::new(&endpoints.registry)?,
        stores: stores::Stores { postgres: house.stores.postgres.clone(), elastic: house.stores.elastic.clone() },
    };
    let options = verify::Options {
        span: Span::ALL,
        slice_ms: 300_000,
        deep: true,
        examples: 3,
        repair: Repair::No,
        wait: Duration::ZERO,
        time_limit: Duration::from_secs(900),
        pause: Duration::from_secs(2),
    };
    verify::verify(&sources, &options).await.context("connectors verify")
}
