//! Scratch indexes of a rehearsal: made from the definition of a live one, read in full, removed by their mark.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Elastic, ElasticError, at};
use crate::http::Body;
use crate::rehearse::mark::MARK;

/// So many documents of at most some dozen KiB each are in an answer.
const PAGE: usize = 100;
/// What Elasticsearch says of an index and does not take for another, and what would move, close or delete a scratch
/// index, or forbid to write to it.
const NOT_COPIED: [&str; 10] = [
    "uuid",
    "creation_date",
    "version",
    "provided_name",
    "lifecycle",
    "blocks",
    "resize",
    "routing",
    "history",
    "verified_before_close",
];

#[derive(Deserialize)]
struct Pit {
    id: String,
}

#[derive(Deserialize)]
struct Page {
    pit_id: String,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    /// As it was sent, byte for byte.
    #[serde(rename = "_source")]
    source: Box<RawValue>,
    sort: Value,
}

impl Elastic {
    /// Where it is.
    #[must_use]
    pub fn base(&self) -> &str {
        self.http.base()
    }

    /// Settings and mapping of an index, or of the one behind an alias, as Elasticsearch takes them for another.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn definition(&self, index: &str) -> Result<Option<Value>, ElasticError> {
        let there = match self.call(Method::GET, &format!("/{index}"), Body::Empty).await {
            Err(ElasticError::Refused { status: 404, .. }) => return Ok(None),
            there => there?,
        };
        let there = there.as_object().and_then(|indexes| indexes.values().next()).unwrap_or(&Value::Null);
        let mut settings = at(there, "/settings/index").as_object().cloned().unwrap_or_default();
        settings.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
        settings.insert("number_of_replicas".to_owned(), json!("0"));
        Ok(Some(json!({ "settings": { "index": settings }, "mappings": at(there, "/mappings") })))
    }

    /// Makes an index of this definition, empty, with its mark.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn make_scratch(&self, definition: &Value, scratch: &str) -> Result<(), ElasticError> {
        let mut body = definition.clone();
        if !at(&body, "/mappings").is_object()
            && let Some(body) = body.as_object_mut()
        {
            body.insert("mappings".to_owned(), json!({}));
        }
        if let Some(mappings) = body.pointer_mut("/mappings").and_then(Value::as_object_mut) {
            mappings.insert("_meta".to_owned(), json!({ MARK: scratch }));
        }
        self.call(Method::PUT, &format!("/{scratch}"), Body::Json(body)).await.map(|_| ())
    }

    /// Scratch indexes: those that begin so and have the mark in their mapping as well.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn scratches(&self) -> Result<Vec<String>, ElasticError> {
        #[derive(Default, Deserialize)]
        struct One {
            #[serde(default)]
            mappings: Value,
        }
        let found = self.call(Method::GET, "/orderflow_rehearsal_*/_mapping", Body::Empty).await?;
        let found: BTreeMap<String, One> = serde_json::from_value(found).map_err(ElasticError::Unreadable)?;
        let own = |name: &String, one: &One| {
            one.mappings.get("_meta").and_then(|meta| meta.get(MARK)).and_then(Value::as_str) == Some(name)
        };
        Ok(found.into_iter().filter(|(name, one)| own(name, one)).map(|(name, _)| name).collect())
    }

    /// Removes a scratch index; one that is gone needs nothing.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn drop_scratch(&self, scratch: &str) -> Result<(), ElasticError> {
        match self.call(Method::DELETE, &format!("/{scratch}"), Body::Empty).await {
            Ok(_) | Err(ElasticError::Refused { status: 404, .. }) => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// All documents of a scratch index, by id, each as it was sent.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn scratch_documents(&self, scratch: &str) -> Result<Vec<(String, String)>, ElasticError> {
        self.call(Method::POST, &format!("/{scratch}/_refresh"), Body::Empty).await?;
        let Pit { mut id } = self.read(Method::POST, &format!("/{scratch}/_pit?keep_alive=1m"), Body::Empty).await?;
        let (mut documents, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut query = json!({
                "size": PAGE, "track_total_hits": false,
                "pit": { "id": id, "keep_alive": "1m" },
                "sort": [{ "_shard_doc": "asc" }],
            });
            if let (Some(query), false) = (query.as_object_mut(), after.is_null()) {
                query.insert("search_after".to_owned(), after);
            }
            let page: Page = self.read(Method::POST, "/_search", Body::Json(query)).await?;
            id = page.pit_id;
            let Some(last) = page.hits.hits.last() else { break };
            after = last.sort.clone();
            documents.extend(page.hits.hits.into_iter().map(|hit| (hit.id, hit.source.get().to_owned())));
        }
        self.call(Method::DELETE, "/_pit", Body::Json(json!({ "id": id }))).await?;
        Ok(documents)
    }
}
