//! Where each setting comes from: a flag, the environment, the file, or the default; the first of these that has it.
//!
//! The definition of the flags is the only one. The environment is clap's; a key of the file is given to clap as the
//! flag of its name, unless a flag or the environment has it. So this works for any flag of the command, and knows none.

use std::{ffi::OsString, fmt, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches,
    builder::ValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::file;

/// The flags that say where settings are and what to do with them. They are no settings, so the file cannot have them.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "source")]
pub struct Args {
    /// File with settings, in TOML: keys are these flags' names without the dashes in front; flags and environment win
    #[arg(long, env = "EDGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read everything that would be used, say "ok" or all that is wrong, and start nothing
    #[arg(long)]
    pub check: bool,
    /// Print the settings that would be used, as such a file, each with where it comes from; secrets are not shown
    #[arg(long)]
    pub print_config: bool,
}

const CONFIG: &str = "config";
/// What is to be done instead of serving.
const ACTS: [&str; 3] = ["check", "print-config", "new-api-key"];
const NO_SETTINGS: [&str; 3] = [CONFIG, "help", "version"];
/// What an argument's name ends in if its value is a secret.
const SECRETS: [&str; 3] = ["password", "secret", "token"];

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    Default,
    Flag,
    /// The variable's name.
    Env(String),
    /// File, line and column.
    File(String),
}

/// One setting and its value, as text.
#[derive(Clone)]
pub(super) struct Setting {
    id: String,
    /// The flag, without its dashes.
    pub(super) name: String,
    pub(super) help: String,
    action: ArgAction,
    /// One for each time it is given; none if it is not and has no default.
    pub(super) values: Vec<OsString>,
    pub(super) origin: Origin,
}

/// All settings, as they were given.
#[derive(Clone)]
pub struct Given(pub(super) Vec<Setting>);

