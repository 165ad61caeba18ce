//! Chains of transforms and their predicates: each name of a list has its parts, each part belongs to a name, and each
//! transform that is known has what it needs.

mod kinds;

use std::collections::BTreeSet;

use super::{Subject, has_placeholder, keys, near, split, values};
use crate::files::At;
use crate::rules;

use kinds::{Kind, PREDICATES, TRANSFORMS};

pub(super) use kinds::short;

/// The chain of a sink: Kafka Connect's transforms and predicates.
pub(super) fn sink(subject: &mut Subject<'_>) {
    aliases(subject, ("transforms", "type"), |subject, prefix, options| {
        of_kind(subject, TRANSFORMS, prefix, options, &["predicate", "negate"]);
    });
    predicates(subject, "transforms");
    for alias in subject.list("transforms") {
        parts(subject, alias);
    }
}

/// The predicates, and what of the chain goes by them.
pub(super) fn predicates(subject: &mut Subject<'_>, chain: &str) {
    aliases(subject, ("predicates", "type"), |subject, prefix, options| {
        of_kind(subject, PREDICATES, prefix, options, &[]);
    });
    let mut used = BTreeSet::new();
    for alias in subject.list(chain).collect::<BTreeSet<_>>() {
        let (key, negate) = (format!("{chain}.{alias}.predicate"), format!("{chain}.{alias}.negate"));
        let predicate = subject.setting(&key);
        if subject.has(&key) && !subject.list("predicates").any(|known| known == predicate) {
            let meant = near(predicate, subject.list("predicates"));
            let hint = meant.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let message = format!("`{predicate}` is not in `predicates`{hint}");
            let fix = "add it to `predicates`, with its type, or name one that is there";
            subject.tell(&rules::TRANSFORM_CHAIN, At::Value(&key), &message, fix);
        }
        values::flag(subject, &negate);
        if subject.has(&negate) && !subject.has(&key) {
            let message = "turns round a predicate that is not there";
            subject.tell(
                &rules::TRANSFORM_CHAIN,
                At::Key(&negate),
                message,
                &format!("write \"{key}\", or take it out"),
            );
        }
        used.insert(predicate);
    }
    for alias in subject.list("predicates").filter(|alias| !used.contains(alias)) {
        let message = format!("`{alias}` is used by no transform");
        let fix = format!("write \"{chain}.NAME.predicate\": \"{alias}\" for the one that is meant, or take it out");
        subject.tell(&rules::TRANSFORM_CHAIN, At::Part("predicates", alias), &message, &fix);
    }
}

/// Each alias of the list has the key that makes it one (its type, say); each key has an alias of the list.
pub(super) fn aliases<'d>(
    subject: &mut Subject<'d>,
    (list, main): (&str, &str),
    judge: impl Fn(&mut Subject<'d>, &str, &[&'d str]),
) {
    let mut listed: BTreeSet<&str> = BTreeSet::new();
    for alias in subject.list(list) {
        if !listed.insert(alias) {
            let message = format!("names `{alias}` twice");
            let fix = "keep one; a step that is wanted twice needs two names";
            subject.tell(&rules::TRANSFORM_CHAIN, At::Part(list, alias), &message, fix);
        }
    }
    let prefix = format!("{list}.");
    // An alias may hold dots, so the longest listed one that fits is meant.
    let owner = |rest: &str| {
        let fits = |alias: &&&str| rest.strip_prefix(**alias).is_some_and(|rest| rest.starts_with('.'));
        listed.iter().filter(fits).max_by_key(|alias| alias.len()).copied()
    };
    let parts: Vec<(&str, &str)> = subject.keys().filter_map(|key| Some((key, key.strip_prefix(&prefix)?))).collect();
    for (key, rest) in parts.iter().filter(|(_, rest)| owner(rest).is_none()) {
        let alias = rest.split('.').next().unwrap_or_default();
        let meant =
            near(alias, listed.iter().copied()).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let message = format!("belongs to no name in `{list}`{meant}");
        let fix = format!("add {alias} to `{list}`, or take the key out");
        subject.tell(&rules::TRANSFORM_CHAIN, At::Key(key), &message, &fix);
    }
    for alias in &listed {
        let own = format!("{prefix}{alias}.");
        let key = format!("{own}{main}");
        if subject.setting(&key).is_empty() {
            let message = format!("`{alias}` has no {main}; each name in the list needs one");
            subject.tell(&rules::TRANSFORM_CHAIN, At::Part(list, alias), &message, &format!("write \"{key}\""));
        }
        let of_it = parts.iter().filter(|(_, rest)| owner(rest) == Some(*alias));
        let options: Vec<&str> =
            of_it.filter_map(|(key, _)| key.strip_prefix(&own)).filter(|option| *option != main).collect();
        judge(subject, &own, &options);
    }
}

