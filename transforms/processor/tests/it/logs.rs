//! What modules log, on its way to the topic and back.

use std::time::Instant;

use rdkafka::mocking::MockCluster;
use service_kit::Tasks;
use service_kit::kafka::{self, SecurityArgs};
use transform_host::{Level, LogLine};
use transforms::command::logs::{Args, tell};
use transforms::logs;

use crate::harness::PATIENCE;

fn line(module: &str, level: Level, text: &str) -> LogLine {
    LogLine { module: format!("{module}@1.0.0+sha256:0123456789ab"), level, text: text.to_owned() }
}

fn told(args: &Args) -> Vec<String> {
    let mut out = Vec::new();
    tell(args, &mut out).unwrap();
    // Without the time at its begin.
    let shown = String::from_utf8(out).unwrap();
    shown.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn lines_of_modules_come_back_from_their_topic_as_asked() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("transforms.logs", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (logs, waiting) = logs::channel("here");
    logs.take("p", &line("clean", Level::Info, "one"));
    logs.take("p", &line("enrich", Level::Warn, "two"));
    logs.take("q", &line("clean", Level::Error, "three"));
    let tasks = Tasks::new();
    let writer = std::thread::spawn({
        let (brokers, tasks) = (brokers.clone(), tasks.clone());
        move || logs::write(&brokers.into(), "test", &waiting, &tasks)
    });
    let args = Args {
        pipeline: None,
        module: None,
        level: "debug".to_owned(),
        last: 100,
        follow: false,
        json: false,
        kafka: kafka::Args { kafka: brokers, security: SecurityArgs::default() },
    };
    let until = Instant::now() + PATIENCE;
    while told(&args).len() < 3 {
        assert!(Instant::now() < until, "only {:?}", told(&args));
    }
    assert_eq!(told(&args), ["info  p clean@1.0.0: one", "warn  p enrich@1.0.0: two", "error q clean@1.0.0: three"]);
    assert_eq!(told(&Args { last: 1, ..args.clone() }), ["error q clean@1.0.0: three"]);
    let of = |pipeline: &str, level: &str| Args {
        pipeline: Some(pipeline.to_owned()),
        level: level.to_owned(),
        ..args.clone()
    };
    assert_eq!(told(&of("p", "warn")), ["warn  p enrich@1.0.0: two"]);
    let refused = tell(&of("p", "loud"), &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(refused, r#"--level "loud": use one of debug, info, warn, error"#);
    tokio::runtime::Runtime::new().unwrap().block_on(tasks.drain(PATIENCE));
    assert!(writer.join().unwrap().is_ok());
    assert_eq!(logs.lost(), 0);
}

#[test]
fn without_room_a_line_is_counted_and_nobody_waits() {
    let (logs, _waiting) = logs::channel("here");
    let begun = Instant::now();
    (0..5_000).for_each(|_| logs.take("p", &line("clean", Level::Info, "more")));
    assert_eq!(logs.lost(), 5_000 - 4_096);
    assert!(begun.elapsed() < PATIENCE);
}
