//! The sales region of a country, from the one table beside the module.

use std::{collections::BTreeMap, sync::LazyLock};

/// The region of a country's code; none where the table has none.
pub(crate) fn of(country: &str) -> Option<&'static str> {
    static REGIONS: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| {
        let lines = include_str!("../regions.csv").lines();
        let decided = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(','));
        decided.filter(|(_, region)| *region != "NONE").collect()
    });
    REGIONS.get(country).copied()
}
