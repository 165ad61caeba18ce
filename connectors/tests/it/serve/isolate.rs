//! A sink that somebody edits, pauses, stops or deletes while its records are tried. Kafka is librdkafka's mock, in which
//! an aborted record stays to be seen and a transaction's offsets do not; Connect, registry and index are stubs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connectors::config::Postgres as PostgresSettings;
use connectors::connect::{Connect, Settings};
use connectors::elastic::Elastic;
use connectors::names::CAMEL_CLASS;
use connectors::postgres::Postgres;
use connectors::serve::isolate::trial::Untriable;
use connectors::serve::isolate::{Change, Found, IsolateError, Isolator};
use connectors::serve::probes::Probes;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use schemas::names::topics;
use serde_json::{Value, json};

use crate::stub::{Stub, missing, status};

const LETTERS: &str = topics::ELASTICSEARCH_DEAD_LETTER;
const SUSPECTS: &str = "orders-elasticsearch.suspects";
const SINK: &str = "orders-elasticsearch";
const RESUME: &str = "PUT /connectors/orders-elasticsearch/resume";
const REMOVE: &str = "DELETE /connectors/orders-elasticsearch-trial";

/// When somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Never,
    /// The trial has been made, and the sink still runs.
    Made,
    /// The trial begins, and its task hangs.
    Begun,
    /// The trial has failed on the record twice.
    Found,
    /// The dead letter is written, in a transaction that is open.
    Written,
}

type Act = fn(&mut World);

fn edit(world: &mut World) {
    world.settings = world.settings.take().map(|mut settings| {
        settings.insert("camel.sink.url".to_owned(), "elasticsearch:o?indexName=other".to_owned());
        settings
    });
}

fn pause(world: &mut World) {
    world.state = "PAUSED";
}

fn stop(world: &mut World) {
    world.state = "STOPPED";
}

fn delete(world: &mut World) {
    world.settings = None;
}

/// What Connect has.
#[derive(Debug, Default)]
struct World {
    /// The sink's; nothing where it is deleted.
    settings: Option<Settings>,
    state: &'static str,
    /// How often the trial's task was started again.
    restarts: usize,
    /// The task is seen to run before it fails again.
    fresh: bool,
    hangs: bool,
    /// Connect does not remove the trial.
    keeps: bool,
}

impl World {
    fn sink(&self) -> (u16, Value) {
        let failed = json!([{ "id": 0, "state": "FAILED", "worker_id": "w", "trace": "a.B: no" }]);
        let tasks = if self.state == "RUNNING" { failed } else { json!([]) };
        let shown = json!({ "name": SINK, "connector": { "state": self.state, "worker_id": "w" }, "tasks": tasks });
        self.settings.as_ref().map_or_else(missing, |_| (200, shown))
    }

    fn trial(&mut self) -> (u16, Value) {
        let runs = std::mem::take(&mut self.fresh) || self.hangs;
        let state = if runs { "RUNNING" } else { "FAILED" };
        (200, status("orders-elasticsearch-trial", &[state]))
    }
}

struct Scene {
    _cluster: MockCluster<'static, DefaultProducerContext>,
    _store: Stub,
    connect: Stub,
    isolator: Isolator,
    settings: Settings,
    world: Arc<Mutex<World>>,
    letters: Arc<BaseConsumer>,
}

