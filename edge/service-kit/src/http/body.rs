//! Reads a request body up to a limit of bytes and of time. Hyper has neither; a timeout that starts anew with each
//! piece would let a trickle go on for ever, so the deadline is for the whole body. No parsing.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed; `announced` is what `Content-Length` said, if it did.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
        /// What the client announced, if it did.
        announced: Option<u64>,
    },
    /// The whole body did not arrive in time.
    #[error("body did not arrive within {within:?}")]
    Slow {
        /// The time that was given.
        within: Duration,
    },
    /// The connection ended or the framing was wrong.
    #[error("body broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the whole body: at most `limit` bytes within `deadline`.
///
/// # Errors
/// See [`BodyError`]. What was read is dropped then.
pub async fn read_body<B>(body: &mut B, limit: usize, deadline: Duration) -> Result<Bytes, BodyError>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = body.size_hint().exact();
    if announced.is_some_and(|size| (limit as u64) < size) {
        return Err(BodyError::TooLarge { limit, announced });
    }
    match tokio::time::timeout(deadline, collect(Pin::new(body), limit)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(BodyError::TooLarge { limit, announced }),
        Ok(Err(error)) => Err(BodyError::Broken(error.into())),
        Err(_) => Err(BodyError::Slow { within: deadline }),
    }
}

/// `None` when the limit is passed. A body of one piece, the usual case, is not copied.
async fn collect<B: Body>(mut body: Pin<&mut B>, limit: usize) -> Result<Option<Bytes>, B::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame?.into_data() else { continue }; // trailers
        let size = data.remaining();
        if limit < first.len() + rest.len() + size {
            return Ok(None);
        }
        let piece = data.copy_to_bytes(size);
        if first.is_empty() && rest.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&piece);
    }
    Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
}

/// Reads and forgets up to `limit` further bytes, for at most `time`. A refusal that is sent while the client still
/// writes is often lost with the reset of the connection; this gives the client the chance to read it.
pub async fn discard<B: Body + Unpin>(body: &mut B, limit: usize, time: Duration) {
    let forget = async {
        let mut body = pin!(body);
        let mut seen = 0;
        while seen <= limit
            && let Some(Ok(frame)) = body.frame().await
        {
            seen += frame.data_ref().map_or(0, Buf::remaining);
        }
    };
    let _ = tokio::time::timeout(time, forget).await;
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        io,
        task::{Context, Poll},
    };

    use hyper::body::{Frame, SizeHint};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    /// A body in pieces; after the last it ends, fails or waits for ever.
    struct Pieces(VecDeque<&'static str>, End);
    enum End {
        Clean,
        Failing,
        Never,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = io::Error;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            match (self.0.pop_front(), &self.1) {
                (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))),
                (None, End::Clean) => Poll::Ready(None),
                (None, End::Failing) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                (None, End::Never) => Poll::Pending,
            }
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    async fn read(pieces: &[&'static str], end: End, limit: usize) -> Result<Bytes, BodyError> {
        read_body(&mut Pieces(pieces.iter().copied().collect(), end), limit, PATIENCE).await
    }

    #[tokio::test]
    async fn a_body_within_the_limit_is_read_whole() {
        assert_eq!(read(&[], End::Clean, 4).await.unwrap(), "");
        assert_eq!(read(&["abcd"], End::Clean, 4).await.unwrap(), "abcd");
        assert_eq!(read(&["a", "bc", "", "d"], End::Clean, 4).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn one_byte_more_is_too_large() {
        for pieces in [&["abcde"][..], &["abcd", "e"]] {
            let error = read(pieces, End::Never, 4).await.unwrap_err();
            assert!(matches!(error, BodyError::TooLarge { limit: 4, announced: None }), "{error:?}");
        }
        let mut announced = http_body_util::Full::new(Bytes::from_static(b"abcde"));
        let error = read_body(&mut announced, 4, PATIENCE).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 4, announced: Some(5) }), "{error:?}");
        let mut exact = http_body_util::Full::new(Bytes::from_static(b"abcd"));
        assert_eq!(read_body(&mut exact, 4, PATIENCE).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_in_time_is_slow() {
        let error = read(&["ab"], End::Never, 4).await.unwrap_err();
        assert!(matches!(error, BodyError::Slow { within } if within == PATIENCE), "{error:?}");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_keeps_its_cause() {
        let error = read(&["ab"], End::Failing, 4).await.unwrap_err();
        assert!(std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("reset")));
    }
}
