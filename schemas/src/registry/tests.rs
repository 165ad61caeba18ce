//! The client against a registry that has a bad day: a stub that answers what the script says.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::contracts::ORDERS_RECEIVED_AVSC;

type Script = Arc<Mutex<VecDeque<(u16, String)>>>;

/// A registry that gives the answers of the script, one a request, and then 404 with HTML; and the count of requests.
async fn registry(answers: &[(u16, String)]) -> (Registry, Arc<Mutex<Vec<String>>>, Script) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/apis/ccompat/v7/", listener.local_addr().unwrap());
    let script: Script = Arc::new(Mutex::new(answers.iter().cloned().collect()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (stub_script, stub_seen) = (Arc::clone(&script), Arc::clone(&seen));
    #[expect(clippy::disallowed_methods, reason = "the stub ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 16 << 10];
            let mut len = 0;
            while !complete(&request[..len]) {
                match socket.read(&mut request[len..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => len += more,
                }
            }
            let line = String::from_utf8_lossy(&request[..len]).lines().next().unwrap_or_default().to_owned();
            stub_seen.lock().unwrap().push(line);
            let (status, body) = stub_script.lock().unwrap().pop_front().unwrap_or((404, "<html>".to_owned()));
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = socket.write_all((head + &body).as_bytes()).await;
        }
    });
    (Registry::new(&url).unwrap(), seen, script)
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
}

fn schema(id: u32) -> (u16, String) {
    (200, json!({ "subject": "s", "version": 1, "id": id, "schema": ORDERS_RECEIVED_AVSC }).to_string())
}

fn refused(status: u16, code: u32) -> (u16, String) {
    (status, json!({ "error_code": code, "message": "in its own words" }).to_string())
}

#[tokio::test]
async fn a_bad_moment_is_asked_again_and_not_remembered() {
    let bad =
        [(500, String::new()), refused(500, 50001), (200, "<html>".into()), refused(429, 429), (503, "{}".into())];
    for bad in bad {
        let (registry, seen, _) = registry(&[bad.clone(), schema(7)]).await;
        let found = registry.by_id(7).await;
        assert_eq!(found.as_ref().map(|found| found.id), Ok(7), "after {bad:?}");
        assert_eq!(seen.lock().unwrap().len(), 2, "after {bad:?}");
    }
}

#[tokio::test]
async fn the_tries_are_bounded_and_the_next_call_begins_anew() {
    let down = || (502, String::new());
    let (registry, seen, script) = registry(&[down(), down(), down()]).await;
    let error = registry.latest("s").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 3);
    script.lock().unwrap().push_back(schema(3));
    assert_eq!(registry.latest("s").await.map(|found| found.id), Ok(3));
}

fn given(schema: &str) -> (u16, String) {
    (200, json!({ "id": 7, "schema": schema }).to_string())
}

/// The registry gave a whole answer, and will never give another for this id: to wait would be to wait for ever.
#[tokio::test]
async fn a_schema_that_we_cannot_parse_is_still_what_the_id_means() {
    for schema in [
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"of.another.Subject"}]}"#,
        r#"{"type":"record","name":"R","namespace":"com.acme.Outer$","fields":[]}"#,
        r#"{"type":"nonsense"}"#,
    ] {
        assert!(apache_avro::Schema::parse_str(schema).is_err(), "{schema}");
        let (registry, seen, _) = registry(&[given(schema)]).await;
        for _ in 0..2 {
            assert_eq!(registry.by_id(7).await.map(|found| found.schema.clone()), Ok(schema.to_owned()));
        }
        assert_eq!(seen.lock().unwrap().len(), 1, "it is kept like any other");
    }
}

#[tokio::test]
async fn what_can_be_no_schema_is_no_answer() {
    for text in ["", "<html>", "null", "7", "{}", "[]", "\"\"", "{\"type\":"] {
        let (registry, ..) = registry(&[given(text)]).await;
        let error = registry.by_id(7).await.unwrap_err();
        assert!(error.is_transient(), "{text:?}: {error}");
    }
}