impl Scene {
    async fn new(moment: Moment, act: Act) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in ["order_placed", LETTERS, SUSPECTS] {
            cluster.create_topic(topic, 1, 1).unwrap();
        }
        let servers = cluster.bootstrap_servers();
        poison(&servers);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &servers).set("isolation.level", "read_uncommitted");
        let letters: BaseConsumer = config.create().unwrap();
        let (letters, settings) = (Arc::new(letters), settings());
        let first = World { settings: Some(settings.clone()), state: "RUNNING", ..World::default() };
        let world = Arc::new(Mutex::new(first));
        let connect = Stub::start(connect(Arc::clone(&world), Arc::clone(&letters), moment, act)).await;
        let store = Stub::start(|_, _| (200, json!({ "schema": "\"string\"", "id": 1 }))).await;
        let isolator = Isolator {
            connect: Connect::new(&connect.url()).unwrap(),
            probes: probes(&store),
            kafka: servers.as_str().into(),
            healer: "here".to_owned(),
        };
        Self { _cluster: cluster, _store: store, connect, isolator, settings, world, letters }
    }

    async fn isolate(&self) -> Result<Found, IsolateError> {
        self.isolator.isolate(SINK, &self.settings, 60, &|_: String| ()).await
    }

    fn letters(&self) -> i64 {
        count(&self.letters)
    }

    /// That the trial was given up for this, and nothing of it is left.
    async fn gives_up(&self, expected: Change) {
        let given_up = self.isolate().await.unwrap_err();
        assert!(matches!(given_up, IsolateError::GivenUp { change, .. } if change == expected), "{given_up:?}");
        assert_eq!(self.connect.asked(REMOVE).len(), 1, "the trial is left");
    }
}

