//! A client of the schema registry (Confluent's API) that survives a bad day of it.
//!
//! schema_registry_converter makes the calls; around it stand a time-out, bounded retries and our own cache rules,
//! because the converter's encoder keeps one HTTP 500 for ever and waits without limit. Whatever is not a clear
//! answer (connection refused, time-out, 429, 5xx, a page of HTML, a schema that is no JSON) is
//! [`Error::Unavailable`]: wait and ask again. Only the deploy step calls [`Registry::register`].

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schema_registry_converter::async_impl::schema_registry::{SrSettings, perform_sr_call};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, RawRegisteredSchema, SrCall};
use serde_json::{Value, json};

use crate::names::subjects;

mod address;
mod error;

pub use address::Address;
pub use error::Error;

/// One call's time-out.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Pauses between the tries of one call; so at most three tries.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// How long "no such id" is believed.
const NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// More ids than any honest set of producers has; above it nothing more is kept.
const MAX_CACHED: usize = 1_000;

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The id that stands in the frame of a value.
    pub id: u32,
    /// The schema's own text.
    pub schema: String,
}

/// The client. Cheap to clone; clones share their cache.
#[derive(Clone)]
pub struct Registry {
    address: Address,
    settings: SrSettings,
    http: reqwest::Client,
    by_id: Arc<Mutex<HashMap<u32, Answer>>>,
}

#[derive(Debug, Clone)]
enum Answer {
    Schema(Arc<Registered>),
    Unknown { since: Instant },
}

// === impl Registry ===

