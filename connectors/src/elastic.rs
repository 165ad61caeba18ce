//! Elasticsearch as the deploy step and the supervisor need it: bring an index to its file, ask whether it works. What
//! `verify` asks is in [`orders`].

mod orders;
pub mod scratch;
pub(crate) mod shape;

use std::time::Duration;

use http::{Method, StatusCode};
use schemas::OrderId;
use serde_json::{Map, Value, json};

use crate::apply::Change;
use crate::files::Index;
use crate::http::{Access, Answer, Body, Http, HttpError};
use crate::retry::Transient;
use shape::holds;

const TIMEOUT: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// One cluster.
#[derive(Debug, Clone)]
pub struct Elastic {
    http: Http,
    probe: Http,
}

/// Why Elasticsearch did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ElasticError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It is there and cannot work now.
    #[error("Elasticsearch is not ready ({status}): {reason}")]
    Busy {
        /// The answer's status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// It takes no documents.
    #[error("Elasticsearch takes no documents: {0}")]
    Blocked(String),
    /// Somebody else has just made the index.
    #[error("the index is there already: {0}")]
    Exists(String),
    /// It answers and refuses.
    #[error(
        "Elasticsearch refuses ({status}): {reason}; a field's type and a fixed setting cannot be changed in place: \
         make a new index and fill it again"
    )]
    Refused {
        /// The answer's status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// It shows the rest of what was asked for.
    #[error("Elasticsearch does not show document {id}: {reason}")]
    Unread {
        /// The document.
        id: String,
        /// Its words.
        reason: String,
    },
    /// The answer is not Elasticsearch's.
    #[error("the answer is not Elasticsearch's; is something else listening there?")]
    Unreadable(#[source] serde_json::Error),
}

impl Transient for ElasticError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Http(err) => err.is_transient(),
            Self::Busy { .. } | Self::Blocked(_) | Self::Unread { .. } => true,
            Self::Exists(_) | Self::Refused { .. } | Self::Unreadable(_) => false,
        }
    }
}

impl Elastic {
    /// The cluster at `base`, such as `http://127.0.0.1:9200`.
    ///
    /// # Errors
    /// [`HttpError::Client`] where no client can be made.
    pub fn new(base: &str) -> Result<Self, HttpError> {
        Self::with(base, &Access::default())
    }

    /// The same, by what it asks of its clients.
    ///
    /// # Errors
    /// [`HttpError::Client`] where a file of `access` cannot be used.
    pub fn with(base: &str, access: &Access) -> Result<Self, HttpError> {
        Ok(Self { http: Http::new(base, TIMEOUT, access)?, probe: Http::new(base, PROBE_TIMEOUT, access)? })
    }

