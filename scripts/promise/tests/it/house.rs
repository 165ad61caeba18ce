//! The private stack with everything deployed, the one ledger of the run, and the full check.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use promise::check::{Findings, check};
use promise::generator::{Generator, Mix, Post};
use promise::ledger::{self, Entry, Ledger};
use promise::link::{Link, Protocol};
use promise::load::{self, Gauge, Plan};
use promise::oracle::{Oracle, Verdict};
use promise::read::{Places, postgres_config};
use promise::row::Version;
use promise::settle;
use promise::world::{Fate, Origin, Store, World, WrongClock};
use stack::deploy;
use stack::progress::Progress;
use stack::{Options, Service, Stack, State};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::lab::Lab;

/// What nobody touches must be at rest again within this time. On two busy cores the sinks do 150 records a second.
pub(crate) const REST: Duration = Duration::from_secs(600);

pub(crate) struct House {
    /// Before the stack: it looks on while that runs.
    pub(crate) lab: Lab,
    pub(crate) stack: Stack,
    pub(crate) options: Options,
    pub(crate) places: Places,
    pub(crate) runtime: Runtime,
    /// To the broker's doors: one for the edge, one for the transforms. Nobody goes there before the stage of the links.
    pub(crate) doors: [Link; 2],
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) ledger_path: PathBuf,
    pub(crate) planted: BTreeMap<Version, Fate>,
    /// What was written straight into `order_placed` and a sink does not take, by its place there.
    pub(crate) poison: BTreeMap<Version, Poison>,
    /// Orders that were dead letters of a sink, by their places in `order_placed`, and were replayed: they are stored.
    pub(crate) replayed: BTreeMap<Store, BTreeSet<Version>>,
    /// When an edge's clock was wrong.
    pub(crate) clocks: Mutex<Vec<WrongClock>>,
    next_seq: u64,
    /// Of every POST that a count has seen: the oracle judges by the body alone, so once is enough.
    verdicts: Mutex<HashMap<u64, Verdict>>,
}

/// A record that a sink does not take.
#[derive(Clone)]
pub(crate) struct Poison {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    /// The other store has it.
    pub(crate) refused_by: &'static [Store],
    /// Words of the reason, whatever the case of their letters.
    pub(crate) reason: &'static str,
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder that lives as long as the build does.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

impl House {
    pub(crate) fn start() -> Self {
        Self::start_on(None)
    }

    /// On a Kafka that is none of the stack's, at these bootstrap servers.
    pub(crate) fn start_on(kafka: Option<String>) -> Self {
        let dir = scratch("promise-stack");
        Stack::wipe(&dir).unwrap_or_else(|error| panic!("cannot clear {}: {error}", dir.display()));
        let runtime = Runtime::new().unwrap();
        let doors = [(), ()].map(|()| Link::open(runtime.handle(), Protocol::Kafka).unwrap());
        let kafka_doors = doors.iter().map(Link::port).collect();
        let options = Options { kafka_doors, ..Options::private(&dir, Service::ALL) };
        let options = match kafka {
            Some(servers) => options.with_kafka_at(servers),
            None => options,
        };
        let progress = Progress::default();
        progress.say("starting a private stack");
        let stack = Stack::begin(options.clone()).unwrap_or_else(|error| panic!("{error}"));
        for (door, listener) in doors.iter().zip(&stack.endpoints().kafka_doors) {
            door.lead_to(listener);
        }
        // Beside the servers' start.
        deploy::build_modules(&options, &stack.layout().modules(), &progress).unwrap_or_else(|error| panic!("{error}"));
        for server in Service::SERVERS.into_iter().filter(|server| options.has(*server)) {
            stack.wait_ready(server, server.start_deadline()).unwrap_or_else(|error| panic!("{error}"));
            progress.say(&format!("{server} is ready"));
        }
        deploy::apply(&options, &stack, &progress).unwrap_or_else(|error| panic!("{error}"));
        stack.wait_all_ready(|_| {}).unwrap_or_else(|error| panic!("{error}"));
        deploy::wait_for_path(&options, &stack, &progress).unwrap_or_else(|error| panic!("{error}"));
        progress.say("orders can flow");
        let ledger_path = dir.join("ledger.ndjson");
        let _ = std::fs::remove_file(&ledger_path);
        Self {
            places: places(&stack),
            lab: Lab::open(&stack, &ledger_path),
            stack,
            options,
            runtime,
            doors,
            ledger: Arc::new(Ledger::open(&ledger_path).unwrap()),
            ledger_path,
            planted: BTreeMap::new(),
            poison: BTreeMap::new(),
            replayed: BTreeMap::new(),
            clocks: Mutex::default(),
            next_seq: 0,
            verdicts: Mutex::default(),
        }
    }

