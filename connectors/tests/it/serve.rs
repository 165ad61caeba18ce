//! The supervisor against stubs of Kafka Connect, of the registry and of Elasticsearch.

mod isolate;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connectors::config::Postgres as PostgresSettings;
use connectors::connect::Connect;
use connectors::elastic::Elastic;
use connectors::names::CAMEL_CLASS;
use connectors::postgres::Postgres;
use connectors::rehearse::mark::{MARK, Mark, Side};
use connectors::serve::Supervisor;
use connectors::serve::board::Board;
use connectors::serve::duty::Duty;
use connectors::serve::isolate::Isolator;
use connectors::serve::metrics::Metrics;
use connectors::serve::probes::Probes;
use connectors::serve::trials::Trials;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use service_kit::{Condition, Readiness, Tasks};

use crate::stub::{Stub, status};

const RESTART: &str = "POST /connectors/s/restart?includeTasks=true&onlyFailed=true";

/// A supervisor among stubs: one sink `s`, whose tasks' states and whose store a test decides.
struct Ward {
    connect: Stub,
    supervisor: Supervisor,
    board: Board,
    metrics: Arc<Metrics>,
    answering: Condition,
    tasks: Arc<Mutex<Vec<&'static str>>>,
    store_up: Arc<AtomicBool>,
    heals: Arc<AtomicBool>,
}

impl Ward {
    async fn new() -> Self {
        Self::with(Duty::alone()).await
    }

    async fn with(duty: Duty) -> Self {
        let tasks = Arc::new(Mutex::new(vec!["RUNNING", "RUNNING"]));
        let (store_up, heals) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let connect = Stub::start(connect(Arc::clone(&tasks), Arc::clone(&heals))).await;
        let up = Arc::clone(&store_up);
        let store = Stub::start(move |line, _| match line {
            line if line.starts_with("GET /_cluster/health/i?") && !up.load(Ordering::SeqCst) => {
                (408, json!({"error": {"reason": "red"}}))
            }
            _ => (200, json!({"schema": "\"string\"", "id": 1})),
        })
        .await;
        let probes = Probes {
            postgres: Postgres::new(&PostgresSettings {
                host: "127.0.0.1".to_owned(),
                port: 1,
                db: String::new(),
                user: String::new(),
                password: String::new().into(),
            }),
            elastic: Elastic::new(&store.url()).unwrap(),
            registry: schemas::registry::Registry::new(&store.url()).unwrap(),
        };
        let (board, answering) = (Board::default(), Readiness::new().condition("kafka-connect"));
        let client = Connect::new(&connect.url()).unwrap();
        let (metrics, here) = (Arc::new(Metrics::default()), "here".to_owned());
        let (probed, nowhere) = (probes.clone(), "127.0.0.1:1".into());
        let isolator = Isolator { connect: client.clone(), probes: probed, kafka: nowhere, healer: here };
        let trials = Trials::new(isolator, 60, board.clone(), Arc::clone(&metrics), Tasks::new());
        let numbers = Arc::clone(&metrics);
        let supervisor = Supervisor::new(client, probes, board.clone(), numbers, answering.clone(), trials, duty);
        Self { connect, supervisor, board, metrics, answering, tasks, store_up, heals }
    }

