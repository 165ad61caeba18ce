//! The fast path: from a body to the Avro datum in one pass, by the rules of the schema in use, which are compiled at
//! start. It says yes only where the full way (`json`, `check`, `convert`, `schemas::codec`) says yes, and then with the
//! same bytes; on any doubt it says nothing, and the full way decides and explains. So it refuses nothing itself, and
//! what it does not know costs speed, never truth. A schema with a keyword that it does not know switches it off: see
//! [`Fast::compile`]. That both ways agree is held by `differential`.

use prometheus_client::registry::Registry;
use schemas::{codec, framing, order::Timestamp};
use serde_json::Value;

use crate::orders::MAX_RECORD;

mod compile;
mod members;
mod metrics;
mod rules;
mod scan;
mod shape;
mod time;

pub use compile::NotCovered;
pub use metrics::Verdicts;
use rules::OrderRules;

/// The rules of one schema, for one pass.
#[derive(Debug)]
pub struct Fast(OrderRules);

impl Fast {
    /// Compiles a schema that [`crate::check::Rules`] has compiled.
    ///
    /// # Errors
    /// The first thing in the schema that is not known here.
    pub fn compile(schema: &str) -> Result<Self, NotCovered> {
        let schema: Value = serde_json::from_str(schema).map_err(|_| NotCovered::new("", "a text that is no JSON"))?;
        compile::order(&schema).map(Self)
    }

    /// Appends the framed datum of an order that is surely valid, and gives its id. `None` says nothing about the order,
    /// and leaves `out` as it was.
    #[must_use]
    pub fn encode(&self, body: &[u8], schema_id: u32, received_at: Timestamp, out: &mut Vec<u8>) -> Option<String> {
        let begun = out.len();
        out.extend_from_slice(&framing::header(schema_id));
        let order_id = self.datum(body, received_at, out).filter(|_| out.len() - begun <= MAX_RECORD);
        if order_id.is_none() {
            out.truncate(begun);
        }
        order_id
    }

    fn datum(&self, body: &[u8], received_at: Timestamp, out: &mut Vec<u8>) -> Option<String> {
        // Items are written as they come, wherever they stand in the body; what has to stand before them goes behind
        // them first, and both change places.
        let begun = out.len();
        let order = members::order(&self.0, body, out)?;
        let items = out.len() - begun;
        codec::put_bytes(out, &order.order_id);
        codec::put_money(out, order.amount);
        codec::put_bytes(out, &order.customer);
        codec::put_optional(out, order.currency.as_deref());
        if order.items != 0 {
            codec::put_len(out, order.items);
        }
        out.get_mut(begun..)?.rotate_left(items);
        codec::put_long(out, 0);
        codec::put_optional(out, order.email.as_deref());
        codec::put_optional(out, order.country.as_deref());
        codec::put_optional(out, order.channel.as_deref());
        codec::put_long(out, order.created_at.unwrap_or(received_at.0));
        codec::put_long(out, received_at.0);
        String::from_utf8(order.order_id.into_owned()).ok()
    }
}

/// The fast path as the edge takes it: perhaps switched off, and counted.
#[derive(Debug)]
pub struct FastPath {
    fast: Option<Fast>,
    verdicts: Verdicts,
}

impl FastPath {
    /// For this schema. If it is not covered, the log says why, once.
    #[must_use]
    pub fn new(schema: &str, registry: &mut Registry) -> Self {
        let fast = Fast::compile(schema);
        if let Err(reason) = &fast {
            tracing::warn!(reason = %reason, "no fast path for this order schema: each order takes the full way, as safe and slower");
        }
        let fast = fast.ok();
        Self { verdicts: Verdicts::new(registry, fast.is_some()), fast }
    }

    /// The id and the record's value, if the fast path takes the order; else the full way is taken, and counted so.
    #[must_use]
    pub fn encode(&self, body: &[u8], schema_id: u32, received_at: Timestamp) -> Option<(String, Vec<u8>)> {
        let taken = self.fast.as_ref().and_then(|fast| {
            let mut value = Vec::with_capacity(body.len());
            let order_id = fast.encode(body, schema_id, received_at, &mut value)?;
            Some((order_id, value))
        });
        match &taken {
            Some(_) => self.verdicts.fast(),
            None => self.verdicts.full(),
        }
        taken
    }
}
#[cfg(test)]
mod tests;
