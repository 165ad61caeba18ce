//! Who changed what, and when: a record in the audit topic for each upload, config, deletion and refusal, which is kept for
//! ever. What changes state is recorded before it is done, so nothing is done without a record; a refusal is recorded
//! after. Not recorded: who came without a token, or anybody could fill the topic.

use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use schemas::names::topics;
use serde_json::{Value, json};
use service_kit::http::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Api, reply};

/// Where a request's name comes in and goes out.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer names of requests are not kept.
const MAX_ID: usize = 128;

/// Whose request this task answers.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The token's name.
    pub(super) who: String,
    /// The request's name.
    pub(super) request_id: String,
}

tokio::task_local! {
    static CALLER: Caller;
}

/// One line of the audit.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// What is done, such as `module.upload`.
    pub(super) action: &'a str,
    /// To what; the record's key.
    pub(super) subject: &'a str,
    /// SHA-256 of what is stored.
    pub(super) digest: Option<&'a str>,
    /// `accepted`, `unchanged` or `refused`.
    pub(super) outcome: &'a str,
    /// More, where there is more to say.
    pub(super) reason: Option<&'a str>,
}

impl Caller {
    /// Takes the request's name if it brings one that may stand in a log.
    pub(super) fn new(who: String, headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let fits = |id: &&str| {
            (1..=MAX_ID).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        };
        let request_id = given.filter(fits).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        Self { who, request_id }
    }

    /// For the answer.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.request_id).ok()
    }

    /// Runs what answers this caller.
    pub(super) fn scope<F: Future>(&self, answering: F) -> impl Future<Output = F::Output> {
        CALLER.scope(self.clone(), answering)
    }
}

/// Who calls. A task that answers nobody has no name.
pub(super) fn caller() -> Caller {
    let nobody = |_| Caller { who: "nobody".to_owned(), request_id: String::new() };
    CALLER.try_with(Clone::clone).unwrap_or_else(nobody)
}

/// Now, in RFC 3339.
pub(super) fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// Writes a record and waits until the broker has it.
///
/// # Errors
/// When it is not known to be written: then nothing must be done.
pub(super) async fn record(api: &Api, entry: &Entry<'_>) -> Result<(), Problem> {
    let text = line(api, entry);
    let written = api.writer.put(topics::TRANSFORMS_AUDIT, entry.subject, Some(text.to_string().as_bytes())).await;
    tracing::info!(audit = %text, "audit");
    written.map(|_| ()).map_err(|error| {
        let message = format!("nothing is changed, because the audit cannot be kept: {error}");
        reply::refusal(StatusCode::SERVICE_UNAVAILABLE, message).header(http::header::RETRY_AFTER, 1)
    })
}

fn line(api: &Api, entry: &Entry<'_>) -> Value {
    let Caller { who, request_id } = caller();
    json!({
        "at": now(),
        "who": who,
        "action": entry.action,
        "subject": entry.subject,
        "digest": entry.digest,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "request_id": request_id,
        "worker": api.worker,
    })
}

/// Records that somebody who is known was refused a change. Whoever was refused is answered all the same.
pub(super) async fn refused(api: &Api, action: &str, subject: &str, problem: &Problem) {
    let reason =
        problem.member("detail").and_then(Value::as_str).map(|text| text.chars().take(1_000).collect::<String>());
    let entry = Entry { action, subject, digest: None, outcome: "refused", reason: reason.as_deref() };
    if let Err(problem) = record(api, &entry).await {
        tracing::warn!(reason = ?problem.member("detail"), action, subject, "a refusal is not in the audit");
    }
}
