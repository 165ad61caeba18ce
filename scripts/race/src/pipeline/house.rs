//! The whole stack, started and deployed as `scripts/up` does it, and what it has accepted so far.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use stack::{Service, Stack, deploy, layout::Layout, progress::Progress};
use tokio::net::TcpStream;

use super::{
    eye::Eye,
    usage::Part,
    way::{Deployed, Way},
};
use crate::{
    load::{Client, Tally},
    machine::as_shipped,
    orders::{Ids, Request},
    process::Process,
    report::progress,
    sinks::stores::{Kind, Stores},
};

/// How long an order may take into both stores when nothing else flows, and how long the stores may stand still.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(5);
const LOOK_AT_COUNTS: Duration = Duration::from_millis(250);

/// The running stack.
pub(super) struct House {
    pub(super) stack: Stack,
    pub(super) stores: Stores,
    pub(super) edge: SocketAddr,
    pub(super) ids: Arc<Ids>,
    /// All processes.
    pub(super) parts: Vec<Part>,
    /// Whether the JVMs started with class archives, in words.
    pub(super) archives: &'static str,
    /// Orders that were accepted.
    pub(super) total: u64,
    /// Orders that were refused, and are stored nowhere.
    pub(super) refused: u64,
    /// Those that run in place of services.
    peers: Mutex<Vec<Process>>,
}

/// Orders were accepted, and for a long time none of them came on.
#[derive(Debug, thiserror::Error)]
#[error("{kind} stands at {found} of {count} orders for {PATIENCE:?}")]
pub(super) struct StoodStill {
    kind: Kind,
    found: u64,
    count: u64,
}

/// What a start took, in seconds from its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Until every service was ready.
    pub(super) ready: f64,
    /// Until everything was deployed and orders could flow.
    pub(super) deployed: f64,
    /// Until the first order was accepted.
    pub(super) accepted: f64,
    /// Until both stores had it.
    pub(super) stored: [f64; 2],
}

impl House {
    /// Starts it in an empty folder and sends the first order.
    pub(super) async fn start(dir: PathBuf, way: &Way) -> anyhow::Result<(Self, Start)> {
        let (to, of) = (dir.clone(), way.clone());
        let (stack, begun, ready) = tokio::task::spawn_blocking(move || started(&to, &of)).await??;
        let stores = Stores::shipped(&stack)?;
        let Deployed { edge, parts, peers } = way.deploy(&stack, &stores, &dir).await?;
        let deployed = begun.elapsed().as_secs_f64();
        let has_archives = stack.options().servers.with_file_name("cds").join("kafka.jsa").is_file();
        let archives = if has_archives { "the JVMs have class archives" } else { "the JVMs have no class archives" };
        let (ids, total, refused) = (Arc::default(), 0, 0);
        let mut house = Self { stack, stores, edge, ids, parts, archives, total, refused, peers: Mutex::new(peers) };
        let (accepted, stored) = house.first(begun).await.context("the first order")?;
        Ok((house, Start { ready, deployed, accepted, stored }))
    }

    /// Stops it at once; nothing of it is needed any more.
    pub(super) async fn leave(house: Self) -> anyhow::Result<()> {
        Ok(tokio::task::spawn_blocking(move || house.stack.abandon()).await??)
    }

    /// The id of the order that is sent next.
    pub(super) fn next_id(&self) -> String {
        self.ids.id(self.ids.peek())
    }

    /// Takes in what a load came to. Orders that were accepted.
    ///
    /// # Errors
    /// When of an order nobody knows whether it is stored: then nothing can be compared.
    pub(super) fn accepted(&mut self, tally: &Tally) -> anyhow::Result<u64> {
        let unknown = tally.failed.load(Ordering::Relaxed);
        ensure!(unknown == 0, "{unknown} orders got no answer");
        let refused = tally.refused.load(Ordering::Relaxed);
        ensure!(tally.others().values().sum::<u64>() == refused, "orders got other answers: {:?}", tally.others());
        self.refused += refused;
        self.total += tally.accepted();
        Ok(tally.accepted())
    }

