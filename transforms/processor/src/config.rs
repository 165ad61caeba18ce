//! The command line, and what it means: read once, all faults at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use service_kit::kafka::{self, Brokers};
use service_kit::{Tokens, telemetry};

use crate::command::{self, check_upload, token};

/// Runs pipelines of sandboxed transforms between Kafka topics, exactly once.
#[derive(Debug, clap::Parser)]
#[command(name = "transforms", version)]
pub struct Args {
    /// How to log.
    #[command(flatten)]
    pub log: telemetry::Args,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run the pipelines and serve the REST API
    Serve(ServeArgs),
    /// Make the folder of a new module, ready to build and test
    New(command::new::Args),
    /// Build a module, or a workspace of them
    Build(command::build::Args),
    /// Run a module in the sandbox on orders and show before and after
    Test(command::test::Args),
    /// Build a module at each save and show what it does to orders
    Dev(command::dev::Args),
    /// Upload a module; the same one again changes nothing
    Push(command::push::Args),
    /// Show what modules log, from the topic transforms.logs
    Logs(command::logs::Args),
    /// List pipelines and modules
    List(command::list::Args),
    /// Show what pipelines do: state, slots, modules, lag and rate; exit code 1 if one is hindered
    Status(command::status::Args),
    /// Check a pipeline's file against a running process
    Validate(command::validate::Args),
    /// Run another version of a module: change that line of the pipeline's file, show it, apply it
    Promote(command::promote::Promote),
    /// Run an earlier version of a module: change that line of the pipeline's file, show it, apply it
    Rollback(command::promote::Rollback),
    /// Compare a candidate with the live chain: it gets the same records, and its outputs go nowhere
    Shadow(command::shadow::Args),
    /// Run a dead letter again: as it was, with another module, or through the pipeline as it is now; send it again
    Replay(command::replay::Args),
    /// Make a token for the file of `serve --tokens`
    Token(token::Args),
    /// Check an upload from standard input; a serving process starts this for itself
    #[command(hide = true)]
    CheckUpload(check_upload::Args),
}

/// The flags of `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Where the REST API listens
    #[arg(long, env = "TRANSFORMS_LISTEN", default_value = "127.0.0.1:8084")]
    pub listen: SocketAddr,
    /// Which Kafka
    #[command(flatten)]
    pub kafka: kafka::Args,
    /// The schema registry (Confluent API)
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8085/apis/ccompat/v7"
    )]
    pub registry: String,
    /// This process's name, stable over restarts [default: the host's name]
    #[arg(long, env = "TRANSFORMS_INSTANCE")]
    pub instance: Option<String>,
    /// Further host names that the REST API answers to, separated by commas (loopback names always)
    #[arg(long, env = "TRANSFORMS_HOSTS", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// JSON file of the tokens that may call, which `transforms token` makes entries for; read anew at SIGHUP
    #[arg(long, env = "TRANSFORMS_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// One token that may deploy, where there is no file; better given by the environment
    #[arg(long, env = "TRANSFORMS_TOKEN", hide_env_values = true, default_value = "")]
    pub token: Secret,
}

/// Text that no log shows.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself; `None` where there is none.
    #[must_use]
    pub fn reveal(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "(secret)" })
    }
}

/// What `serve` works with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the REST API listens.
    pub listen: SocketAddr,
    /// The brokers, and who we are to them.
    pub kafka: Brokers,
    /// The registry.
    pub registry: String,
    /// This process's name.
    pub instance: String,
    /// Further host names.
    pub hosts: Vec<String>,
    /// Who may call; nobody is asked without them.
    pub tokens: Tokens,
    /// This program's own file, which checks uploads in processes of their own.
    pub program: PathBuf,
}

impl TryFrom<ServeArgs> for Config {
    type Error = anyhow::Error;

    fn try_from(args: ServeArgs) -> anyhow::Result<Self> {
        let mut faults = Vec::new();
        let instance = args.instance.clone().or_else(service_kit::host::name).unwrap_or_else(|| "local".to_owned());
        if !crate::pipeline::spec::is_name(&instance) {
            faults.push(format!("--instance {instance:?}: use 1 to 100 of A-Z a-z 0-9 . _ -"));
        }
        let kafka = args.kafka.check(&mut faults);
        if !args.registry.starts_with("http://") && !args.registry.starts_with("https://") {
            faults.push(format!(
                "--registry {:?}: is not an address; write http://host:port/apis/ccompat/v7",
                args.registry
            ));
        }
        if !args.listen.ip().is_loopback() && args.hosts.is_empty() {
            // Without a name the door would refuse every caller but loopback ones.
            faults.push(format!(
                "--listen {}: not loopback, so --hosts must name the hosts that it answers to",
                args.listen
            ));
        }
        let tokens = tokens(&args, &mut faults);
        if !args.listen.ip().is_loopback() && args.tokens.is_none() && args.token.reveal().is_none() {
            faults.push(format!(
                "--listen {}: not loopback, so --tokens must name a file of tokens (`transforms token` makes them), or \
                 TRANSFORMS_TOKEN hold one: whoever can reach this port could deploy code",
                args.listen
            ));
        }
        let program = std::env::current_exe().unwrap_or_else(|error| {
            faults.push(format!("this program does not know its own file: {error}"));
            PathBuf::new()
        });
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        let ServeArgs { listen, registry, hosts, .. } = args;
        Ok(Self { listen, kafka, registry, instance, hosts, tokens, program })
    }
}

