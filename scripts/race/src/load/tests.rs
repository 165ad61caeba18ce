use std::sync::atomic::AtomicUsize;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A server that answers each request as `answer` says, counted from 0 over all connections.
#[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
async fn server<A, R>(answer: A) -> SocketAddr
where
    A: Fn(usize) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = &'static str> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, asked) = (answer.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096]; // a request of one order comes whole
                while let Ok(1..) = stream.read(&mut bytes).await {
                    let answer = answer(asked.fetch_add(1, Ordering::Relaxed)).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";

fn plan(address: SocketAddr, connections: usize, rate: f64, millis: u64) -> Plan {
    let (pace, time) = (Pace::Open(rate), Duration::from_millis(millis));
    Plan { address, connections, pace, time, batch: 1, obey_retry_after: false }
}

#[tokio::test]
async fn a_stall_of_the_server_counts_for_all_that_were_due_meanwhile() {
    let address = server(|at| async move {
        if at == 0 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        ACCEPTED
    })
    .await;
    // One connection: during the stall nothing else can be sent, though 30 requests are due.
    let tally = Load::run(&plan(address, 1, 100.0, 500), &Arc::default()).await;
    assert_eq!((tally.accepted(), tally.unsent.load(Ordering::Relaxed)), (50, 0));
    assert!(tally.is_clean(1));
    let median = |histogram: &Histogram| histogram.quantile(0.5).unwrap();
    assert!(Duration::from_millis(40) < median(&tally.accepted_after), "{:?}", median(&tally.accepted_after));
    assert!(median(&tally.accepted_since_sent) < median(&tally.accepted_after), "which sending times would hide");
}

#[tokio::test]
async fn a_refused_client_waits_as_told_and_tries_once_more() {
    let address = server(|at| std::future::ready(if at % 3 == 2 { ACCEPTED } else { REFUSED })).await;
    let plan = Plan { obey_retry_after: true, ..plan(address, 1, 1000.0, 100) };
    let tally = Load::run(&plan, &Arc::default()).await;
    // Refused, refused again; then accepted; and so on.
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((of(&tally.refused), of(&tally.second_tries), of(&tally.refused_again)), (100, 50, 50));
    assert_eq!((tally.accepted(), tally.others()), (50, BTreeMap::from([(503, 100)])));
    assert!(!tally.is_clean(1));
}

#[tokio::test]
async fn what_gets_no_answer_is_told() {
    let address = server(|_| std::future::ready("HTTP/1.0 what\r\n\r\n")).await;
    let tally = Load::run(&plan(address, 4, 100.0, 50), &Arc::default()).await;
    assert_eq!((tally.failed.load(Ordering::Relaxed), tally.accepted()), (5, 0));
    assert!(!tally.is_clean(1));
}
