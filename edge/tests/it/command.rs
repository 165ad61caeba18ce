//! The command itself, as a process: signals, exit codes, kill -9.

use std::{
    io::BufRead,
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::world::{PATIENCE, World, get, order, post, request, talk, until};

/// A process of ours that does not outlive its test.
pub(crate) struct Edge {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Edge {
    fn start(world: &World, address: SocketAddr, admin: SocketAddr) -> Self {
        Self::start_with(world, address, admin, &[])
    }

    /// One with further settings.
    pub(crate) fn start_with(world: &World, address: SocketAddr, admin: SocketAddr, args: &[&str]) -> Self {
        let child = Self::command(world, address, admin).arg("--log=warn").args(args).spawn().unwrap();
        Self { child, address, admin }
    }

    /// One whose log can be read.
    pub(crate) fn start_logging(world: &World, address: SocketAddr, admin: SocketAddr, args: &[&str]) -> Self {
        let child = Self::command(world, address, admin).args(args).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, address, admin }
    }

    fn command(world: &World, address: SocketAddr, admin: SocketAddr) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
        command
            .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string(), "--instance", "test"])
            .args(["--kafka", &world.kafka.bootstrap_servers(), "--registry", &world.registry.url()])
            .stdin(Stdio::null());
        command
    }

    /// The lines of its log, as they come.
    pub(crate) fn log(&mut self) -> tokio::sync::mpsc::UnboundedReceiver<String> {
        let (sent, lines) = tokio::sync::mpsc::unbounded_channel();
        let log = std::io::BufReader::new(self.child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = sent.send(line);
            }
        });
        lines
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) async fn until_ready(&self) {
        until("the process is ready", async || {
            let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            talk(self.admin, request).await.is_some_and(|answer| answer.status == 200)
        })
        .await;
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    async fn exit(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Two ports that are free now.
pub(crate) async fn free_ports() -> (SocketAddr, SocketAddr) {
    let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
    let (a, b) = (bind().await.unwrap(), bind().await.unwrap());
    (a.local_addr().unwrap(), b.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_in_order_and_a_second_one_at_once() {
    let world = World::ready().await;
    let (address, admin) = free_ports().await;
    let edge = Edge::start(&world, address, admin);
    edge.until_ready().await;
    assert_eq!(post(edge.address, &order("a"), &[]).await.status, 202);
    edge.signal("-TERM");
    let begun = Instant::now();
    assert_eq!(edge.exit().await.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    let edge = Edge::start(&world, address, admin);
    edge.until_ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(4)).unwrap();
    let open = world.tasks.spawn(async move { talk(address, request(&order("open"), &[]).as_bytes()).await });
    until("an order is in flight", async || {
        get(admin, "/metrics").await.text.contains("orderflow_edge_queue_orders 1")
    })
    .await;
    edge.signal("-INT");
    until("it drains", async || get(admin, "/readyz").await.status == 503).await;
    edge.signal("-INT");
    assert_eq!(edge.exit().await.code(), Some(130));
    assert!(open.await.unwrap().unwrap().is_none(), "cut without an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_it_is_back_in_time_and_what_it_acknowledged_is_there() {
    let world = World::ready().await;
    let (address, admin) = free_ports().await;
    let mut accepted = Vec::new();
    for round in 0..3 {
        let edge = Edge::start(&world, address, admin);
        let begun = Instant::now();
        edge.until_ready().await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        world.kafka.broker_round_trip_time(-1, Duration::from_millis(50)).unwrap();
        let clients = service_kit::Tasks::new();
        let posts: Vec<_> = (0..8)
            .map(|client| {
                clients.spawn(async move {
                    let mut accepted = Vec::new();
                    for number in 0..1000 {
                        let id = format!("kill-{round}-{client}-{number}");
                        match talk(address, request(&order(&id), &[]).as_bytes()).await {
                            Some(answer) if answer.status == 202 => accepted.push(id),
                            _ => break,
                        }
                    }
                    accepted
                })
            })
            .collect();
        until("orders flow and some are in flight", async || {
            let text = get(admin, "/metrics").await.text;
            let number = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.rsplit(' ').next()).map_or(0.0, |value| value.parse::<f64>().unwrap())
            };
            20.0 <= number(r#"orderflow_edge_requests_total{outcome="accepted"}"#)
                && 1.0 <= number("orderflow_edge_queue_orders")
        })
        .await;
        edge.signal("-KILL");
        edge.exit().await;
        for post in posts {
            accepted.extend(post.await.unwrap().unwrap());
        }
        world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    }
    let stored: std::collections::HashSet<String> = world.stored().into_iter().map(|stored| stored.key).collect();
    assert!(60 <= accepted.len(), "{}", accepted.len());
    assert!(accepted.iter().all(|id| stored.contains(id)));
}

#[test]
fn a_new_key_is_printed_and_nothing_is_started() {
    let make = |id: &str| Command::new(env!("CARGO_BIN_EXE_edge")).args(["--new-api-key", id]).output().unwrap();
    let (made, refused) = (make("shop"), make("sh.op"));
    let told = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success() && told.contains("shop.") && told.contains(r#"{"id":"shop","sha256":""#), "{told}");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("an id has 1 to 64"));
}

#[test]
fn a_setting_that_cannot_be_used_is_told_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_edge")).args(["--kafka=", "--registry=x"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    assert!(told.contains("--kafka") && told.contains("--registry"), "{told}");
}

/// Whoever deploys files and tells the edge so does not look whether it is still starting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_while_it_starts_neither_ends_it_nor_is_forgotten() {
    let world = World::ready().await;
    let file = std::env::temp_dir().join(format!("edge-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&file, "max-body-bytes = 1024\n").unwrap();
    let (address, admin) = free_ports().await;
    let edge = Edge::start_with(&world, address, admin, &["--config", file.to_str().unwrap()]);
    // It listens long before it is ready, and has read its settings.
    while std::net::TcpStream::connect(address).is_err() {}
    std::fs::write(&file, "max-body-bytes = 4096\n").unwrap();
    edge.signal("-HUP");
    edge.until_ready().await;
    let large = format!(r#"{{"orderId":"a","amount":1,"customer":"c"{}}}"#, " ".repeat(2000));
    until("the file is read anew", async || post(address, &large, &[]).await.status == 202).await;
    std::fs::remove_file(&file).unwrap();
}
