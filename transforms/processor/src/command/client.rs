//! A client of a running `transforms serve`: JSON in, JSON out, everything bounded.

use std::time::Duration;

use http::Method;
use reqwest::StatusCode;
use serde_json::Value;

use crate::author::show::plain_lines;

/// A pipeline's config may wait for the registry, and a change of offsets for a group to empty.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The most that is read of an answer; a list of a thousand modules is far below it.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// The most of an answer that is not JSON in an error.
const EXCERPT: usize = 300;

/// Which process to ask; `#[command(flatten)]` it.
#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// The address of a running `transforms serve`
    #[arg(long, env = "TRANSFORMS_URL", hide_env_values = true, default_value = "http://127.0.0.1:8084")]
    pub url: String,
    /// The token, where the process asks for one
    #[arg(long, env = "TRANSFORMS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Asks one process.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers.
    #[error("{url} does not answer; is `transforms serve` running there? (--url or TRANSFORMS_URL names another)")]
    Away {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// Understood and refused.
    #[error("{url} answers {status}: {message}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// Something else listens there.
    #[error("{url} gave an answer that is not of `transforms serve`: {why}")]
    Unreadable {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl CallError {
    /// Whether what was asked for is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

impl Client {
    /// For this process.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(server: &Server) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).no_proxy().build()?;
        Ok(Self { http, base: server.url.trim_end_matches('/').to_owned(), token: server.token.clone() })
    }

    /// Where it asks.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, None).await
    }

    /// Puts `body` to `path`; gives the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn delete(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let url = format!("{}{path}", self.base);
        let away = |source| CallError::Away { url: url.clone(), source };
        let mut request = self.http.request(method, &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                let why = format!("it has more than {ANSWER_LIMIT} bytes");
                return Err(CallError::Unreadable { url, why });
            }
            bytes.extend_from_slice(&chunk);
        }
        read(url, status, &bytes)
    }
}

fn read(url: String, status: StatusCode, bytes: &[u8]) -> Result<Value, CallError> {
    let document: Result<Value, _> = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes) };
    match document {
        Ok(document) if status.is_success() => Ok(document),
        Ok(document) => {
            let words = |key: &str| document.get(key).and_then(Value::as_str);
            // What a module said may stand in them.
            let message = plain_lines(words("message").or_else(|| words("detail")).unwrap_or("no reason given"));
            Err(CallError::Refused { url, status, message })
        }
        Err(_) if !status.is_success() => Err(CallError::Refused { url, status, message: excerpt(bytes) }),
        Err(error) => Err(CallError::Unreadable { url, why: error.to_string() }),
    }
}

fn excerpt(bytes: &[u8]) -> String {
    plain_lines(&String::from_utf8_lossy(bytes).chars().take(EXCERPT).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_says_cannot_steer_a_terminal() {
        for body in [
            "{\"message\": \"no \\u001b[2J\\nat all\"}",
            "{\"detail\": \"no \\u001b[2J\\nat all\"}",
            "no \u{1b}[2J\nat all",
        ] {
            let refused = read("u".to_owned(), StatusCode::BAD_REQUEST, body.as_bytes()).unwrap_err().to_string();
            assert_eq!(refused, "u answers 400 Bad Request: no \u{fffd}[2J\nat all");
        }
    }
}
