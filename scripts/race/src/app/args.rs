//! What can be written behind the command.

use std::{net::SocketAddr, path::PathBuf};

use race::{
    edge::{self, Stage},
    floor, sinks, transforms,
};

/// Measures our programs beside their floors and peers
#[derive(Debug, clap::Parser)]
#[command(name = "race", version, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The edge beside a bare hyper server and a direct produce
    Edge(Edge),
    /// The transforms beside the same code without a sandbox, and exactly once beside at least once
    Transforms(Transforms),
    /// The sinks beside their connectors' defaults and a native bulk loop, and how they come back after a store's death
    Sinks(Sinks),
    /// An order's whole way, everything deployed: until it is answered, SELECTed and found, and what that costs
    Pipeline(Pipeline),
    /// Edge, transforms, sinks and pipeline, beside floors and beside peers, one after the other; hours, or with --quick some
    /// twelve minutes
    All {
        /// Each in its quick form: its own --quick says what that leaves out
        #[arg(long)]
        quick: bool,
    },
    /// Makes report.html in the bench folder from what the benches found last; each bench does that at its end, too
    Report {
        /// Also writes all curves, as one picture
        #[arg(long, value_name = "SVG FILE")]
        plots: Option<PathBuf>,
    },
    /// Sends orders to an edge that runs, and tells what came back
    Load(ByHand),
    /// Is a bare hyper server; `edge` starts it
    #[command(hide = true)]
    Floor(floor::Args),
    /// Transforms so many records; `transforms` starts it
    #[command(hide = true)]
    Turn(transforms::TurnArgs),
    /// Judges the same records so many times; `transforms` starts it under callgrind
    #[command(hide = true)]
    Judge(transforms::Judge),
    /// Brings an order from bytes to Avro so many times; `edge` starts it under callgrind
    #[command(hide = true)]
    Encode {
        #[arg(long, value_enum)]
        way: edge::Way,
        #[arg(long)]
        count: u64,
    },
    /// How each comes back after kill -9: the transforms, also beside Kafka Streams, and the sinks after their stores
    Recovery {
        /// Each in its quick form
        #[arg(long)]
        quick: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Transforms {
    /// A minute in place of twenty: sandbox, throughput and latency at one rate. Ranges are wider; the others are short
    /// with --only
    #[arg(long)]
    pub(super) quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) only: Vec<transforms::Stage>,
    /// In place of all that: our transforms beside Kafka Streams with the same rules, on a real broker and registry; of the
    /// parts there are throughput and latency, which has kill -9 in it
    #[arg(long)]
    pub(super) peers: bool,
    /// The same with these peers only
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) peer: Vec<transforms::Peer>,
    /// Pairs of runs; with --quick at most two where each takes long, three with --only
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) pairs: u8,
    /// Where the figures go as JSON; bench/transforms.json in the target folder if absent, in part or quick under that name
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Sinks {
    /// Some ninety seconds in place of an hour: rates, of short drains. Ranges are wider; drain and stall are short with
    /// --only
    #[arg(long)]
    pub(super) quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) only: Vec<sinks::Stage>,
    /// Of the rates, only those of this store
    #[arg(long, value_enum)]
    pub(super) store: Option<sinks::Kind>,
    /// Orders of one drain into Elasticsearch; into PostgreSQL five times as many, ten times when quick. 100,000 if absent,
    /// 4,000 when quick, 20,000 when quick with --only
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(super) orders: Option<u32>,
    /// Pairs of runs; with --quick at most two
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) pairs: u8,
    /// Another connector file that takes part in the rates, beside the shipped one of its store; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(super) beside: Vec<PathBuf>,
    /// In place of all that: both our sinks beside a consumer in Spring that writes both stores
    #[arg(long, conflicts_with_all = ["only", "store", "beside"])]
    pub(super) peers: bool,
    /// Where the figures go as JSON; bench/sinks.json in the target folder if absent, in part or quick under that name
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Pipeline {
    /// A minute in place of fifteen, beside peers less than two in place of thirty: one start, one short round at one rate
    /// unless others are named, and of the peers Spring as tuned
    #[arg(long)]
    pub(super) quick: bool,
    /// In place of that: our whole way beside Spring Boot with Kafka Streams, and beside our rules as a transform inside
    /// both sinks, each on servers of its own
    #[arg(long)]
    pub(super) peers: bool,
    /// Orders a second; 100, 500 and 1,000 if absent, 500 beside peers
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) rates: Vec<u32>,
    /// Rounds of each rate, and starts; with --quick one
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) rounds: u8,
    /// Where the figures go as JSON; bench/pipeline.json in the target folder if absent, when quick under that name
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Edge {
    /// A real broker in place of librdkafka's mock one; millions of orders are written to its topic orders.received. For
    /// the part "overload" give it a quota for the client edge-race, below what this machine can send
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) kafka: Option<String>,
    /// Less than a minute in place of twelve, beside peers two: encode, throughput, latency and memory. Ranges are wider;
    /// the others are short with --only
    #[arg(long)]
    pub(super) quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) only: Vec<Stage>,
    /// Pairs of runs; with --quick at most three
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) pairs: u8,
    /// Connections of the closed loops
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub(super) connections: u16,
    /// In place of all that: our edge beside the same edge in other tools, on a real broker and registry of its own
    #[arg(long, conflicts_with_all = ["kafka", "only"])]
    pub(super) peers: bool,
    /// The same with these peers only
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with_all = ["kafka", "only"])]
    pub(super) peer: Vec<edge::Peer>,
    /// The edge's program; the one beside this program if absent
    #[arg(long, value_name = "FILE")]
    pub(super) edge: Option<PathBuf>,
    /// A flag for the edge, such as --edge-arg=--max-body-bytes=65536; may be given several times
    #[arg(long = "edge-arg", value_name = "FLAG", allow_hyphen_values = true)]
    pub(super) edge_args: Vec<String>,
    /// Where the figures go as JSON; bench/edge.json in the target folder if absent, in part or quick under that name
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ByHand {
    /// Where the edge listens
    #[arg(default_value = "127.0.0.1:8080")]
    pub(super) address: SocketAddr,
    /// Requests a second, at times that do not move when the edge is slow
    #[arg(long, default_value_t = 500.0)]
    pub(super) rate: f64,
    /// In place of a rate: each connection sends when it has its answer
    #[arg(long, conflicts_with = "rate")]
    pub(super) closed: bool,
    /// Connections, and requests under way at once
    #[arg(long, default_value_t = 64)]
    pub(super) connections: usize,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    pub(super) seconds: f64,
    /// Orders in one request
    #[arg(long, default_value_t = 1)]
    pub(super) batch: usize,
    /// A refused client waits as long as it is told and sends its order once more
    #[arg(long)]
    pub(super) obey_retry_after: bool,
}