    fn tasks(&self, states: &[&'static str]) {
        *self.tasks.lock().unwrap() = states.to_vec();
    }

    async fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.supervisor.round().await;
        }
    }

    fn restarts(&self) -> usize {
        self.connect.asked(RESTART).len()
    }

    fn shown(&self, key: &str) -> Value {
        self.board.show()["connectors"]["s"][key].clone()
    }

    /// The lines of `/metrics` about the states of connectors and tasks that are not 0.
    fn states(&self) -> Vec<String> {
        let (mut numbers, mut text) = (Registry::default(), String::new());
        self.metrics.register(&mut numbers);
        encode(&mut text, &numbers).unwrap();
        let state = |line: &&str| line.contains("state=") && !line.ends_with(" 0");
        let mut lines: Vec<String> = text.lines().filter(state).map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// Kafka Connect with the sink `s`; a restart starts its failed tasks, if it heals.
fn connect(
    tasks: Arc<Mutex<Vec<&'static str>>>,
    heals: Arc<AtomicBool>,
) -> impl FnMut(&str, &[u8]) -> (u16, Value) + Send {
    move |line, _| {
        let mut tasks = tasks.lock().unwrap();
        if line.starts_with("POST /connectors/s/restart") {
            if heals.load(Ordering::SeqCst) {
                *tasks = vec!["RUNNING"; tasks.len()];
            }
            return (202, json!({}));
        }
        assert_eq!(line, "GET /connectors?expand=status&expand=info");
        let settings = BTreeMap::from([
            ("connector.class", CAMEL_CLASS),
            ("camel.sink.url", "elasticsearch:o?hostAddresses=${env:E}&indexName=i"),
            ("topics", "t"),
        ]);
        (200, json!({"s": {"status": status("s", &tasks), "info": {"config": settings}}}))
    }
}

#[tokio::test]
async fn a_failed_task_is_restarted_once_and_runs_again() {
    let mut ward = Ward::new().await;
    ward.rounds(3).await;
    assert_eq!(ward.restarts(), 0);
    ward.tasks(&["RUNNING", "FAILED"]);
    ward.rounds(5).await;
    assert_eq!(ward.restarts(), 1);
    assert_eq!(ward.shown("healing"), "runs again, watched");
}

#[tokio::test]
async fn a_sink_waits_for_its_store_and_is_restarted_in_the_round_that_finds_it_back() {
    let mut ward = Ward::new().await;
    ward.rounds(1).await;
    ward.store_up.store(false, Ordering::SeqCst);
    ward.tasks(&["FAILED", "FAILED"]);
    ward.rounds(5).await;
    assert_eq!(ward.restarts(), 0, "the store is away");
    assert!(ward.shown("healing").as_str().unwrap().starts_with("waits for its target"));
    assert_eq!(ward.board.show()["targets"]["elasticsearch"]["up"], false);
    ward.store_up.store(true, Ordering::SeqCst);
    ward.rounds(1).await;
    assert_eq!(ward.restarts(), 1);
}

#[tokio::test]
async fn a_sink_that_fails_again_at_once_is_not_restarted_in_a_hot_loop() {
    let mut ward = Ward::new().await;
    ward.heals.store(false, Ordering::SeqCst);
    ward.tasks(&["FAILED", "RUNNING"]);
    let begun = Instant::now();
    ward.rounds(200).await;
    // One at once, the next after 1, 2, 4 s and so on: as many as the time that really passed allows.
    let most = (begun.elapsed().as_secs() + 1).ilog2() + 1;
    let restarts = u32::try_from(ward.restarts()).unwrap();
    assert!((1..=most).contains(&restarts), "{restarts} restarts, at most {most} were due");
    assert_eq!(ward.shown("failure"), "B: no");
}

#[tokio::test]
async fn a_null_among_the_settings_of_one_connector_keeps_nobody_from_being_healed() {
    let mut ward = Ward::new().await;
    let mut normal = connect(Arc::clone(&ward.tasks), Arc::clone(&ward.heals));
    ward.connect.say(move |line, body| {
        let (code, mut answer) = normal(line, body);
        if line.starts_with("GET ") {
            let config = json!({"topics": "t", "transforms": null});
            answer["odd"] = json!({"status": status("odd", &["RUNNING"]), "info": {"config": config}});
        }
        (code, answer)
    });
    ward.tasks(&["RUNNING", "FAILED"]);
    ward.rounds(1).await;
    assert!(ward.answering.is_met());
    assert_eq!(ward.restarts(), 1);
}

#[tokio::test]
async fn what_an_operator_holds_is_left_alone() {
    let mut ward = Ward::new().await;
    ward.connect.say(|_, _| {
        let mut held = status("s", &["FAILED"]);
        held["connector"]["state"] = json!("PAUSED");
        (200, json!({"s": {"status": held, "info": {"config": {"topics": "t"}}}}))
    });
    ward.rounds(5).await;
    assert_eq!(ward.connect.asked(""), ["GET /connectors?expand=status&expand=info"; 5], "a held sink was touched");
}

#[tokio::test]
async fn a_rehearsal_is_neither_healed_nor_counted_and_one_that_only_looks_so_is() {
    let mut ward = Ward::new().await;
    let rehearsal = Mark::new(Duration::from_secs(60)).connector(Side::Edited);
    let alike = "orderflow-rehearsal-of-mine".to_owned();
    let (own, other) = (rehearsal.clone(), alike.clone());
    ward.connect.say(move |line, _| {
        if line.starts_with("POST ") {
            return (202, json!({}));
        }
        let one =
            |name: &str| json!({"status": status(name, &["FAILED"]), "info": {"config": {"topics": "t", MARK: own}}});
        (200, json!({ own.clone(): one(&own), other.clone(): one(&other) }))
    });
    ward.rounds(2).await;
    assert!(ward.connect.asked(&format!("POST /connectors/{rehearsal}/")).is_empty(), "the rehearsal was restarted");
    assert_eq!(ward.connect.asked(&format!("POST /connectors/{alike}/")).len(), 1);
    let shown = ward.board.show();
    assert_eq!(shown["connectors"].as_object().unwrap().keys().collect::<Vec<_>>(), [&alike]);
}

#[tokio::test]
async fn a_restart_that_connect_cannot_take_now_is_asked_for_again() {
    let mut ward = Ward::new().await;
    let tasks = Arc::clone(&ward.tasks);
    let mut normal = connect(tasks, Arc::clone(&ward.heals));
    let mut refusals = 1;
    ward.connect.say(move |line, body| {
        if line.starts_with("POST ") && 0 < refusals {
            refusals -= 1;
            return (409, json!({"message": "a rebalance is expected"}));
        }
        normal(line, body)
    });
    ward.tasks(&["FAILED"]);
    ward.rounds(1).await;
    assert_eq!(ward.restarts(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await; // the back-off's own first pause
    ward.rounds(2).await;
    assert_eq!(ward.restarts(), 2);
}

#[tokio::test]
async fn connect_may_die_and_come_back() {
    let mut ward = Ward::new().await;
    ward.rounds(1).await;
    assert!(ward.answering.is_met());
    let address = ward.connect.address();
    ward.connect.kill().await;
    let rest = ward.supervisor.round().await;
    assert!(!ward.answering.is_met());
    assert!(Duration::from_millis(500) <= rest, "a worker that is away is not asked in a tight loop");
    ward.connect = Stub::at(address, connect(Arc::clone(&ward.tasks), Arc::clone(&ward.heals))).await;
    ward.tasks(&["FAILED"]);
    ward.rounds(2).await;
    assert!(ward.answering.is_met());
    assert_eq!(ward.restarts(), 1);
}

#[tokio::test]
async fn the_states_of_connectors_and_tasks_are_shown_while_they_are_known() {
    // Also by one that stands by.
    let mut ward = Ward::with(Duty::default()).await;
    ward.tasks(&["RUNNING", "FAILED", "RUNNING"]);
    ward.rounds(1).await;
    let all = [
        r#"orderflow_connectors_state{connector="s",state="RUNNING"} 1"#,
        r#"orderflow_connectors_tasks{connector="s",state="FAILED"} 1"#,
        r#"orderflow_connectors_tasks{connector="s",state="RUNNING"} 2"#,
    ];
    assert_eq!(ward.states(), all);
    let normal = connect(Arc::clone(&ward.tasks), Arc::clone(&ward.heals));
    ward.connect.say(|_, _| (200, json!({})));
    ward.rounds(1).await;
    assert_eq!(ward.states(), [""; 0], "it was deleted");
    ward.connect.say(normal);
    ward.rounds(1).await;
    assert_eq!(ward.states(), all);
    ward.connect.say(|_, _| (500, json!({"message": "no leader"})));
    ward.rounds(1).await;
    assert_eq!(ward.states(), [""; 0], "nobody knows");
}

#[tokio::test]
async fn who_stands_by_looks_and_touches_nothing() {
    let mut ward = Ward::with(Duty::default()).await;
    ward.tasks(&["FAILED"]);
    ward.rounds(3).await;
    assert_eq!(ward.restarts(), 0);
    assert_eq!(ward.board.show()["onDuty"], false);
    assert_eq!(ward.shown("healing"), Value::Null);
}

#[tokio::test]
async fn a_failure_that_speaks_of_the_target_is_told_as_its_trouble() {
    let mut ward = Ward::new().await;
    let mut normal = connect(Arc::clone(&ward.tasks), Arc::clone(&ward.heals));
    ward.heals.store(false, Ordering::SeqCst);
    ward.tasks(&["RUNNING", "FAILED"]);
    ward.connect.say(move |line, body| {
        let (code, mut answer) = normal(line, body);
        if line.starts_with("POST ") {
            return (code, answer);
        }
        answer["s"]["status"]["tasks"][1]["trace"] = json!("a.B: no\nCaused by: c.D: No space left on device");
        (code, answer)
    });
    ward.rounds(1).await;
    assert_eq!(ward.restarts(), 1);
    assert!(ward.shown("healing").as_str().unwrap().starts_with("its target answers, and says itself what is wrong"));
}

#[tokio::test]
async fn a_sink_that_runs_and_does_not_move_is_restarted_as_a_whole_and_once() {
    let mut ward = Ward::new().await;
    ward.rounds(1).await;
    ward.board.set_progress("s", 0, 5, true, Vec::new());
    ward.rounds(3).await;
    let whole = "POST /connectors/s/restart?includeTasks=true&onlyFailed=false";
    assert_eq!((ward.connect.asked(whole).len(), ward.restarts()), (1, 0));
}
