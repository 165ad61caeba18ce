//! The writers' schemas, by the id in the frame: fetched once, kept as prepared readers. Decides when "no such id" may
//! be believed. One per slot; the schemas themselves are shared and live as long as the process, because the prepared
//! readers borrow them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::registry::{Error, Registry};
use schemas::resolution::{DatumError, Resolver};

use super::splice::Splice;
use crate::work::Hold;

/// How long "no such id" is believed before it is asked about again.
const NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// More schemas than any honest set of writers has. Kept schemas are never freed, so there must be an end.
const MAX_SCHEMAS: usize = 2_000;

/// Where schemas come from. It blocks: it is called on a slot's thread.
pub trait Source: Send + Sync {
    /// The schema with this id; `None` when there certainly is none.
    ///
    /// # Errors
    /// When that cannot be said now.
    fn schema(&self, id: u32) -> Result<Option<String>, String>;
}

/// The registry as a source.
pub struct FromRegistry {
    /// The client.
    pub registry: Registry,
    /// The id that the pipeline writes with: the registry's word counts only while it knows this one.
    pub pinned: u32,
    /// Where the client's calls run.
    pub runtime: tokio::runtime::Handle,
}

impl Source for FromRegistry {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        self.runtime.block_on(async {
            match self.registry.by_id(id).await {
                Ok(registered) => return Ok(Some(registered.schema.clone())),
                Err(Error::UnknownId(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
            // What was said may be of a time when the registry had come up empty: it must show that it knows what it
            // must know, and then say it again.
            self.registry.forget(id);
            self.registry.witness(self.pinned).await.map_err(|error| error.to_string())?;
            match self.registry.by_id(id).await {
                Ok(registered) => Ok(Some(registered.schema.clone())),
                Err(Error::UnknownId(_)) => {
                    self.registry.forget(id);
                    Ok(None)
                }
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// A writer's schema, prepared to be read as the output's.
#[derive(Debug)]
pub struct Reader {
    /// The full way, which is always right.
    pub full: Resolver,
    /// The short way, where it is known.
    pub(crate) short: Option<Splice>,
}

impl Reader {
    /// The datum of the output's schema; the short way where it takes the datum, which has the same bytes then.
    pub(crate) fn resolve(&self, datum: &[u8]) -> Result<Vec<u8>, DatumError> {
        match self.short.as_ref().and_then(|short| short.read(datum)) {
            Some(fields) => Ok(fields.datum()),
            None => self.full.resolve(datum),
        }
    }
}

/// The prepared readers of one slot.
pub struct Writers {
    source: Arc<dyn Source>,
    output: Arc<str>,
    readers: HashMap<u32, Known>,
}

enum Known {
    Reader(&'static Reader),
    /// The schema is there, but nothing that it wrote can be read as the output.
    Unreadable(String),
    Unknown(Instant),
}

/// Why there is no reader for an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoReader {
    /// The registry is there and knows no such id.
    Unknown,
    /// The schema cannot be read as the output's.
    Unreadable(String),
}

impl Writers {
    /// Readers that resolve to `output`.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, output: Arc<str>) -> Self {
        Self { source, output, readers: HashMap::new() }
    }

    /// The reader for values of schema `id`.
    ///
    /// # Errors
    /// [`Hold::Wait`] while nothing can be said about the id.
    pub fn reader(&mut self, id: u32) -> Result<Result<&'static Reader, NoReader>, Hold> {
        // The registry counts in 31 bits. It answers a larger number with an error that is no clear "no", and one such
        // record would hold its partition for ever.
        if i32::try_from(id).is_err() {
            return Ok(Err(NoReader::Unknown));
        }
        let stale = match self.readers.get(&id) {
            None => true,
            Some(Known::Unknown(since)) => since.elapsed() >= NEGATIVE_TTL,
            Some(Known::Reader(_) | Known::Unreadable(_)) => false,
        };
        if stale {
            let known = match self.source.schema(id) {
                Ok(Some(text)) => self.prepare(&text)?,
                Ok(None) => Known::Unknown(Instant::now()),
                Err(reason) => return Err(Hold::wait(format!("the schema with id {id} cannot be fetched: {reason}"))),
            };
            if self.readers.len() >= MAX_SCHEMAS {
                self.readers.retain(|_, known| matches!(known, Known::Reader(_)));
            }
            self.readers.insert(id, known);
        }
        Ok(match self.readers.get(&id) {
            Some(Known::Reader(reader)) => Ok(reader),
            Some(Known::Unreadable(reason)) => Err(NoReader::Unreadable(reason.clone())),
            Some(Known::Unknown(_)) | None => Err(NoReader::Unknown),
        })
    }

    fn prepare(&self, writer: &str) -> Result<Known, Hold> {
        Ok(match kept(writer, &self.output).map_err(Hold::wait)? {
            Ok(reader) => Known::Reader(reader),
            Err(reason) => Known::Unreadable(reason),
        })
    }
}

/// The prepared pair of these schemas, kept for as long as the process runs and shared by all slots; or why the one
/// cannot be read as the other.
pub(crate) fn kept(writer: &str, output: &str) -> Result<Result<&'static Reader, String>, String> {
    type Pairs = HashMap<(String, String), &'static Reader>;
    static KEPT: LazyLock<Mutex<Pairs>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = (writer.to_owned(), output.to_owned());
    if let Some(reader) = kept.get(&pair) {
        return Ok(Ok(reader));
    }
    if kept.len() >= MAX_SCHEMAS {
        return Err(format!("{MAX_SCHEMAS} different schemas were read, which is the limit; restart this process"));
    }
    let full = match Resolver::new(writer, output) {
        Ok(resolver) => resolver,
        Err(error) => return Ok(Err(short(&error.to_string()))),
    };
    let short = Splice::compile(writer, output);
    if let Err(why) = &short {
        tracing::info!(why, "records of a writer's schema take the full way, as safe and slower");
    }
    let reader: &'static Reader = Box::leak(Box::new(Reader { full, short: short.ok() }));
    kept.insert(pair, reader);
    Ok(Ok(reader))
}

/// The beginning of a text: errors of the Avro crate may hold a whole schema or a value.
pub(super) fn short(text: &str) -> String {
    const MAX: usize = 300;
    if text.len() <= MAX {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(MAX).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Told(AtomicUsize, fn(u32) -> Result<Option<String>, String>);

    impl Source for Told {
        fn schema(&self, id: u32) -> Result<Option<String>, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1(id)
        }
    }

    fn writers(answer: fn(u32) -> Result<Option<String>, String>) -> (Arc<Told>, Writers) {
        let told = Arc::new(Told(AtomicUsize::new(0), answer));
        let output = Arc::from(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#);
        (Arc::clone(&told), Writers::new(told, output))
    }

    #[test]
    fn a_schema_is_fetched_once_and_so_is_a_certain_no() {
        let (told, mut writers) = writers(|id| {
            let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#;
            Ok((id == 1).then(|| schema.to_owned()))
        });
        for _ in 0..3 {
            assert!(writers.reader(1).unwrap().is_ok());
            assert_eq!(writers.reader(2).unwrap().err(), Some(NoReader::Unknown));
        }
        assert_eq!(told.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_can_be_no_id_is_unknown_without_a_question() {
        let (told, mut writers) = writers(|_| Err("the registry cannot parse such an id".to_owned()));
        for id in [1 << 31, u32::MAX] {
            assert_eq!(writers.reader(id).unwrap().err(), Some(NoReader::Unknown), "{id}");
        }
        assert_eq!(told.0.load(Ordering::Relaxed), 0);
        assert!(writers.reader(i32::MAX.cast_unsigned()).is_err(), "the largest id is asked for");
    }

    #[test]
    fn no_clear_answer_holds_the_batch_and_is_not_kept() {
        let (told, mut writers) = writers(|_| Err("connection refused".to_owned()));
        for _ in 0..2 {
            assert!(
                matches!(writers.reader(1), Err(Hold::Wait { reason, .. }) if reason.contains("connection refused"))
            );
        }
        assert_eq!(told.0.load(Ordering::Relaxed), 2);
    }
}
