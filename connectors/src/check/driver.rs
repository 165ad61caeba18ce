//! What a database's driver is given: the options of its address, and settings that are handed to it. A driver takes some
//! of them for names of classes that it makes, for scripts that it runs or for files that it reads and writes on the
//! worker, so whoever may edit a connector's file could do these things. pgjdbc mended one such option as
//! CVE-2022-21724, and others are there by design; hence lists of what is known to be harmless, and not of what is not.
//!
//! Connect puts the text of a placeholder in before the driver reads the address, and leaves one of a provider that the
//! worker does not have as it stands. So a placeholder is text like any other here: options begin at the first sign that
//! may begin them, whatever is before it, and no option may hold one.

mod known;

use super::plugins::{Kind, Plugin};
use super::{Subject, has_placeholder, is_secret};
use crate::files::At;
use crate::rules;

use known::Driver;

const URL: &str = "connection.url";
/// What begins or divides options, for one driver or another. Each counts for all: too many options are seen then, and
/// none too few.
const SEPARATORS: [char; 3] = ['?', ';', '&'];
/// How one of them gets in.
const LISTS: &str =
    "one that loads, runs and opens nothing can be put on the list in connectors/src/check/driver/known.rs";

/// An address in its parts.
struct Address<'a> {
    /// `None` where the address begins with a placeholder.
    driver: Option<&'static Driver>,
    /// Host and database.
    place: &'a str,
    /// From the first separator on.
    options: &'a str,
}

impl<'a> Address<'a> {
    /// `None` where it is of no database that is known.
    fn of(url: &'a str) -> Option<Self> {
        let parted = |rest: &'a str| rest.split_at(rest.find(SEPARATORS).unwrap_or(rest.len()));
        let known = known::ALL.iter().find_map(|driver| {
            let starts = driver.starts.iter().find_map(|start| Some(parted(url.strip_prefix(start)?)));
            let strictly = || Some(parted(url.strip_prefix(driver.strictly?)?));
            let (place, options) = starts.or_else(|| strictly().filter(|(place, _)| known::is_listener(place)))?;
            Some(Self { driver: Some(driver), place, options })
        });
        let unknown = || {
            let (place, options) = parted(url);
            Self { driver: None, place, options }
        };
        known.or_else(|| begins_with_placeholder(url).then(unknown))
    }

    /// Nothing but names, numbers and what divides them: some drivers take options between brackets or behind a colon,
    /// and directories that the rest is fetched from.
    fn is_plain(&self) -> bool {
        let fine = |c: char| c.is_alphanumeric() || ".:/_-,@[]\\~${}".contains(c);
        !self.place.contains("://") && self.place.chars().all(fine)
    }

    /// Names and values.
    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.options.split(SEPARATORS).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (name.trim(), value)).filter(|pair| *pair != ("", ""))
    }

    fn form(&self) -> &'static str {
        self.driver.map_or("jdbc:postgresql://${env:HOST}/DATABASE", |driver| driver.form)
    }
}

/// The address, then what is handed on beside it.
pub(super) fn check(subject: &mut Subject<'_>, plugin: &Plugin) {
    let url = subject.setting(URL);
    let driver = match Address::of(url) {
        Some(address) => {
            place(subject, &address);
            for (name, value) in address.pairs() {
                option(subject, address.driver, name, value);
            }
            address.driver
        }
        None => {
            unknown(subject, url);
            None
        }
    };
    handed(subject, plugin, driver);
}

/// Settings that a plugin hands on as options, without looking at them.
fn handed(subject: &mut Subject<'_>, plugin: &Plugin, driver: Option<&Driver>) {
    for key in subject.keys().filter(|key| matches!(plugin.kind(key), Some(Kind::Driver))) {
        let option = key.split_once('.').map_or(key, |(_, option)| option);
        if known::has(driver, option) {
            continue;
        }
        let message =
            format!("hands `{option}` to the driver, and it is not among the options that a sink may give it");
        let fix = match plugin.meant.iter().find(|(other, _)| *other == key) {
            Some((_, own)) => format!("write \"{own}\""),
            None => format!("take it out; {LISTS}"),
        };
        subject.tell(&rules::DRIVER_OPTION, At::Key(key), &message, &fix);
    }
}

