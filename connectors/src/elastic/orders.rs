//! The index's orders: sums by slice, documents page by page, documents by id. What is asked for by its id is as it is at
//! that moment; what is searched for may be as old as the index's refresh interval.

use http::Method;
use serde_json::{Value, json};

use super::{Elastic, ElasticError};
use crate::http::{Body, HttpError};
use crate::verify::order::hundredths;
use crate::verify::slices::{Run, Slices, Span, Sums};
use crate::verify::stores::{Place, Stored};

/// Slices of one answer; far below its bound of bytes, and of the server's own.
const BUCKETS: usize = 5_000;

impl Elastic {
    /// Counts and sums by partition and slice of the time of receipt.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn sums(&self, index: &str, span: Span, slice_ms: i64) -> Result<Slices, ElasticError> {
        let (mut slices, mut after) = (Slices::new(), Value::Null);
        loop {
            let sum = |field: &str| json!({ "sum": { "field": field } });
            let mut composite = json!({ "size": BUCKETS, "sources": [
                { "partition": { "terms": { "field": "received_partition", "missing_bucket": true } } },
                { "slice": { "date_histogram": { "field": "received_at", "fixed_interval": format!("{slice_ms}ms") } } },
            ] });
            if let (Some(composite), false) = (composite.as_object_mut(), after.is_null()) {
                composite.insert("after".to_owned(), after);
            }
            let ask = json!({
                "size": 0, "track_total_hits": false, "query": { "bool": { "filter": [within(span)] } },
                "aggs": { "slices": { "composite": composite, "aggs": {
                    "amount": sum("amount"), "versions": sum("received_offset"),
                } } },
            });
            let mut answer = self.call(Method::POST, &format!("/{index}/_search"), Body::Json(ask)).await?;
            let Some(found) = answer.pointer_mut("/aggregations/slices") else { return Err(strange()) };
            let buckets = found.get("buckets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for bucket in buckets {
                let (slot, sums) = sums(bucket, slice_ms).ok_or_else(strange)?;
                slices.insert(slot, sums);
            }
            let full = buckets.len() == BUCKETS;
            after = found.get_mut("after_key").map(Value::take).unwrap_or_default();
            if !full || after.is_null() {
                return Ok(slices);
            }
        }
    }

    /// The next documents of a run, at most so many, in the order of version and id.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn page(
        &self,
        index: &str,
        run: Run,
        after: Option<&Place>,
        most: usize,
    ) -> Result<Vec<Stored>, ElasticError> {
        let partition = json!({ "term": { "received_partition": run.partition } });
        let mut ask = json!({
            "size": most, "track_total_hits": false,
            "query": { "bool": { "filter": [partition, within(run.span)] } },
            "sort": [{ "received_offset": "asc" }, { "order_id": "asc" }],
        });
        if let (Some(ask), Some((offset, id))) = (ask.as_object_mut(), after) {
            ask.insert("search_after".to_owned(), json!([offset, id]));
        }
        let mut answer = match self.call(Method::POST, &format!("/{index}/_search"), Body::Json(ask)).await {
            Err(ElasticError::Http(HttpError::TooLong { .. })) if 1 < most => {
                return Box::pin(self.page(index, run, after, most / 8 + 1)).await;
            }
            answer => answer?,
        };
        let Some(hits) = answer.pointer_mut("/hits/hits").map(Value::take) else { return Err(strange()) };
        Ok(stored(hits))
    }

    /// The documents of these orders, as they are now.
    ///
    /// # Errors
    /// [`ElasticError`]; also where it does not say whether it has one of them, as while a shard is away.
    pub async fn orders(&self, index: &str, ids: &[&str]) -> Result<Vec<Stored>, ElasticError> {
        let ask = json!({ "ids": ids });
        let mut answer = match self.call(Method::POST, &format!("/{index}/_mget"), Body::Json(ask)).await {
            Err(ElasticError::Http(HttpError::TooLong { .. })) if 1 < ids.len() => {
                let (first, rest) = ids.split_at(ids.len() / 2);
                let mut found = Box::pin(self.orders(index, first)).await?;
                found.extend(Box::pin(self.orders(index, rest)).await?);
                return Ok(found);
            }
            answer => answer?,
        };
        let Some(documents) = answer.get_mut("docs").map(Value::take) else { return Err(strange()) };
        let unread = documents.as_array().into_iter().flatten().find_map(unread);
        unread.map_or_else(|| Ok(stored(documents)), Err)
    }
}

/// One that could not be looked for, while the answer as a whole is 200.
fn unread(document: &Value) -> Option<ElasticError> {
    let error = document.get("error")?;
    let text = |key: &str| error.get(key).and_then(Value::as_str);
    let reason = match (text("type"), text("reason")) {
        (Some(kind), Some(reason)) => format!("{kind}: {reason}"),
        _ => error.to_string(),
    };
    let id = document.get("_id").and_then(Value::as_str).unwrap_or("without an id").to_owned();
    Some(ElasticError::Unread { id, reason })
}

/// Those that are there.
fn stored(documents: Value) -> Vec<Stored> {
    let Value::Array(documents) = documents else { return Vec::new() };
    let one = |mut document: Value| {
        let key = document.get("_id")?.as_str()?.to_owned();
        Some(Stored { key, value: document.get_mut("_source")?.take() })
    };
    documents.into_iter().filter_map(one).collect()
}

fn sums(bucket: &Value, slice_ms: i64) -> Option<((i32, i64), Sums)> {
    let key = bucket.get("key")?;
    // Without a partition it is what the table would call -1.
    let partition = key.get("partition").and_then(Value::as_i64).unwrap_or(-1);
    let slice = key.get("slice")?.as_i64()?.div_euclid(slice_ms.max(1));
    let sum = |name: &str| bucket.get(name)?.get("value")?.as_f64();
    let amount = hundredths(&format!("{:.2}", sum("amount")?))?;
    let versions = format!("{:.0}", sum("versions")?).parse().ok()?;
    let count = bucket.get("doc_count")?.as_i64()?;
    Some(((i32::try_from(partition).ok()?, slice), Sums { count, amount, versions }))
}

fn within(span: Span) -> Value {
    let mut bounds = json!({ "format": "epoch_millis" });
    for (name, bound) in [("gte", span.since), ("lt", span.until)] {
        if let (Some(bounds), Some(bound)) = (bounds.as_object_mut(), bound) {
            bounds.insert(name.to_owned(), json!(bound));
        }
    }
    json!({ "range": { "received_at": bounds } })
}

fn strange() -> ElasticError {
    let reason = "the answer is not what was asked for".to_owned();
    ElasticError::Busy { status: 200, reason }
}
