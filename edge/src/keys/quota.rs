//! How much the client of a key may send: requests and bytes a second, each with a burst (GCRA), and how that is told:
//! `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers.
//!
//! Bytes are those of the orders as JSON, charged when an order is whole: compression does not make an order cheaper for
//! us. What was charged stays charged, whatever becomes of the order; what was refused for a quota was not charged to it.

use std::{
    fmt::{self, Write},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::publish::pause::spread;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Limit {
    /// Requests; each order of a batch counts as one.
    Requests,
    /// Bytes of orders.
    Bytes,
}

/// So much a second, and so much at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rate {
    pub(super) a_second: NonZeroU32,
    pub(super) burst: NonZeroU32,
}

/// The quotas of a key, as they were set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Limits {
    pub(super) requests: Option<Rate>,
    pub(super) bytes: Option<Rate>,
}

/// A quota that a request would have exceeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exceeded {
    /// What there was too much of.
    pub limit: Limit,
    /// What is allowed in a second.
    pub a_second: u32,
    /// When there is enough again.
    pub pause: Duration,
}

/// The quotas, and what was used of them.
#[derive(Debug)]
pub(super) struct Quotas {
    requests: Option<Quota>,
    bytes: Option<Quota>,
    policy: Option<HeaderValue>,
}

#[derive(Debug)]
struct Quota {
    limit: Limit,
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>,
    /// As it was when it was last charged.
    left: AtomicU32,
}

impl Quotas {
    pub(super) fn new(limits: &Limits) -> Self {
        let quota = |limit, rate: Option<Rate>| rate.and_then(|rate| Quota::new(limit, rate));
        let (requests, bytes) = (quota(Limit::Requests, limits.requests), quota(Limit::Bytes, limits.bytes));
        let policy = list([&requests, &bytes], Quota::write_policy);
        Self { requests, bytes, policy }
    }

    pub(super) fn charge_request(&self) -> Result<(), Exceeded> {
        self.requests.as_ref().map_or(Ok(()), |quota| quota.charge(1))
    }

    pub(super) fn charge_bytes(&self, bytes: usize) -> Result<(), Exceeded> {
        self.bytes.as_ref().map_or(Ok(()), |quota| quota.charge(bytes))
    }

    pub(super) fn describe(&self, headers: &mut HeaderMap) {
        if let (Some(policy), Some(left)) = (&self.policy, list([&self.requests, &self.bytes], Quota::write_left)) {
            headers.insert(POLICY, policy.clone());
            headers.insert(LEFT, left);
        }
    }
}

impl Quota {
    fn new(limit: Limit, rate: Rate) -> Option<Self> {
        // Rounded up, so that no more than was set is allowed.
        let nanos = 1_000_000_000_u64.div_ceil(rate.a_second.get().into());
        let quota = governor::Quota::with_period(Duration::from_nanos(nanos))?.allow_burst(rate.burst);
        let limiter = RateLimiter::direct_with_clock(quota, MonotonicClock).with_middleware();
        Some(Self { limit, rate, limiter, left: AtomicU32::new(rate.burst.get()) })
    }

    /// What is more than the whole burst costs the whole burst: a quota delays orders, it does not forbid large ones.
    fn charge(&self, amount: usize) -> Result<(), Exceeded> {
        let burst = self.rate.burst;
        let amount = u32::try_from(amount)
            .map_or(burst, |amount| NonZeroU32::new(amount).map_or(NonZeroU32::MIN, |amount| amount.min(burst)));
        let outcome = match self.limiter.check_n(amount) {
            Ok(outcome) => outcome,
            Err(_) => return Ok(()), // more than the burst, which it is not
        };
        match outcome {
            Ok(state) => {
                self.left.store(state.remaining_burst_capacity(), Ordering::Relaxed);
                Ok(())
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                // What there is now is what the amount lacks nothing of but this wait.
                let lacking = (wait.as_secs_f64() * f64::from(self.rate.a_second.get())).ceil() as u32;
                self.left.store(amount.get().saturating_sub(lacking), Ordering::Relaxed);
                let a_second = self.rate.a_second.get();
                Err(Exceeded { limit: self.limit, a_second, pause: spread(wait, wait / 4) })
            }
        }
    }

