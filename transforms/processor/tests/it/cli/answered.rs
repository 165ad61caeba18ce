//! The command beside a process that only answers: what it makes of answers that a real one gives seldom.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use service_kit::Tasks;
use service_kit::http::{Limits, Response, bind, json as answer, serve};

use super::{FILE, asked, folder};
use crate::harness::PATIENCE;

/// A process that answers a method and a path so.
async fn answering(
    tasks: &Tasks,
    answers: impl Fn(&str, &str) -> (StatusCode, Value) + Send + Sync + 'static,
) -> String {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(answers);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let answers = Arc::clone(&answers);
        async move {
            let (status, body) = answers(request.method().as_str(), request.uri().path());
            Ok::<Response, Infallible>(answer(status, &body))
        }
    });
    tasks.spawn(serve(listener, service, Limits::default(), tasks.clone()));
    format!("http://{address}")
}

/// One that runs what the file says, answers a change of the config with this status, and all else well.
fn usual(change: StatusCode) -> impl Fn(&str, &str) -> (StatusCode, Value) + Send + Sync + 'static {
    move |method, path| match (method, path) {
        ("PUT", "/connectors/p/config") => (change, json!({ "message": "its own words" })),
        ("GET", "/connectors/p") => {
            let mut running: Value = serde_json::from_str(FILE).unwrap();
            running["config"]["tasks.max"] = json!("1");
            (StatusCode::OK, running)
        }
        _ => (StatusCode::OK, json!({})),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_does_meanwhile_is_not_undone() {
    let (tasks, dir) = (Tasks::new(), folder("meanwhile"));
    let path = dir.join("p.json");
    let edited = FILE.replace("errors.tolerance\": \"all", "errors.tolerance\": \"none");
    let promote = ["promote", "p", "x=panic@0.2.0", "--dir", "."];
    // An editor saves while the change is checked, or while it is refused; or somebody changes what runs.
    for (at, words, file) in [
        ("/config/validate", "nothing was changed; run it again: ./p.json was edited while this ran", &edited),
        ("/connectors/p/config", "./p.json was edited while this ran, so it is left as it is; where it still", &edited),
        ("/connectors/p", "somebody else changed p meanwhile, so nothing was changed", &FILE.to_owned()),
    ] {
        std::fs::write(&path, FILE).unwrap();
        let (asked_for, puts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, changes) = (Arc::clone(&asked_for), Arc::clone(&puts));
        let (saved, edited) = (path.clone(), edited.clone());
        let url = answering(&tasks, move |method, path| {
            let (status, mut body) = usual(StatusCode::CONFLICT)(method, path);
            match (method, path) {
                ("PUT", "/connectors/p/config") => _ = changes.fetch_add(1, Ordering::SeqCst),
                ("GET", "/connectors/p") if at == path && count.fetch_add(1, Ordering::SeqCst) > 0 => {
                    body["config"]["transforms.x.type"] = json!("panic@0.3.0");
                }
                _ => {}
            }
            if method == "PUT" && path.ends_with(at) {
                std::fs::write(&saved, &edited).unwrap();
            }
            (status, body)
        });
        let url = url.await;
        let (good, out, err) = asked(&dir, &url, &promote).await;
        assert!(!good && err.contains(words), "{at}: {out}{err}");
        assert_eq!(&std::fs::read_to_string(&path).unwrap(), file, "{at}");
        let refused = usize::from(at == "/connectors/p/config");
        assert_eq!(puts.load(Ordering::SeqCst), refused, "{at}: only one of them comes to the process");
        assert!(refused == 0 || err.contains("its own words"), "{err}");
    }
    tasks.drain(PATIENCE).await;
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_passes_on_cannot_steer_a_terminal() {
    let (tasks, dir) = (Tasks::new(), folder("plain"));
    std::fs::write(dir.join("m.wasm"), b"m").unwrap();
    let evil = "it said \u{1b}[2J";
    let url = answering(&tasks, move |method, path| match (method, path) {
        ("PUT", path) if path.ends_with("/validate") => {
            let fault = json!({ "value": { "name": "transforms.x.type", "errors": [format!("{evil}\nand more")] } });
            (StatusCode::OK, json!({ "configs": [fault] }))
        }
        ("POST", _) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "check": "configure", "detail": evil })),
        ("GET", "/connectors/p/shadow") => (StatusCode::BAD_REQUEST, json!({ "message": evil })),
        ("GET", "/connectors") => {
            let degraded = json!({ "says": "m@1", "running": "m@0", "since": "3", "because": evil });
            let task = json!({ "id": 0, "state": "FAILED", "trace": evil, "gaps": [evil] });
            let status =
                json!({ "connector": { "state": "RUNNING", "trace": evil }, "tasks": [task], "degraded": degraded });
            (StatusCode::OK, json!({ "p": { "info": { "config": {} }, "status": status } }))
        }
        ("GET", "/modules") => (StatusCode::OK, json!([{ "module": "m@1.0.0", "error": evil }])),
        _ => usual(StatusCode::OK)(method, path),
    });
    let url = url.await;
    for args in [
        &["validate", "p.json"][..],
        &["promote", "p", "x=panic@0.2.0", "--dir", "."],
        &["push", "m.wasm"],
        &["shadow", "p"],
        &["status", "--rate-over", "0"],
        &["list"],
    ] {
        let (_, out, err) = asked(&dir, &url, args).await;
        let told = out + &err;
        assert!(told.contains("it said \u{fffd}[2J") && !told.contains('\u{1b}'), "{args:?}: {told:?}");
        // A text of several lines stays one.
        assert!(args[0] != "validate" || told.contains("[2J\nand more"), "{told:?}");
    }
    tasks.drain(PATIENCE).await;
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_goes_back_only_when_the_change_was_refused() {
    let (tasks, dir) = (Tasks::new(), folder("unknown"));
    let new = FILE.replace("panic@0.1.0", "panic@0.2.0");
    for (status, words, file) in [
        (StatusCode::CONFLICT, "p.json is as it was", FILE),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not known whether the change was stored; ./p.json says panic@0.2.0",
            new.as_str(),
        ),
    ] {
        let url = answering(&tasks, usual(status)).await;
        let (good, _, error) = asked(&dir, &url, &["promote", "p", "x=panic@0.2.0", "--dir", "."]).await;
        assert!(!good && error.contains(words) && error.contains("its own words"), "{error}");
        assert_eq!(std::fs::read_to_string(dir.join("p.json")).unwrap(), file, "{status}");
        if status.is_server_error() {
            assert!(error.contains("`transforms promote` with x=panic@0.1.0 takes it back"), "{error}");
        }
    }
    tasks.drain(PATIENCE).await;
    std::fs::remove_dir_all(&dir).unwrap();
}