    /// The next `count` POSTs of a seeded stream; `run` begins every order id.
    pub(crate) fn stream(&mut self, run: &str, seed: u64, count: u64) -> impl Iterator<Item = Post> + Send + use<> {
        let first = self.next_seq;
        self.next_seq += count;
        Generator::new(run, seed, Mix::default()).take(count as usize).map(move |mut post| {
            post.seq += first;
            post
        })
    }

    /// The number of the next POST. A stream that is ended early leaves numbers out.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// One POST with this body, in the ledger like all others.
    pub(crate) fn post(&mut self, id: &str, body: &str) {
        let post = Post { id: id.to_owned(), body: body.as_bytes().to_vec(), ..self.stream("x", 0, 1).next().unwrap() };
        let post =
            Post { content_type: "application/json", class: promise::generator::Class::Valid, repost: false, ..post };
        self.load(std::iter::once(post), 1);
    }

    /// Sends `posts` at `rate` a second and waits for every answer.
    pub(crate) fn load(&self, posts: impl Iterator<Item = Post>, rate: u32) {
        let plan = Plan::new(&self.stack.endpoints().edge, rate);
        let (ledger, stop) = (Arc::clone(&self.ledger), CancellationToken::new());
        self.runtime.block_on(load::run(&plan, posts, ledger, &Gauge::default(), &stop)).unwrap();
    }

    /// Waits until all is at rest, and reads everything.
    pub(crate) fn world(&self) -> World {
        let took = settle::wait(&self.places, REST).unwrap_or_else(|error| panic!("{error}: {:?}", self.states()));
        println!("at rest after {:.1} s, nobody touched anything", took.as_secs_f32());
        let begun = Instant::now();
        let posts = ledger::read(&self.ledger_path).unwrap();
        let verdicts = self.judged(&posts);
        let judged = begun.elapsed();
        let world = World {
            posts,
            verdicts,
            planted: self.planted.clone(),
            clocks: self.clocks.lock().unwrap().clone(),
            ..World::default()
        };
        let mut world = self.runtime.block_on(self.places.read(world)).unwrap();
        self.announce(&mut world);
        assert!(world.dropped.is_empty(), "nothing drops here: {:?}", world.dropped);
        println!("judged by the oracle in {judged:.1?}, read in {:.1?}", begun.elapsed() - judged);
        world
    }

    fn judged(&self, posts: &[Entry]) -> HashMap<u64, Verdict> {
        let mut verdicts = self.verdicts.lock().unwrap();
        let fresh: Vec<Entry> = posts.iter().filter(|post| !verdicts.contains_key(&post.seq)).cloned().collect();
        verdicts.extend(Oracle::of_checkout(&root()).judge(&fresh).unwrap());
        verdicts.clone()
    }

    /// Says what each sink is not to take, and takes out what the count cannot know: letters of orders that were replayed,
    /// which are stored all the same, and poison in the store that takes it, once.
    fn announce(&self, world: &mut World) {
        for store in Store::ALL {
            let replayed = self.replayed.get(&store);
            let was = |origin: &Origin| replayed.is_some_and(|replayed| replayed.contains(&origin.at));
            let letters = world.sink_dead.get_mut(&store).unwrap();
            letters.retain(|letter| !letter.origin.as_ref().is_some_and(was));
            let is_refused = |poison: &Poison| poison.refused_by.contains(&store);
            let refused = self.poison.iter().filter(|(_, poison)| is_refused(poison));
            world.refused.insert(store, refused.map(|(at, poison)| (*at, poison.reason.to_owned())).collect());
            let stored = world.stores.get_mut(&store).unwrap();
            for poison in self.poison.values().filter(|poison| !is_refused(poison)) {
                let before = stored.len();
                stored.retain(|found| found.key.as_bytes() != poison.key);
                assert_eq!(before - stored.len(), 1, "{store:?} takes {}", String::from_utf8_lossy(&poison.key));
            }
        }
    }

    /// The whole count, printed.
    pub(crate) fn count(&self) -> Findings {
        let world = self.world();
        let findings = check(&world);
        println!("{}\n{findings}", world.summary());
        for line in promise::report::last_seen(&world, &findings) {
            println!("  {line}");
        }
        self.lab.checked(&findings);
        findings
    }

