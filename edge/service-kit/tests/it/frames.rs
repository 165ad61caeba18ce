//! HTTP/2 byte by byte, so that a test can say what no client library would.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "two test binaries share this file, and neither needs all of it"
)]

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&size[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers as HPACK literals: not indexed, not compressed.
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            // Longer ones would need more than a byte for their length.
            block.push(u8::try_from(text.len()).ok().filter(|size| *size < 127).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(crate) fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    block(&[&pseudo, more].concat())
}

/// A whole request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path, &[]))
}

/// A whole request with a body.
pub(crate) fn post(stream: u32, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, stream, &head("POST", path, headers)), frame(DATA, END_STREAM, stream, body)].concat()
}

/// The preface and these settings.
pub(crate) fn hello(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()
}

/// A connection that has said hello.
pub(crate) async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&hello(settings)).await.unwrap();
    stream
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code at the end of a GOAWAY, or of a RST_STREAM.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The next frame; `None` when the connection is over.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut head)).await;
    read.expect("a frame or the end in time").ok()?;
    let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; size as usize];
    stream.read_exact(&mut payload).await.ok()?;
    let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & (u32::MAX >> 1);
    Some(Frame { kind: head[3], flags: head[4], stream: number, payload })
}

/// Reads and answers pings until a frame of this kind; `None` when the connection is over before.
pub(crate) async fn until<S>(stream: &mut S, kind: u8) -> Option<Frame>
where
    S: AsyncRead + AsyncWriteExt + Unpin,
{
    loop {
        let next = read(stream).await?;
        if next.kind == kind {
            return Some(next);
        }
        if next.kind == PING && next.flags & ACK == 0 {
            let _ = stream.write_all(&frame(PING, ACK, 0, &next.payload)).await;
        }
    }
}