    /// Waits until so many orders from this id on are stored and found in both; how long each store took.
    pub(super) async fn until_stored(&self, from: &str, count: u64) -> anyhow::Result<[Duration; 2]> {
        let begun = Instant::now();
        let wait = async |kind: Kind| {
            let mut eye = Eye::open(&self.stores, kind).await?;
            let (mut before, mut moved) = (0, Instant::now());
            loop {
                let found = eye.found(from).await?;
                ensure!(found <= count, "{kind} has {found} orders, {count} were accepted");
                if found == count {
                    return anyhow::Ok(begun.elapsed());
                }
                if found != before {
                    (before, moved) = (found, Instant::now());
                }
                self.ensure_peers_run()?;
                if PATIENCE < moved.elapsed() {
                    return Err(StoodStill { kind, found, count }.into());
                }
                tokio::time::sleep(LOOK_AT_COUNTS).await;
            }
        };
        tokio::try_join!(wait(Kind::Postgres), wait(Kind::Elasticsearch)).map(|(table, index)| [table, index])
    }

    fn ensure_peers_run(&self) -> anyhow::Result<()> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().try_for_each(Process::ensure_runs)
    }

    /// A peer that was only started, or an edge that only now found its topic, takes nothing yet.
    async fn until_it_listens(&self, begun: Instant) -> anyhow::Result<()> {
        let admin = &self.stack.endpoints().edge_admin;
        let is_ready = async || {
            if !self.stack.options().has(Service::Edge) {
                return TcpStream::connect(self.edge).await.is_ok();
            }
            let Ok(address) = admin.trim_start_matches("http://").parse() else { return false };
            let asked = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
            Client::new(address).ask(asked, |answer| answer.status).await.ok() == Some(200)
        };
        while !is_ready().await {
            self.ensure_peers_run()?;
            ensure!(begun.elapsed() < PATIENCE * 3, "nobody takes orders at {}", self.edge);
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Sends one order and waits until it can be found; seconds since the beginning.
    async fn first(&mut self, begun: Instant) -> anyhow::Result<(f64, [f64; 2])> {
        self.until_it_listens(begun).await?;
        let mut request = Request::new(&self.ids, 1);
        let number = self.ids.take(1);
        let reply = Client::new(self.edge).exchange(request.numbered(number), 1).await?;
        ensure!(reply.accepted == 1, "the edge answers {}", reply.status);
        let accepted = begun.elapsed().as_secs_f64();
        self.total += 1;
        let id = self.ids.id(number);
        let wait = async |kind: Kind| {
            let mut eye = Eye::open(&self.stores, kind).await?;
            while eye.which(&[&id]).await?.is_empty() {
                self.ensure_peers_run()?;
                ensure!(begun.elapsed() < PATIENCE * 3, "{kind} does not have it");
                tokio::time::sleep(LOOK).await;
            }
            anyhow::Ok(begun.elapsed().as_secs_f64())
        };
        let (table, index) = tokio::try_join!(wait(Kind::Postgres), wait(Kind::Elasticsearch))?;
        Ok((accepted, [table, index]))
    }
}

/// As `scripts/up` does it on a machine where everything is fetched and built; for another way only what it needs of that.
fn started(dir: &Path, way: &Way) -> anyhow::Result<(Stack, Instant, f64)> {
    Stack::wipe(dir)?;
    let (mut options, say) = (as_shipped(dir, way.services()), Progress::default());
    let layout = Layout::prepare(dir)?;
    options.dir = layout.dir().to_owned();
    options.plugins = way.plugins(layout.dir())?;
    if way.is_ours() {
        deploy::build_modules(&options, &layout.modules(), &say)?;
    }
    let begun = Instant::now();
    let stack = Stack::begin(options.clone())?;
    stack.wait_all_ready(|status| progress(&format!("{} is {}", status.service, status.state.word())))?;
    let ready = begun.elapsed().as_secs_f64();
    if way.is_ours() {
        deploy::apply(&options, &stack, &say)?;
        deploy::wait_for_path(&options, &stack, &say)?;
    }
    Ok((stack, begun, ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_orders_stood_still_is_known_whatever_is_said_around_it() {
        let still = anyhow::Error::from(StoodStill { kind: Kind::Postgres, found: 1, count: 30 });
        assert!(still.context("at 500/s").context("Spring, plain").is::<StoodStill>());
        assert!(!anyhow::anyhow!("an order is there twice").context("Spring, plain").is::<StoodStill>());
    }
}
