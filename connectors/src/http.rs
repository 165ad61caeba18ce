//! One bounded HTTP exchange with one server: time-outs, a limit on the answer, TLS, a login, no proxies. Does not
//! interpret answers.

mod access;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls;

pub use access::{Access, password};

/// The most that is read of an answer; a list of a thousand connectors is far below it.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A module is compiled and tried before it is taken; a second or two, and this on a busy machine.
const WASM_TIMEOUT: Duration = Duration::from_secs(180);

/// A client for a server that we operate.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    timeout: Duration,
    login: Option<HeaderValue>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).field("timeout", &self.timeout).finish_non_exhaustive()
    }
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
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One of the two does not trust the other.
    #[error(
        "{url}: no TLS: {reason}; name its authority and, where it asks for one, our certificate, as --connect-ca, \
             --connect-cert and --connect-key do"
    )]
    Tls {
        /// What was asked.
        url: String,
        /// What rustls says.
        reason: String,
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
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

impl HttpError {
    /// Whether the same request may be answered later with nothing else changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Tls { .. } | Self::TooLong { .. } | Self::Client(_) => false,
        }
    }
}

impl Http {
    /// A client of the server at `base`, whose exchanges take at most `timeout`. A user and a password in the address are
    /// used and never shown.
    ///
    /// # Errors
    /// [`HttpError::Client`] where a file of `access` cannot be used.
    pub fn new(base: &str, timeout: Duration, access: &Access) -> Result<Self, HttpError> {
        let (base, in_address) = access::parted(base);
        let tls = access::tls(access, base.starts_with("https:"))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new()).build(connector.wrap_connector(http));
        let login = access.login.clone().or(in_address);
        let login = login.map(|(user, password)| access::basic(&user, &password)).transpose()?;
        Ok(Self { client, base, timeout, login })
    }

    /// The same, with a bearer token on each request. A token that cannot stand in a header is left out, and the
    /// server then says 401.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.login = HeaderValue::from_str(&format!("Bearer {token}")).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// Where the server is, without a login.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// One request, one answer; `path` with its query.
    ///
    /// # Errors
    /// [`HttpError`], whatever the status of the answer is: a 500 is an answer.
    pub async fn send(&self, method: Method, path: &str, body: Body) -> Result<Answer, HttpError> {
        let url = format!("{}{path}", self.base);
        let limit = if matches!(body, Body::Wasm(_)) { WASM_TIMEOUT } else { self.timeout };
        match tokio::time::timeout(limit, self.exchange(method, &url, body)).await {
            Ok(answer) => answer,
            Err(passed) => Err(HttpError::Away { url, source: passed.into() }),
        }
    }

    async fn exchange(&self, method: Method, url: &str, body: Body) -> Result<Answer, HttpError> {
        let request = self.request(method, url, body)?;
        let response = self.client.request(request).await.map_err(|err| {
            let url = url.to_owned();
            match mistrust(&err) {
                Some(reason) => HttpError::Tls { url, reason },
                None => HttpError::Away { url, source: err.into() },
            }
        })?;
        let status = response.status();
        let (mut body, mut incoming) = (Vec::new(), response.into_body());
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|err| match mistrust(&err) {
                // A server that wants a certificate says so only after TLS 1.3's handshake.
                Some(reason) => HttpError::Tls { url: url.to_owned(), reason },
                None => HttpError::Away { url: url.to_owned(), source: err.into() },
            })?;
            let Ok(chunk) = frame.into_data() else { continue };
            if ANSWER_LIMIT < body.len() + chunk.len() {
                return Err(HttpError::TooLong { url: url.to_owned(), limit: ANSWER_LIMIT });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }

    fn request(&self, method: Method, url: &str, body: Body) -> Result<Request<Full<Bytes>>, HttpError> {
        let uri: Uri = url.parse().map_err(|err| HttpError::Client(format!("{url} is no address: {err}")))?;
        let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT, "application/json");
        if let Some(login) = &self.login {
            request = request.header(header::AUTHORIZATION, login.clone());
        }
        let (kind, bytes) = match body {
            Body::Empty => (None, Vec::new()),
            Body::Json(document) => (Some("application/json"), document.to_string().into_bytes()),
            Body::Wasm(bytes) => (Some("application/wasm"), bytes),
        };
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        request.body(Full::from(bytes)).map_err(|err| HttpError::Client(err.to_string()))
    }
}

/// What of an error is about certificates: no waiting heals it.
fn mistrust(err: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(err);
    while let Some(here) = cause {
        if let Some(tls) = here.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        // An I/O error does not name the one inside as its source, but that one's source.
        let inner = here.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => here.source(),
        };
    }
    None
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
