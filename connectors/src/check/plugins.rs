//! The sinks that are known: class, version, keys with their kinds of values, and where each keeps what all of them have.
//! Tables, no rules. Keys are facts from the plugins' public sources, named beside each table with their version.

mod aiven;
mod camel;
mod confluent;
mod debezium;

/// A sink's class.
pub(super) struct Plugin {
    pub(super) class: &'static str,
    /// What it is called.
    pub(super) title: &'static str,
    /// The version that its keys are from.
    pub(super) version: &'static str,
    /// What it writes, and the names of what its kind has in common.
    pub(super) store: Store,
    /// Its keys; one that ends in `*` stands for all that begin so.
    pub(super) keys: &'static [(&'static str, Kind)],
    /// Keys that it takes no more, or for old files' sake, and what to do about them.
    pub(super) retired: &'static [(&'static str, &'static str)],
    /// What other plugins call it, and what it is called here.
    pub(super) meant: &'static [(&'static str, &'static str)],
}

/// What values a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number of at least this.
    Least(u64),
    /// One of these, in whatever letters.
    OneOf(&'static [&'static str]),
    /// Any, and never shown.
    Secret,
    /// An option that is handed to the database's driver: one that its list has.
    Driver,
    /// A class whose name begins so.
    Class(&'static [&'static str]),
    /// None: what the setting does, and what to do instead.
    Barred(&'static str, &'static str),
}

/// What a sink writes.
#[derive(Clone, Copy)]
pub(super) enum Store {
    /// Rows of a table.
    Rows(&'static Rows),
    /// Documents of an index, in bulks.
    Documents(&'static Documents),
    /// Whatever Camel's address says.
    Camel,
}

/// How a JDBC sink calls what all of them have.
pub(super) struct Rows {
    pub(super) key_mode: &'static str,
    pub(super) key_fields: &'static str,
    /// The first one is the newer name.
    pub(super) table: &'static [&'static str],
    /// The setting that names the only fields to write.
    pub(super) include: &'static str,
    /// The one that names those to leave out, where there is one; a name in either may then be `topic:field`.
    pub(super) exclude: &'static str,
    /// Turns dots of a topic's name into underscores, where no table is named.
    pub(super) dots_become_underscores: bool,
    pub(super) retries: (&'static str, u64),
    pub(super) pause: (&'static str, u64),
    /// A setting that lets the sink alter the table, and the values that do not.
    pub(super) grows: &'static [(&'static str, &'static str)],
}

/// How a sink of documents calls what all of them have.
pub(super) struct Documents {
    /// `topic:index` pairs, where there are some.
    pub(super) mapping: &'static [&'static str],
    /// `insert` or `upsert`.
    pub(super) method: &'static str,
    /// What happens with a record without a value, where nothing is set.
    pub(super) on_null: &'static str,
    /// Where a stale version stops the sink unless it is told otherwise: the setting.
    pub(super) on_conflict: &'static str,
    /// The settings that say that documents go to a data stream.
    pub(super) streams: &'static [&'static str],
    /// How long a flush may take: the setting and what holds without it.
    pub(super) flush: (&'static str, u64),
}

/// All of them.
pub(super) static ALL: &[&Plugin] = &[
    &debezium::JDBC,
    &camel::SINK,
    &confluent::JDBC,
    &confluent::ELASTICSEARCH,
    &aiven::JDBC,
    &aiven::OPENSEARCH,
    &aiven::ELASTICSEARCH,
];

/// The one of a class.
pub(super) fn of(class: &str) -> Option<&'static Plugin> {
    ALL.iter().find(|plugin| plugin.class == class).copied()
}

impl Plugin {
    /// What values a key takes; `None` where it has no such key.
    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        kind(self.keys, key)
    }
}

/// What values a key of a table takes.
pub(super) fn kind(keys: &[(&str, Kind)], key: &str) -> Option<Kind> {
    let exact = keys.iter().find(|(known, _)| *known == key);
    let starts = |known: &str| known.strip_suffix('*').is_some_and(|start| key.starts_with(start));
    exact.or_else(|| keys.iter().find(|(known, _)| starts(known))).map(|(_, kind)| *kind)
}