    /// The whole count, which must be zero.
    pub(crate) fn expect_all_zero(&self) {
        assert!(self.count().all_zero(), "the promise is broken; the counts are above");
    }

    /// The names and states of all services.
    pub(crate) fn states(&self) -> Vec<(Service, State)> {
        let all = self.stack.status().unwrap_or_default();
        all.into_iter().map(|status| (status.service, status.state)).collect()
    }

    /// After `down`: no process of the stack, no open port.
    pub(crate) fn down_leaves_nothing(mut self) {
        self.lab.close();
        let status = self.stack.status().unwrap();
        let pids: Vec<u32> = status.iter().filter_map(|status| status.pid).collect();
        let ports: Vec<u16> = status.iter().flat_map(|status| status.ports.clone()).collect();
        let dir = self.stack.layout().dir().to_owned();
        self.stack.down().unwrap();
        assert_gone(&pids, &ports, &dir);
        println!("\n=== down: {} processes and {} ports, none is left", pids.len(), ports.len());
    }
}

fn places(stack: &Stack) -> Places {
    let endpoints = stack.endpoints();
    let postgres = &endpoints.postgres;
    Places {
        kafka: endpoints.kafka.clone(),
        registry: endpoints.registry.clone(),
        transforms: endpoints.transforms.clone(),
        elasticsearch: endpoints.elasticsearch.clone(),
        postgres: postgres_config(
            &postgres.host,
            postgres.port,
            &postgres.database,
            &postgres.user,
            &postgres.password,
        ),
    }
}

/// No port listens, and no process of the stack is left: neither those that we know nor any that names its folder.
pub(crate) fn assert_gone(pids: &[u32], ports: &[u16], dir: &Path) {
    assert!(!pids.is_empty() && !ports.is_empty());
    for pid in pids {
        assert!(!lives(*pid), "process {pid} is still there");
    }
    for port in ports {
        assert!(TcpStream::connect(("127.0.0.1", *port)).is_err(), "port {port} is still open");
    }
    assert_eq!(processes_of(dir), Vec::<String>::new());
}

/// Every process that has the folder in its environment or arguments, or works in it; found without the stack's help.
pub(crate) fn processes_of(dir: &Path) -> Vec<String> {
    let dir = std::fs::canonicalize(dir).unwrap().display().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let read = |pid: u32, name: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let ours = |pid: &u32| {
        let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        cwd.starts_with(&dir) || ["environ", "cmdline"].into_iter().any(|name| read(*pid, name).contains(&dir))
    };
    let ours = pids.filter(|pid| *pid != std::process::id() && lives(*pid)).filter(ours);
    ours.map(|pid| format!("{pid} {}", read(pid, "cmdline"))).collect()
}

/// A process is gone when it has no entry, or is a zombie that nobody has reaped.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| state != 'Z')
}

/// Another private stack starts and stops beside this one: no port, no process, no record of ours changes.
pub(crate) fn neighbour(house: &mut House) {
    let before: Vec<Option<u32>> = house.stack.status().unwrap().iter().map(|status| status.pid).collect();
    let dir = scratch("promise-neighbour");
    Stack::wipe(&dir).unwrap();
    let other = Stack::start(Options::private(&dir, [Service::Kafka, Service::Postgres, Service::Registry])).unwrap();
    let ports =
        |stack: &Stack| stack.status().unwrap().into_iter().flat_map(|status| status.ports).collect::<Vec<u16>>();
    let (ours, theirs) = (ports(&house.stack), ports(&other));
    assert!(theirs.iter().all(|port| !ours.contains(port)), "{ours:?} and {theirs:?}");
    house.post("beside-1", r#"{"orderId":"beside-1","amount":1,"customer":"while the other runs"}"#);
    let pids: Vec<u32> = other.status().unwrap().iter().filter_map(|status| status.pid).collect();
    other.down().unwrap();
    assert_gone(&pids, &theirs, &dir);
    house.post("beside-2", r#"{"orderId":"beside-2","amount":1,"customer":"after the other went"}"#);
    let after: Vec<Option<u32>> = house.stack.status().unwrap().iter().map(|status| status.pid).collect();
    assert_eq!(before, after, "our processes are the same as before");
    println!("ours on {ours:?}, the other on {theirs:?}; after its end {} processes of ours run on", after.len());
    house.expect_all_zero();
}
