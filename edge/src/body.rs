//! Reads the body of a POST: JSON in UTF-8, not compressed, bounded in bytes and time. Does not parse it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body;
use service_kit::http::{BodyError, discard, read_body};

use crate::{
    publish::{Permit, Permits},
    refusal::Refusal,
};

/// For the whole body, however it trickles.
pub const BODY_TIME: Duration = Duration::from_secs(5);
/// Bodies that are read at once.
const MAX_BODIES: usize = 8192;
/// Their bytes together: what they announce, or the limit for one that announces nothing.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// For how long, and for how many times the limit, the rest of a body that is too large is thrown away.
const DISCARD_TIME: Duration = Duration::from_secs(1);
const DISCARD_LIMITS: usize = 8;

/// Reads bodies up to a limit, as many at once as memory is set aside for.
#[derive(Clone, Debug)]
pub struct Bodies {
    limit: usize,
    permits: Permits,
}

impl Bodies {
    /// Bodies of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, permits: Permits::new(MAX_BODIES, MAX_BODY_BYTES.max(limit)) }
    }

    /// The whole body, with its share of the memory.
    ///
    /// # Errors
    /// The refusal.
    pub async fn read<B>(&self, headers: &HeaderMap, body: &mut B) -> Result<(Bytes, Permit), Refusal>
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        check_headers(headers)?;
        let announced = body.size_hint().exact().and_then(|size| usize::try_from(size).ok());
        let share = announced.unwrap_or(self.limit).min(self.limit);
        let permit = self.permits.take(share).ok_or(Refusal::Crowded)?;
        match read_body(body, self.limit, BODY_TIME).await {
            Ok(bytes) => Ok((bytes, permit)),
            Err(error) => {
                // A client that waits for "100 Continue" has not sent anything yet.
                if matches!(error, BodyError::TooLarge { .. }) && !headers.contains_key(header::EXPECT) {
                    discard(body, self.limit * DISCARD_LIMITS, DISCARD_TIME).await;
                }
                Err(error.into())
            }
        }
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
    use super::*;

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
