//! Reads just so much of an HTTP/1.1 answer as a load needs: where it ends, its status, and what became of its orders.

use std::{borrow::Cow, time::Duration};

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body, without its chunks.
    pub body: Cow<'a, [u8]>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<Duration>,
    /// Whether the server closes the connection.
    pub closes: bool,
    /// Bytes of head and body.
    pub len: usize,
}

/// Bytes that are no answer of HTTP/1.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

/// The answer at the beginning of these bytes; `None` while it is not whole.
///
/// # Errors
/// When no answer begins so.
pub fn read(bytes: &[u8]) -> Result<Option<Answer<'_>>, Malformed> {
    let Some(head_len) = find(bytes, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let (head, rest) = bytes.split_at(head_len);
    let head = str::from_utf8(head).map_err(|_| Malformed)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let mut answer = Answer {
        status: status.ok_or(Malformed)?,
        body: Cow::Borrowed(&[]),
        retry_after: None,
        closes: false,
        len: head_len,
    };
    let (mut length, mut chunked) = (0, false);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().map_err(|_| Malformed)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("retry-after") {
            answer.retry_after = value.parse().ok().map(Duration::from_secs);
        } else if name.eq_ignore_ascii_case("connection") {
            answer.closes = value.eq_ignore_ascii_case("close");
        }
    }
    if chunked {
        let Some((body, len)) = dechunk(rest)? else { return Ok(None) };
        (answer.body, answer.len) = (Cow::Owned(body), head_len + len);
    } else {
        let Some(body) = rest.get(..length) else { return Ok(None) };
        (answer.body, answer.len) = (Cow::Borrowed(body), head_len + length);
    }
    Ok(Some(answer))
}

/// The bytes in a chunked body and its length; `None` while it is not whole.
fn dechunk(mut rest: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let (whole, mut body) = (rest.len(), Vec::new());
    loop {
        let Some(line) = find(rest, b"\r\n") else { return Ok(None) };
        let size = rest.get(..line).and_then(|size| str::from_utf8(size).ok());
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or(Malformed)?;
        let begin = line + 2;
        let (Some(chunk), Some(after)) = (rest.get(begin..begin + size), rest.get(begin + size + 2..)) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        rest = after;
        if size == 0 {
            return Ok(Some((body, whole - rest.len())));
        }
    }
}

fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes.windows(sought.len()).position(|window| window == sought)
}

impl Answer<'_> {
    /// Orders of this answer that are stored, of `sent`.
    #[must_use]
    pub fn accepted(&self, sent: usize) -> usize {
        match self.status {
            202 => sent,
            207 => self.lines().filter(|line| is_accepted(line)).count(),
            _ => 0,
        }
    }

    /// The lines of its body.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }
}

/// Whether a line's receipt is one of an order that is stored. The status stands near the beginning.
fn is_accepted(line: &[u8]) -> bool {
    find(line.get(..40).unwrap_or(line), br#""status":202"#).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\ncontent-length: 4\r\n\r\nbusyHTTP/1.1";
        for end in 0..bytes.len() - 8 {
            assert_eq!(read(&bytes[..end]), Ok(None), "{end}");
        }
        let answer = read(bytes).unwrap().unwrap();
        assert_eq!((answer.status, &*answer.body, answer.len), (503, &b"busy"[..], bytes.len() - 8));
        assert_eq!((answer.retry_after, answer.closes), (Some(Duration::from_secs(3)), false));
        assert_eq!(read(b"HTTP/2 200\r\n\r\n"), Err(Malformed));
    }

    #[test]
    fn receipts_are_counted_across_chunks() {
        let (head, body) = ("HTTP/1.1 207 X\r\ntransfer-encoding: chunked\r\n\r\n", "{\"line\":1,\"status\":202}\n");
        let (cut, rest) = body.split_at(9);
        let refused = "{\"line\":2,\"status\":503}\n";
        let text = format!(
            "{head}{:x}\r\n{cut}\r\n{:x}\r\n{rest}{refused}\r\n0\r\n\r\n",
            cut.len(),
            rest.len() + refused.len()
        );
        for end in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        let answer = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((answer.accepted(2), answer.lines().count(), answer.len), (1, 2, text.len()));
    }
}
