//! Arguments and environment of the command, and the options of a stack made from them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use stack::{Options, PortChoice, Service};

/// The real servers as processes: fetch, start, watch, stop.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// Folder of the stack: data, logs, settings [default: .stack of the checkout].
    #[arg(long, env = "ORDERFLOW_STACK_DIR", global = true)]
    pub(crate) dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch what is missing, start everything, deploy, wait until orders can flow.
    Up(UpArgs),
    /// Stop everything; data stays.
    Down {
        /// Remove data, logs and settings, too.
        #[arg(long)]
        wipe: bool,
    },
    /// How every service is; exit code 1 if one is not ready.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// The end of the logs.
    Logs {
        /// Of one service; without it, of all and of the supervisor.
        name: Option<Service>,
        /// How many lines.
        #[arg(long, short = 'n', default_value_t = 40)]
        lines: usize,
        /// Go on as it grows (needs a name).
        #[arg(long, short)]
        follow: bool,
    },
    /// Stop a service cleanly and start it again.
    Restart {
        /// Which one.
        name: Service,
    },
    /// Stop a service cleanly and leave it stopped.
    Stop {
        /// Which one.
        name: Service,
    },
    /// Start a service that is stopped or was given up.
    Start {
        /// Which one.
        name: Service,
    },
    /// kill -9 of the process that does the work; the supervisor starts it again.
    Kill {
        /// Which one.
        name: Service,
    },
    /// Addresses and secrets of the running stack, as lines for a shell: eval "$(stack env)".
    Env,
    /// psql on the running stack's database, with its password.
    Psql {
        /// Handed to psql.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fetch and unpack the servers, and a JDK if there is none; start nothing.
    Fetch,
    /// Write servers.lock anew from what the coordinates give today.
    Lock,
    /// Own the processes of a stack (started by `up` and by tests).
    #[command(hide = true)]
    Supervise,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Another port, as NAME=NUMBER; may be repeated.
    #[arg(long = "port", env = "ORDERFLOW_PORTS", value_delimiter = ',')]
    ports: Vec<String>,
    /// Free ports instead of the documented ones: a private stack, in a folder of its own.
    #[arg(long, conflicts_with = "ports")]
    free_ports: bool,
    /// Only these services, without the deploy step unless all are there.
    #[arg(long, value_delimiter = ',')]
    services: Vec<Service>,
    /// Starts in half the time and runs a third slower: for tests.
    #[arg(long, env = "ORDERFLOW_STACK_FAST_JVM", value_parser = clap::builder::FalseyValueParser::new())]
    fast_jvm: bool,
    /// Heap of each Java server in MB [default: 512].
    #[arg(long, env = "ORDERFLOW_STACK_HEAP_MB")]
    heap_mb: Option<u32>,
    /// Start only; neither build the transforms nor call `connectors apply`.
    #[arg(long)]
    no_deploy: bool,
}

impl Cli {
    /// The stack that the arguments name.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let mut options = Options::user()?;
        if let Some(dir) = &self.dir {
            // A private stack shares what was fetched; the one user's stack in another place has all there.
            let private = matches!(&self.command, Command::Up(up) if up.free_ports);
            options.dir = std::path::absolute(dir)?;
            if !private {
                options.servers = options.dir.join("servers");
            }
        } else if matches!(&self.command, Command::Up(up) if up.free_ports) {
            // Not clap's `requires`: that does not see a --dir before the name of the command.
            bail!("--free-ports makes a private stack; name a folder for it with --dir (or ORDERFLOW_STACK_DIR)");
        }
        if let Command::Up(up) = &self.command {
            up.apply(&mut options)?;
        }
        Ok(options)
    }
}

impl UpArgs {
    fn apply(&self, options: &mut Options) -> anyhow::Result<()> {
        if self.free_ports {
            options.ports = PortChoice::Free;
        }
        options.set_ports(&self.ports)?;
        if !self.services.is_empty() {
            options.services.clone_from(&self.services);
        }
        options.fast_jvm |= self.fast_jvm;
        options.heap_mb = self.heap_mb.unwrap_or(options.heap_mb);
        Ok(())
    }

    /// Whether the transforms are built and everything is deployed: only a whole stack can take it.
    pub(crate) fn deploys(&self, services: &[Service]) -> bool {
        !self.no_deploy && Service::ALL.iter().all(|service| services.contains(service))
    }

    /// What was asked for and is otherwise in a stack that runs; what was not asked for stays as it is there.
    pub(crate) fn differences(&self, runs: &Options) -> anyhow::Result<Vec<&'static str>> {
        let mut wanted = runs.clone();
        self.apply(&mut wanted)?;
        let services = |options: &Options| options.services.iter().copied().collect::<BTreeSet<_>>();
        Ok([
            ("ports", wanted.ports != runs.ports),
            ("services", services(&wanted) != services(runs)),
            ("fast JVMs", wanted.fast_jvm != runs.fast_jvm),
            ("heap", wanted.heap_mb != runs.heap_mb),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_stack_needs_a_folder_wherever_that_is_named() {
        let private = |arguments: &[&str]| Cli::parse_from(arguments).options().map(|options| options.ports);
        for arguments in
            [["stack", "--dir", "/d", "up", "--free-ports"], ["stack", "up", "--free-ports", "--dir", "/d"]]
        {
            assert_eq!(private(&arguments).unwrap(), PortChoice::Free);
        }
        let mut nowhere = Cli::parse_from(["stack", "up", "--free-ports"]);
        nowhere.dir = None; // whatever the environment says
        assert!(nowhere.options().unwrap_err().to_string().contains("--dir"));
    }

    #[test]
    fn what_was_asked_for_is_compared_with_what_runs_and_nothing_else() {
        let mut runs = Options::user().unwrap();
        runs.set_ports(&["edge=18080".to_owned()]).unwrap();
        runs.services = vec![Service::Kafka, Service::Postgres];
        for (asked, expected) in [
            (&[][..], &[][..]),
            (&["--port", "edge=18080"], &[]),
            (&["--port", "edge=18081"], &["ports"]),
            (&["--services", "postgres,kafka"], &[]),
            (&["--services", "kafka"], &["services"]),
            (&["--heap-mb", "512", "--port", "kafka=19092"], &["ports"]),
            (&["--heap-mb", "1024", "--fast-jvm"], &["fast JVMs", "heap"]),
        ] {
            let Command::Up(up) = Cli::parse_from([&["stack", "up"], asked].concat()).command else { panic!() };
            assert_eq!(up.differences(&runs).unwrap(), expected, "{asked:?}");
            assert!(!up.deploys(&runs.services));
        }
    }
}
