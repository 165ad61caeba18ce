//! Answers those who ask over the socket. It decides nothing: orders go to the runners, and their answers back.

use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::{End, Order, Shared};
use crate::Service;
use crate::control::{MAX_LINE, Request, Response};

/// Questions that are answered side by side; more wait.
const MAX_OPEN: usize = 32;
/// How long the question itself may take to arrive.
const QUESTION: Duration = Duration::from_secs(5);

/// To whoever orders something of a stack that ends.
const STOPPING: &str = "the stack is stopping; `scripts/up` waits for that and starts it again";

#[derive(Clone)]
pub(super) struct Desk {
    shared: Arc<Shared>,
    ends: mpsc::Sender<End>,
    released: Arc<AtomicBool>,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, ends: mpsc::Sender<End>, released: Arc<AtomicBool>) -> Self {
        Self { shared, ends, released }
    }

    /// Ends after the answer to `Down` was written.
    pub(super) async fn serve(self, listener: StdListener) {
        let listener = match listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)) {
            Ok(listener) => listener,
            Err(error) => return warn!(%error, "cannot listen for questions"),
        };
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if open.len() < MAX_OPEN => match accepted {
                    Ok((stream, _)) => { open.spawn(self.clone().answer(stream)); }
                    Err(error) => {
                        warn!(%error, "cannot accept a question");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = open.join_next() => if matches!(done, Ok(true)) { return },
            }
        }
    }

    /// Answers one question; true if it was the last one.
    async fn answer(self, mut stream: UnixStream) -> bool {
        let mut line = String::new();
        let read = async { BufReader::new((&mut stream).take(MAX_LINE)).read_line(&mut line).await };
        if !matches!(tokio::time::timeout(QUESTION, read).await, Ok(Ok(_))) {
            return false;
        }
        let (response, last) = match serde_json::from_str(&line) {
            Ok(request) => self.handle(request).await,
            Err(error) => (Response::Fault(format!("cannot understand the question: {error}")), false),
        };
        let mut text = serde_json::to_vec(&response).unwrap_or_default();
        text.push(b'\n');
        // Who asked may be gone by now.
        let _ = stream.write_all(&text).await;
        last
    }

    async fn handle(&self, request: Request) -> (Response, bool) {
        let response = match request {
            Request::Status => Response::Status(self.shared.status()),
            Request::Start(service) => self.order(service, Order::Start).await,
            Request::Stop(service) => self.order(service, Order::Stop).await,
            Request::Restart(service) => self.order(service, Order::Restart).await,
            Request::Kill(service) => self.order(service, Order::Kill).await,
            Request::Release => {
                self.released.store(true, Ordering::SeqCst);
                Response::Done("released".to_owned())
            }
            Request::Stopping => Response::Stopping(self.shared.is_ending()),
            Request::Down => return (self.down(End::Asked).await, true),
            Request::Abandon => return (self.down(End::Abandoned).await, true),
        };
        (response, false)
    }

    async fn order(&self, service: Service, order: fn(oneshot::Sender<String>) -> Order) -> Response {
        let Some(slot) = self.shared.slots.get(&service) else {
            return Response::Fault(format!("this stack does not run {service}"));
        };
        if self.shared.is_ending() {
            return Response::Fault(STOPPING.to_owned());
        }
        let (reply, answer) = oneshot::channel();
        let asked = slot.orders.send(order(reply)).await;
        match (asked, answer.await) {
            (Ok(()), Ok(words)) => {
                info!(%service, %words, "on request");
                Response::Done(words)
            }
            _ => Response::Fault(STOPPING.to_owned()),
        }
    }

    async fn down(&self, end: fn(oneshot::Sender<()>) -> End) -> Response {
        let (reply, answer) = oneshot::channel();
        match (self.ends.send(end(reply)).await, answer.await) {
            (Ok(()), Ok(())) => Response::Done("stopped".to_owned()),
            _ => Response::Fault("the stack is stopping already".to_owned()),
        }
    }
}
