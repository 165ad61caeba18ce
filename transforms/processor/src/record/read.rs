//! From a record's bytes to a value of the output schema, or the reason why it has none. Everything here is a border:
//! anybody may write into the input topic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use apache_avro::types::Value;
use schemas::framing;
use schemas::order::OrderId;

use super::divert::{Reason, Stage};
use super::storable;
use super::writers::{NoReader, Reader, Writers};
use crate::kafka::Input;
use crate::work::Hold;

/// The kinds of failure, where Connect has the exception's class.
pub mod class {
    /// The value is null.
    pub const NULL: &str = "orderflow.NullValue";
    /// The value has no bytes.
    pub const EMPTY: &str = "orderflow.EmptyValue";
    /// The value is not framed as the registry's.
    pub const FRAME: &str = "orderflow.UnframedValue";
    /// The registry knows no such schema.
    pub const SCHEMA: &str = "orderflow.UnknownSchema";
    /// The bytes are not what the schema says, or cannot be read as the output.
    pub const AVRO: &str = "orderflow.UndecodableValue";
    /// A field has a value that no store could keep.
    pub const VALUE: &str = "orderflow.InvalidValue";
    /// The key is not the order's id.
    pub const KEY: &str = "orderflow.KeyMismatch";
    /// The order's id breaks its rule.
    pub const ID: &str = "orderflow.InvalidOrderId";
}

/// The value of a record as a datum of the output schema. `id_at` says which field must be the key.
///
/// # Errors
/// [`Hold`] while the writer's schema cannot be fetched; the inner error is the reason for the dead letter.
pub fn datum(input: &Input, writers: &mut Writers, id_at: Option<usize>) -> Result<Result<Vec<u8>, Reason>, Hold> {
    let Some(bytes) = input.value.as_deref() else {
        return Ok(Err(Reason::new(
            Stage::Value,
            class::NULL,
            "value is null; orders are never deleted by tombstones",
        )));
    };
    if bytes.is_empty() {
        return Ok(Err(Reason::new(Stage::Value, class::EMPTY, "value is empty")));
    }
    let (id, datum) = match framing::split(bytes) {
        Ok(parts) => parts,
        Err(error) => return Ok(Err(Reason::new(Stage::Value, class::FRAME, error.to_string()))),
    };
    let reader = match writers.reader(id)? {
        Ok(reader) => reader,
        Err(NoReader::Unknown) => {
            let message = format!("schema registry knows no schema with id {id}");
            return Ok(Err(Reason::new(Stage::Value, class::SCHEMA, message)));
        }
        Err(NoReader::Unreadable(why)) => {
            let message = format!("schema {id} cannot be read as the output's: {why}");
            return Ok(Err(Reason::new(Stage::Value, class::AVRO, message)));
        }
    };
    if let Some(datum) = spliced(reader, datum, input, id_at) {
        return Ok(Ok(datum));
    }
    let broken = |why: String| Reason::new(Stage::Value, class::AVRO, why);
    // The decoder meets bytes from anybody: should one of them make it panic, that costs this record, not the slot.
    let resolved = catch_unwind(AssertUnwindSafe(|| {
        let value = reader.full.read(datum).map_err(|error| broken(error.to_string()))?;
        identity(input, &value, id_at)?;
        if let Some(why) = storable::fault(&value) {
            return Err(Reason::new(Stage::Value, class::VALUE, why));
        }
        reader.full.write(&value).map_err(|error| broken(error.to_string()))
    }));
    Ok(resolved.unwrap_or_else(|_| Err(broken(format!("the decoder of schema {id} broke on the value")))))
}

/// The same without decoding. `None` says nothing about the record.
fn spliced(reader: &Reader, datum: &[u8], input: &Input, id_at: Option<usize>) -> Option<Vec<u8>> {
    let fields = reader.short.as_ref()?.read(datum)?;
    if let Some(at) = id_at {
        let id = fields.text(at).filter(|id| input.key.as_deref() == Some(id.as_bytes()))?;
        id.parse::<OrderId>().ok()?;
    }
    Some(fields.datum())
}

/// The order's id stands in URLs later and fixes the partition, whoever wrote the record.
fn identity(input: &Input, value: &Value, id_at: Option<usize>) -> Result<(), Reason> {
    let Some(id) = id_at.and_then(|at| text_at(value, at)) else { return Ok(()) };
    if let Err(error) = id.parse::<OrderId>() {
        return Err(Reason::new(Stage::Value, class::ID, error.to_string()));
    }
    match input.key.as_deref() {
        Some(key) if key == id.as_bytes() => Ok(()),
        Some(_) => Err(Reason::new(Stage::Key, class::KEY, "key differs from order_id")),
        None => Err(Reason::new(Stage::Key, class::KEY, "key is null; it must be the order_id")),
    }
}

/// The text of a record's field.
pub(crate) fn text_at(value: &Value, at: usize) -> Option<&str> {
    let Value::Record(fields) = value else { return None };
    match fields.get(at) {
        Some((_, Value::String(text))) => Some(text),
        Some(_) | None => None,
    }
}