impl std::fmt::Debug for Registry {
    /// The clients within would show the password of the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client of the registry whose Confluent API stands at `url`, such as `http://127.0.0.1:8085/apis/ccompat/v7`.
    /// A user and a password in it (`http://user:secret@host`) are used and never shown.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: &str) -> Result<Self, Error> {
        let address = Address::new(url);
        let broken = |cause: String| unavailable(&address, &cause);
        let settings = SrSettings::new_builder(address.url().to_owned())
            .set_timeout(CALL_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| broken(error.error))?;
        let http = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| broken(text(&error)))?;
        Ok(Self { address, settings, http, by_id: Arc::default() })
    }

    /// The newest schema of `subject`. Never from a cache.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn latest(&self, subject: &str) -> Result<Registered, Error> {
        let raw = self.call(SrCall::GetLatest(subject), subject).await?;
        let avro = is_avro(&raw);
        let newest = self.registered(raw, None)?;
        // This one is written with or registered after; so it must be whole, and a registry may get it right later.
        match apache_avro::Schema::parse_str(&newest.schema) {
            Err(_) if avro => Err(self.unavailable(&format!("schema {} of {subject} does not parse", newest.id))),
            Ok(_) | Err(_) => Ok(newest),
        }
    }

    /// The id of `schema` under `subject`; asks, and never registers.
    ///
    /// # Errors
    /// [`Error::UnknownSchema`] when the subject does not have it.
    pub async fn id_of(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let body = body(schema);
        let raw = self.call(SrCall::PostForVersion(subject, &body), subject).await?;
        raw.id.ok_or_else(|| self.unavailable("the answer has no id"))
    }

    /// The same, and the registry holds the schema under that id: what is written with an id that stands for another
    /// schema, or for none, nobody can read.
    ///
    /// # Errors
    /// As [`Registry::id_of`]; [`Error::Unavailable`] when the two answers do not agree. They may once it is mended.
    pub async fn confirmed_id_of(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let id = self.id_of(subject, schema).await?;
        // The frame has four bytes, which Java reads as a signed number, and there is no id 0.
        if !(1..=i32::MAX.unsigned_abs()).contains(&id) {
            return Err(self.unavailable(&format!("{id}, which it gives for {subject}, cannot be an id")));
        }
        self.forget(id);
        match self.by_id(id).await {
            Ok(held) if is_same(&held.schema, schema) => Ok(id),
            Ok(_) => Err(self.unavailable(&format!("id {id}, which it gives for {subject}, is of another schema"))),
            Err(Error::UnknownId(_)) => {
                Err(self.unavailable(&format!("id {id}, which it gives for {subject}, is unknown to it")))
            }
            Err(error) => Err(error),
        }
    }

    /// The schema with this id, from the cache where it is known: an id never changes its schema. "No such id" is kept
    /// for half a minute. Whether it parses is the asker's to judge: what was registered as this id stays so, and waiting
    /// would not mend it.
    ///
    /// # Errors
    /// [`Error::UnknownId`] counts only when [`Registry::witness`] says so: a registry that came up empty says the
    /// same of good ids.
    pub async fn by_id(&self, id: u32) -> Result<Arc<Registered>, Error> {
        match self.cached(id) {
            Some(Answer::Schema(schema)) => return Ok(schema),
            Some(Answer::Unknown { since }) if since.elapsed() < NEGATIVE_TTL => return Err(Error::UnknownId(id)),
            Some(Answer::Unknown { .. }) | None => {}
        }
        let answer = match self.call(SrCall::GetById(id), "").await {
            Ok(raw) => self.registered(raw, Some(id)).map(Arc::new),
            Err(Error::UnknownSchema(_) | Error::UnknownSubject(_)) => Err(Error::UnknownId(id)),
            Err(error) => Err(error),
        };
        match &answer {
            Ok(schema) => self.keep(id, Answer::Schema(Arc::clone(schema))),
            Err(Error::UnknownId(_)) => self.keep(id, Answer::Unknown { since: Instant::now() }),
            Err(_) => {}
        }
        answer
    }

    /// Whether "no such id" may be believed now: the registry still resolves `pinned`, the id that the asking program
    /// writes with, and has `orders.received-value`. Always asks; never from a cache.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the registry does not know what it must know.
    pub async fn witness(&self, pinned: u32) -> Result<(), Error> {
        let checks = async {
            self.call(SrCall::GetById(pinned), "").await?;
            self.latest(subjects::ORDERS_RECEIVED_VALUE).await
        };
        match checks.await {
            Ok(_) => Ok(()),
            Err(error @ Error::Unavailable { .. }) => Err(error),
            Err(error) => Err(self.unavailable(&format!("it does not know what it knew before ({error})"))),
        }
    }

    /// Forgets what is known of `id`, so that the next question goes to the registry.
    pub fn forget(&self, id: u32) {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Registers `schema` under `subject` and gives its id; the same schema again gives the same id.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the subject's rule refuses it.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let body = body(schema);
        let raw = self.call(SrCall::PostNew(subject, &body), subject).await?;
        raw.id.ok_or_else(|| self.unavailable("the answer has no id"))
    }

    /// All subjects.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subjects(&self) -> Result<Vec<String>, Error> {
        let request = self.http.get(format!("{}/subjects", self.address.url()));
        let answer = self.answer(request, "").await?;
        serde_json::from_value(answer).map_err(|_| self.unavailable("the answer is no list of subjects"))
    }

    /// Removes a subject with all its versions; one that is not there is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove(&self, subject: &str) -> Result<(), Error> {
        // A subject is marked as gone first, and only then can be gone for good.
        for how in ["", "?permanent=true"] {
            let request = self.http.delete(format!("{}/subjects/{subject}{how}", self.address.url()));
            match self.answer(request, subject).await {
                Ok(_) | Err(Error::UnknownSubject(_) | Error::UnknownSchema(_)) => {}
                Err(Error::Refused { code: 40404..=40406, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sets the compatibility rule of `subject`, such as `BACKWARD`. The converter has no such call.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set_compatibility(&self, subject: &str, level: &str) -> Result<(), Error> {
        let url = format!("{}/config/{subject}", self.address.url());
        let request = self.http.put(url).json(&json!({ "compatibility": level }));
        self.answer(request, subject).await.map(|_| ())
    }

    /// The compatibility rule that `subject` has of its own; nothing where the registry's holds.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compatibility(&self, subject: &str) -> Result<Option<String>, Error> {
        let url = format!("{}/config/{subject}", self.address.url());
        let answer = match self.answer(self.http.get(url), subject).await {
            Err(Error::UnknownSubject(_) | Error::UnknownSchema(_)) => return Ok(None),
            Err(Error::Refused { code: 40408, .. }) => return Ok(None),
            answer => answer?,
        };
        let level = ["compatibilityLevel", "compatibility"].iter().find_map(|key| answer.get(key)?.as_str());
        level.map(|level| Some(level.to_owned())).ok_or_else(|| self.unavailable("the answer has no level"))
    }

    /// What stands against `schema` as the next version of `subject`, by the subject's own rule; nothing where it fits.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn incompatibilities(&self, subject: &str, schema: &str) -> Result<Vec<String>, Error> {
        let url = format!("{}/compatibility/subjects/{subject}/versions/latest?verbose=true", self.address.url());
        let request = self.http.post(url).json(&json!({ "schema": schema }));
        let answer = self.answer(request, subject).await?;
        match answer.get("is_compatible").and_then(Value::as_bool) {
            Some(true) => Ok(Vec::new()),
            Some(false) => {
                let messages = answer.get("messages").and_then(Value::as_array).into_iter().flatten();
                let messages: Vec<String> = messages.filter_map(Value::as_str).map(str::to_owned).collect();
                Ok(if messages.is_empty() { vec!["the registry gives no reason".to_owned()] } else { messages })
            }
            None => Err(self.unavailable("the answer does not say whether it is compatible")),
        }
    }

    /// One call that the converter does not have; its answer is JSON.
    async fn answer(&self, request: reqwest::RequestBuilder, subject: &str) -> Result<Value, Error> {
        let response = request.send().await.map_err(|error| self.unavailable(&text(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.json().await.unwrap_or_default());
        }
        match response.json::<RawError>().await {
            Ok(raw) if status.is_client_error() => Err(self.refusal(raw.error_code, raw.message, subject)),
            Ok(_) | Err(_) => Err(self.unavailable(&format!("HTTP status {status}"))),
        }
    }

    /// Whether the registry answers at all: lists one subject's versions or says that there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn check(&self) -> Result<(), Error> {
        match self.latest(subjects::ORDERS_RECEIVED_VALUE).await {
            Ok(_) | Err(Error::UnknownSubject(_) | Error::UnknownSchema(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call(&self, call: SrCall<'_>, subject: &str) -> Result<RawRegisteredSchema, Error> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match perform_sr_call(&self.settings, call).await {
                Ok(raw) => return Ok(raw),
                Err(error) => self.classify(&error, subject),
            };
            match pauses.next() {
                Some(pause) if error.is_transient() => tokio::time::sleep(*pause).await,
                Some(_) | None => return Err(error),
            }
        }
    }

    /// What the converter's error means. It marks all but 502 and 503 as final, so its own mark is not used.
    fn classify(&self, error: &SRCError, subject: &str) -> Error {
        match error.source().and_then(|source| source.downcast_ref::<RawError>()) {
            // The converter gives 0 where the body was not the registry's JSON.
            Some(raw) if raw.error_code != 0 => self.refusal(raw.error_code, raw.message.clone(), subject),
            Some(_) => self.unavailable(&error.error),
            None => {
                self.unavailable(&format!("{}: {}", error.error, error.cause.as_deref().unwrap_or("no cause given")))
            }
        }
    }

    fn refusal(&self, code: u32, message: String, subject: &str) -> Error {
        match code {
            40403 => Error::UnknownSchema(subject.to_owned()),
            40401 | 40402 => Error::UnknownSubject(subject.to_owned()),
            409 | 40901 => Error::Incompatible { subject: subject.to_owned(), reasons: message },
            // 404 without more, 429 and all of 5xx (also 50001 to 50003) are the registry's trouble, not ours.
            404 | 429 | 42900..=42999 | 500..=599 | 50000..=59999 => {
                self.unavailable(&format!("error code {code}: {message}"))
            }
            _ => Error::Refused { code, message },
        }
    }

    /// The answer as a schema. A text that says it is Avro and cannot be any schema is no answer; one of another kind
    /// (JSON Schema, Protobuf) is a clear answer: whoever wants Avro finds that it is none.
    fn registered(&self, raw: RawRegisteredSchema, id: Option<u32>) -> Result<Registered, Error> {
        let id = id.or(raw.id).ok_or_else(|| self.unavailable("the answer has no id"))?;
        let avro = is_avro(&raw);
        let schema = raw.schema.ok_or_else(|| self.unavailable("the answer has no schema"))?;
        if avro && !may_be_avro(&schema) {
            return Err(self.unavailable(&format!("schema {id} as given is no Avro schema")));
        }
        Ok(Registered { id, schema })
    }

    fn unavailable(&self, cause: &str) -> Error {
        unavailable(&self.address, cause)
    }

    fn cached(&self, id: u32) -> Option<Answer> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn keep(&self, id: u32, answer: Answer) {
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() >= MAX_CACHED {
            by_id.retain(|_, answer| matches!(answer, Answer::Schema(_)));
        }
        if by_id.len() < MAX_CACHED {
            by_id.insert(id, answer);
        }
    }
}

fn unavailable(address: &Address, cause: &str) -> Error {
    Error::Unavailable { url: address.to_string(), cause: address.hide(cause) }
}

/// The registry names every kind but Avro.
fn is_avro(raw: &RawRegisteredSchema) -> bool {
    raw.schema_type.as_deref().is_none_or(|kind| kind == "AVRO")
}

/// Whether a text has the shape of an Avro schema: a name, a union, or an object with a type. It may still refer to what
/// is not in it, or break a rule that its own registry does not know.
fn may_be_avro(schema: &str) -> bool {
    match serde_json::from_str(schema) {
        Ok(Value::String(name)) => !name.is_empty(),
        Ok(Value::Array(variants)) => !variants.is_empty(),
        Ok(Value::Object(members)) => members.contains_key("type"),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_)) | Err(_) => false,
    }
}

/// Whether two texts are one schema, however they are written: the same JSON, or the same canonical form.
fn is_same(one: &str, other: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    if json(one).is_some_and(|one| json(other) == Some(one)) {
        return true;
    }
    let canonical = |text: &str| apache_avro::Schema::parse_str(text).ok().map(|schema| schema.canonical_form());
    canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

fn body(schema: &str) -> String {
    json!({ "schema": schema, "schemaType": "AVRO" }).to_string()
}

/// An error with its causes: reqwest's own text leaves out why.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
