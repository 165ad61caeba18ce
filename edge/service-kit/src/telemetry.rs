//! Logs of a command: to standard error, for people or as JSON lines, by flag or environment. What is logged can be set
//! anew while the command runs. It does not do metrics: see `admin`. Standard output is left to data.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// The filter in use, where this process set its logging up.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The flags of a command's logs; `#[command(flatten)]` them.
#[derive(Clone, Debug, clap::Args)]
// Beside the `Args` that it is flattened into: clap names groups after types, and both would be called the same.
#[group(skip)]
pub struct Args {
    /// What to log: a level, or `target=level` pairs separated by commas
    #[arg(long = "log", env = "ORDERFLOW_LOG", default_value = "info", global = true)]
    pub filter: String,
    /// How to write logs
    #[arg(long = "log-format", env = "ORDERFLOW_LOG_FORMAT", value_enum, default_value_t, global = true)]
    pub format: Format,
}

impl Default for Args {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: Format::Human }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// One line for people, in colour on a terminal.
    #[default]
    Human,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log filter {filter:?} is not valid; give a level such as \"info\" or pairs such as \"edge=debug,info\"")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber was there first.
    #[error("logging is already set up in this process")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// Nobody set logging up, or it is ending.
    #[error("logging is not set up in this process")]
    NotSet,
    /// What is logged cannot be set anew, because nothing is logged any more.
    #[error("logging has ended in this process")]
    Ended(#[from] reload::Error),
}

/// The logging of this process, to set anew what is logged. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logs(reload::Handle<EnvFilter, Registry>);

impl Logs {
    /// From now on this is logged. The form of the lines stays as it is.
    ///
    /// # Errors
    /// When the filter cannot be read; then nothing has changed.
    pub fn set(&self, args: &Args) -> Result<(), Error> {
        Ok(self.0.reload(filter(args)?)?)
    }
}

/// Whether logging can be set up so.
///
/// # Errors
/// When the filter cannot be read.
pub fn check(args: &Args) -> Result<(), Error> {
    filter(args).map(drop)
}

fn filter(args: &Args) -> Result<EnvFilter, Error> {
    let filter =
        EnvFilter::try_new(&args.filter).map_err(|source| Error::Filter { filter: args.filter.clone(), source })?;
    // It tells of frames and, deeper down, of the headers in them, among which are keys. Who asks for it gets it.
    let quiet = if args.filter.contains("h2") { None } else { "h2=warn".parse().ok() };
    Ok(match quiet {
        Some(quiet) => filter.add_directive(quiet),
        None => filter,
    })
}

/// Sets the process's logging up; call it once, first in `main`.
///
/// # Errors
/// When the filter cannot be read or logging was set up before.
pub fn init(args: &Args) -> Result<Logs, Error> {
    let (filter, handle) = reload::Layer::new(filter(args)?);
    let registry = tracing_subscriber::registry().with(filter);
    match args.format {
        Format::Human => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()?;
        }
        Format::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()?;
        }
    }
    // Only the first one gets here.
    let _ = FILTER.set(handle.clone());
    Ok(Logs(handle))
}

/// What is logged now: a level and `target=level` pairs, separated by commas. Nothing where logging is not set up.
#[must_use]
pub fn current() -> Option<String> {
    FILTER.get()?.with_current(ToString::to_string).ok()
}

/// Logs by this filter from now on.
///
/// # Errors
/// When the filter cannot be read, or logging is not set up.
pub fn reload(filter: &str) -> Result<(), Error> {
    let args = Args { filter: filter.to_owned(), ..Args::default() };
    let filter = self::filter(&args)?;
    FILTER.get().ok_or(Error::NotSet)?.reload(filter).map_err(|_| Error::NotSet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_not_logged_unless_somebody_asks_for_them() {
        let filter = |text: &str| filter(&Args { filter: text.to_owned(), format: Format::Human }).unwrap().to_string();
        assert!(filter("trace").contains("h2=warn"), "{}", filter("trace"));
        assert!(!filter("info,h2=trace").contains("h2=warn"));
    }

    #[test]
    fn what_is_logged_can_be_set_anew_and_a_bad_filter_changes_nothing() {
        let args = |filter: &str| Args { filter: filter.to_owned(), format: Format::Human };
        let (layer, handle) = reload::Layer::new(filter(&args("warn")).unwrap());
        let logs = Logs(handle);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            assert!(!tracing::enabled!(tracing::Level::INFO));
            logs.set(&args("debug")).unwrap();
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            assert!(matches!(logs.set(&args("a=b=c")), Err(Error::Filter { .. })));
            assert!(tracing::enabled!(tracing::Level::DEBUG));
        });
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = init(&Args { filter: "a=b=c".to_owned(), format: Format::Human }).unwrap_err();
        assert!(error.to_string().contains("\"a=b=c\""), "{error}");
    }
}