/// What we write with or register after is held to more than what a stranger wrote.
#[tokio::test]
async fn the_newest_schema_of_a_subject_must_parse() {
    let (registry, ..) = registry(&[given(r#"{"type":"nonsense"}"#)]).await;
    assert!(registry.latest("s").await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_password_in_the_address_is_not_shown() {
    let registry = Registry::new("http://user:secret@127.0.0.1:1/api").unwrap();
    let error = registry.check().await.unwrap_err();
    let other = registry.set_compatibility("s", "BACKWARD").await.unwrap_err();
    for shown in [error.to_string(), format!("{error:?}"), other.to_string(), format!("{registry:?}")] {
        assert!(shown.contains("http://127.0.0.1:1/api") && !shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn a_schema_of_another_kind_is_a_clear_answer() {
    let json_schema = json!({ "id": 7, "schemaType": "JSON", "schema": "{\"type\":\"object\"}" }).to_string();
    let (registry, seen, _) = registry(&[(200, json_schema)]).await;
    assert_eq!(registry.by_id(7).await.map(|found| found.schema.clone()), Ok("{\"type\":\"object\"}".to_owned()));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_id_is_asked_once_and_no_such_id_is_kept_for_a_while() {
    let (registry, seen, _) = registry(&[schema(7), refused(404, 40403)]).await;
    for _ in 0..3 {
        assert_eq!(registry.by_id(7).await.map(|found| found.id), Ok(7));
        assert!(seen.lock().unwrap().len() <= 2);
    }
    for _ in 0..3 {
        assert_eq!(registry.by_id(8).await, Err(Error::UnknownId(8)));
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_empty_registry_is_no_witness() {
    let (registry, ..) = registry(&[refused(404, 40403)]).await;
    assert!(registry.witness(7).await.unwrap_err().is_transient());
    let (registry, ..) = self::registry(&[schema(7), refused(404, 40401)]).await;
    assert!(registry.witness(7).await.unwrap_err().is_transient());
    let (registry, ..) = self::registry(&[schema(7), schema(6)]).await;
    assert_eq!(registry.witness(7).await, Ok(()));
}

#[tokio::test]
async fn a_clear_refusal_is_named() {
    for (answer, expected) in [
        (refused(404, 40403), Error::UnknownSchema("s".into())),
        (refused(404, 40401), Error::UnknownSubject("s".into())),
        (refused(409, 409), Error::Incompatible { subject: "s".into(), reasons: "in its own words".into() }),
        (refused(422, 42201), Error::Refused { code: 42201, message: "in its own words".into() }),
    ] {
        let (registry, seen, _) = registry(&[answer]).await;
        assert_eq!(registry.id_of("s", "\"string\"").await, Err(expected));
        assert_eq!(seen.lock().unwrap().len(), 1);
        assert!(
            seen.lock().unwrap()[0].starts_with("POST /apis/ccompat/v7/subjects/s?"),
            "a lookup, not a registration"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let registry = Registry::new("http://127.0.0.1:1").unwrap();
    assert!(registry.check().await.unwrap_err().is_transient());
    assert!(registry.set_compatibility("s", "BACKWARD").await.unwrap_err().is_transient());
}

#[tokio::test]
async fn the_rule_of_a_subject_is_its_own_or_none() {
    let level = |body: Value| (200, body.to_string());
    let cases = [
        (level(json!({"compatibilityLevel": "BACKWARD"})), Ok(Some("BACKWARD".to_owned()))),
        (level(json!({"compatibility": "NONE"})), Ok(Some("NONE".to_owned()))),
        (refused(404, 40408), Ok(None)),
        (refused(404, 40401), Ok(None)),
    ];
    for (answer, expected) in cases {
        let (registry, seen, _) = registry(&[answer]).await;
        assert_eq!(registry.compatibility("s").await, expected);
        assert_eq!(*seen.lock().unwrap(), ["GET /apis/ccompat/v7/config/s HTTP/1.1"]);
    }
    for bad in [level(json!({})), (200, "<html>".to_owned()), (500, String::new())] {
        let (registry, ..) = registry(std::slice::from_ref(&bad)).await;
        assert!(registry.compatibility("s").await.is_err_and(|error| error.is_transient()), "{bad:?}");
    }
}

#[tokio::test]
async fn what_stands_against_a_schema_is_told_in_the_registrys_words() {
    let answer = |body: Value| (200, body.to_string());
    for (body, expected) in [
        (json!({"is_compatible": true}), Ok(Vec::new())),
        (json!({"is_compatible": false, "messages": ["no default"]}), Ok(vec!["no default".to_owned()])),
        (json!({"is_compatible": false}), Ok(vec!["the registry gives no reason".to_owned()])),
    ] {
        let (registry, ..) = registry(&[answer(body)]).await;
        assert_eq!(registry.incompatibilities("s", ORDERS_RECEIVED_AVSC).await, expected);
    }
    let (registry, ..) = registry(&[answer(json!({}))]).await;
    assert!(registry.incompatibilities("s", "{}").await.unwrap_err().is_transient());
}
