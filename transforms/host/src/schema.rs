//! The shape of an Avro schema: what a datum's bytes must look like, as a flat table that is quick to walk.
//!
//! `apache-avro` parses the text; here only layout, field names and the limits of logical types are kept. Names of
//! records, documentation, defaults and aliases do not change a byte, so two schemas with one shape are as good as one.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use apache_avro::{
    Schema,
    schema::{InnerDecimalSchema, UuidSchema},
};

/// Bytes that a schema's text may have: it may come from an uploaded module.
pub(crate) const MAX_TEXT: usize = 256 << 10;
/// How deep types may be nested, in the schema and in a datum.
pub(crate) const MAX_DEPTH: usize = 64;

/// Index of a node.
pub(crate) type Id = usize;

/// The shape of one schema. Node 0 is the root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) nodes: Vec<Node>,
}

/// One type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Null,
    Boolean,
    /// With the name of its logical type.
    Int(&'static str),
    /// With the name of its logical type.
    Long(&'static str),
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    /// `fixed` is its size, when it is one.
    Decimal {
        precision: u32,
        scale: u32,
        fixed: Option<usize>,
    },
    Enum(Vec<String>),
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Vec<(String, Id)>),
}

impl Shape {
    /// Reads a schema's text. An error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("the schema has {} bytes, the limit is {MAX_TEXT}", text.len()));
        }
        let schema = Schema::parse_str(text).map_err(|error| error.to_string())?;
        let mut builder = Builder::default();
        builder.add(&schema, 0)?;
        Ok(Self { nodes: builder.nodes })
    }

    pub(crate) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Whether a datum of this shape is a datum of `begin` and something behind it: both are records, and the fields of
    /// `begin` are the first ones here.
    pub(crate) fn begins_with(&self, begin: &Self) -> bool {
        let (Some((Node::Record(fields), nodes)), Some((Node::Record(first), first_nodes))) =
            (self.nodes.split_first(), begin.nodes.split_first())
        else {
            return false;
        };
        // A record inside itself would have the further fields in there as well.
        !begin.has_itself_inside() && fields.starts_with(first) && nodes.starts_with(first_nodes)
    }

    fn has_itself_inside(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::Array(item) | Node::Map(item) => *item == 0,
            Node::Union(branches) => branches.contains(&0),
            Node::Record(fields) => fields.iter().any(|(_, id)| *id == 0),
            _ => false,
        })
    }

    /// What is different between two shapes, for people; `None` when they are the same.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let fields = |shape: &Self| match shape.node(0) {
            Some(Node::Record(fields)) => fields.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        };
        let (ours, theirs): (Vec<String>, Vec<String>) = (fields(self), fields(other));
        let missing = |from: &[String], of: &[String]| {
            of.iter().filter(|name| !from.contains(name)).cloned().collect::<Vec<_>>().join(", ")
        };
        let (more, fewer) = (missing(&ours, &theirs), missing(&theirs, &ours));
        Some(match (more.is_empty(), fewer.is_empty()) {
            (true, true) => "the same fields, in another order or with other types".to_owned(),
            (false, true) => format!("it lacks {more}"),
            (true, false) => format!("it has {fewer} too many"),
            (false, false) => format!("it lacks {more} and has {fewer} too many"),
        })
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    named: HashMap<String, Id>,
}

impl Builder {
    fn add(&mut self, schema: &Schema, depth: usize) -> Result<Id, String> {
        if depth > MAX_DEPTH {
            return Err(format!("the schema is nested more than {MAX_DEPTH} deep"));
        }
        // The place is taken before its parts are, so that the root is 0 and a record can contain itself.
        let id = self.nodes.len();
        let node = match schema {
            Schema::Ref { name } => {
                let name = name.to_string();
                return self.named.get(&name).copied().ok_or_else(|| format!("unknown type {name}"));
            }
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int(""),
            Schema::Date => Node::Int("date"),
            Schema::TimeMillis => Node::Int("time-millis"),
            Schema::Long => Node::Long(""),
            Schema::TimeMicros => Node::Long("time-micros"),
            Schema::TimestampMillis => Node::Long("timestamp-millis"),
            Schema::TimestampMicros => Node::Long("timestamp-micros"),
            Schema::TimestampNanos => Node::Long("timestamp-nanos"),
            Schema::LocalTimestampMillis => Node::Long("local-timestamp-millis"),
            Schema::LocalTimestampMicros => Node::Long("local-timestamp-micros"),
            Schema::LocalTimestampNanos => Node::Long("local-timestamp-nanos"),
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::Text,
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.named.insert(fixed.name.to_string(), id);
                Node::Fixed(fixed.size)
            }
            Schema::Decimal(decimal) => {
                let fixed = match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => {
                        self.named.insert(fixed.name.to_string(), id);
                        Some(fixed.size)
                    }
                };
                let digits = |digits: usize| u32::try_from(digits).map_err(|_| format!("a decimal of {digits} digits"));
                Node::Decimal { precision: digits(decimal.precision)?, scale: digits(decimal.scale)?, fixed }
            }
            Schema::Enum(symbols) => {
                self.named.insert(symbols.name.to_string(), id);
                Node::Enum(symbols.symbols.clone())
            }
            Schema::Array(_) | Schema::Map(_) | Schema::Union(_) | Schema::Record(_) => {
                return self.nested(schema, id, depth);
            }
        };
        self.nodes.push(node);
        Ok(id)
    }

    fn nested(&mut self, schema: &Schema, id: Id, depth: usize) -> Result<Id, String> {
        self.nodes.push(Node::Null);
        let node = match schema {
            Schema::Array(array) => Node::Array(self.add(&array.items, depth + 1)?),
            Schema::Map(map) => Node::Map(self.add(&map.types, depth + 1)?),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, depth + 1));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                self.named.insert(record.name.to_string(), id);
                let fields =
                    record.fields.iter().map(|field| Ok((field.name.clone(), self.add(&field.schema, depth + 1)?)));
                Node::Record(fields.collect::<Result<_, String>>()?)
            }
            _ => Node::Null,
        };
        if let Some(place) = self.nodes.get_mut(id) {
            *place = node;
        }
        Ok(id)
    }
}
