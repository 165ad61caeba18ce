//! `transforms shadow`: compares a candidate with the live chain, and shows what came of it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::{Client, Method};
use serde_json::{Map, Value, json};

/// One call.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks for the verdict.
const LOOK: Duration = Duration::from_millis(500);

/// The flags of `shadow`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The pipeline
    pub pipeline: String,
    /// The step that the candidate stands in for
    #[arg(long, requires = "module")]
    pub alias: Option<String>,
    /// The candidate, such as enrich@1.4.0; without it: shows the comparison that is there
    #[arg(long, requires = "alias")]
    pub module: Option<String>,
    /// How many records are compared
    #[arg(long, default_value_t = 1_000)]
    pub records: u64,
    /// What follows from the verdict: report, promote or reject
    #[arg(long, default_value = "report")]
    pub policy: String,
    /// Fields that may differ, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub expect: Vec<String>,
    /// What the candidate is told, as name=value; without any: what the live step is told
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Per cent of a core that the comparison may take
    #[arg(long, default_value_t = 10)]
    pub share: u8,
    /// Wait for the verdict for so many seconds; the exit code is 0 only when the candidate is equal
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// End the comparison
    #[arg(long, conflicts_with_all = ["module", "wait"])]
    pub end: bool,
    /// The address of a running `transforms serve`
    #[arg(long, env = "TRANSFORMS_URL", default_value = "http://127.0.0.1:8084")]
    pub url: String,
}

/// Does what the flags say; answers what to print.
///
/// # Errors
/// When the process cannot be reached or refuses, or the candidate is not equal though `--wait` wants that.
pub async fn run(args: Args) -> anyhow::Result<String> {
    let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let address = format!("{}/connectors/{}/shadow", args.url.trim_end_matches('/'), args.pipeline);
    if args.end {
        call(&client, Method::DELETE, &address, None).await?;
        return Ok(format!("nothing is compared beside {} any more", args.pipeline));
    }
    if args.module.is_some() {
        call(&client, Method::PUT, &address, Some(body(&args)?)).await?;
    }
    let mut shown = call(&client, Method::GET, &address, None).await?;
    if let Some(seconds) = args.wait {
        let until = Instant::now() + Duration::from_secs(seconds);
        while shown["state"] != "DONE" {
            if Instant::now() >= until {
                bail!("no verdict within {seconds} s; so far:\n{}", text(&shown));
            }
            tokio::time::sleep(LOOK).await;
            shown = call(&client, Method::GET, &address, None).await?;
        }
        if shown["verdict"]["result"] != "equal" {
            bail!("the candidate is not equal:\n{}", text(&shown));
        }
    }
    Ok(text(&shown))
}

fn body(args: &Args) -> anyhow::Result<Value> {
    let mut body = json!({
        "alias": args.alias, "module": args.module, "records": args.records, "policy": args.policy,
        "expect": args.expect, "share": args.share,
    });
    if !args.parameters.is_empty() {
        let pair = |text: &String| {
            let (name, value) =
                text.split_once('=').with_context(|| format!("--parameter {text}: write NAME=VALUE"))?;
            Ok((name.to_owned(), json!(value)))
        };
        let parameters = args.parameters.iter().map(pair).collect::<anyhow::Result<Map<String, Value>>>()?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("parameters".to_owned(), Value::Object(parameters));
        }
    }
    Ok(body)
}

async fn call(client: &Client, method: Method, address: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let request = client.request(method.clone(), address);
    let request = match &body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.with_context(|| format!("cannot reach {address}"))?;
    let status = response.status();
    let text = response.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if !status.is_success() {
        let message = answer["message"].as_str().unwrap_or(&text).to_owned();
        bail!("{method} {address} answers {status}: {message}");
    }
    Ok(answer)
}

/// The comparison as a person reads it.
fn text(shown: &Value) -> String {
    let mut out = String::new();
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    // Writing to a String cannot fail.
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("{} as {}: {}", word(&shown["module"]), word(&shown["alias"]), word(&shown["state"])));
    let verdict = &shown["verdict"];
    if verdict.is_null() {
        let progress = &shown["progress"];
        if progress.is_null() {
            line("no records were compared here yet".to_owned());
        } else {
            let (compared, skipped) = (&progress["compared"], &progress["skipped"]);
            line(format!("{compared} of {} records compared, {skipped} passed over", shown["records"]));
        }
        return out;
    }
    line(format!("verdict: {} ({})", word(&verdict["result"]), word(&verdict["decision"])));
    if let Some(failed) = verdict["failed"].as_str() {
        line(format!("it failed: {failed}"));
    }
    let (compared, differing) = (&verdict["compared"], &verdict["differing"]);
    line(format!("{differing} of {compared} records differ, {} broke the candidate", verdict["faults"]));
    for (what, counts) in [("field", &verdict["fields"]), ("outcome", &verdict["outcomes"])] {
        for (name, count) in counts.as_object().into_iter().flatten() {
            line(format!("  {what} {name}: {count}"));
        }
    }
    for example in verdict["examples"].as_array().into_iter().flatten() {
        line(format!("  {}/{}/{}:", word(&example["topic"]), example["partition"], example["offset"]));
        for field in example["fields"].as_array().into_iter().flatten() {
            line(format!("    {}: {} → {}", word(&field["field"]), word(&field["live"]), word(&field["candidate"])));
        }
    }
    let (time, memory) = (&verdict["micros_per_record"], &verdict["memory_bytes"]);
    line(format!("time a record: {} µs live, {} µs candidate", time["live"], time["candidate"]));
    line(format!("memory: {} bytes live, {} bytes candidate", memory["live"], memory["candidate"]));
    if let Some(next) = verdict["next"].as_str() {
        line(format!("next: {next}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_told_in_words() {
        let shown = json!({
            "module": "m@1.1.0", "alias": "m", "state": "DONE", "records": 10,
            "verdict": {
                "result": "differs", "decision": "not promoted", "next": null, "failed": null, "compared": 10,
                "differing": 2, "faults": 0, "fields": { "customer": 2 }, "outcomes": {},
                "examples": [{ "topic": "in", "partition": 1, "offset": 7,
                    "fields": [{ "field": "customer", "live": "xx", "candidate": "XX" }] }],
                "micros_per_record": { "live": 1.5, "candidate": 2.0 }, "memory_bytes": { "live": 1, "candidate": 2 },
            },
        });
        assert_eq!(
            text(&shown),
            "m@1.1.0 as m: DONE\nverdict: differs (not promoted)\n2 of 10 records differ, 0 broke the candidate\n  \
             field customer: 2\n  in/1/7:\n    customer: xx → XX\ntime a record: 1.5 µs live, 2.0 µs candidate\n\
             memory: 1 bytes live, 2 bytes candidate\n"
        );
    }
}
