//! The whole command `transforms serve`, with the shipped pipeline on it.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use schemas::names::topics;
use serde_json::{Value, json};

use super::{Bench, flow::Running, judges};
use crate::{
    load::Client,
    process::{Process, free_address},
};

const PATIENCE: Duration = Duration::from_secs(60);
const PIPELINE: &str = "race";
/// As in `connectors/orders-transforms.json`.
const TASKS: usize = 2;
/// The group waits for those that were killed in the run before, as long as their sessions last; that is no part of what
/// is measured.
const SETTLED: Duration = Duration::from_secs(8);

/// A running `transforms`.
pub(super) struct Service {
    pub(super) process: Process,
    client: Client,
}

impl Service {
    /// Starts it under this instance's name and waits until it is ready.
    pub(super) async fn start(bench: &Bench, instance: &str) -> anyhow::Result<Self> {
        let address: SocketAddr = free_address()?;
        let args = vec![
            "--log=warn".to_owned(),
            "serve".to_owned(),
            format!("--listen={address}"),
            format!("--kafka={}", bench.servers.kafka),
            format!("--registry={}", bench.servers.registry),
            format!("--instance={instance}"),
        ];
        let process = Process::start(&bench.options.transforms, &args)?;
        let mut service = Self { process, client: Client::new(address) };
        service.until_ready().await?;
        Ok(service)
    }

    /// Uploads the modules, puts the pipeline and waits until nobody else is in its group; again, it changes nothing.
    pub(super) async fn deploy(&mut self, bench: &Bench) -> anyhow::Result<()> {
        self.begin(bench).await?;
        tokio::time::sleep(SETTLED).await;
        Ok(())
    }

    /// The same where nobody was in its group before.
    async fn begin(&mut self, bench: &Bench) -> anyhow::Result<()> {
        self.upload(bench).await?;
        self.put(&shipped()).await?;
        self.until_ready().await
    }

    /// Uploads the modules.
    pub(super) async fn upload(&mut self, bench: &Bench) -> anyhow::Result<()> {
        for name in ["clean", "enrich"] {
            let wasm = fs::read(bench.servers.modules.join(format!("{name}.wasm")))?;
            self.call("POST", "/modules", "application/wasm", &wasm).await?;
        }
        Ok(())
    }

    /// Puts the pipeline's config.
    pub(super) async fn put(&mut self, config: &Value) -> anyhow::Result<()> {
        self.put_as(PIPELINE, config).await
    }

    /// The same for a pipeline of another name, which is its group's, too.
    pub(super) async fn put_as(&mut self, pipeline: &str, config: &Value) -> anyhow::Result<()> {
        let path = format!("/connectors/{pipeline}/config");
        self.call("PUT", &path, "application/json", config.to_string().as_bytes()).await?;
        Ok(())
    }

    /// Takes a pipeline away.
    pub(super) async fn delete(&mut self, pipeline: &str) -> anyhow::Result<()> {
        self.call("DELETE", &format!("/connectors/{pipeline}"), "application/json", b"").await?;
        Ok(())
    }

    /// The sum of a counter over all pipelines.
    pub(super) async fn counter(&mut self, name: &str) -> anyhow::Result<f64> {
        let text = self.call("GET", "/metrics", "text/plain", b"").await?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// The bound below which all values of a histogram are; nothing when it has none or one is above its last bound.
    pub(super) async fn bound(&mut self, name: &str) -> anyhow::Result<Option<f64>> {
        let text = self.call("GET", "/metrics", "text/plain", b"").await?;
        Ok(bound(&text, name))
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            self.process.ensure_runs()?;
            match self.call("GET", "/readyz", "text/plain", b"").await {
                Ok(_) => return Ok(()),
                Err(error) => ensure!(begun.elapsed() < PATIENCE, "transforms is not ready in {PATIENCE:?}: {error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The body of a good answer.
    async fn call(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<String> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let read =
            |answer: &crate::answer::Answer<'_>| (answer.status, String::from_utf8_lossy(&answer.body).into_owned());
        let asked = self.client.ask(&request, read).await;
        if asked.is_err() {
            self.client.forget();
        }
        let (status, body) = asked.with_context(|| format!("{method} {path}"))?;
        ensure!((200..300).contains(&status), "{method} {path} answers {status}: {body}");
        Ok(body)
    }
}

/// Of a histogram of one pipeline, as Prometheus reads it.
fn bound(text: &str, name: &str) -> Option<f64> {
    let bucket = |line: &str| {
        let (labels, count) = line.strip_prefix(name)?.strip_prefix("_bucket{")?.split_once("} ")?;
        let (_, le) = labels.split_once("le=\"")?;
        Some((le.split('"').next()?.parse::<f64>().ok()?, count.parse::<f64>().ok()?))
    };
    let buckets: Vec<_> = text.lines().filter_map(bucket).collect();
    let (_, all) = buckets.last().filter(|(_, all)| *all > 0.0)?;
    buckets.iter().find(|(_, count)| count == all).map(|(le, _)| *le).filter(|le| le.is_finite())
}

/// Lets the broker do for a while what will be measured.
pub(super) async fn warm_up(bench: &Bench) -> anyhow::Result<()> {
    let mut service = Service::start(bench, "race-warm-up").await?;
    service.begin(bench).await?;
    let running = Running::start(&bench.servers.kafka, 1_000.0)?;
    tokio::time::sleep(bench.options.warm_up()).await;
    tokio::task::spawn_blocking(move || running.finish()).await??;
    Ok(())
}

/// The shipped pipeline with its own number of tasks.
pub(super) fn shipped() -> Value {
    config(TASKS)
}

/// The same with so many tasks.
pub(super) fn config(tasks: usize) -> Value {
    let mut config = json!({
        "connector.class": "orderflow.WasmPipeline",
        "tasks.max": tasks.to_string(),
        "topics": topics::ORDERS_RECEIVED,
        "output.topic": topics::ORDER_PLACED,
        "transforms": "clean,enrich",
        "transforms.clean.type": "clean@1",
        "transforms.enrich.type": "enrich@1",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": topics::ORDERS_DEAD_LETTER,
    });
    if let Some(config) = config.as_object_mut() {
        let parameters = judges::parameters().into_iter();
        config.extend(parameters.map(|(name, value)| (format!("transforms.enrich.{name}"), Value::String(value))));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_tasks_are_measured_as_are_shipped() {
        let file: Value = serde_json::from_str(include_str!("../../../../connectors/orders-transforms.json")).unwrap();
        assert_eq!(shipped()["tasks.max"], file["config"]["tasks.max"]);
    }

    #[test]
    fn a_histograms_bound_is_the_first_bucket_that_has_all() {
        let text = |counts: [u32; 3]| {
            let [one, two, all] = counts;
            let line = |le, count| format!("t_seconds_bucket{{le=\"{le}\",pipeline=\"race\"}} {count}\n");
            format!(
                "t_seconds_sum 1\n{}{}{}other_bucket{{le=\"9\"}} 7\n",
                line("0.5", one),
                line("1.0", two),
                line("+Inf", all)
            )
        };
        assert_eq!(bound(&text([1, 3, 3]), "t_seconds"), Some(1.0));
        assert_eq!(bound(&text([3, 3, 3]), "t_seconds"), Some(0.5));
        assert_eq!(bound(&text([1, 3, 4]), "t_seconds"), None, "one is above the last bound");
        assert_eq!(bound(&text([0, 0, 0]), "t_seconds"), None);
        assert_eq!(bound(&text([1, 3, 3]), "u_seconds"), None);
    }
}
