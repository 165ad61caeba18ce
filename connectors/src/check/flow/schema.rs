//! The fields of an Avro record, as far as stores care: a name, whether it may be null, and what kind of value it is.

use std::fmt;

use serde_json::Value;

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) nullable: bool,
    pub(crate) kind: Kind,
}

/// What a value is to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    /// Text that holds JSON.
    Json,
    Bytes,
    Decimal {
        precision: u64,
        scale: u64,
    },
    Date,
    Timestamp,
    Record(Vec<Field>),
    /// A list of records.
    Items(Vec<Field>),
    /// A list of anything else.
    List(Box<Kind>),
    /// Nothing that is known here.
    Other(String),
}

/// The fields of a schema's text; `None` when it is not a record.
pub(crate) fn fields(text: &str) -> Option<Vec<Field>> {
    record(&serde_json::from_str(text).ok()?)
}

impl Field {
    /// A header that a transform writes into the value; a record may lack it.
    pub(crate) fn header(name: &str) -> Self {
        Self { name: name.to_owned(), nullable: true, kind: Kind::Text }
    }
}

fn record(schema: &Value) -> Option<Vec<Field>> {
    let fields = schema.get("fields")?.as_array()?;
    let field = |field: &Value| {
        let (nullable, kind) = kind(field.get("type")?);
        Some(Field { name: field.get("name")?.as_str()?.to_owned(), nullable, kind })
    };
    fields.iter().map(field).collect()
}

fn kind(schema: &Value) -> (bool, Kind) {
    if let Value::Array(branches) = schema {
        let (null, rest): (Vec<_>, Vec<_>) = branches.iter().partition(|branch| branch.as_str() == Some("null"));
        return match &rest[..] {
            [one] => (!null.is_empty(), kind(one).1),
            _ => (!null.is_empty(), Kind::Other("a union".to_owned())),
        };
    }
    let name = schema.as_str().or_else(|| schema.get("type")?.as_str()).unwrap_or_default();
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| schema.get(key).and_then(Value::as_u64).unwrap_or_default();
    let kind = match (name, text("logicalType")) {
        ("bytes" | "fixed", "decimal") => Kind::Decimal { precision: number("precision"), scale: number("scale") },
        ("long", "timestamp-millis" | "timestamp-micros") => Kind::Timestamp,
        ("int", "date") => Kind::Date,
        ("string", _) if text("connect.name") == "io.debezium.data.Json" => Kind::Json,
        ("boolean", _) => Kind::Boolean,
        ("int", _) => Kind::Int,
        ("long", _) => Kind::Long,
        ("float", _) => Kind::Float,
        ("double", _) => Kind::Double,
        ("string" | "enum", _) => Kind::Text,
        ("bytes" | "fixed", _) => Kind::Bytes,
        ("record", _) => record(schema).map_or_else(|| Kind::Other("a record".to_owned()), Kind::Record),
        ("array", _) => match kind(schema.get("items").unwrap_or(&Value::Null)).1 {
            Kind::Record(fields) => Kind::Items(fields),
            inner => Kind::List(Box::new(inner)),
        },
        (other, _) => Kind::Other(other.to_owned()),
    };
    (false, kind)
}

impl Kind {
    /// The column that one would make for it; `None` where there is none.
    pub(crate) fn column(&self) -> Option<String> {
        Some(match self {
            Self::Boolean => "boolean".to_owned(),
            Self::Int => "integer".to_owned(),
            Self::Long => "bigint".to_owned(),
            Self::Float => "real".to_owned(),
            Self::Double => "double precision".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Json => "jsonb".to_owned(),
            Self::Bytes => "bytea".to_owned(),
            Self::Decimal { precision, scale } => format!("numeric({precision}, {scale})"),
            Self::Date => "date".to_owned(),
            Self::Timestamp => "timestamptz".to_owned(),
            Self::Record(_) | Self::Items(_) | Self::List(_) | Self::Other(_) => return None,
        })
    }

    /// Whether a column of this type, as PostgreSQL spells it, takes every value.
    pub(crate) fn fits_column(&self, column: &str) -> bool {
        let one_of = |types: &[&str]| types.contains(&column);
        let wide = ["numeric", "decimal"];
        match self {
            Self::Boolean => one_of(&["boolean", "bool"]),
            Self::Int => one_of(&["integer", "int", "int4", "bigint", "int8"]) || one_of(&wide),
            Self::Long => one_of(&["bigint", "int8"]) || one_of(&wide),
            Self::Float => one_of(&["real", "float4", "double precision", "float8"]),
            Self::Double => one_of(&["double precision", "float8"]),
            Self::Text => one_of(&["text", "varchar", "character varying", "citext"]),
            Self::Json => one_of(&["json", "jsonb", "text"]),
            Self::Bytes => one_of(&["bytea"]),
            Self::Date => one_of(&["date"]),
            Self::Timestamp => {
                one_of(&["timestamptz", "timestamp", "timestamp with time zone", "timestamp without time zone"])
            }
            Self::Decimal { precision, scale } => one_of(&wide) || holds(column, *precision, *scale),
            Self::Record(_) | Self::Items(_) | Self::List(_) | Self::Other(_) => false,
        }
    }

    /// The property that one would make for it.
    pub(crate) fn property(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double | Self::Decimal { .. } => "double",
            Self::Text | Self::Json => "keyword",
            Self::Bytes => "binary",
            Self::Date | Self::Timestamp => "date",
            Self::Items(_) => "nested",
            Self::Record(_) | Self::Other(_) => "object",
            Self::List(inner) => inner.property(),
        }
    }

    /// Whether a property of this type takes every value.
    pub(crate) fn fits_property(&self, property: &str) -> bool {
        let one_of = |types: &[&str]| types.contains(&property);
        match self {
            Self::Boolean => one_of(&["boolean"]),
            Self::Int => one_of(&["integer", "long", "double"]),
            Self::Long => one_of(&["long"]),
            Self::Float => one_of(&["float", "double"]),
            Self::Double => one_of(&["double"]),
            Self::Decimal { .. } => one_of(&["double", "scaled_float"]),
            Self::Text | Self::Json => one_of(&["keyword", "text", "wildcard", "match_only_text"]),
            Self::Bytes => one_of(&["binary"]),
            Self::Date | Self::Timestamp => one_of(&["date", "date_nanos"]),
            Self::Items(_) => one_of(&["nested", "object"]),
            Self::Record(_) => one_of(&["object", "nested"]),
            Self::List(inner) => inner.fits_property(property),
            Self::Other(_) => true,
        }
    }
}

/// Whether `numeric(p, s)` has as many digits before and behind the point.
fn holds(column: &str, precision: u64, scale: u64) -> bool {
    let inside = |name: &str| column.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    let Some(digits) = inside("numeric").or_else(|| inside("decimal")) else { return false };
    let (p, s) = digits.split_once(',').unwrap_or((digits, "0"));
    match (p.trim().parse::<u64>(), s.trim().parse::<u64>()) {
        (Ok(p), Ok(s)) => s >= scale && p.saturating_sub(s) >= precision.saturating_sub(scale),
        _ => false,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Json => f.write_str("JSON text"),
            Self::Bytes => f.write_str("bytes"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Record(_) => f.write_str("a record"),
            Self::Items(_) => f.write_str("a list of records"),
            Self::List(inner) => write!(f, "a list of {inner}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
