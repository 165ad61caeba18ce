use service_kit::http::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// A panic in the middle of a request: nobody knows how far it came, and the answer says so.
#[tokio::test]
async fn a_panic_is_answered_and_counted_and_the_service_goes_on() {
    let mut registry = MetricsRegistry::default();
    let metrics = Metrics::new(&mut registry);
    let counted = metrics.clone();
    let service = around(metrics.clone(), move |_| {
        let metrics = counted.clone();
        async move {
            let _request = metrics.request();
            panic!("of the test")
        }
    });
    let listener = kit::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new();
    tasks.spawn(kit::serve(listener, service, Limits::default(), tasks.clone()));
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-request-id: r-1\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        for part in
            ["HTTP/1.1 500", "x-request-id: r-1", r#""persisted":"possibly""#, r#""retry":"with-same-order-id""#]
        {
            assert!(answer.contains(part), "{part} is not in {answer}");
        }
        assert!(!answer.contains("of the test"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["status"], &body["requestId"]), (&500.into(), &"r-1".into()), "as every problem");
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains(r#"orderflow_edge_requests_total{outcome="panicked"} 2"#), "{text}");
    assert!(!text.contains("client_gone"), "{text}");
    assert!(text.contains("orderflow_edge_in_flight_requests 0"), "{text}");
}

/// Without it nobody could see how the edge is; it is told to stop only after the drain, so it has tasks of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_admin_port_stops_the_process() {
    use clap::Parser;

    let words = ["edge", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--kafka=127.0.0.1:1"];
    let words = words.into_iter().chain(["--registry=http://127.0.0.1:1", "--instance=test"]);
    let config = Config::try_from(crate::config::Args::try_parse_from(words).unwrap()).unwrap();
    let tasks = Tasks::new();
    let app = App::start(config, tasks.clone()).await.unwrap();
    assert!(!tasks.is_stopping());
    app.admin_tasks.fail("admin port"); // as its task does when it panics
    tokio::time::timeout(Duration::from_secs(20), tasks.stopping()).await.unwrap();
    assert_eq!(tasks.broken(), Some("admin port"));
}
