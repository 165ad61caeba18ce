//! Whatever stands in the headers of a request: nothing panics, and nothing of it comes back but what is safe to repeat.

use bytes::Bytes;
use http::header;
use http_body_util::Full;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    body::Decoded,
    differential,
    limits::{self, Limits},
};

/// A refusal as the client reads it and the log has it: short, printable, and always the same for the same fault.
fn is_safe(refusal: &Refusal) -> bool {
    let problem = serde_json::Value::Object(refusal.problem().into_members()).to_string();
    let shown = [problem, refusal.to_string(), format!("{refusal:?}")];
    shown.iter().all(|text| text.len() < 1000 && text.bytes().all(|byte| (b' '..0x7f).contains(&byte)))
        && !shown.iter().any(|text| text.contains("secret") || text.contains("script"))
}

fn requests() -> std::ops::Range<u64> {
    0..if cfg!(debug_assertions) { 10_000 } else { 100_000 }
}

#[tokio::test]
async fn whatever_type_and_coding_a_body_has_it_is_read_or_refused_without_repeating_them() {
    let limits = limits::Current::new(Limits { body: 1024, batch_bytes: 1024, batch_orders: 1 });
    let bodies = Bodies::new(limits, CancellationToken::new());
    let (mut read, mut refused) = (0, 0);
    for seed in requests() {
        let mut headers = differential::headers(seed, &[header::CONTENT_TYPE]);
        headers.extend(differential::headers(seed.wrapping_mul(31), &[header::CONTENT_ENCODING]).into_iter().take(1));
        if seed % 2 == 0 {
            headers.remove(header::CONTENT_ENCODING);
        }
        let mut body = Decoded::new(Full::new(Bytes::from_static(b"{}")));
        match bodies.read(&headers, &mut body, &mut false, None).await {
            Ok(_) => {
                let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_ascii_lowercase();
                assert!(kind.trim_start().starts_with("application/") && kind.contains("json"), "seed {seed}: {kind}");
                assert_eq!(headers.get_all(header::CONTENT_TYPE).iter().count(), 1, "seed {seed}");
                read += 1;
            }
            Err(refusal) => {
                assert!(is_safe(&refusal), "seed {seed}: {refusal:?}");
                refused += 1;
            }
        }
    }
    assert!(100 < read && 100 < refused, "{read} were read, {refused} refused");
}

#[test]
fn whatever_deadline_is_asked_for_it_lies_within_the_limits_or_is_refused() {
    let name = http::HeaderName::from_static(DEADLINE_HEADER);
    let (mut taken, mut refused) = (0, 0);
    for seed in requests() {
        let headers = differential::headers(seed, std::slice::from_ref(&name));
        match deadline(&headers) {
            Ok(deadline) => {
                assert!((settings::MIN_DEADLINE..=settings::DEADLINE).contains(&deadline), "seed {seed}");
                assert!(headers.get_all(&name).iter().count() <= 1, "seed {seed}");
                taken += usize::from(headers.contains_key(&name));
            }
            Err(refusal) => {
                assert!(is_safe(&refusal), "seed {seed}: {refusal:?}");
                refused += 1;
            }
        }
    }
    assert!(100 < taken && 100 < refused, "{taken} were taken, {refused} refused");
}

#[test]
fn whatever_ids_and_traces_come_only_safe_ones_are_passed_on() {
    let names = [request_id::HEADER, http::HeaderName::from_static(names::headers::TRACEPARENT)];
    let (mut ids, mut traces) = (0, 0);
    for seed in requests() {
        let mut request = Request::new(());
        *request.headers_mut() = differential::headers(seed, &names);
        let request = request_id::sanitize(request);
        let headers = request.headers();
        assert!(headers.get_all(&names[0]).iter().count() <= 1, "seed {seed}");
        if let Some(id) = headers.get(&names[0]) {
            let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:-".contains(byte);
            assert!(
                (1..=128).contains(&id.len()) && id.as_bytes().iter().all(safe),
                "seed {seed}: {:.200}",
                format!("{id:?}")
            );
            ids += 1;
        }
        if let Some(trace) = trace(headers) {
            let safe = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
            assert!(
                trace.len() == 55 && trace.iter().all(safe),
                "seed {seed}: {:.200}",
                trace.escape_ascii().to_string()
            );
            traces += 1;
        }
    }
    assert!(100 < ids && 10 < traces, "{ids} ids and {traces} traces were passed on");
}
