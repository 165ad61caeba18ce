//! Reads the body of a POST: JSON in UTF-8, its content coding undone, bounded in bytes, time and memory. Does not parse
//! it; but its type and first byte say whether it is one order, which is read whole, or a batch, which is `batch`'s to
//! read.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body;
use service_kit::http::{BodyError, discard, read_body_with};
use tokio_util::sync::CancellationToken;

use crate::{
    batch::Format,
    limits::{self, Limits},
    publish::{Permit, Permits, Share},
    refusal::{Measured, Refusal, Unit},
};

mod begun;
mod coding;
mod decoded;
mod decoder;

use begun::Begun;
pub use coding::{ACCEPTED, Coding};
pub use decoded::Decoded;
use decoder::Memory;

/// For the whole body, however it trickles.
pub const BODY_TIME: Duration = Duration::from_secs(5);
/// Bodies that are read at once.
const MAX_BODIES: usize = 8192;
/// Their bytes together, as far as they have come.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// What a body is charged before anything of it has come, unless it announces less. As many connections as the edge
/// takes can announce what they like without using the memory up.
const FIRST_SHARE: usize = 16 * 1024;
/// The names under which a batch in lines goes.
pub(crate) const LINES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
/// For how long, and for how many times the limit, the rest of a body that is refused is thrown away.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_LIMITS: usize = 8;

/// Reads bodies up to a limit, as many at once as memory is set aside for.
#[derive(Clone, Debug)]
pub struct Bodies {
    limits: limits::Current,
    permits: Permits,
    decoders: Memory,
    last_call: CancellationToken,
}

/// What one client holds of the memory for bodies, and of that for each kind of decoder. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    bodies: Arc<Share>,
    inflaters: Arc<Share>,
    zstd: Arc<Share>,
}

/// What was posted, with its share of the memory.
#[derive(Debug)]
pub enum Posted {
    /// One order, whole.
    Order(Bytes, Permit),
    /// A batch: how it is written, and what has come of it.
    Batch(Format, Bytes, Permit),
}

/// What the content type says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Json,
    Lines,
}

impl Bodies {
    /// Bodies within these limits, which are read until `last_call`.
    #[must_use]
    pub fn new(limits: limits::Current, last_call: CancellationToken) -> Self {
        // The largest body that can be set fits.
        let permits = Permits::new(MAX_BODIES, MAX_BODY_BYTES);
        Self { limits, permits, decoders: Memory::default(), last_call }
    }

    /// What holds now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// The memory that is set aside for bodies.
    #[must_use]
    pub fn memory(&self) -> &Permits {
        &self.permits
    }

    /// Cancelled when bodies are not waited for any longer.
    #[must_use]
    pub fn last_call(&self) -> &CancellationToken {
        &self.last_call
    }

    /// The whole body of an order, or the beginning of a batch. After an error the rest of the body may still come: see
    /// [`Bodies::forget`]; `begun` says whether the client was let write. `shares` is what its client holds of the memory,
    /// if clients are told apart.
    ///
    /// # Errors
    /// The refusal.
    pub async fn read<B>(
        &self,
        headers: &HeaderMap,
        body: &mut Decoded<B>,
        begun: &mut bool,
        shares: Option<&Shares>,
    ) -> Result<Posted, Refusal>
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (kind, coding) = check_headers(headers)?;
        if self.last_call.is_cancelled() {
            return Err(Refusal::Draining);
        }
        let announced = body.size_hint().exact().and_then(|size| usize::try_from(size).ok());
        let memory = self
            .permits
            .take_for(shares.map(|shares| &shares.bodies), announced.unwrap_or(FIRST_SHARE).min(FIRST_SHARE))?;
        *begun = true;
        let limits = self.limits();
        if let Some(coding) = coding {
            body.decode(coding, limits.body, self.decoders.for_client(shares));
        }
        let read = tokio::time::timeout(BODY_TIME, self.read_as(kind, limits, announced, body, memory));
        tokio::select! {
            biased; // a body that is here is taken
            read = read => read.unwrap_or(Err(BodyError::Slow { within: BODY_TIME }.into())),
            () = self.last_call.cancelled() => Err(Refusal::Draining),
        }
    }

    /// `announced` is the size on the wire, if the client told it.
    async fn read_as<B>(
        &self,
        kind: Kind,
        limits: Limits,
        announced: Option<usize>,
        body: &mut Decoded<B>,
        mut memory: Permit,
    ) -> Result<Posted, Refusal>
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if kind == Kind::Lines {
            body.is_batch(limits.batch_bytes);
        }
        let mut begun = Begun::read(body, kind == Kind::Json, limits.body).await?;
        let mut admit = |size| memory.try_cover(size).map_err(Refusal::from);
        let format = match kind {
            Kind::Lines => Format::Lines,
            Kind::Json if begun.first_byte() == Some(b'[') => Format::Array,
            Kind::Json if announced.is_some_and(|size| limits.body < size) => {
                let announced = announced.map(|size| size as u64);
                return Err(BodyError::TooLarge { limit: limits.body, announced }.into());
            }
            Kind::Json => {
                let bytes = read_body_with(&mut begun, limits.body, BODY_TIME, admit).await?;
                return Ok(Posted::Order(bytes, memory));
            }
        };
        let (limit, unit) = (limits.batch_bytes, Unit::Bytes(Measured::Wire));
        if let Some(size) = announced.filter(|size| limit < *size) {
            return Err(Refusal::BatchTooLarge { unit, limit, size: size as u64, is_whole: true });
        }
        let first = begun.into_first();
        body.is_batch(limit);
        admit(first.len())?;
        Ok(Posted::Batch(format, first, memory))
    }

    /// Throws the rest of a refused body away, so that its client reads the answer and not a reset. Holds no memory. Says
    /// whether the body was seen to its end.
    pub async fn forget<B: Body + Unpin>(&self, headers: &HeaderMap, body: &mut Decoded<B>, begun: bool) -> bool {
        // A client that waits for "100 Continue" has not sent anything yet.
        if !begun && headers.contains_key(header::EXPECT) {
            return false;
        }
        let rest = discard(body.stop_decoding(), self.limits().body * DISCARD_LIMITS, DISCARD_TIME);
        self.last_call.run_until_cancelled(rest).await.unwrap_or(false)
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(Kind, Option<Coding>), Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else { return Err(Refusal::MediaType) };
    let kind = kind.to_str().ok().and_then(kind_of).ok_or(Refusal::MediaType)?;
    Ok((kind, coding::of(headers)?))
}

