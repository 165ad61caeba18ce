//! The Avro schemas that are deployed: those in `schemas/` beside the folder of the connector files, so that a field is
//! added without building anything anew; where there is none, those of this build.

use std::path::{Path, PathBuf};

use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::fields::Reader;
use schemas::names::{subjects, topics};

/// The folder of the schemas, beside that of the connector files.
pub(crate) const FOLDER: &str = "schemas";

/// A topic's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The topic.
    pub topic: &'static str,
    /// The subject of its values.
    pub subject: &'static str,
    /// The schema's text.
    pub schema: String,
    /// Where it stands, for people.
    pub file: String,
    /// The file; `None` where it is of this build.
    pub path: Option<PathBuf>,
}

/// Both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contracts {
    /// What the pipeline writes and the sinks read.
    pub placed: Contract,
    /// What the edge writes.
    pub received: Contract,
}

/// Why a file is no contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) file: String,
    pub(crate) why: String,
}

impl Default for Contracts {
    fn default() -> Self {
        let built_in = |topic, subject, schema: &str| Contract {
            topic,
            subject,
            schema: schema.to_owned(),
            file: format!("{FOLDER}/{topic}.avsc"),
            path: None,
        };
        Self {
            placed: built_in(topics::ORDER_PLACED, subjects::ORDER_PLACED_VALUE, ORDER_PLACED_AVSC),
            received: built_in(topics::ORDERS_RECEIVED, subjects::ORDERS_RECEIVED_VALUE, ORDERS_RECEIVED_AVSC),
        }
    }
}

impl Contracts {
    /// In the order of a change: what reads comes before what writes.
    pub fn all(&self) -> impl Iterator<Item = &Contract> {
        [&self.placed, &self.received].into_iter()
    }

    /// The schema of a topic, where it is one of these.
    #[must_use]
    pub fn of_topic(&self, topic: &str) -> Option<&str> {
        self.all().find(|contract| contract.topic == topic).map(|contract| contract.schema.as_str())
    }

    /// Those beside these folders, the first that has a folder of schemas; a file that cannot be used is told, and
    /// that of this build stands in for it.
    pub(crate) fn beside(folders: &[PathBuf], unusable: &mut Vec<Unusable>) -> Self {
        let mut contracts = Self::default();
        let Some(folder) = folders.iter().find(|folder| folder.is_dir()) else { return contracts };
        for contract in [&mut contracts.placed, &mut contracts.received] {
            let folder = folder.strip_prefix(".").unwrap_or(folder);
            let path = folder.join(format!("{}.avsc", contract.topic));
            if !path.exists() {
                continue;
            }
            contract.file = path.display().to_string();
            match read(&path) {
                Ok(schema) => (contract.schema, contract.path) = (schema, Some(path)),
                Err(why) => unusable.push(Unusable { file: contract.file.clone(), why }),
            }
        }
        contracts
    }
}

/// A file of at most as many bytes as a schema has.
fn read(path: &Path) -> Result<String, String> {
    const MOST: u64 = 256 * 1024;
    let size = path.metadata().map_err(|err| format!("cannot be read: {err}"))?.len();
    if MOST < size {
        return Err(format!("is {size} bytes, a schema has at most {MOST}"));
    }
    let text = std::fs::read_to_string(path).map_err(|err| format!("cannot be read: {err}"))?;
    Reader::new(&text).map(|_| text).map_err(|err| format!("is no Avro schema: {err}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_the_connectors_counts_before_what_was_built_in() {
        let folder = std::env::temp_dir().join(format!("connectors-contracts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let longer = ORDER_PLACED_AVSC.replacen("\"email\"", "\"e_mail\"", 1);
        file("order_placed.avsc", &longer);
        let mut unusable = Vec::new();
        let folders = [folder.join("absent"), folder.clone()];
        let found = Contracts::beside(&folders, &mut unusable);
        assert_eq!(found.of_topic(topics::ORDER_PLACED), Some(longer.as_str()));
        assert_eq!(found.received, Contracts::default().received, "which is not there");
        assert_eq!(unusable, []);
        file("orders.received.avsc", "{");
        let found = Contracts::beside(&folders, &mut unusable);
        assert_eq!((found.received.schema.as_str(), unusable.len()), (ORDERS_RECEIVED_AVSC, 1));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(Contracts::beside(&folders, &mut unusable), Contracts::default());
    }
}
