//! What the log says of requests: a line for each at debug, and one at warn for a fault that is not the client's, but no
//! more than one a second of each kind. Nothing of a body, no header's value but the two ids that are made to be logged,
//! and no query: who may read a log may not read orders or keys.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, Request, StatusCode};
use tracing::Level;

use crate::{
    metrics::{self, Metrics, Outcome},
    orders::trace,
    refusal::Refusal,
};

/// At most one warning of a kind in this time.
const QUIET: Duration = Duration::from_secs(1);
/// Characters of a path.
const MAX_PATH: usize = 128;

/// One request, from its head to its answer: counts it and tells of it, also when its client hangs up before the end.
pub(crate) struct Access<'a> {
    counted: Option<metrics::Request<'a>>,
    metrics: &'a Metrics,
    warnings: &'a Warnings,
    id: &'a str,
    /// Only when it is going to be told.
    head: Option<(Method, String, Option<String>)>,
}

impl<'a> Access<'a> {
    pub(crate) fn begin<B>(metrics: &'a Metrics, warnings: &'a Warnings, id: &'a str, request: &Request<B>) -> Self {
        let head = tracing::enabled!(Level::DEBUG).then(|| {
            let path = request.uri().path().chars().take(MAX_PATH).collect();
            (request.method().clone(), path, trace_text(request.headers()))
        });
        Self { counted: Some(metrics.request()), metrics, warnings, id, head }
    }

    /// When the head was complete.
    pub(crate) fn begun(&self) -> Instant {
        self.counted.as_ref().map_or_else(Instant::now, metrics::Request::begun)
    }

    pub(crate) fn accepted(mut self) {
        self.tell("accepted", StatusCode::ACCEPTED.as_u16(), "yes");
        self.end(Outcome::Accepted);
    }

    /// The batch is counted and told of on its own.
    pub(crate) fn goes_on(mut self) {
        self.tell("batch", StatusCode::MULTI_STATUS.as_u16(), "per line");
        if let Some(counted) = self.counted.take() {
            counted.goes_on();
        }
    }

    pub(crate) fn refused(mut self, refusal: &Refusal) {
        self.tell(refusal.slug(), refusal.status().as_u16(), refusal.persisted());
        self.metrics.refused(refusal.slug());
        self.warnings.refused(refusal, self.id);
        self.end(refusal.outcome());
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(counted) = self.counted.take() {
            counted.end(outcome);
        }
    }

    fn tell(&self, outcome: &'static str, status: u16, persisted: &'static str) {
        let Some((method, path, trace)) = &self.head else { return };
        let millis = self.begun().elapsed().as_secs_f64() * 1e3;
        tracing::debug!(
            request.id = self.id,
            trace.parent = trace.as_deref(),
            http.method = %method,
            http.path = path,
            http.status = status,
            outcome,
            persisted,
            duration.ms = millis,
            "request"
        );
    }
}

impl Drop for Access<'_> {
    fn drop(&mut self) {
        // A panic is told where it is caught.
        if self.counted.is_some() && !std::thread::panicking() {
            // No answer was sent, and what was handed over is settled all the same.
            self.tell("client_gone", 0, "possibly");
        }
    }
}

/// Tells of a line of a batch that was refused, and counts the reason.
pub(crate) fn line_refused(metrics: &Metrics, warnings: &Warnings, id: &str, line: usize, refusal: &Refusal) {
    let (status, outcome, persisted) = (refusal.status().as_u16(), refusal.slug(), refusal.persisted());
    tracing::debug!(request.id = id, batch.line = line, http.status = status, outcome, persisted, "line is refused");
    metrics.refused(refusal.slug());
    warnings.refused(refusal, id);
}

fn trace_text(headers: &HeaderMap) -> Option<String> {
    trace(headers).map(|trace| String::from_utf8_lossy(trace).into_owned())
}

/// Faults that are not the clients', told of now and then.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<HashMap<&'static str, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    untold: u64,
}

impl Warnings {
    fn refused(&self, refusal: &Refusal, id: &str) {
        // An old client is answered 505 and has the fault all the same.
        if !refusal.status().is_server_error() || matches!(refusal, Refusal::HttpVersion) {
            return;
        }
        let reason = refusal.slug();
        if let Some(untold) = self.may_tell(reason, Instant::now()) {
            // What such a refusal says is ours, and nothing of the request.
            tracing::warn!(request.id = id, reason, untold, refusal = %refusal, "a request failed");
        }
    }

    /// Whether to tell of one more; then also how many were not told since the last.
    fn may_tell(&self, reason: &'static str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(reason) {
            Some(told) if now.saturating_duration_since(told.at) < QUIET => {
                told.untold += 1;
                None
            }
            known => {
                let untold = known.map_or(0, |told| told.untold);
                told.insert(reason, Told { at: now, untold: 0 });
                Some(untold)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_faults_of_a_kind_one_a_second_is_told_with_the_number_of_the_others() {
        let (warnings, now) = (Warnings::default(), Instant::now());
        assert_eq!(warnings.may_tell("unavailable", now), Some(0));
        assert_eq!(warnings.may_tell("unavailable", now), None);
        assert_eq!(warnings.may_tell("unavailable", now + QUIET / 2), None);
        assert_eq!(warnings.may_tell("in-doubt", now), Some(0), "each kind on its own");
        assert_eq!(warnings.may_tell("unavailable", now + QUIET), Some(2));
        assert_eq!(warnings.may_tell("unavailable", now + QUIET * 3), Some(0));
    }
}
