//! One connection that sends one request at a time, and reads just so much of the answer as is counted.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::answer::{self, Answer};

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Free space for each read.
const READ: usize = 2 * 1024;

/// A connection, made when it is first needed and again when it is gone.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Orders of it that are stored.
    pub accepted: usize,
    /// How long the server says to wait.
    pub retry_after: Option<Duration>,
}

impl Reply {
    /// Whether the server had no room for it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

impl Client {
    /// A client that is not connected yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, read: Vec::new() }
    }

    /// Connects, if it is not connected.
    ///
    /// # Errors
    /// When the server takes no connection.
    pub async fn connect(&mut self) -> io::Result<&mut TcpStream> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        Ok(self.stream.insert(stream))
    }

    /// The next request gets a new connection.
    pub fn forget(&mut self) {
        self.stream = None;
        self.read.clear();
    }

    /// Sends a request of so many orders and waits for its answer.
    ///
    /// # Errors
    /// When the connection ends without an answer.
    pub async fn exchange(&mut self, request: &[u8], orders: usize) -> io::Result<Reply> {
        self.ask(request, |answer| Reply {
            status: answer.status,
            accepted: answer.accepted(orders),
            retry_after: answer.retry_after,
        })
        .await
    }

    /// Sends a request and gives its whole answer to `look`.
    ///
    /// # Errors
    /// When the connection ends without an answer.
    pub async fn ask<T>(&mut self, request: &[u8], look: impl FnOnce(&Answer<'_>) -> T) -> io::Result<T> {
        self.connect().await?;
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        stream.write_all(request).await?;
        self.read.clear();
        loop {
            self.read.reserve(READ);
            if stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let answer = answer::read(&self.read)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "an answer that is not HTTP/1.1"))?;
            if let Some(answer) = answer {
                let (seen, closes) = (look(&answer), answer.closes);
                if closes {
                    self.stream = None;
                }
                return Ok(seen);
            }
            if MAX_ANSWER < self.read.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer of more than 64 MiB"));
            }
        }
    }
}
