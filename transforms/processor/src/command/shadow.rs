//! `transforms shadow`: compares a candidate with the live chain, and shows what came of it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::promote::{self, Promote, Target};
use crate::author::show::plain_lines;

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
    /// Wait for the verdict for so many seconds; the exit code is 0 only when the candidate is equal, and with --policy
    /// promote it is promoted then
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// End the comparison
    #[arg(long, conflicts_with_all = ["module", "wait"])]
    pub end: bool,
    /// The pipeline's file, for a promotion; and which process runs it.
    #[command(flatten)]
    pub target: Target,
}

/// Does what the flags say; gives what is to be printed.
///
/// # Errors
/// When the process cannot be reached or refuses, or the candidate is not equal though `--wait` wants that.
pub async fn run(args: &Args) -> anyhow::Result<String> {
    let client = Client::new(&args.target.server)?;
    let path = format!("/connectors/{}/shadow", args.pipeline);
    if args.end {
        client.delete(&path).await?;
        return Ok(format!("nothing is compared beside {} any more\n", args.pipeline));
    }
    let put = match &args.module {
        Some(_) => Some(client.put(&path, &body(args)?).await?),
        None => None,
    };
    let shown = client.get(&path).await?;
    let Some(seconds) = args.wait else { return Ok(text(&shown)) };
    // Without a candidate of one's own it is the one that is there.
    let id = part(put.as_ref().unwrap_or(&shown), "/id").clone();
    let shown = verdict((&client, path.as_str()), &id, shown, Duration::from_secs(seconds)).await?;
    let mut out = text(&shown);
    if part(&shown, "/verdict/result") != "equal" {
        bail!("the candidate is not equal:\n{out}");
    }
    if part(&shown, "/policy") == "promote" {
        out.push_str(&promoted(args, &shown).await?);
    }
    Ok(out)
}

/// Waits for the verdict on the candidate of this id, and no other's.
async fn verdict(
    (client, path): (&Client, &str),
    id: &Value,
    mut shown: Value,
    time: Duration,
) -> anyhow::Result<Value> {
    let until = Instant::now() + time;
    loop {
        if part(&shown, "/id") != id {
            bail!(
                "somebody had another candidate compared meanwhile, and what came of this one is not known any more; have \
                 it compared again once the other has its verdict. That is:\n{}",
                text(&shown)
            );
        }
        if part(&shown, "/state") == "DONE" {
            return Ok(shown);
        }
        if Instant::now() >= until {
            bail!("no verdict within {} s; so far:\n{}", time.as_secs(), text(&shown));
        }
        tokio::time::sleep(LOOK).await;
        shown = client.get(path).await?;
    }
}

/// Lets the pipeline's file say the candidate, and applies it: here the file is at hand, in no serving process it is.
async fn promoted(args: &Args, shown: &Value) -> anyhow::Result<String> {
    if !part(shown, "/parameters").is_null() {
        return Ok(
            "not promoted: it was told other parameters than the pipeline's; change the file by hand\n".to_owned()
        );
    }
    let word = |key: &str| part(shown, key).as_str().unwrap_or_default();
    let change = format!("{}={}", word("/alias"), word("/module"));
    promote::promote(&Promote { name: args.pipeline.clone(), change, target: args.target.clone() }).await
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

/// The comparison as a person reads it; what a module said may stand in it.
fn text(shown: &Value) -> String {
    plain_lines(&told(shown))
}

fn told(shown: &Value) -> String {
    let mut out = String::new();
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    // Writing to a String cannot fail.
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!(
        "{} as {}: {}",
        word(part(shown, "/module")),
        word(part(shown, "/alias")),
        word(part(shown, "/state"))
    ));
    let verdict = part(shown, "/verdict");
    if verdict.is_null() {
        let progress = part(shown, "/progress");
        if progress.is_null() {
            line("no records were compared here yet".to_owned());
        } else {
            let (compared, skipped) = (part(progress, "/compared"), part(progress, "/skipped"));
            line(format!("{compared} of {} records compared, {skipped} passed over", part(shown, "/records")));
            if let Some(because) = part(progress, "/restarted/because").as_str() {
                line(format!("begun anew: {because}; {} before do not count", part(progress, "/restarted/uncounted")));
            }
        }
        return out;
    }
    let decision = part(verdict, "/decision").as_str().filter(|decision| *decision != "none");
    let decision = decision.map_or_else(String::new, |decision| format!(" ({decision})"));
    line(format!("verdict: {}{decision}", word(part(verdict, "/result"))));
    if let Some(failed) = part(verdict, "/failed").as_str() {
        line(format!("it failed: {failed}"));
    }
    let (compared, differing) = (part(verdict, "/compared"), part(verdict, "/differing"));
    line(format!("{differing} of {compared} records differ, {} broke the candidate", part(verdict, "/faults")));
    for (what, counts) in [("field", part(verdict, "/fields")), ("outcome", part(verdict, "/outcomes"))] {
        for (name, count) in counts.as_object().into_iter().flatten() {
            line(format!("  {what} {name}: {count}"));
        }
    }
    let examples = part(verdict, "/examples").as_array().filter(|examples| !examples.is_empty());
    if examples.is_some() {
        line("examples; of each value only its shape is told, since it is a customer's:".to_owned());
    }
    for example in examples.into_iter().flatten() {
        line(format!(
            "  {}/{}/{}:",
            word(part(example, "/topic")),
            part(example, "/partition"),
            part(example, "/offset")
        ));
        for field in part(example, "/fields").as_array().into_iter().flatten() {
            line(format!(
                "    {}: {} → {}",
                word(part(field, "/field")),
                word(part(field, "/live")),
                word(part(field, "/candidate"))
            ));
        }
    }
    let (time, memory) = (part(verdict, "/micros_per_record"), part(verdict, "/memory_bytes"));
    line(format!("time a record: {} µs live, {} µs candidate", part(time, "/live"), part(time, "/candidate")));
    line(format!("memory: {} bytes live, {} bytes candidate", part(memory, "/live"), part(memory, "/candidate")));
    if let Some(next) = part(verdict, "/next").as_str() {
        line(format!("next: {next}"));
    }
    out
}

/// What is there; null where nothing is.
fn part<'v>(of: &'v Value, pointer: &str) -> &'v Value {
    of.pointer(pointer).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_told_in_words() {
        let mut shown = json!({
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
             field customer: 2\nexamples; of each value only its shape is told, since it is a customer's:\n  \
             in/1/7:\n    customer: xx → XX\ntime a record: 1.5 µs live, 2.0 µs candidate\n\
             memory: 1 bytes live, 2 bytes candidate\n"
        );
        (shown["verdict"]["decision"], shown["verdict"]["examples"]) = (json!("none"), json!([]));
        shown["verdict"]["failed"] = json!("it said \u{1b}[2J");
        let told = text(&shown);
        assert!(told.contains("verdict: differs\n") && !told.contains("examples"), "{told}");
        assert!(told.contains("it failed: it said \u{fffd}[2J\n"), "{told:?}");
    }
}
