//! The request's id: the client's, if it is one that is safe to repeat in headers, logs and records; else ours.

use http::{HeaderName, Request};
use tower_http::request_id::{MakeRequestId, RequestId};
use uuid::Uuid;

/// The header that carries it, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LEN: usize = 128;

/// Makes ids for requests without one.
#[derive(Clone, Copy, Debug)]
pub struct Make;

impl MakeRequestId for Make {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        Uuid::new_v4().to_string().parse().ok().map(RequestId::new)
    }
}

/// Takes an id away that is not safe to repeat, so that a new one is made.
pub fn sanitize<B>(mut request: Request<B>) -> Request<B> {
    let headers = request.headers_mut();
    let mut ids = headers.get_all(HEADER).iter();
    let usable = matches!((ids.next(), ids.next()), (Some(id), None) if is_safe(id.as_bytes()));
    if !usable {
        headers.remove(HEADER);
    }
    request
}

/// The id's text, for records, receipts and problems.
#[must_use]
pub fn text(id: Option<&RequestId>) -> &str {
    id.and_then(|id| id.header_value().to_str().ok()).unwrap_or_default()
}

fn is_safe(id: &[u8]) -> bool {
    (1..=MAX_LEN).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_not_safe_is_replaced() {
        for (id, kept) in [
            ("abc-1:2.3_4", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("é", false),
            (&"a".repeat(128), true),
            (&"a".repeat(129), false),
        ] {
            let request = Request::builder().header(HEADER, id.as_bytes()).body(()).unwrap();
            assert_eq!(sanitize(request).headers().contains_key(HEADER), kept, "{id}");
        }
        let twice = Request::builder().header(HEADER, "a").header(HEADER, "b").body(()).unwrap();
        assert!(!sanitize(twice).headers().contains_key(HEADER));
    }
}