    fn write_policy(&self, text: &mut String) -> fmt::Result {
        let burst = self.rate.burst.get();
        write!(text, "\"{}\";q={burst}", self.limit)?;
        if self.limit == Limit::Bytes {
            text.push_str(";qu=\"content-bytes\"");
        }
        write!(text, ";w={}", self.seconds_for(burst).max(1))
    }

    fn write_left(&self, text: &mut String) -> fmt::Result {
        let left = self.left.load(Ordering::Relaxed);
        let reset = self.seconds_for(self.rate.burst.get().saturating_sub(left));
        write!(text, "\"{}\";r={left};t={reset}", self.limit)
    }

    /// In which so much is allowed.
    fn seconds_for(&self, amount: u32) -> u32 {
        amount.div_ceil(self.rate.a_second.get())
    }
}

/// A list of structured fields (RFC 9651), if there is anything in it.
fn list(quotas: [&Option<Quota>; 2], write: impl Fn(&Quota, &mut String) -> fmt::Result) -> Option<HeaderValue> {
    let mut text = String::new();
    for quota in quotas.into_iter().flatten() {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write(quota, &mut text).ok()?;
    }
    HeaderValue::from_str(&text).ok().filter(|_| !text.is_empty())
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Bytes => "bytes",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(a_second: u32, burst: u32) -> Option<Rate> {
        Some(Rate { a_second: a_second.try_into().unwrap(), burst: burst.try_into().unwrap() })
    }

    fn headers(quotas: &Quotas) -> (String, String) {
        let mut headers = HeaderMap::new();
        quotas.describe(&mut headers);
        let text =
            |name| headers.get(name).map_or_else(String::new, |value: &HeaderValue| value.to_str().unwrap().to_owned());
        (text(POLICY), text(LEFT))
    }

    #[test]
    fn a_burst_is_taken_at_once_and_the_rest_has_to_wait() {
        let quotas = Quotas::new(&Limits { requests: rate(1, 3), bytes: rate(1000, 5000) });
        let policy = "\"requests\";q=3;w=3, \"bytes\";q=5000;qu=\"content-bytes\";w=5";
        assert_eq!(headers(&quotas), (policy.to_owned(), "\"requests\";r=3;t=0, \"bytes\";r=5000;t=0".to_owned()));
        for left in [2, 1, 0] {
            assert_eq!(quotas.charge_request(), Ok(()));
            assert!(headers(&quotas).1.starts_with(&format!("\"requests\";r={left};t={}", 3 - left)), "{quotas:?}");
        }
        let Err(Exceeded { limit: Limit::Requests, a_second: 1, pause }) = quotas.charge_request() else { panic!() };
        assert!((Duration::from_millis(500)..Duration::from_millis(1300)).contains(&pause), "{pause:?}");
        assert!(headers(&quotas).1.starts_with("\"requests\";r=0;t=3"), "{quotas:?}");

        assert_eq!(quotas.charge_bytes(4000), Ok(()));
        let Err(Exceeded { limit: Limit::Bytes, pause, .. }) = quotas.charge_bytes(3000) else { panic!() };
        assert!((Duration::from_millis(1500)..Duration::from_millis(2600)).contains(&pause), "{pause:?}");
        assert_eq!(quotas.charge_bytes(500), Ok(()), "what was refused was not charged");
    }

    #[test]
    fn an_order_that_is_larger_than_the_burst_costs_the_burst_and_is_not_refused_for_ever() {
        let quotas = Quotas::new(&Limits { requests: None, bytes: rate(1000, 5000) });
        assert_eq!(quotas.charge_bytes(usize::MAX), Ok(()));
        assert!(quotas.charge_bytes(5_000_000).unwrap_err().pause <= Duration::from_millis(6250));
        assert_eq!(Quotas::new(&Limits::default()).charge_bytes(1), Ok(()));
        assert_eq!(headers(&Quotas::new(&Limits::default())), (String::new(), String::new()), "no quota, no headers");
    }
}
