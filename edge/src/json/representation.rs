//! Our tree as jsonschema's instances: the validator walks [`Json`] itself, so nothing is copied into another tree
//! and custom keywords see the text of each number. No rules here.

use std::borrow::Cow;

use jsonschema::{
    json::{self, JsonNumber, Node, NodeIdentity},
    types::JsonType,
};
use serde_json::Value;

use super::Json;

/// The representation's name for jsonschema.
pub struct Raw;

/// A handle on one value; either in a body or, for names of properties, on its own.
#[derive(Clone, Copy)]
pub enum Handle<'a> {
    /// A value of the tree.
    Value(&'a Json<'a>),
    /// A property's name.
    Name(&'a str),
}

/// The text of a number.
#[derive(Clone, Copy)]
pub struct Number<'a>(&'a str);

/// The members of an object.
#[derive(Clone, Copy)]
pub struct Members<'a>(&'a [(Cow<'a, str>, Json<'a>)]);

/// The elements of an array.
#[derive(Clone, Copy)]
pub struct Elements<'a>(&'a [Json<'a>]);

impl json::Json for Raw {
    type Node<'a> = Handle<'a>;
    type PreparedKey = String;
    type StringBuffer = ();
    const ACYCLIC: bool = true;
    // A lookup walks the members, which one pass over them does for all keys at once.
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Handle<'_>) -> T) -> T {
        f(Handle::Name(string))
    }
}

impl<'a> Node<'a, Raw> for Handle<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = Number<'a>;

    fn as_object(&self) -> Option<Members<'a>> {
        match self {
            Self::Value(Json::Object(members)) => Some(Members(members)),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        match self {
            Self::Value(Json::Array(values)) => Some(Elements(values)),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Value(Json::String(text)) => Some(Cow::Borrowed(text)),
            Self::Name(name) => Some(Cow::Borrowed(name)),
            Self::Value(_) => None,
        }
    }

    fn as_number(&self) -> Option<Number<'a>> {
        match self {
            Self::Value(Json::Number(text)) => Some(Number(text)),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Value(Json::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Value(Json::Null))
    }

    fn json_type(&self) -> JsonType {
        match self {
            Self::Value(Json::Null) => JsonType::Null,
            Self::Value(Json::Bool(_)) => JsonType::Boolean,
            Self::Value(Json::Number(_)) => JsonType::Number,
            Self::Value(Json::String(_)) | Self::Name(_) => JsonType::String,
            Self::Value(Json::Array(_)) => JsonType::Array,
            Self::Value(Json::Object(_)) => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(match self {
            Self::Value(value) => owned(value),
            Self::Name(name) => Value::from(*name),
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        match self {
            Self::Value(value) => Some(NodeIdentity::new(std::ptr::from_ref(*value) as usize)),
            Self::Name(_) => None,
        }
    }
}

/// For errors and for `enum`, `const` and `uniqueItems`, which a user may add to the schema.
fn owned(value: &Json<'_>) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(text) => Value::Number(Number(text).to_number().into_owned()),
        Json::String(text) => Value::from(text.as_ref()),
        Json::Array(values) => values.iter().map(owned).collect(),
        Json::Object(members) => members.iter().map(|(key, value)| (key.to_string(), owned(value))).collect(),
    }
}

impl JsonNumber for Number<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        let fallback = if self.0.starts_with('-') { f64::MIN } else { f64::MAX };
        let number = self.0.parse().ok();
        let number = number.or_else(|| serde_json::Number::from_f64(fallback)).unwrap_or_else(|| 0.into());
        Cow::Owned(number)
    }

    /// Decided on the text: `1e2` and `2.0` are integers, `1.00000000000000000001` is not, whatever a float says.
    fn is_integer(&self) -> bool {
        let (mantissa, exponent) = match self.0.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(i64::MIN)),
            None => (self.0, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = if fraction.is_empty() { whole } else { fraction };
        let zeros = if fraction.is_empty() { digits.len() - digits.trim_end_matches('0').len() } else { 0 };
        let needed = i64::try_from(fraction.len()).unwrap_or(i64::MAX) - i64::try_from(zeros).unwrap_or(0);
        let zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'));
        zero || needed <= exponent
    }
}

impl<'a> json::Object<'a, Raw> for Members<'a> {
    type Node = Handle<'a>;
    type MemberName = &'a str;
    type MembersIter = std::iter::Map<
        std::slice::Iter<'a, (Cow<'a, str>, Json<'a>)>,
        fn(&'a (Cow<'a, str>, Json<'a>)) -> (&'a str, Handle<'a>),
    >;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<Handle<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| Handle::Value(value))
    }

    fn members(&self) -> Self::MembersIter {
        self.0.iter().map(|(key, value)| (key.as_ref(), Handle::Value(value)))
    }
}

impl<'a> json::Array<'a, Raw> for Elements<'a> {
    type Node = Handle<'a>;
    type ElementsIter = std::iter::Map<std::slice::Iter<'a, Json<'a>>, fn(&'a Json<'a>) -> Handle<'a>>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        self.0.iter().map(Handle::Value)
    }
}