/// The options that a part's type knows, and those that it cannot do without.
fn of_kind(subject: &mut Subject<'_>, table: &[Kind], prefix: &str, options: &[&str], common: &[&str]) {
    let at = format!("{prefix}type");
    let class = subject.setting(&at);
    if class.is_empty() || has_placeholder(class) {
        return;
    }
    let base = class.trim_end_matches("$Value").trim_end_matches("$Key");
    let Some(kind) = table.iter().find(|kind| kind.class == base) else {
        let whose = ["org.apache.kafka.connect.transforms.", "org.apache.camel.kafkaconnector.transforms."];
        let meant = near(base, table.iter().map(|kind| kind.class));
        if let Some(meant) = meant {
            let message = format!("`{class}` is not known; did you mean {meant}?");
            subject.tell(&rules::UNKNOWN_TRANSFORM, At::Value(&at), &message, "write the class as it is spelt");
        } else if whose.iter().any(|whose| class.starts_with(whose)) || !class.contains('.') {
            let message = format!("`{class}` is not known");
            subject.tell(&rules::UNKNOWN_TRANSFORM, At::Value(&at), &message, "write the class with its package");
        }
        // Of other people's classes Kafka Connect itself must say.
        return;
    };
    if kind.sided != (base != class) {
        let (message, fix) = if kind.sided {
            (format!("`{class}` does not say which side is meant"), format!("write {base}$Value, or {base}$Key"))
        } else {
            (format!("`{class}` has no sides"), format!("write {base}"))
        };
        subject.tell(&rules::UNKNOWN_TRANSFORM, At::Value(&at), &message, &fix);
    }
    if let Some(known) = kind.options {
        for option in options.iter().filter(|option| !known.contains(option) && !common.contains(option)) {
            let meant = near(option, known.iter().chain(common).copied()).map(|near| format!("{prefix}{near}"));
            let whose = base.rsplit('.').next().unwrap_or_default();
            keys::unknown(subject, &format!("{prefix}{option}"), whose, meant.as_deref());
        }
    }
    for needed in kind.needs {
        if needed.iter().any(|option| subject.has(&format!("{prefix}{option}"))) {
            continue;
        }
        let message = format!("{} needs {}", base.rsplit('.').next().unwrap_or_default(), needed.join(" or "));
        let fix = format!("write \"{prefix}{}\"", needed.first().copied().unwrap_or_default());
        subject.tell(&rules::TRANSFORM_CHAIN, At::Key(&at), &message, &fix);
    }
}

/// What the common transforms need beyond their options' names.
fn parts(subject: &mut Subject<'_>, alias: &str) {
    let key = |option: &str| format!("transforms.{alias}.{option}");
    let count = |subject: &Subject<'_>, option: &str| split(subject.setting(&key(option))).count();
    match short(subject.setting(&key("type"))) {
        "Filter" if !subject.has(&key("predicate")) => {
            let message = "is a Filter without a predicate, which drops every record";
            let fix = format!("write \"{}\"", key("predicate"));
            subject.tell(&rules::TRANSFORM_CHAIN, At::Key(&key("type")), message, &fix);
        }
        "Filter" if drops_values(subject, alias) => {
            let message = "makes the Filter of tombstones drop every record that is none";
            let fix = "take it out; a Filter drops what its predicate says";
            subject.tell(&rules::SILENT_DROP, At::Value(&key("negate")), message, fix);
        }
        "HeaderFrom$Value" | "HeaderFrom$Key" | "HeaderToValue" => {
            let (fields, headers) = (count(subject, "fields"), count(subject, "headers"));
            if 0 < fields && 0 < headers && fields != headers {
                let message = format!("has {headers} names and `fields` has {fields}; they go in pairs");
                subject.tell(&rules::TRANSFORM_CHAIN, At::Value(&key("headers")), &message, "name as many of each");
            }
            let operation = subject.setting(&key("operation"));
            if !operation.is_empty() && !matches!(operation, "move" | "copy") {
                let message = format!("`{operation}` is not one of move, copy");
                subject.tell(&rules::BAD_VALUE, At::Value(&key("operation")), &message, "write \"copy\"");
            }
        }
        "ReplaceField$Value" | "ReplaceField$Key" => {
            let lopsided = split(subject.setting(&key("renames"))).find(|pair| pair.split(':').count() != 2);
            if let Some(pair) = lopsided {
                let message = format!("`{pair}` is not a pair of old and new name");
                let fix = "write old:new, with commas between the pairs";
                subject.tell(&rules::BAD_VALUE, At::Part(&key("renames"), pair), &message, fix);
            }
        }
        _ => {}
    }
}

/// A Filter of tombstones that is turned round.
fn drops_values(subject: &Subject<'_>, alias: &str) -> bool {
    let setting = |option: &str| subject.setting(&format!("transforms.{alias}.{option}"));
    let predicate = subject.setting(&format!("predicates.{}.type", setting("predicate")));
    short(predicate) == "RecordIsTombstone" && setting("negate").eq_ignore_ascii_case("true")
}
