//! The index, document by document, through a point in time, so that the pages are of one moment.
//!
//! Reads `_source` as the text that was stored: numbers keep their digits.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{ReadError, body, http};
use crate::fieldset::{self, Raw};
use crate::world::Stored;

/// The index.
const INDEX: &str = "order_placed";
/// Documents a page.
const PAGE: usize = 2_000;

/// An Elasticsearch to read from.
#[derive(Debug)]
pub struct Elasticsearch {
    client: reqwest::Client,
    url: String,
}

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
    #[serde(rename = "_source")]
    source: Raw,
    sort: Json,
}

impl Elasticsearch {
    /// The cluster at this address.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(url: &str) -> Result<Self, ReadError> {
        Ok(Self { client: http()?, url: url.trim_end_matches('/').to_owned() })
    }

    /// Every document, after a refresh.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn all(&self) -> Result<Vec<Stored>, ReadError> {
        let _: Json = self.call(reqwest::Method::POST, &format!("/{INDEX}/_refresh"), None).await?;
        let Pit { mut id } = self.call(reqwest::Method::POST, &format!("/{INDEX}/_pit?keep_alive=1m"), None).await?;
        let mut stored = Vec::new();
        let mut after = Json::Null;
        loop {
            let mut query = json!({
                "size": PAGE, "track_total_hits": false,
                "pit": { "id": id, "keep_alive": "1m" },
                "sort": [{ "_shard_doc": "asc" }],
            });
            if let (Some(query), false) = (query.as_object_mut(), after.is_null()) {
                query.insert("search_after".to_owned(), after);
            }
            let Page { pit_id, hits: Hits { hits } } =
                self.call(reqwest::Method::POST, "/_search", Some(query)).await?;
            id = pit_id;
            let Some(last) = hits.last() else { break };
            after = last.sort.clone();
            stored.extend(hits.into_iter().map(|hit| Stored { key: hit.id, row: fieldset::row(&hit.source) }));
        }
        let _: Json = self.call(reqwest::Method::DELETE, "/_pit", Some(json!({ "id": id }))).await?;
        Ok(stored)
    }

    /// The document of an order, as it is at this moment.
    ///
    /// # Errors
    /// When Elasticsearch cannot be asked.
    pub async fn document(&self, id: &str) -> Result<Option<Stored>, ReadError> {
        let url = format!("{}/{INDEX}/_source/{id}", self.url);
        let Some(bytes) = body(self.client.get(&url), &url).await? else { return Ok(None) };
        let source: Raw = serde_json::from_slice(&bytes).map_err(|error| unreadable(&url, &error.to_string()))?;
        Ok(Some(Stored { key: id.to_owned(), row: fieldset::row(&source) }))
    }

    /// Any other call with a JSON answer; for the tests that break a store to see it noticed.
    ///
    /// # Errors
    /// When Elasticsearch does not answer 2xx.
    pub async fn call<T: for<'a> Deserialize<'a>>(
        &self,
        method: reqwest::Method,
        path: &str,
        send: Option<Json>,
    ) -> Result<T, ReadError> {
        let url = format!("{}{path}", self.url);
        let mut request = self.client.request(method, &url);
        if let Some(json) = send {
            request = request.json(&json);
        }
        let bytes = body(request, &url).await?.ok_or_else(|| unreadable(&url, "not found"))?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(&url, &error.to_string()))
    }
}

fn unreadable(url: &str, reason: &str) -> ReadError {
    ReadError::Answer { url: url.to_owned(), status: 404, body: reason.to_owned() }
}
