//! The comparison with a candidate: started, settled, and carried over every change of the pipeline after which what was
//! compared still counts. After any other it begins anew, and says so.

use std::sync::Arc;

use serde_json::Value;

use super::{Comparing, Live, Manager};
use crate::pipeline::plan::Candidate;
use crate::pipeline::shadow::Restarted;
use crate::record::tap::Tap;
use crate::state::catalog::Pin;
use crate::state::facts::{Facts, Shadow, now_ms, time_text};

/// What is to be done about a comparison.
enum Next {
    /// Nothing: it goes on, or waits for records.
    GoesOn,
    /// It has its verdict.
    Settle(Value),
    /// It begins, or begins anew.
    Start { live: Arc<Live>, tap: Arc<Tap>, restarted: Option<Restarted> },
}

impl Manager {
    /// Starts, ends and settles the comparison with a candidate.
    pub(super) fn compare(&self, name: &str, facts: &Facts) {
        let wanted = facts.shadow.as_ref().filter(|shadow| shadow.verdict.is_none());
        let Some(wanted) = wanted else {
            if let Some(pipeline) = self.lock().get_mut(name) {
                (pipeline.comparing, pipeline.anew_with) = (None, None);
            }
            return;
        };
        match self.next(name, wanted) {
            Next::GoesOn => {}
            Next::Settle(verdict) => self.settle(name, wanted, verdict),
            Next::Start { live, tap, restarted } => self.start_to_compare(name, wanted, (live, tap, restarted)),
        }
    }

    fn next(&self, name: &str, wanted: &Shadow) -> Next {
        let mut pipelines = self.lock();
        let Some(pipeline) = pipelines.get_mut(name) else { return Next::GoesOn };
        let live = pipeline.live.clone().filter(|_| pipeline.slots.is_some());
        if let Some((of, own)) = pipeline.comparing.as_ref().filter(|(_, own)| own.id == wanted.id) {
            if let Some(verdict) = own.verdict() {
                return Next::Settle(verdict);
            }
            let parted = live.as_ref().and_then(|live| of.plan.parts_with(&live.plan));
            let Some(because) = parted else { return Next::GoesOn };
            let (since, because) = (time_text(now_ms()), because.to_owned());
            let restarted = Restarted { since, because, uncounted: own.progress().compared };
            pipeline.anew_with = Some((wanted.id.clone(), restarted));
        }
        // The one before ends first: both would use the same tap.
        pipeline.comparing = None;
        // It may be tried again and again until the candidate can be read; that it begins anew is as true then.
        pipeline.anew_with = pipeline.anew_with.take().filter(|(id, _)| *id == wanted.id);
        let restarted = pipeline.anew_with.as_ref().map(|(_, restarted)| restarted.clone());
        let tap = Arc::clone(&pipeline.tap);
        live.map_or(Next::GoesOn, |live| Next::Start { live, tap, restarted })
    }

    fn start_to_compare(
        &self,
        name: &str,
        wanted: &Shadow,
        (live, tap, restarted): (Arc<Live>, Arc<Tap>, Option<Restarted>),
    ) {
        // Nothing is locked: it may have to be compiled.
        let candidate = match self.candidate(wanted) {
            Ok(candidate) => candidate,
            Err(reason) => {
                tracing::warn!(pipeline = name, reason, "candidate cannot be compared yet");
                return;
            }
        };
        if let Some(Restarted { because, uncounted, .. }) = &restarted {
            tracing::warn!(pipeline = name, because, uncounted, "the comparison with the candidate begins anew");
        }
        let (plan, nudge) = (Arc::clone(&live.plan), Arc::clone(&self.nudge));
        match Comparing::start(wanted.clone(), plan, candidate, (tap, restarted), nudge) {
            Ok(comparing) => {
                if let Some(pipeline) = self.lock().get_mut(name) {
                    (pipeline.comparing, pipeline.anew_with) = (Some((live, comparing)), None);
                }
            }
            Err(error) => tracing::warn!(pipeline = name, error = %error, "there can be no thread for the candidate"),
        }
    }

    fn candidate(&self, wanted: &Shadow) -> Result<Candidate, String> {
        let Pin { module, digest } = &wanted.module;
        match tokio::task::block_in_place(|| self.materials.catalog.module(module)) {
            Some(Ok(found)) if found.digest() == digest => Ok(Candidate {
                alias: wanted.alias.clone(),
                module: found,
                stateful: self.materials.catalog.is_stateful(module),
                parameters: wanted.parameters.clone(),
            }),
            Some(Ok(found)) => Err(format!("{module} is here with digest {}, not {digest}", found.digest())),
            Some(Err(reason)) => Err(reason),
            None => Err(format!("module {module} is not here")),
        }
    }

