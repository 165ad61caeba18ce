//! How answers of Connect are read.

use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec() }
}

#[test]
fn a_rebalance_is_waited_out_and_a_refusal_is_not() {
    let cases = [
        (
            409,
            "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)",
            true,
        ),
        (409, "Cannot complete request because of a conflicting operation (e.g. worker rebalance)", true),
        (409, "clean@1.0.0 exists with another digest", false),
        (500, "Request cannot be completed because a rebalance is expected", true),
        (500, "Request timed out. The worker is currently joining the group", true),
        (500, "NullPointerException", false),
        (503, "topics are missing", true),
        (400, "Connector configuration is invalid", false),
        (404, "HTTP 404 Not Found", false),
    ];
    for (status, message, busy) in cases {
        assert_eq!(is_busy(StatusCode::from_u16(status).unwrap(), message), busy, "{status} {message}");
    }
}

#[test]
fn a_worker_that_starts_is_not_one_that_lacks_the_connector() {
    assert!(is_starting(&answer(404, "<html>Not Found</html>")));
    assert!(!is_starting(&answer(404, r#"{"error_code":404,"message":"Connector x not found"}"#)));
}

#[test]
fn the_words_of_an_error_are_found_in_each_shape() {
    assert_eq!(words(&answer(400, r#"{"error_code":400,"message":"no"}"#)), "no");
    assert_eq!(words(&answer(400, r#"{"title":"t","detail":"d"}"#)), "d");
    assert_eq!(words(&answer(502, " bad gateway ")), "bad gateway");
}

#[test]
fn running_means_the_connector_and_each_of_its_tasks() {
    let status: Status = serde_json::from_str(
        r#"{"name":"s","connector":{"state":"RUNNING","worker_id":"w","version":"1"},
            "tasks":[{"id":0,"state":"RUNNING","worker_id":"w"},{"id":1,"state":"FAILED","trace":"x.Y: no\n"}],"type":"sink"}"#,
    )
    .unwrap();
    let workers: Vec<_> = status.parts().map(|part| part.worker_id.as_deref()).collect();
    assert_eq!(workers, [Some("w"), Some("w"), None]);
    assert_eq!(status.connector.version.as_deref(), Some("1"));
    assert!(!status.all_running(2));
    assert_eq!(status.failed(), 1);
    assert_eq!(status.failure().as_deref(), Some("Y: no"));
}

#[test]
fn a_setting_that_is_null_is_one_that_is_not_there() {
    let all =
        r#"{"odd": {"info": {"config": {"topics": "t", "transforms": null}}}, "bare": {"info": {"config": null}}}"#;
    let all: BTreeMap<String, Listed> = serde_json::from_str(all).unwrap();
    let expected = Settings::from([("topics".to_owned(), "t".to_owned())]);
    assert_eq!((&all["odd"].info.config, &all["bare"].info.config), (&expected, &Settings::new()));
    let Given(settings) = serde_json::from_str(r#"{"topics": "t", "transforms": null}"#).unwrap();
    assert_eq!(settings, expected);
}

#[test]
fn the_topics_of_a_pipelines_other_ends_are_those_that_its_settings_name() {
    let settings = |pairs: &[(&str, &str)]| -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let none = settings(&[("errors.deadletterqueue.topic.name", " "), ("outputs", "a"), ("outputs.b.topic", "x")]);
    assert_eq!((ends::letters(&none), ends::dropped(&none), ends::outputs(&none)), (None, None, vec![]));
    let all = settings(&[
        ("errors.deadletterqueue.topic.name", " bad"),
        ("dropped.topic.name", "gone"),
        ("outputs", "a, b"),
        ("outputs.a.topic", "x"),
        ("outputs.b.topic", "y"),
    ]);
    let outputs = ["x", "y"].map(str::to_owned).to_vec();
    let (letters, dropped) = (Some("bad".to_owned()), Some("gone".to_owned()));
    assert_eq!((ends::letters(&all), ends::dropped(&all), ends::outputs(&all)), (letters, dropped, outputs));
}

#[test]
fn the_faults_of_a_validation_name_their_keys() {
    let verdict = serde_json::json!({"error_count": 1, "configs": [
        {"value": {"name": "topics", "errors": []}},
        {"value": {"name": "insert.mode", "errors": ["must be one of insert, upsert, update"]}},
    ]});
    let (key, words) = ("insert.mode".to_owned(), "must be one of insert, upsert, update".to_owned());
    assert_eq!(faults(&verdict), [Fault { key, words }]);
}
