//! Reads the body of a POST: JSON in UTF-8, not compressed, bounded in bytes, time and memory. Does not parse it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body;
use service_kit::http::{BodyError, discard, read_body_with};
use tokio_util::sync::CancellationToken;

use crate::{
    publish::{Permit, Permits},
    refusal::Refusal,
};

/// For the whole body, however it trickles.
pub const BODY_TIME: Duration = Duration::from_secs(5);
/// Bodies that are read at once.
const MAX_BODIES: usize = 8192;
/// Their bytes together, as far as they have come.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// What a body is charged before anything of it has come, unless it announces less. As many connections as the edge
/// takes can announce what they like without using the memory up.
const FIRST_SHARE: usize = 16 * 1024;
/// For how long, and for how many times the limit, the rest of a body that is refused is thrown away.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_LIMITS: usize = 8;

/// Reads bodies up to a limit, as many at once as memory is set aside for.
#[derive(Clone, Debug)]
pub struct Bodies {
    limit: usize,
    permits: Permits,
    last_call: CancellationToken,
}

impl Bodies {
    /// Bodies of at most `limit` bytes, which are read until `last_call`.
    #[must_use]
    pub fn new(limit: usize, last_call: CancellationToken) -> Self {
        Self { limit, permits: Permits::new(MAX_BODIES, MAX_BODY_BYTES.max(limit)), last_call }
    }

    /// The whole body, with its share of the memory. After an error the rest of the body may still come: see
    /// [`Bodies::forget`].
    ///
    /// # Errors
    /// The refusal.
    pub async fn read<B>(&self, headers: &HeaderMap, body: &mut B) -> Result<(Bytes, Permit), Refusal>
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        check_headers(headers)?;
        if self.last_call.is_cancelled() {
            return Err(Refusal::Draining);
        }
        let announced = body.size_hint().exact();
        if announced.is_some_and(|size| (self.limit as u64) < size) {
            return Err(BodyError::TooLarge { limit: self.limit, announced }.into());
        }
        let announced = announced.and_then(|size| usize::try_from(size).ok()).unwrap_or(FIRST_SHARE);
        let mut permit = self.permits.take(announced.min(FIRST_SHARE)).ok_or(Refusal::Crowded)?;
        let admit = |size| if permit.cover(size) { Ok(()) } else { Err(Refusal::Crowded) };
        let bytes = tokio::select! {
            biased; // a body that is here is taken
            read = read_body_with(body, self.limit, BODY_TIME, admit) => read?,
            () = self.last_call.cancelled() => return Err(Refusal::Draining),
        };
        Ok((bytes, permit))
    }

    /// Throws the rest of a refused body away, so that its client reads the answer and not a reset. Holds no memory.
    pub async fn forget<B: Body + Unpin>(&self, headers: &HeaderMap, body: &mut B) {
        // A client that waits for "100 Continue" has not sent anything yet.
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let rest = discard(body, self.limit * DISCARD_LIMITS, DISCARD_TIME);
        let _ = self.last_call.run_until_cancelled(rest).await;
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else { return Err(Refusal::MediaType) };
    if !kind.to_str().is_ok_and(is_json) {
        return Err(Refusal::MediaType);
    }
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    for coding in codings {
        if !coding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(Refusal::Encoding);
        }
    }
    Ok(())
}

/// `application/json`, with no parameter but `charset=utf-8`.
fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        parameter.is_empty()
            || parameter.split_once('=').is_some_and(|(name, value)| {
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
            })
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_is_charged_as_it_comes_and_refused_when_the_memory_is_taken() {
        let bodies = Bodies { limit: 100_000, permits: Permits::new(9, 50_000), last_call: CancellationToken::new() };
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        let read = async |size: usize| bodies.read(&headers, &mut Full::new(Bytes::from(vec![b'x'; size]))).await;
        let (_, first) = read(40_000).await.unwrap();
        assert_eq!(bodies.permits.taken(), (1, 40_000));
        assert!(matches!(read(20_000).await, Err(Refusal::Crowded)));
        assert!(matches!(read(100_001).await, Err(Refusal::Body(_))), "too large at any time, so that is what is told");
        assert_eq!(bodies.permits.taken(), (1, 40_000), "a refusal keeps nothing");
        drop(first);
        let (body, second) = read(50_000).await.unwrap();
        assert_eq!((body.len(), bodies.permits.taken()), (50_000, (1, 50_000)));
        drop(second);
        bodies.last_call.cancel();
        assert!(matches!(read(1).await, Err(Refusal::Draining)));
    }

    #[test]
    fn only_json_in_utf_8_is_taken() {
        for kind in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=\"UTF-8\"",
            "application/json ;",
        ] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in [
            "",
            "text/json",
            "application/jsonp",
            "application/json, text/plain",
            "application/json; charset=latin1",
            "application/json; charset",
            "application/json; profile=x",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(kind), "{kind}");
        }
    }
}
