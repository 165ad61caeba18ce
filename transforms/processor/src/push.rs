//! `transforms push`: uploads one module to a running process.

use std::time::Duration;

use anyhow::Context;

use crate::names::WASM;

/// Compiling and storing take a second at most; a busy machine gets some more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Uploads `wasm`; gives the answer's text.
///
/// # Errors
/// When the process cannot be reached, or refuses, with its words.
pub async fn push(wasm: Vec<u8>, url: &str) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let address = format!("{}/modules", url.trim_end_matches('/'));
    let request = client.post(&address).header("content-type", WASM).body(wasm);
    let response = request.send().await.with_context(|| format!("cannot reach {address}"))?;
    let status = response.status();
    let text = response.text().await?;
    anyhow::ensure!(status.is_success(), "{address} answers {status}: {text}");
    Ok(text)
}