/// A setting that the plugin has and nobody may use.
pub(super) fn barred(subject: &mut Subject<'_>, key: &str, does: &str, instead: &str) {
    subject.tell(&rules::DRIVER_OPTION, At::Key(key), does, instead);
}

/// A setting that names a class: one of the plugin's own packages.
pub(super) fn class(subject: &mut Subject<'_>, key: &str, packages: &[&str]) {
    let value = subject.setting(key);
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._$".contains(c));
    if packages.iter().any(|package| value.strip_prefix(package).is_some_and(plain)) {
        return;
    }
    let named: Vec<&str> = packages.iter().map(|package| package.trim_end_matches('.')).collect();
    let message = format!("`{value}` is not a class of {}, and the worker would load it", named.join(" or "));
    subject.tell(&rules::DRIVER_OPTION, At::Value(key), &message, "name one of these, or take it out");
}

/// `jdbc` tells of what is no address of a database at all.
fn unknown(subject: &mut Subject<'_>, url: &str) {
    let Some(rest) = url.strip_prefix("jdbc:") else { return };
    let scheme: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "+-_".contains(*c)).collect();
    if let Some(driver) = known::ALL.iter().find(|driver| driver.scheme == scheme) {
        let message = format!("is not of a form in which {}'s options can be read", driver.title);
        return subject.tell(&rules::DRIVER_OPTION, At::Value(URL), &message, &format!("write {}", driver.form));
    }
    let message = format!("`jdbc:{scheme}` is no database whose options are known here");
    let titles: Vec<&str> = known::ALL.iter().map(|driver| driver.title).collect();
    let fix = format!(
        "use one of {}; another is put with its harmless options on the list in connectors/src/check/driver/known.rs",
        titles.join(", ")
    );
    subject.tell(&rules::DRIVER_OPTION, At::Value(URL), &message, &fix);
}

/// What stands before the options.
fn place(subject: &mut Subject<'_>, address: &Address<'_>) {
    let form = address.form();
    if !address.is_plain() {
        let message = "has something in the place of host and database that may be read as options";
        subject.tell(&rules::DRIVER_OPTION, At::Value(URL), message, &format!("write {form}"));
    } else if address.options.starts_with('&') && has_placeholder(address.place) {
        let message =
            "goes on with `&`: the placeholder before it brings options of its own, which cannot be read here";
        let fix = format!("put all options into that variable, or write {form}?OPTION=VALUE");
        subject.tell(&rules::DRIVER_OPTION, At::Value(URL), message, &fix);
    }
}

fn option(subject: &mut Subject<'_>, driver: Option<&Driver>, name: &str, value: &str) {
    let at = At::Part(URL, name);
    if has_placeholder(name) || has_placeholder(value) {
        let message =
            format!("option `{name}` has a placeholder, which may bring more options, which cannot be read here");
        let fix = if is_secret(name) {
            "use the plugin's setting for it"
        } else {
            "write the value itself, or put the whole address into one variable"
        };
        subject.tell(&rules::DRIVER_OPTION, at, &message, fix);
    } else if value.contains(['(', ')']) && driver.is_none_or(|driver| driver.nests) {
        let message = format!("option `{name}` has a bracket in its value, within which more options may stand");
        subject.tell(&rules::DRIVER_OPTION, at, &message, "write the value without it");
    } else if !known::has(driver, name) {
        let message = format!("option `{name}` is not among those that a sink's address may have");
        subject.tell(&rules::DRIVER_OPTION, at, &message, &format!("take it out of the address; {LISTS}"));
    }
}

/// Which database it is, only Connect knows.
pub(super) fn begins_with_placeholder(url: &str) -> bool {
    url.starts_with("${")
}

#[cfg(test)]
mod tests;
