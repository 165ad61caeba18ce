//! Reads an Avro schema into the few shapes that have a Rust type.
//!
//! Refuses, with the field's path, what has none: unions of more than null and one type, and types that contain
//! themselves. Not a general Avro parser: the registry and the host check the schema too.

use std::collections::BTreeMap;

use serde_json::Value;

/// A type of the schema.
#[derive(Clone, Debug)]
pub(crate) enum Type {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Decimal {
        precision: u32,
        scale: u32,
        fixed: Option<usize>,
    },
    Fixed {
        size: usize,
    },
    Array(Box<Type>),
    Map(Box<Type>),
    /// A union of null and one type.
    Option {
        null: i64,
        some: Box<Type>,
    },
    /// A record or an enum, by its name.
    Named(String),
}

/// A type that gets a Rust type of its own.
#[derive(Clone, Debug)]
pub(crate) enum Definition {
    Record { doc: Option<String>, fields: Vec<Field> },
    Enum { doc: Option<String>, symbols: Vec<String> },
}

/// A field of a record.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) doc: Option<String>,
    pub(crate) kind: Type,
    pub(crate) default: Option<Value>,
}

/// A schema: its root record and all definitions, by name.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) root: String,
    pub(crate) definitions: BTreeMap<String, Definition>,
}

/// Reads a schema whose root is a record.
pub(crate) fn parse(text: &str) -> Result<Schema, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let mut parser = Parser::default();
    match parser.kind(&json, "")? {
        Type::Named(root) if matches!(parser.definitions.get(&root), Some(Definition::Record { .. })) => {
            Ok(Schema { root, definitions: parser.definitions })
        }
        _ => Err("the schema must be a record".to_owned()),
    }
}

#[derive(Default)]
struct Parser {
    definitions: BTreeMap<String, Definition>,
    fixed: BTreeMap<String, Type>,
    open: Vec<String>,
}

impl Parser {
    fn kind(&mut self, json: &Value, path: &str) -> Result<Type, String> {
        match json {
            Value::String(name) => self.by_name(name, path),
            Value::Array(branches) => self.union(branches, path),
            Value::Object(object) => match object.get("type") {
                Some(Value::String(name)) => self.complex(name, json, path),
                Some(inner) => self.kind(inner, path),
                None => Err(format!("{path}: a type is missing")),
            },
            _ => Err(format!("{path}: {json} is not a type")),
        }
    }

    fn by_name(&self, name: &str, path: &str) -> Result<Type, String> {
        Ok(match name {
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            "null" => return Err(format!("{path}: null alone carries nothing; use it in a union")),
            name => {
                let name = short(name);
                if self.open.iter().any(|open| open == name) {
                    return Err(format!("{path}: {name} contains itself, which a transform cannot have"));
                }
                if let Some(fixed) = self.fixed.get(name) {
                    return Ok(fixed.clone());
                }
                if !self.definitions.contains_key(name) {
                    return Err(format!("{path}: unknown type {name}"));
                }
                Type::Named(name.to_owned())
            }
        })
    }

    fn union(&mut self, branches: &[Value], path: &str) -> Result<Type, String> {
        let (null, some) = match branches {
            [Value::String(null), some] if null == "null" => (0, some),
            [some, Value::String(null)] if null == "null" => (1, some),
            _ => return Err(format!("{path}: a union must be of null and one other type")),
        };
        Ok(Type::Option { null, some: Box::new(self.kind(some, path)?) })
    }

    fn complex(&mut self, name: &str, json: &Value, path: &str) -> Result<Type, String> {
        match name {
            "bytes" if text(json, "logicalType") == Some("decimal") => decimal(json, None, path),
            "array" => Ok(Type::Array(Box::new(self.inner(json, "items", path)?))),
            "map" => Ok(Type::Map(Box::new(self.inner(json, "values", path)?))),
            "record" => self.record(json, path),
            "enum" => self.symbols(json, path),
            "fixed" => self.fixed(json, path),
            name => self.by_name(name, path),
        }
    }

    fn inner(&mut self, json: &Value, key: &str, path: &str) -> Result<Type, String> {
        let inner = json.get(key).ok_or_else(|| format!("{path}: `{key}` is missing"))?;
        self.kind(inner, path)
    }

    fn record(&mut self, json: &Value, path: &str) -> Result<Type, String> {
        let name = self.declare(json, path)?;
        let listed =
            json.get("fields").and_then(Value::as_array).ok_or_else(|| format!("{path}: `fields` is missing"))?;
        self.open.push(name.clone());
        let mut fields = Vec::new();
        for field in listed {
            let own = text(field, "name").ok_or_else(|| format!("{path}: a field has no name"))?;
            let kind = self.inner(field, "type", &format!("{path}/{own}"))?;
            let doc = text(field, "doc").map(str::to_owned);
            fields.push(Field { name: own.to_owned(), doc, kind, default: field.get("default").cloned() });
        }
        self.open.pop();
        self.definitions.insert(name.clone(), Definition::Record { doc: text(json, "doc").map(str::to_owned), fields });
        Ok(Type::Named(name))
    }

    fn symbols(&mut self, json: &Value, path: &str) -> Result<Type, String> {
        let name = self.declare(json, path)?;
        let symbols = json.get("symbols").and_then(Value::as_array).into_iter().flatten();
        let symbols: Vec<_> = symbols.filter_map(Value::as_str).map(str::to_owned).collect();
        if symbols.is_empty() {
            return Err(format!("{path}: an enum without symbols"));
        }
        self.definitions.insert(name.clone(), Definition::Enum { doc: text(json, "doc").map(str::to_owned), symbols });
        Ok(Type::Named(name))
    }

    fn fixed(&mut self, json: &Value, path: &str) -> Result<Type, String> {
        let name = self.declare(json, path)?;
        let size = number(json, "size").ok_or_else(|| format!("{path}: a fixed without a size"))? as usize;
        let fixed = match text(json, "logicalType") {
            Some("decimal") => decimal(json, Some(size), path)?,
            _ => Type::Fixed { size },
        };
        self.fixed.insert(name, fixed.clone());
        Ok(fixed)
    }

    fn declare(&self, json: &Value, path: &str) -> Result<String, String> {
        let name = short(text(json, "name").ok_or_else(|| format!("{path}: a type without a name"))?);
        let taken = self.definitions.contains_key(name) || self.fixed.contains_key(name);
        match taken || self.open.iter().any(|open| open == name) {
            true => Err(format!("{path}: two types are called {name}")),
            false => Ok(name.to_owned()),
        }
    }
}

fn decimal(json: &Value, fixed: Option<usize>, path: &str) -> Result<Type, String> {
    let precision = number(json, "precision").filter(|digits| (1..=38).contains(digits));
    let precision = precision.ok_or_else(|| format!("{path}: a decimal needs a precision of 1 to 38"))?;
    let scale = number(json, "scale").unwrap_or(0);
    if scale > precision {
        return Err(format!("{path}: a scale above the precision"));
    }
    if fixed.is_some_and(|size| !(1..=16).contains(&size)) {
        return Err(format!("{path}: a decimal in a fixed needs 1 to 16 bytes"));
    }
    Ok(Type::Decimal { precision, scale, fixed })
}

fn text<'a>(json: &'a Value, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Value::as_str)
}

fn number(json: &Value, key: &str) -> Option<u32> {
    json.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

/// A name without its namespace.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
