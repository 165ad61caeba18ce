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
    read_body_with(body, limit, deadline, |_| Ok(())).await
}

/// The same; `admit` is asked before a piece is kept whether that many bytes in all may be, so that a budget can be
/// charged for what has come and not for what was announced.
///
/// # Errors
/// See [`BodyError`], and what `admit` says. What was read is dropped then.
pub async fn read_body_with<B, E, F>(body: &mut B, limit: usize, deadline: Duration, admit: F) -> Result<Bytes, E>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: From<BodyError>,
    F: FnMut(usize) -> Result<(), E>,
{
    let announced = body.size_hint().exact();
    let too_large = BodyError::TooLarge { limit, announced };
    if announced.is_some_and(|size| (limit as u64) < size) {
        return Err(too_large.into());
    }
    match tokio::time::timeout(deadline, collect(Pin::new(body), limit, admit)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large.into()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(BodyError::Slow { within: deadline }.into()),
    }
}

/// `None` when the limit is passed. A body of one piece, the usual case, is not copied.
async fn collect<B, E, F>(mut body: Pin<&mut B>, limit: usize, mut admit: F) -> Result<Option<Bytes>, E>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: From<BodyError>,
    F: FnMut(usize) -> Result<(), E>,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.into()))?;
        let Ok(mut data) = frame.into_data() else { continue }; // trailers
        let size = data.remaining();
        let total = first.len() + rest.len() + size;
        if limit < total {
            return Ok(None);
        }
        admit(total)?;
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

/// A client that has not written for so long is taken to wait for its answer.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads and forgets up to `limit` further bytes, for at most `time` and only while some come. A refusal that is sent
/// while the client still writes is often lost with the reset of the connection; this gives the client the chance to
/// read it.
///
/// Says whether the body was seen to its end. If it was not, its connection cannot be used for another request of
/// HTTP/1, and an answer should say so: hyper closes it without a word.
pub async fn discard<B: Body + Unpin>(body: &mut B, limit: usize, time: Duration) -> bool {
    let forget = async {
        let mut body = pin!(body);
        let mut seen = 0;
        while seen <= limit {
            match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => seen += frame.data_ref().map_or(0, Buf::remaining),
                Ok(None) => return true,
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
        false
    };
    tokio::time::timeout(time, forget).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        io,
        task::{Context, Poll},
        time::Instant,
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
    async fn a_body_is_kept_only_as_far_as_it_is_admitted() {
        let mut asked = Vec::new();
        let mut pieces = Pieces(["a", "bc", "d"].into(), End::Clean);
        let read: Result<Bytes, BodyError> = read_body_with(&mut pieces, 4, PATIENCE, |size| {
            asked.push(size);
            if size < 4 { Ok(()) } else { Err(BodyError::TooLarge { limit: 3, announced: None }) }
        })
        .await;
        assert!(matches!(read, Err(BodyError::TooLarge { limit: 3, .. })), "{read:?}");
        assert_eq!(asked, [1, 3, 4]);
    }

    #[tokio::test]
    async fn a_body_is_thrown_away_only_while_it_comes() {
        let begun = Instant::now();
        assert!(!discard(&mut Pieces(["a"].into(), End::Never), 10, Duration::from_secs(9)).await);
        assert!((SILENCE..SILENCE * 3).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn who_throws_a_body_away_is_told_whether_it_saw_the_end() {
        let thrown = async |end, limit| discard(&mut Pieces(["abc"].into(), end), limit, PATIENCE).await;
        assert!(thrown(End::Clean, 3).await);
        assert!(!thrown(End::Clean, 2).await, "there was more than it wanted to see");
        assert!(!thrown(End::Failing, 3).await);
        assert!(!thrown(End::Never, 3).await);
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