/// `application/json`, or one of the names under which JSON in lines goes, for none of which there is a standard; with
/// no parameter but `charset=utf-8`.
fn kind_of(media_type: &str) -> Option<Kind> {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next()?;
    let is = |known: &&str| essence.eq_ignore_ascii_case(known);
    let kind = match () {
        () if is(&"application/json") => Kind::Json,
        () if LINES.iter().any(is) => Kind::Lines,
        () => return None,
    };
    let utf8 = parts.all(|parameter| {
        parameter.is_empty()
            || parameter.split_once('=').is_some_and(|(name, value)| {
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
            })
    });
    utf8.then_some(kind)
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_is_charged_as_it_comes_and_refused_when_the_memory_is_taken() {
        let (permits, last_call) = (Permits::new(9, 50_000), CancellationToken::new());
        let limits = limits::Current::new(Limits { body: 100_000, batch_bytes: 100_000, batch_orders: 1 });
        let bodies = Bodies { limits, permits, decoders: Memory::default(), last_call };
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        let read = async |size: usize| {
            let mut body = Decoded::new(Full::new(Bytes::from(vec![b'x'; size])));
            match bodies.read(&headers, &mut body, &mut false, None).await? {
                Posted::Order(bytes, memory) => Ok((bytes, memory)),
                Posted::Batch(..) => panic!("one order was posted"),
            }
        };
        let (_, first) = read(40_000).await.unwrap();
        assert_eq!(bodies.permits.taken(), (1, 40_000));
        drop(first);
        let (_, first) = read(30_000).await.unwrap();
        assert!(matches!(read(20_001).await, Err(Refusal::Crowded)));
        assert!(matches!(read(100_001).await, Err(Refusal::Body(_))), "too large at any time, so that is what is told");
        assert_eq!(bodies.permits.taken(), (1, 30_000), "a refusal keeps nothing");
        drop(first);
        let (body, second) = read(50_000).await.unwrap();
        assert_eq!((body.len(), bodies.permits.taken()), (50_000, (1, 50_000)));
        drop(second);
        bodies.last_call.cancel();
        assert!(matches!(read(1).await, Err(Refusal::Draining)));
    }

    #[tokio::test]
    async fn the_bodies_of_one_client_leave_room_for_those_of_another() {
        let (permits, last_call) = (Permits::new(9, 50_000), CancellationToken::new());
        let limits = limits::Current::new(Limits { body: 100_000, batch_bytes: 100_000, batch_orders: 1 });
        let bodies = Bodies { limits, permits, decoders: Memory::default(), last_call };
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        let (noisy, quiet): (Shares, Shares) = Default::default();
        let read = async |share, size: usize| {
            let mut body = Decoded::new(Full::new(Bytes::from(vec![b'x'; size])));
            bodies.read(&headers, &mut body, &mut false, Some(share)).await
        };
        let first = read(&noisy, 10_000).await.unwrap();
        let second = read(&noisy, 15_000).await.unwrap();
        assert!(matches!(read(&noisy, 1000).await, Err(Refusal::CrowdedByKey)), "half of it is one client's");
        assert!(matches!(read(&noisy, 20_000).await, Err(Refusal::CrowdedByKey)), "however it comes");
        let other = read(&quiet, 12_000).await.unwrap();
        assert!(matches!(read(&quiet, 20_000).await, Err(Refusal::CrowdedByKey)));
        drop((first, second, other));
        assert_eq!((noisy.bodies.bytes(), quiet.bodies.orders(), bodies.permits.taken()), (0, 0, (0, 0)));
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
            assert!(kind_of(kind) == Some(Kind::Json), "{kind}");
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
            assert!(kind_of(kind).is_none(), "{kind}");
        }
    }
}
