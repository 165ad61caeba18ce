//! Every way in which the edge says no. Nothing of the order's values is in one. What its client is told is `told`'s.

use std::fmt;

use http::Method;
use service_kit::http::BodyError;

use crate::{
    batch::Form,
    body::{self, Coding},
    check::Violations,
    json::Malformed,
    keys::{Exceeded, Limit},
    metrics::Outcome,
    publish::{Full, InDoubt, PublishError, Unavailable},
};

/// Why an order was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is nothing at this path.
    #[error("orders are posted to /api/orders, which /openapi.json describes")]
    NotFound,
    /// Orders are posted.
    #[error("{0} is not served here; orders are posted")]
    Method(Method),
    /// The description is read.
    #[error("{0} is not served here; the description is read")]
    ReadOnly(Method),
    /// Not JSON in UTF-8.
    #[error("content-type must be application/json or, for a batch, application/x-ndjson (charset utf-8)")]
    MediaType,
    /// A coding of the content that is not decoded here.
    #[error("content-encoding must be one of {}, and only one of them", body::ACCEPTED)]
    Encoding,
    /// The body is not what its coding says.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// No key that we know, or not with its secret.
    #[error("an API key is needed, as `Authorization: Bearer <id>.<secret>`; this request has none that is known here")]
    Unauthorized,
    /// The key is known and may not post.
    #[error("the API key is {0}; ask for another")]
    Forbidden(&'static str),
    /// The client has used up a quota of its key.
    #[error("the quota of this API key is {} {} a second, and it is used up", .0.a_second, .0.limit)]
    OverQuota(Exceeded),
    /// A deadline that is no deadline.
    #[error("{name} must stand once, as a whole number of milliseconds from {min} to {max}")]
    Deadline {
        /// The header's name.
        name: &'static str,
        /// The shortest.
        min: u128,
        /// The longest.
        max: u128,
    },
    /// The body was not read.
    #[error(transparent)]
    Body(BodyError),
    /// More comes out of the coding than is allowed, or a line of a batch has more.
    #[error("{} larger than {limit} bytes", decoded(.size))]
    DecodedTooLarge {
        /// The most that is taken.
        limit: usize,
        /// What a line has; of a body nobody knows, because no more of it is decoded.
        size: Option<u64>,
    },
    /// So many bodies are being read that this one would not fit.
    #[error("as many bodies are being read as may be at once")]
    Crowded,
    /// This client's bodies hold as much of the memory for bodies as may be one client's.
    #[error("as many bodies of this API key are being read as leave room for those of others")]
    CrowdedByKey,
    /// The edge stops, and this body had not come yet.
    #[error("the edge is stopping and does not wait for the body any longer")]
    Draining,
    /// Not JSON that we take.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A batch whose orders cannot be told apart any more.
    #[error(transparent)]
    BatchForm(#[from] Form),
    /// A batch whose client could not tell the end of its receipts from a break: below HTTP/1.1 both close the connection.
    #[error(
        "receipts have an end that shows only from HTTP/1.1 on; post the batch over that, or its orders one by one"
    )]
    HttpVersion,
    /// More than a batch may have; what lies beyond was not taken.
    #[error(
        "a batch has at most {limit} {unit}, this one has {}{size}; send what is beyond in another batch",
        at_least(.is_whole)
    )]
    BatchTooLarge {
        /// What there is too much of.
        unit: Unit,
        /// How much is allowed.
        limit: usize,
        /// How much there is.
        size: u64,
        /// Whether that is all; else it is as far as was looked.
        is_whole: bool,
    },
    /// Rules are broken.
    #[error("{} of the order's rules {} broken", .0.total, if .0.total == 1 { "is" } else { "are" })]
    Invalid(Violations),
    /// The record would be larger than the topic's readers expect.
    #[error("the encoded order has {size} bytes, the limit is {limit}; split the order")]
    RecordTooLarge {
        /// Bytes as Avro.
        size: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The topic is narrower than we are.
    #[error("the topic refuses a record of {0} bytes; split the order")]
    TopicTooNarrow(usize),
    /// Nothing is accepted now.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// Nobody knows whether it is stored.
    #[error(transparent)]
    InDoubt(InDoubt),
    /// A fault of ours.
    #[error("the edge failed on this request; it is logged")]
    Panicked,
}

/// What a batch may have too much of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Orders.
    Orders,
    /// Bytes, measured here.
    Bytes(Measured),
}