    fn settle(&self, name: &str, wanted: &Shadow, verdict: Value) {
        let word = |key: &str| verdict.get(key).and_then(Value::as_str).unwrap_or_default();
        let (result, decided) = (word("result").to_owned(), format!("{}: {}", word("result"), word("decision")));
        if !self.tell_of(name, Shadow { verdict: Some(verdict), ..wanted.clone() }) {
            return;
        }
        let module = &wanted.module.module;
        tracing::info!(pipeline = name, module, result, "the candidate has its verdict");
        self.audit(name, "shadow.verdict", module, &decided);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;
    use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
    use schemas::names::topics::{TRANSFORMS_AUDIT, TRANSFORMS_CONFIG};
    use schemas::registry::Registry;
    use serde_json::json;
    use service_kit::Tasks;
    use service_kit::kafka::Brokers;
    use tokio::runtime::Handle;
    use transform_host::{Engine, Limits};

    use super::*;
    use crate::lookup::Lookups;
    use crate::pipeline::manager::Site;
    use crate::pipeline::plan::Materials;
    use crate::state::catalog::Catalog;
    use crate::state::facts::{Fact, ShadowPolicy};
    use crate::state::write::Writer;
    use crate::{logs, metrics};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn manager(brokers: &str) -> Manager {
        let (brokers, tasks) = (Brokers::from(brokers), Tasks::new());
        let (engine, (_, metrics)) = (Engine::new(Limits::default()).unwrap(), metrics::registry());
        let materials = Materials {
            engine: Arc::clone(&engine),
            registry: Registry::new("http://127.0.0.1:1").unwrap(),
            catalog: Arc::new(Catalog::new(engine)),
            runtime: Handle::current(),
            counted: metrics.modules(),
            logs: logs::channel("a").0,
            lookups: Lookups::new(brokers.clone(), "a".to_owned(), tasks.clone()),
        };
        let writer = Arc::new(Writer::new(&brokers, "a").unwrap());
        let site = Site { brokers, instance: "a".to_owned(), client_id: "a".to_owned() };
        Manager::new(site, materials, metrics, tasks, Arc::new(|_: &str| ()), writer)
    }

    fn shadow(id: &str) -> Shadow {
        Shadow {
            id: id.to_owned(),
            alias: "m".to_owned(),
            module: Pin { module: "m@1.1.0".to_owned(), digest: "d".to_owned() },
            parameters: Some(BTreeMap::new()),
            records: 100,
            policy: ShadowPolicy::Report,
            expect: Vec::new(),
            share: 10,
            verdict: None,
        }
    }

    /// The first fact that is in the topic, once there is one.
    async fn first_written(brokers: &str) -> Value {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "reader").create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TRANSFORMS_CONFIG, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(Ok(message)) = consumer.poll(Duration::ZERO) {
                return serde_json::from_slice(message.payload().unwrap()).unwrap();
            }
            assert!(Instant::now() < until, "nothing is written");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_verdict_overrules_nobody_who_began_another_comparison_or_ended_it() {
        let cluster = MockCluster::new(1).unwrap();
        let brokers = cluster.bootstrap_servers();
        for topic in [TRANSFORMS_CONFIG, TRANSFORMS_AUDIT] {
            cluster.create_topic(topic, 1, 1).unwrap();
        }
        let manager = manager(&brokers);
        let catalog = Arc::clone(&manager.materials.catalog);
        let read = |offset, shadow: Option<&Shadow>| {
            let (key, value) = Fact::Shadow(shadow.cloned().map(Box::new)).record("p");
            catalog.apply(TRANSFORMS_CONFIG, offset, key.as_bytes(), value.as_deref());
        };
        let known = || catalog.facts("p").shadow;
        let verdict = json!({ "result": "equal", "decision": "report" });
        let (first, second) = (shadow("first"), shadow("second"));
        read(0, Some(&first));
        // Somebody has the turn to begin the second one. The task with the verdict asks for it, too.
        let turn = manager.writer.turn().await;
        manager.settle("p", &first, verdict.clone());
        assert_eq!(known().unwrap().verdict, Some(verdict.clone()), "acted on here before it is told");
        tokio::task::yield_now().await;
        read(1, Some(&second));
        drop(turn);
        manager.settle("p", &first, verdict.clone());
        assert_eq!(known(), Some(second.clone()), "it began before the verdict on the first one was heard of");
        manager.settle("p", &second, verdict.clone());
        assert_eq!(first_written(&brokers).await["id"], "second");
        read(2, None);
        manager.settle("p", &second, verdict);
        assert_eq!(known(), None, "it was ended");
    }
}
