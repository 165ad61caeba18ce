//! One bounded HTTP exchange: time-outs, a limit on the answer, no proxies. Does not interpret answers.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};

/// The most that is read of an answer; a list of a thousand connectors is far below it.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A module is compiled and tried before it is taken; a second or two, and this on a busy machine.
const WASM_TIMEOUT: Duration = Duration::from_secs(180);

/// A client for servers that we operate.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    token: Option<header::HeaderValue>,
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    /// The status line.
    pub status: StatusCode,
    /// The whole body.
    pub body: Vec<u8>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// No body at all.
    Empty,
    /// A JSON document.
    Json(serde_json::Value),
    /// A WebAssembly component.
    Wasm(Vec<u8>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server is away, or did not answer in time.
    #[error("{url} does not answer; is it running?")]
    Away {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is not what a healthy server sends.
    #[error("{url} sent more than {limit} bytes")]
    TooLong {
        /// What was asked.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// The client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Http {
    /// A client whose exchanges take at most `timeout` from the first byte sent to the last read.
    ///
    /// # Errors
    /// [`HttpError::Client`] where the operating system refuses one.
    pub fn new(timeout: Duration) -> Result<Self, HttpError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(HttpError::Client)?;
        Ok(Self { client, token: None })
    }

    /// The same, with a bearer token on each request. A token that cannot stand in a header is left out, and the
    /// server then says 401.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = header::HeaderValue::from_str(&format!("Bearer {token}")).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// One request, one answer.
    ///
    /// # Errors
    /// [`HttpError`], whatever the status of the answer is: a 500 is an answer.
    pub async fn send(&self, method: Method, url: &str, body: Body) -> Result<Answer, HttpError> {
        let away = |source| HttpError::Away { url: url.to_owned(), source };
        let request = self.client.request(method, url).header(header::ACCEPT, "application/json");
        let request = match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        };
        let request = match body {
            Body::Empty => request,
            Body::Json(document) => request.json(&document),
            Body::Wasm(bytes) => {
                request.header(header::CONTENT_TYPE, "application/wasm").timeout(WASM_TIMEOUT).body(bytes)
            }
        };
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if ANSWER_LIMIT < body.len() + chunk.len() {
                return Err(HttpError::TooLong { url: url.to_owned(), limit: ANSWER_LIMIT });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body as text, cut where it gets long: for messages.
    #[must_use]
    pub fn excerpt(&self) -> String {
        const MOST: usize = 600;
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        match text.char_indices().nth(MOST) {
            Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
            None => text.to_owned(),
        }
    }
}