/// Where a size in bytes was measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measured {
    /// As it comes over the wire.
    Wire,
    /// When its coding is undone.
    Decoded,
    /// As the record for Kafka.
    Encoded,
}

/// Why a coding could not be undone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Undecodable {
    /// It is not that coding, or no more so from some byte on.
    #[error("content-encoding says {0}, but the body is not {0}, is damaged, or does not fit its checksum")]
    Damaged(Coding),
    /// There is less than a whole.
    #[error("the body ends before its {0} coding does")]
    Truncated(Coding),
    /// There is more than a whole.
    #[error("something that is not {0} follows the end of the {0} coding")]
    Trailing(Coding),
    /// It takes too much memory to decode.
    #[error(
        "a zstd window has at most {limit} bytes here (RFC 9659), this one has {size}; compress without --long and at \
         level 19 or below"
    )]
    Window {
        /// Bytes that it asks for.
        size: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
}

impl Refusal {
    /// Whether the client may still be writing its body, and would go on.
    #[must_use]
    pub fn is_early(&self) -> bool {
        match self {
            Self::NotFound
            | Self::Method(_)
            | Self::ReadOnly(_)
            | Self::MediaType
            | Self::Encoding
            | Self::Undecodable(Undecodable::Damaged(_) | Undecodable::Trailing(_) | Undecodable::Window { .. })
            | Self::Unauthorized
            | Self::Forbidden(_)
            | Self::OverQuota(Exceeded { limit: Limit::Requests, .. })
            | Self::Deadline { .. }
            | Self::Body(BodyError::TooLarge { .. })
            | Self::DecodedTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::BatchForm(Form::Trailing)
            | Self::HttpVersion
            | Self::Crowded
            | Self::CrowdedByKey => true,
            // It had its time, or nothing more comes.
            Self::Body(BodyError::Slow { .. } | BodyError::Broken(_)) | Self::Draining => false,
            Self::Undecodable(Undecodable::Truncated(_)) => false,
            // The body was read.
            Self::BatchForm(Form::Unfinished)
            | Self::OverQuota(Exceeded { limit: Limit::Bytes, .. })
            | Self::Malformed(_)
            | Self::Invalid(_)
            | Self::RecordTooLarge { .. }
            | Self::TopicTooNarrow(_)
            | Self::Unavailable(_)
            | Self::InDoubt(_)
            | Self::Panicked => false,
        }
    }

    /// How the request is counted.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NotFound | Self::Method(_) | Self::ReadOnly(_) => Outcome::NotServed,
            Self::MediaType | Self::Encoding | Self::HttpVersion => Outcome::Unsupported,
            Self::Body(BodyError::TooLarge { .. })
            | Self::DecodedTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::RecordTooLarge { .. }
            | Self::TopicTooNarrow(_) => Outcome::TooLarge,
            Self::Deadline { .. } | Self::Undecodable(_) | Self::Body(_) | Self::BatchForm(_) | Self::Malformed(_) => {
                Outcome::Malformed
            }
            Self::Invalid(_) => Outcome::Invalid,
            Self::Unauthorized => Outcome::Unauthorized,
            Self::Forbidden(_) => Outcome::Forbidden,
            Self::OverQuota(_) => Outcome::OverQuota,
            Self::Crowded | Self::CrowdedByKey | Self::Draining | Self::Unavailable(_) => Outcome::Unavailable,
            Self::InDoubt(_) => Outcome::InDoubt,
            Self::Panicked => Outcome::Panicked,
        }
    }
}

fn at_least(is_whole: &bool) -> &'static str {
    if *is_whole { "" } else { "at least " }
}

fn decoded(line: &Option<u64>) -> &'static str {
    if line.is_some() { "line is" } else { "body, with its content coding undone, is" }
}

/// What a body failed with that already is a refusal stays that refusal.
impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let BodyError::Broken(cause) = error else { return Self::Body(error) };
        match cause.downcast::<Self>() {
            Ok(refusal) => *refusal,
            Err(cause) => Self::Body(BodyError::Broken(cause)),
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::Budget => Self::Crowded,
            Full::Share => Self::CrowdedByKey,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orders => "orders",
            Self::Bytes(_) => "bytes",
        })
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Unavailable(unavailable) => Self::Unavailable(unavailable),
            PublishError::TooLarge(size) => Self::TopicTooNarrow(size),
            PublishError::InDoubt(doubt) => Self::InDoubt(doubt),
        }
    }
}

mod samples;
mod told;

pub use samples::samples;

#[cfg(test)]
mod tests;
