//! `transforms push`: uploads one module to a running process.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::config::Secret;
use crate::names::WASM;

/// Checking and storing take a second or two; what is at the bounds of the checks, on a busy machine, takes this long.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The most of an answer that is not JSON in an error.
const EXCERPT: usize = 300;

/// Uploads `wasm`; gives the answer, which is that of `GET /modules/<name>@<version>`.
///
/// # Errors
/// When the process cannot be reached, or refuses: which check, why, and the way out.
pub async fn push(wasm: Vec<u8>, url: &str, token: &Secret, stateful: bool) -> anyhow::Result<Value> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let query = if stateful { "?stateful=true" } else { "" };
    let address = format!("{}/modules{query}", url.trim_end_matches('/'));
    let request = client.post(&address).header("content-type", WASM).body(wasm);
    let request = match token.reveal() {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let response = request.send().await.with_context(|| format!("cannot reach {address}"))?;
    let status = response.status();
    let text = response.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() && answer.is_object() {
        return Ok(answer);
    }
    let said = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (said("check"), said("detail")) {
        (Some(check), Some(detail)) => bail!("refused by {check}: {detail}"),
        (None, Some(detail)) => bail!("{address} answers {status}: {detail}"),
        _ => bail!("{address} answers {status}: {}", text.chars().take(EXCERPT).collect::<String>()),
    }
}