/// Those of the file, or else the one.
fn tokens(args: &ServeArgs, faults: &mut Vec<String>) -> Tokens {
    let read = match (&args.tokens, args.token.reveal()) {
        (Some(path), _) => Tokens::from_file(path).map_err(|found| ("--tokens", found.join("\n--tokens "))),
        (None, Some(token)) => Tokens::one("TRANSFORMS_TOKEN", token).map_err(|fault| ("TRANSFORMS_TOKEN", fault)),
        (None, None) => Ok(Tokens::default()),
    };
    read.unwrap_or_else(|(what, fault)| {
        faults.push(format!("{what} {fault}"));
        Tokens::default()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        args: ServeArgs,
    }

    /// A token that is long enough to count.
    const TOKEN: &str = "a-token-that-deploys-01";

    /// The flags of a process that listens here, under a name; what the environment says of tokens is left out.
    fn listening(listen: &str) -> ServeArgs {
        let flags =
            ["serve", "--kafka=h:1", "--registry=http://r", "--instance=one", "--hosts=orders", "--listen", listen];
        let Serve { args } = Serve::try_parse_from(flags).unwrap();
        ServeArgs { tokens: None, token: Secret::default(), ..args }
    }

    #[test]
    fn on_loopback_nobody_needs_a_token() {
        for listen in ["127.0.0.1:8084", "127.8.0.1:8084", "[::1]:8084"] {
            let config = Config::try_from(ServeArgs { hosts: Vec::new(), ..listening(listen) }).unwrap();
            assert!(!config.tokens.are_asked_for(), "{listen}");
            assert_eq!(config.listen, listen.parse::<SocketAddr>().unwrap());
        }
    }

    #[test]
    fn anywhere_else_a_process_without_a_token_does_not_start_and_is_told_how_to() {
        // The last is loopback by another name, and no rule for it is better than a wrong one.
        for listen in ["0.0.0.0:8084", "192.0.2.7:8084", "[::]:8084", "[2001:db8::7]:8084", "[::ffff:127.0.0.1]:8084"] {
            let refused = Config::try_from(listening(listen)).unwrap_err().to_string();
            let words = format!(
                "--listen {listen}: not loopback, so --tokens must name a file of tokens (`transforms token` makes \
                 them), or TRANSFORMS_TOKEN hold one: whoever can reach this port could deploy code"
            );
            assert_eq!(refused, words);
        }
    }

    #[test]
    fn with_a_token_a_process_listens_anywhere_and_asks_for_it() {
        let file = std::env::temp_dir().join(format!("transforms-config-{}.json", std::process::id()));
        let digest = service_kit::tokens::sha256(TOKEN);
        std::fs::write(&file, format!(r#"[{{"name":"ci","role":"deploy","sha256":"{digest}"}}]"#)).unwrap();
        for listen in ["0.0.0.0:8084", "[::]:8084", "127.0.0.1:8084"] {
            let one = ServeArgs { token: Secret::from(TOKEN.to_owned()), ..listening(listen) };
            let of_file = ServeArgs { tokens: Some(file.clone()), ..listening(listen) };
            for args in [one, of_file] {
                assert!(Config::try_from(args).unwrap().tokens.are_asked_for(), "{listen}");
            }
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_token_that_does_not_count_is_told_and_so_is_all_else_that_is_wrong() {
        let short = ServeArgs { token: Secret::from("short".to_owned()), ..listening("[::]:8084") };
        let refused = Config::try_from(short).unwrap_err().to_string();
        assert!(refused.starts_with("TRANSFORMS_TOKEN ") && refused.lines().count() == 1, "{refused}");
        let gone = ServeArgs { tokens: Some(PathBuf::from("/nowhere/tokens.json")), ..listening("[::]:8084") };
        let refused = Config::try_from(gone).unwrap_err().to_string();
        assert!(refused.starts_with("--tokens ") && refused.contains("/nowhere/tokens.json"), "{refused}");
        let nobody = ServeArgs { hosts: Vec::new(), ..listening("[::]:8084") };
        let refused = Config::try_from(nobody).unwrap_err().to_string();
        let told: Vec<bool> = ["--hosts must name", "--tokens must name"].map(|words| refused.contains(words)).into();
        assert_eq!((told, refused.lines().count()), (vec![true, true], 2), "{refused}");
    }
}
