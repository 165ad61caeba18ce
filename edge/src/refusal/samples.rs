//! One refusal of each kind, with the numbers of the examples in `PROBLEMS.md`. The page's test and the description of
//! the API (`openapi`) both go by this list, and a test holds that no kind is missing from it.

use std::time::Duration;

use super::*;
use crate::check::Violation;

/// One of each kind, in the order of the page.
#[must_use]
pub fn samples() -> Vec<Refusal> {
    let violation = |pointer: &str, rule: &str, detail: &str| Violation {
        pointer: pointer.to_owned(),
        rule: rule.to_owned(),
        detail: detail.to_owned(),
    };
    let violations = vec![
        violation("/customer", "required", "is required"),
        violation("/items/0/quantity", "minimum", "value is less than the minimum of 1"),
    ];
    let announced = Some(1_204_224);
    vec![
        Refusal::Malformed(Malformed::Duplicate("/orderId".to_owned())),
        Refusal::Invalid(Violations { total: 2, listed: violations }),
        Refusal::RecordTooLarge { size: 262_301, limit: 262_144 },
        Refusal::Body(BodyError::TooLarge { limit: 1_048_576, announced }),
        Refusal::BatchTooLarge { unit: Unit::Orders, limit: 10_000, size: 10_007, is_whole: true },
        Refusal::BatchForm(Form::Unfinished),
        Refusal::HttpVersion,
        Refusal::MediaType,
        Refusal::Encoding,
        Refusal::Undecodable(Undecodable::Truncated(Coding::Gzip)),
        Refusal::Unauthorized,
        Refusal::Forbidden("disabled"),
        Refusal::OverQuota(Exceeded { limit: Limit::Requests, a_second: 100, pause: Duration::from_millis(240) }),
        Refusal::Deadline { name: "x-deadline-ms", min: 200, max: 5000 },
        Refusal::Body(BodyError::Slow { within: Duration::from_secs(5) }),
        Refusal::Body(BodyError::Broken("reset".into())),
        Refusal::NotFound,
        Refusal::Method(Method::GET),
        Refusal::Unavailable(Unavailable::QueueFull { pause: Duration::from_millis(1340) }),
        Refusal::InDoubt(InDoubt::Deadline(Duration::from_secs(5))),
        Refusal::Panicked,
    ]
}
