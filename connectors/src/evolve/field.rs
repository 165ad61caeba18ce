//! A field as somebody asks for it, `gift_note: string`, and as each file says it.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::check::flow::schema::Kind;

/// A double holds so many digits exactly, and the index has doubles.
pub(crate) const DIGITS: u64 = 15;
/// PostgreSQL cuts a longer name off.
const NAME: usize = 63;
/// Text that is a default, in characters.
const DEFAULT_TEXT: usize = 256;

/// What PostgreSQL keeps for itself as a name of a column, and what the columns that it makes itself are called.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric both case cast check collate column constraint \
    create current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc \
    distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral leading \
    limit localtime localtimestamp not null offset on only or order placing primary references returning select \
    session_user some symmetric system_user table then to trailing true union unique user using variadic when where window \
    with cmax cmin ctid tableoid xmax xmin";
/// What Elasticsearch keeps for itself begins with `_`; what Rust keeps has no other form in a module's code.
const OF_RUST: [&str; 4] = ["crate", "self", "super", "_"];

/// A field that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewField {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub(crate) kind: Kind,
    /// What older records have; `None`: null, which it may then always be.
    pub(crate) default: Option<Value>,
    /// What it is for.
    pub(crate) doc: Option<String>,
}

impl FromStr for NewField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, kind) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` is no field; write NAME: TYPE, such as 'gift_note: string'"))?;
        Ok(Self { name: self::name(name.trim())?, kind: kind_of(kind.trim())?, default: None, doc: None })
    }
}

/// A name that schema, table, index and modules take.
fn name(name: &str) -> Result<String, String> {
    let fits = name.len() <= NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !fits {
        return Err(format!(
            "`{name}` is no name of a field; give a letter, then a-z, 0-9 and _, at most {NAME} in all"
        ));
    }
    if RESERVED.split_whitespace().any(|word| word == name) || OF_RUST.contains(&name) {
        return Err(format!("`{name}` is a word that SQL or Rust keeps for itself; for example {name}_of_order"));
    }
    Ok(name.to_owned())
}

fn kind_of(text: &str) -> Result<Kind, String> {
    Ok(match text {
        "string" => Kind::Text,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "boolean" => Kind::Boolean,
        "timestamp-millis" | "timestamp" => Kind::Timestamp,
        other => return decimal(other),
    })
}

fn decimal(text: &str) -> Result<Kind, String> {
    let wrong =
        || format!("`{text}` is no type here; there are string, int, long, boolean, decimal(p,s) and timestamp-millis");
    let digits = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(wrong)?;
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let (precision, scale) = (number(precision)?, number(scale)?);
    if DIGITS < precision || precision == 0 || precision < scale {
        return Err(format!(
            "decimal({precision},{scale}) has no exact form everywhere: give 1 to {DIGITS} digits, of which at most all \
             stand behind the point; the index holds a double, which is exact up to {DIGITS}"
        ));
    }
    Ok(Kind::Decimal { precision, scale })
}

impl NewField {
    /// With a value that older records have; then it is never null.
    ///
    /// # Errors
    /// Where the text is no such value, or the type takes no default that everybody reads alike.
    pub fn with_default(self, text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no default of a field of type {}", self.kind);
        let default = match &self.kind {
            Kind::Text if text.chars().count() <= DEFAULT_TEXT && !text.chars().any(char::is_control) => json!(text),
            Kind::Int => json!(text.parse::<i32>().map_err(|_| wrong())?),
            Kind::Long => json!(text.parse::<i64>().map_err(|_| wrong())?),
            Kind::Boolean => json!(text.parse::<bool>().map_err(|_| wrong())?),
            Kind::Decimal { .. } | Kind::Timestamp => {
                return Err(format!(
                    "a field of type {} is null in older orders; leave --default out and let a module fill it",
                    self.kind
                ));
            }
            _ => return Err(wrong()),
        };
        Ok(Self { default: Some(default), ..self })
    }

    /// With a sentence on what it is for.
    #[must_use]
    pub fn with_doc(self, doc: Option<String>) -> Self {
        Self { doc, ..self }
    }

    /// As the schema says it.
    pub(crate) fn json(&self) -> Value {
        let own = match &self.kind {
            Kind::Decimal { precision, scale } => {
                json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
            }
            Kind::Timestamp => json!({ "type": "long", "logicalType": "timestamp-millis" }),
            Kind::Boolean => json!("boolean"),
            Kind::Int => json!("int"),
            Kind::Long => json!("long"),
            _ => json!("string"),
        };
        let mut field = match &self.default {
            Some(default) => json!({ "name": self.name, "type": own, "default": default }),
            None => json!({ "name": self.name, "type": ["null", own], "default": null }),
        };
        if let (Some(doc), Some(members)) = (&self.doc, field.as_object_mut()) {
            members.insert("doc".to_owned(), json!(doc));
        }
        field
    }
}

impl fmt::Display for NewField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.kind)?;
        match &self.default {
            Some(default) => write!(f, ", {default} in older orders"),
            None => f.write_str(", null in older orders"),
        }
    }
}

/// What a field of a schema needs in the stores.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Places {
    /// `name type …`, as `add column` takes it.
    pub(crate) column: String,
    /// Its type and what stands behind it.
    pub(crate) column_type: String,
    /// The property of an index.
    pub(crate) property: Value,
}

impl Places {
    /// Of a field as the schema says it; `None` where no column or property holds it.
    pub(crate) fn of(field: &Value) -> Option<Self> {
        let text = json!({ "type": "record", "name": "R", "fields": [field] }).to_string();
        let known = crate::check::flow::schema::fields(&text)?.into_iter().next()?;
        let mut column_type = known.kind.column()?;
        if !known.nullable {
            let default = match field.get("default")? {
                Value::String(text) => format!("'{}'", text.replace('\'', "''")),
                other => other.to_string(),
            };
            column_type = format!("{column_type} not null default {default}");
        }
        let property = json!({ "type": known.kind.property() });
        Some(Self { column: format!("{} {column_type}", known.name), column_type, property })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> NewField {
        text.parse().unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    #[test]
    fn each_type_has_its_place_in_schema_table_and_index() {
        let decimal = r#"["null",{"logicalType":"decimal","precision":12,"scale":3,"type":"bytes"}]"#;
        for (text, avro, column, property) in [
            ("gift_note: string", r#"["null","string"]"#, "gift_note text", "keyword"),
            ("n:int", r#"["null","int"]"#, "n integer", "integer"),
            ("n: long", r#"["null","long"]"#, "n bigint", "long"),
            ("is_gift: boolean", r#"["null","boolean"]"#, "is_gift boolean", "boolean"),
            ("tax: decimal(12,3)", decimal, "tax numeric(12, 3)", "double"),
            (
                "due_at: timestamp-millis",
                r#"["null",{"logicalType":"timestamp-millis","type":"long"}]"#,
                "due_at timestamptz",
                "date",
            ),
        ] {
            let json = field(text).json();
            assert_eq!((json["type"].to_string().as_str(), &json["default"]), (avro, &Value::Null), "{text}");
            let places = Places::of(&json).unwrap();
            assert_eq!((places.column.as_str(), &places.property), (column, &json!({ "type": property })), "{text}");
        }
    }

    #[test]
    fn a_default_makes_it_a_field_that_is_never_null() {
        for (text, default, column) in [
            ("n: int", "-7", "n integer not null default -7"),
            ("is_gift: boolean", "false", "is_gift boolean not null default false"),
            ("note: string", "it's", "note text not null default 'it''s'"),
        ] {
            let json = field(text).with_default(default).unwrap().json();
            assert!(json["type"].is_string() && !json["default"].is_null(), "{json}");
            assert_eq!(Places::of(&json).unwrap().column, column);
        }
        for (text, default) in [("n: int", "3000000000"), ("b: boolean", "yes"), ("s: string", "a\nb")] {
            assert!(field(text).with_default(default).unwrap_err().contains("is no default"), "{text}");
        }
        for text in ["tax: decimal(9,2)", "due_at: timestamp-millis"] {
            assert!(field(text).with_default("0").unwrap_err().contains("leave --default out"), "{text}");
        }
    }

    #[test]
    fn what_has_no_exact_place_everywhere_is_refused_with_the_way_out() {
        for (text, words) in [
            ("gift_note", "write NAME: TYPE"),
            ("giftNote: string", "a-z, 0-9 and _"),
            ("1st: string", "a letter"),
            ("order: string", "order_of_order"),
            ("xmin: long", "xmin_of_order"),
            ("self: string", "Rust keeps"),
            ("x: float", "there are string, int"),
            ("x: decimal(16,2)", "exact up to 15"),
            ("x: decimal(2,3)", "1 to 15 digits"),
            ("x: decimal(0,0)", "1 to 15 digits"),
            ("x: decimal(a,b)", "there are string"),
        ] {
            let told = text.parse::<NewField>().unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
