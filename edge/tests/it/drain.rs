//! A stop under load: every order that was answered 202 is in the topic, and the end comes in time.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{World, order, post, request, stored, talk, until};

/// Orders of the twenty clients that a drain meets at least: not each has connected by then.
const IN_FLIGHT: u32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_loses_nothing_that_was_acknowledged() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_millis(100)).unwrap();
    let address = world.app.address;
    let clients = service_kit::Tasks::new();
    let posts: Vec<_> = (0..20)
        .map(|client| {
            clients.spawn(async move {
                let mut accepted = Vec::new();
                for number in 0..1000 {
                    let id = format!("drain-{client}-{number}");
                    match talk(address, request(&order(&id), &[]).as_bytes()).await {
                        Some(answer) if answer.status == 202 => accepted.push(id),
                        Some(answer) => panic!("neither accepted nor closed: {answer:?}"),
                        None => break,
                    }
                }
                accepted
            })
        })
        .collect();
    until("orders are in flight", async || f64::from(IN_FLIGHT) <= world.metric("orderflow_edge_queue_orders").await)
        .await;
    let servers = world.kafka.bootstrap_servers();
    let begun = Instant::now();
    world.app.drain().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let mut accepted = Vec::new();
    for post in posts {
        accepted.extend(post.await.unwrap().unwrap());
    }
    let stored: HashSet<String> = stored(&servers).into_iter().map(|stored| stored.key).collect();
    assert!(IN_FLIGHT as usize <= accepted.len(), "so many were in flight at least: {}", accepted.len());
    let lost: Vec<_> = accepted.iter().filter(|id| !stored.contains(*id)).collect();
    assert_eq!(lost, Vec::<&String>::new());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_settles_what_was_handed_over_for_a_client_that_left() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_millis(500)).unwrap();
    let address = world.app.address;
    let waiting = world.tasks.spawn(async move { post(address, &order("left"), &[("x-deadline-ms", "200")]).await });
    assert_eq!(waiting.await.unwrap().unwrap().status, 504);
    let servers = world.kafka.bootstrap_servers();
    world.app.drain().await;
    assert!(stored(&servers).iter().any(|stored| stored.key == "left"));
}

/// It had a second; its order would have a deadline of five, and the drain has seven.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_has_not_come_is_not_waited_for() {
    let world = World::ready().await;
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    let sent = request(&order("half"), &[]);
    stream.write_all(&sent.as_bytes()[..sent.len() - 10]).await.unwrap();
    until("the body is waited for", async || 1.0 <= world.metric("orderflow_edge_in_flight_requests").await).await;
    let begun = Instant::now();
    world.app.drain().await;
    let took = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "{took:?}");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("stopping"), "{answer}");
    assert!(answer.contains(r#""persisted":"no""#) && answer.contains(r#""retry":"safe""#), "{answer}");
}
