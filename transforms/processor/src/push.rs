//! `transforms push`: uploads one module to a running process.

use std::time::Duration;

use anyhow::Context;

use crate::config::Secret;
use crate::names::WASM;

/// Checking and storing take a second or two; what is at the bounds of the checks, on a busy machine, takes this long.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Uploads `wasm`; gives the answer's text.
///
/// # Errors
/// When the process cannot be reached, or refuses, with its words.
pub async fn push(wasm: Vec<u8>, url: &str, token: &Secret, stateful: bool) -> anyhow::Result<String> {
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
    anyhow::ensure!(status.is_success(), "{address} answers {status}: {text}");
    Ok(text)
}