/// Nothing is shown: some are secrets.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl Given {
    /// Reads the settings by the definition `A`, out of a command's words, the environment and the file that these name.
    /// What cannot be used is told in `faults`, all at once, and left out.
    ///
    /// # Errors
    /// When help is asked for, or the words are not those of the command.
    pub fn read<A>(words: &[OsString], faults: &mut Vec<String>) -> Result<(Option<A>, Self), clap::Error>
    where
        A: CommandFactory + FromArgMatches,
    {
        let command = A::command();
        let found = as_text(&command, words)?;
        let (acts, settings) = command
            .get_arguments()
            .filter_map(|arg| Setting::of(arg, &found))
            .partition(|setting| ACTS.contains(&setting.name.as_str()));
        let (acts, mut given): (Vec<_>, _) = (acts, Self(settings));
        if let Some(path) = found.get_raw(CONFIG).and_then(|mut paths| paths.next()) {
            let known: Vec<&str> = given.0.iter().map(|setting| setting.name.as_str()).collect();
            let (keys, wrong) = file::read(path.as_ref(), &known);
            faults.extend(wrong);
            given.fill(keys, faults);
        }
        // From here on everything is a flag.
        let command = command.mut_args(|arg| arg.env(None::<&'static str>));
        let program = words.first().cloned().unwrap_or_default();
        for setting in &mut given.0 {
            if let Some(fault) = setting.fault(&command, &program) {
                faults.push(fault);
                setting.values.clear();
                setting.origin = Origin::Default;
            }
        }
        let settings = acts.iter().chain(&given.0).flat_map(Setting::words);
        let words = std::iter::once(program).chain(settings);
        let parsed = command.try_get_matches_from(words).and_then(|found| {
            given.take_defaults(&found);
            A::from_arg_matches(&found)
        });
        // A value that was left out above may be missed now; that is no news.
        let args = parsed
            .map_err(|error| {
                if faults.is_empty() {
                    faults.push(first_line(&error));
                }
            })
            .ok();
        Ok((args, given))
    }

    /// Gives the file's keys to the settings that nobody else gave.
    fn fill(&mut self, keys: Vec<file::Key>, faults: &mut Vec<String>) {
        for key in keys {
            let Some(setting) = self.0.iter_mut().find(|setting| setting.name == key.name) else { continue };
            if setting.origin != Origin::Default {
                continue;
            }
            if key.is_list && !setting.is_list() {
                faults.push(format!("--{} ({}): takes one value, not a list", key.name, key.place));
                continue;
            }
            setting.values = key.values.into_iter().map(OsString::from).collect();
            setting.origin = Origin::File(key.place);
        }
    }

    fn take_defaults(&mut self, found: &ArgMatches) {
        for setting in self.0.iter_mut().filter(|setting| setting.origin == Origin::Default) {
            setting.values = raw(found, &setting.id);
        }
    }

    /// A fault that begins with a flag, as `--flag: what is wrong`, with where its value comes from.
    #[must_use]
    pub(super) fn located(&self, fault: &str) -> String {
        let named = |setting: &&Setting| {
            let rest = fault.strip_prefix("--").and_then(|fault| fault.strip_prefix(setting.name.as_str()));
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        match self.0.iter().find(named) {
            Some(setting) => {
                let rest = fault.split_once(':').map_or("", |(_, rest)| rest);
                format!("{}:{rest}", setting.shown())
            }
            None => fault.to_owned(),
        }
    }

    /// The names of settings that differ between two readings.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(one, other)| one.values != other.values).map(|(one, _)| one.name.as_str()).collect()
    }
}

impl Setting {
    fn of(arg: &Arg, found: &ArgMatches) -> Option<Self> {
        let name = arg.get_long().filter(|name| !NO_SETTINGS.contains(name))?;
        let id = arg.get_id().as_str();
        let origin = match found.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => {
                Origin::Env(arg.get_env().unwrap_or_default().to_string_lossy().into_owned())
            }
            _ => Origin::Default,
        };
        Some(Self {
            id: id.to_owned(),
            name: name.to_owned(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            action: arg.get_action().clone(),
            values: if origin == Origin::Default { Vec::new() } else { raw(found, id) },
            origin,
        })
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.action, ArgAction::Append)
    }

    pub(super) fn is_secret(&self) -> bool {
        SECRETS.iter().any(|end| self.id.ends_with(end))
    }

    /// The flag and, if it was not given as one, where its value comes from.
    fn shown(&self) -> String {
        match &self.origin {
            Origin::Flag | Origin::Default => format!("--{}", self.name),
            Origin::Env(variable) => format!("--{} ({variable})", self.name),
            Origin::File(place) => format!("--{} ({place})", self.name),
        }
    }

    /// What was given, as flags.
    fn words(&self) -> Vec<OsString> {
        let flag = format!("--{}", self.name);
        if self.origin == Origin::Default {
            return Vec::new();
        }
        if !self.action.takes_values() {
            return if self.values.iter().any(|value| value == "true") { vec![flag.into()] } else { Vec::new() };
        }
        let words = self.values.iter().map(|value| {
            let mut word = OsString::from(format!("{flag}="));
            word.push(value);
            word
        });
        words.collect()
    }

    /// What is wrong with the value alone.
    fn fault(&self, command: &Command, program: &OsString) -> Option<String> {
        if !self.action.takes_values() {
            let is_switch = self.values.iter().all(|value| value == "true" || value == "false");
            return (!is_switch).then(|| format!("{}: true or false is needed", self.shown()));
        }
        // Together with no other, so that each is told; what is said of absent ones is not asked here.
        let alone = |word| command.clone().try_get_matches_from([program.clone(), word]).err();
        let fault = self.words().into_iter().filter_map(alone).find(|error| {
            matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8)
        })?;
        let value = match fault.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) if !self.is_secret() => format!("{value:?}"),
            _ => "the value".to_owned(),
        };
        let reason = match (fault.get(ContextKind::ValidValue), std::error::Error::source(&fault)) {
            (Some(ContextValue::Strings(possible)), _) if !possible.is_empty() => {
                format!("; possible are {}", possible.join(", "))
            }
            (_, Some(reason)) if !self.is_secret() => format!(": {reason}"),
            _ => String::new(),
        };
        Some(format!("{}: {value} cannot be used{reason}", self.shown()))
    }
}

/// The words and the environment as clap finds them, with values that are not looked at yet.
fn as_text(command: &Command, words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let any = command.clone().mut_args(|arg| {
        let arg = arg.required(false);
        if arg.get_action().takes_values() { arg.value_parser(ValueParser::os_string()) } else { arg }
    });
    match any.clone().try_get_matches_from(words) {
        // What one flag needs of another may be in the file.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            any.ignore_errors(true).try_get_matches_from(words)
        }
        found => found,
    }
}

fn raw(found: &ArgMatches, id: &str) -> Vec<OsString> {
    found.get_raw(id).into_iter().flatten().map(OsString::from).collect()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let told = text.split("\n\n").next().unwrap_or_default();
    told.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