fn settings() -> Settings {
    let pairs = [
        ("connector.class", CAMEL_CLASS),
        ("camel.sink.url", "elasticsearch:o?hostAddresses=e:9200&operation=Index&indexName=i"),
        ("topics", "order_placed"),
    ];
    BTreeMap::from(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

/// The record that the sink stands before.
fn poison(servers: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let record = BaseRecord::to("order_placed").partition(0).key("k").payload("poison");
    producer.send(record).map_err(|(err, _)| err).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
}

fn count(letters: &BaseConsumer) -> i64 {
    letters.fetch_watermarks(LETTERS, 0, Duration::from_secs(5)).unwrap().1
}

fn probes(store: &Stub) -> Probes {
    let nowhere = PostgresSettings {
        host: "127.0.0.1".to_owned(),
        port: 1,
        db: String::new(),
        user: String::new(),
        password: String::new().into(),
    };
    Probes {
        postgres: Postgres::new(&nowhere),
        elastic: Elastic::new(&store.url()).unwrap(),
        registry: schemas::registry::Registry::new(&store.url()).unwrap(),
    }
}

/// Kafka Connect, in which somebody acts at this moment.
fn connect(
    world: Arc<Mutex<World>>,
    letters: Arc<BaseConsumer>,
    moment: Moment,
    act: Act,
) -> impl FnMut(&str, &[u8]) -> (u16, Value) + Send + 'static {
    move |line, _| {
        let mut world = world.lock().unwrap();
        let done = (202, json!({}));
        let now = match line {
            "GET /connectors/orders-elasticsearch/config" => {
                if moment == Moment::Written && 0 < count(&letters) {
                    act(&mut world);
                }
                return world.settings.as_ref().map_or_else(missing, |settings| (200, json!(settings)));
            }
            "GET /connectors/orders-elasticsearch/status" => return world.sink(),
            "GET /connectors/orders-elasticsearch-trial/status" => return world.trial(),
            "PUT /connectors/orders-elasticsearch/stop" => {
                world.state = "STOPPED";
                return done;
            }
            RESUME if world.settings.is_none() => return missing(),
            RESUME => {
                world.state = "RUNNING";
                return done;
            }
            REMOVE if world.keeps => return (500, json!({ "error_code": 500, "message": "no" })),
            "POST /connectors" => Moment::Made,
            "PUT /connectors/orders-elasticsearch-trial/resume" => {
                world.hangs = moment == Moment::Begun;
                Moment::Begun
            }
            line if line.starts_with("POST /connectors/orders-elasticsearch-trial/restart") => {
                world.restarts += 1;
                world.fresh = true;
                if world.restarts == 2 { Moment::Found } else { Moment::Never }
            }
            line => {
                assert_eq!(line, REMOVE, "nothing else is asked of Connect");
                return done;
            }
        };
        if now == moment {
            act(&mut world);
        }
        done
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_failed_on_twice_becomes_a_dead_letter_while_nobody_acts() {
    let scene = Scene::new(Moment::Never, |_| ()).await;
    let found = scene.isolate().await.unwrap();
    assert_eq!(found, Found { tried: 1, poison: 1, cut: None, partial: false });
    assert_eq!(scene.letters(), 1);
    let last: Vec<String> = scene.connect.asked("").into_iter().filter(|line| !line.starts_with("GET ")).collect();
    assert!(last.ends_with(&[RESUME, REMOVE].map(str::to_owned)), "the mark goes last: {last:?}");
    assert_eq!(scene.world.lock().unwrap().state, "RUNNING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_a_pause_and_a_deletion_end_a_trial_and_no_letter_is_written() {
    let acts: [(Act, Change); 3] = [(edit, Change::Edited), (pause, Change::Paused), (delete, Change::Deleted)];
    for (act, change) in acts {
        let scene = Scene::new(Moment::Found, act).await;
        scene.gives_up(change).await;
        assert_eq!(scene.letters(), 0, "{change}");
        let world = scene.world.lock().unwrap();
        // What was edited runs with what it is now; what was paused rests.
        let state = if change == Change::Paused { "PAUSED" } else { "RUNNING" };
        assert!(world.settings.is_none() || world.state == state, "{change}: {}", world.state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_ends_a_trial_before_its_time_is_over() {
    let begun = Instant::now();
    Scene::new(Moment::Begun, edit).await.gives_up(Change::Edited).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "the trial of an old sink went on: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_comes_with_the_letter_already_written_still_ends_the_trial() {
    let scene = Scene::new(Moment::Written, edit).await;
    // What becomes of the letter the mock does not show, since it knows no aborts.
    scene.gives_up(Change::Edited).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_did_before_the_trial_is_left_alone() {
    let acts: [(Act, Change); 4] =
        [(edit, Change::Edited), (pause, Change::Paused), (stop, Change::Stopped), (delete, Change::Deleted)];
    for (act, expected) in acts {
        let scene = Scene::new(Moment::Never, |_| ()).await;
        act(&mut scene.world.lock().unwrap());
        let given_up = scene.isolate().await.unwrap_err();
        assert!(matches!(given_up, IsolateError::GivenUp { change, .. } if change == expected), "{given_up:?}");
        assert!(scene.connect.asked("").iter().all(|line| line.starts_with("GET ")), "{:?}", scene.connect.asked(""));
    }
}

#[tokio::test]
async fn a_sink_that_reads_topics_by_a_pattern_is_not_touched() {
    let mut scene = Scene::new(Moment::Never, |_| ()).await;
    scene.settings.remove("topics");
    scene.settings.insert("topics.regex".to_owned(), "order_.*".to_owned());
    scene.world.lock().unwrap().settings = Some(scene.settings.clone());
    let refused = scene.isolate().await.unwrap_err();
    assert!(matches!(refused, IsolateError::Untriable(Untriable::Topics)), "{refused:?}");
    assert!(refused.to_string().contains("name them in `topics`"), "{refused}");
    assert_eq!(scene.connect.asked(""), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_stopped_while_its_trial_is_made_stays_stopped() {
    let scene = Scene::new(Moment::Made, stop).await;
    scene.gives_up(Change::Stopped).await;
    assert_eq!(scene.connect.asked("PUT "), [""; 0], "somebody else's stop was undone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_that_cannot_be_removed_before_the_stop_is_told_apart_from_one_that_holds_the_sink() {
    let scene = Scene::new(Moment::Made, stop).await;
    scene.world.lock().unwrap().keeps = true;
    let left = scene.isolate().await.unwrap_err();
    assert!(matches!(&left, IsolateError::Left { sink, .. } if sink == SINK), "{left:?}");
    assert_eq!(scene.connect.asked("PUT "), [""; 0], "somebody else's stop was undone");
}