    /// Whether the index can be written to: its shards are there, and nothing blocks it. A block is what a full disk, an
    /// operator or a closed index leaves; each write is refused then, although the cluster's health is green.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn probe(&self, index: &str) -> Result<(), ElasticError> {
        let health = format!("/_cluster/health/{index}?wait_for_status=yellow&timeout=1s");
        self.look(&health).await?;
        let blocks = self.look(&format!("/_cluster/state/blocks/{index}")).await?;
        blocked(&blocks).map_or(Ok(()), |block| Err(ElasticError::Blocked(block)))
    }

    async fn look(&self, path: &str) -> Result<Value, ElasticError> {
        let answer = self.probe.send(Method::GET, path, Body::Empty).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(ElasticError::Unreadable)
    }

    /// The document of an order as it was stored, or nothing where there is none.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn document(&self, index: &str, order_id: &OrderId) -> Result<Option<Value>, ElasticError> {
        match self.call(Method::GET, &format!("/{index}/_doc/{order_id}"), Body::Empty).await {
            Ok(mut answer) => Ok(answer.get_mut("_source").map(Value::take)),
            // Without a reason it is the document that is not there; with one it is the index.
            Err(ElasticError::Refused { status: 404, reason }) if reason.contains("\"found\":false") => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Mapping and settings of an index, or nothing where there is none.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn index(&self, name: &str) -> Result<Option<Value>, ElasticError> {
        match self.call(Method::GET, &format!("/{name}"), Body::Empty).await {
            // Under an alias the one key is the index's own name.
            Ok(there) => {
                Ok(Some(there.as_object().and_then(|indexes| indexes.values().next()).cloned().unwrap_or_default()))
            }
            Err(ElasticError::Refused { status: 404, .. }) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Makes the index, or adds what its mapping and settings lack.
    ///
    /// # Errors
    /// [`ElasticError`].
    pub async fn apply(&self, index: &Index) -> Result<Change, ElasticError> {
        let there = match self.index(&index.name).await? {
            None => match self.create(index).await {
                // Another deploy step was quicker; what it made is looked at as what was there.
                Err(ElasticError::Exists(_)) => self.index(&index.name).await?.unwrap_or_default(),
                made => return made,
            },
            Some(there) => there,
        };
        let mut change = Change::Unchanged;
        if let Some(mapping) = index.body.get("mappings")
            && !holds(at(&there, "/mappings"), mapping)
        {
            self.call(Method::PUT, &format!("/{}/_mapping", index.name), Body::Json(mapping.clone())).await?;
            change = Change::Updated;
        }
        let settings = differing(at(&there, "/settings/index"), at(&index.body, "/settings/index"));
        if !settings.is_empty() {
            let body = Body::Json(json!({ "index": settings }));
            self.call(Method::PUT, &format!("/{}/_settings", index.name), body).await?;
            change = Change::Updated;
        }
        Ok(change)
    }

    async fn create(&self, index: &Index) -> Result<Change, ElasticError> {
        self.call(Method::PUT, &format!("/{}", index.name), Body::Json(index.body.clone())).await?;
        Ok(Change::Created)
    }

    async fn call(&self, method: Method, path: &str, body: Body) -> Result<Value, ElasticError> {
        self.read(method, path, body).await
    }

    /// An answer read as this.
    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, ElasticError> {
        let answer = self.http.send(method, path, body).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(ElasticError::Unreadable)
    }
}

/// What keeps an index from being written, as the cluster's state tells it: of the index, or of the whole cluster.
fn blocked(state: &Value) -> Option<String> {
    let indexes = at(state, "/blocks/indices").as_object().into_iter().flat_map(Map::values);
    let blocks = indexes.chain(std::iter::once(at(state, "/blocks/global"))).filter_map(Value::as_object);
    let stops = |block: &&Value| at(block, "/levels").as_array().is_some_and(|levels| levels.contains(&json!("write")));
    let block = blocks.flat_map(Map::values).find(stops)?;
    Some(at(block, "/description").as_str().unwrap_or("a block without a description").to_owned())
}

fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or(&Value::Null)
}

fn refusal(answer: &Answer) -> ElasticError {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let reason = at(&document, "/error/reason").as_str().map_or_else(|| answer.excerpt(), str::to_owned);
    let status = answer.status.as_u16();
    if at(&document, "/error/type").as_str() == Some("resource_already_exists_exception") {
        return ElasticError::Exists(reason);
    }
    match answer.status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ElasticError::Busy { status, reason },
        code if code.is_server_error() => ElasticError::Busy { status, reason },
        _ => ElasticError::Refused { status, reason },
    }
}

/// The settings of `wanted` that are otherwise in `there`.
fn differing(there: &Value, wanted: &Value) -> Map<String, Value> {
    let wanted = wanted.as_object().cloned().unwrap_or_default();
    wanted.into_iter().filter(|(key, value)| !there.get(key).is_some_and(|there| holds(there, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_stops_writes_is_found_on_the_index_and_on_the_cluster() {
        let flood =
            json!({"12": {"description": "flood-stage", "retryable": false, "levels": ["metadata_write", "write"]}});
        assert_eq!(blocked(&json!({"blocks": {"indices": {"o": flood}}})).as_deref(), Some("flood-stage"));
        assert_eq!(blocked(&json!({"blocks": {"global": flood}})).as_deref(), Some("flood-stage"));
        let reads = json!({"7": {"description": "index read (api)", "levels": ["read"]}});
        assert_eq!(blocked(&json!({"blocks": {"indices": {"o": reads}}})), None);
        assert_eq!(blocked(&json!({"blocks": {}})), None);
    }

    #[test]
    fn a_setting_given_as_a_number_is_the_one_given_back_as_text() {
        let there = json!({"number_of_replicas": "0", "refresh_interval": "1s"});
        assert!(differing(&there, &json!({"number_of_replicas": 0, "refresh_interval": "1s"})).is_empty());
        let changed = differing(&there, &json!({"number_of_replicas": 1, "refresh_interval": "1s"}));
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["number_of_replicas"]);
    }
}
