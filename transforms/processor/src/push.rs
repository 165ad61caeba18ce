//! `transforms push`: uploads one module to a running process.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::StatusCode;
use serde_json::Value;

use crate::author::show::plain_lines;
use crate::config::Secret;
use crate::names::WASM;

/// Checking and storing take a second or two; what is at the bounds of the checks, on a busy machine, takes this long.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The most of an answer that is not JSON in an error.
const EXCERPT: usize = 300;

/// What the process says to an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// Its answer, which is that of `GET /modules/<name>@<version>`.
    pub module: Value,
    /// It was not there before.
    pub is_new: bool,
}

/// Uploads `wasm`.
///
/// # Errors
/// When the process cannot be reached, or refuses: which check, why, and the way out.
pub async fn push(wasm: Vec<u8>, url: &str, token: &Secret, stateful: bool) -> anyhow::Result<Pushed> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let query = if stateful { "?stateful=true" } else { "" };
    let address = format!("{}/modules{query}", url.trim_end_matches('/'));
    let request = client.post(&address).header("content-type", WASM).body(wasm);
    let request = match token.reveal() {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let away = || {
        format!("cannot reach {address}; is `transforms serve` running there? (--url or TRANSFORMS_URL names another)")
    };
    let response = request.send().await.with_context(away)?;
    let status = response.status();
    let text = response.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() && answer.is_object() {
        return Ok(Pushed { module: answer, is_new: status == StatusCode::CREATED });
    }
    // What the module said may stand in it.
    let said = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(plain_lines);
    match (said("check"), said("detail")) {
        (Some(check), Some(detail)) => bail!("refused by {check}: {detail}"),
        (None, Some(detail)) => bail!("{address} answers {status}: {detail}"),
        _ => bail!("{address} answers {status}: {}", plain_lines(&text.chars().take(EXCERPT).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Request;
    use hyper::body::Incoming;
    use serde_json::json;
    use service_kit::Tasks;
    use service_kit::http::{Limits, Response, bind, json as answer, serve};

    use super::*;

    /// A process that refuses by the token, and otherwise tells what it was asked.
    async fn process(tasks: &Tasks) -> String {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = tower::service_fn(|request: Request<Incoming>| async move {
            let token = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let (status, body) = match token.as_deref() {
                Some("Bearer checked") => {
                    let body = json!({ "check": "magic", "detail": "\u{1b}[2J is a script", "way_out": "build it" });
                    (StatusCode::UNPROCESSABLE_ENTITY, body)
                }
                Some("Bearer early") => {
                    (StatusCode::SERVICE_UNAVAILABLE, json!({ "check": "", "detail": "not read yet" }))
                }
                Some("Bearer other") => (StatusCode::OK, json!("x".repeat(1_000))),
                _ => {
                    let here = token.as_deref() == Some("Bearer again");
                    let body = json!({ "asked": request.uri().to_string(), "token": token });
                    (if here { StatusCode::OK } else { StatusCode::CREATED }, body)
                }
            };
            Ok::<Response, Infallible>(answer(status, &body))
        });
        tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_its_check_and_anything_else_with_the_address_and_status() {
        let tasks = Tasks::new();
        let url = process(&tasks).await;
        let pushed = async |url: &str, token: &str, stateful| {
            push(vec![0], url, &Secret::from(token.to_owned()), stateful).await.map_err(|error| format!("{error:#}"))
        };
        let asked = |uri: &str, token: Option<&str>| {
            Ok(Pushed { module: json!({ "asked": uri, "token": token }), is_new: token != Some("Bearer again") })
        };
        let slash = format!("{url}/");
        let answers = [
            pushed(&url, "", false).await,
            pushed(&slash, "mine", true).await,
            pushed(&url, "again", false).await,
            pushed(&url, "checked", false).await,
            pushed(&url, "early", false).await,
            pushed(&url, "other", false).await,
        ];
        let expected = [
            asked("/modules", None),
            asked("/modules?stateful=true", Some("Bearer mine")),
            asked("/modules", Some("Bearer again")),
            Err("refused by magic: \u{fffd}[2J is a script".to_owned()),
            Err(format!("{url}/modules answers 503 Service Unavailable: not read yet")),
            Err(format!("{url}/modules answers 200 OK: \"{}", "x".repeat(EXCERPT - 1))),
        ];
        assert_eq!(answers, expected);
        tasks.stop();
        let away = pushed("http://127.0.0.1:1", "", false).await.unwrap_err();
        assert!(away.starts_with("cannot reach http://127.0.0.1:1/modules; is `transforms serve` running"), "{away}");
    }
}
