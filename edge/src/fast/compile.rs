//! From a JSON Schema to the rules of one pass. Each keyword that is known only makes the rules tighter, so a schema
//! that lacks one is as good; a keyword, a value or a place that is not known here is a reason to take the full way.

use std::fmt;

use schemas::Money;
use serde_json::{Map, Value};

use super::{
    rules::{Field, ItemsRule, NumberRule, OrderRules, Presence, TextRule, TimeRule},
    shape::Pattern,
};
use crate::{
    convert::{ITEM, ORDER},
    timestamp,
};

/// Why a schema has no fast path. Names a place in the schema, never anything of an order.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct NotCovered {
    pointer: String,
    what: String,
}

/// References that lead from one to the next.
const MAX_DEPTH: usize = 8;
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const DEFS: &str = "#/$defs/";
/// Keywords that say nothing of an order.
const NOTES: [&str; 6] = ["title", "description", "$comment", "examples", "default", "$defs"];

impl NotCovered {
    pub(super) fn new(pointer: &str, what: &str) -> Self {
        Self { pointer: pointer.to_owned(), what: what.to_owned() }
    }
}

impl fmt::Display for NotCovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the fast path does not know {} at {:?} of the order schema", self.what, self.pointer)
    }
}

type Covered<T> = Result<T, NotCovered>;

/// The rules in a schema that jsonschema has compiled.
pub(super) fn order(schema: &Value) -> Covered<OrderRules> {
    let mut rules = OrderRules::of_records();
    let place = Place { root: schema, schema, pointer: String::new(), depth: 0 };
    let object = object(&place, &ORDER)?;
    object.field("orderId", &mut rules.order_id, text)?;
    object.field("amount", &mut rules.amount, number)?;
    object.field("customer", &mut rules.customer, text)?;
    object.field("currency", &mut rules.currency, text)?;
    object.field("items", &mut rules.items, items)?;
    object.field("email", &mut rules.email, text)?;
    object.field("country", &mut rules.country, text)?;
    object.field("channel", &mut rules.channel, text)?;
    object.field("createdAt", &mut rules.created_at, time)?;
    Ok(rules)
}

fn items(place: &Place<'_>, rules: &mut ItemsRule) -> Covered<()> {
    let mut elements = None;
    place.each_keyword(&mut |at| match (at.keyword, at.value) {
        ("type", Value::String(kind)) if kind == "array" => Ok(()),
        ("minItems", min) => Ok(rules.min = rules.min.max(at.size(min)?)),
        ("maxItems", max) => Ok(rules.max = rules.max.min(at.size(max)?)),
        ("items", _) if elements.is_none() => Ok(elements = Some(at.place()?)),
        _ => Err(at.unknown()),
    })?;
    let Some(elements) = elements else { return Ok(()) };
    let object = object(&elements, &ITEM)?;
    object.field("sku", &mut rules.sku, text)?;
    object.field("quantity", &mut rules.quantity, number)?;
    object.field("unitPrice", &mut rules.unit_price, number)
}

fn text(place: &Place<'_>, rule: &mut TextRule) -> Covered<()> {
    place.each_keyword(&mut |at| text_keyword(at, rule))
}

fn text_keyword(at: &At<'_, '_>, rule: &mut TextRule) -> Covered<()> {
    match (at.keyword, at.value) {
        ("type", Value::String(kind)) if kind == "string" => {}
        ("minLength", min) => rule.min = rule.min.max(at.size(min)?),
        ("maxLength", max) => rule.max = rule.max.min(at.size(max)?),
        ("pattern", Value::String(pattern)) => {
            let pattern = Pattern::parse(pattern).ok_or_else(|| at.unknown())?;
            if pattern != Pattern::NoNul && !rule.patterns.contains(&pattern) {
                rule.patterns.push(pattern);
            }
        }
        _ => return Err(at.unknown()),
    }
    Ok(())
}

fn time(place: &Place<'_>, rule: &mut TimeRule) -> Covered<()> {
    place.each_keyword(&mut |at| match (at.keyword, at.value) {
        // What it asks for is read as the time anyway.
        ("format", Value::String(format)) if format == "date-time" => Ok(()),
        ("x-range", range) => {
            let member = |name| range.get(name).and_then(Value::as_str).and_then(timestamp::parse);
            let (Some(from), Some(before)) = (member("from"), member("before")) else { return Err(at.unknown()) };
            rule.range = rule.range.start.max(from.0)..rule.range.end.min(before.0);
            Ok(())
        }
        _ => text_keyword(at, &mut rule.text),
    })
}

/// A number of two decimals; for a whole number that is what the record asks for.
fn number(place: &Place<'_>, rule: &mut NumberRule) -> Covered<()> {
    place.each_keyword(&mut |at| match (at.keyword, at.value) {
        ("type", Value::String(kind)) if kind == "number" => Ok(()),
        ("type", Value::String(kind)) if kind == "integer" => Ok(rule.unit = rule.unit.max(100)),
        ("minimum", min) => Ok(rule.min = rule.min.max(hundredths(min).ok_or_else(|| at.unknown())?)),
        ("maximum", max) => Ok(rule.max = rule.max.min(hundredths(max).ok_or_else(|| at.unknown())?)),
        ("x-decimal", decimal) => {
            let member = |name| decimal.get(name).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
            let power = |power: Option<u32>| power.and_then(|power| 10_i64.checked_pow(power));
            let (precision, scale) = (member("precision"), member("scale"));
            let unit = power(scale.and_then(|scale| Money::SCALE.checked_sub(scale)));
            let whole = precision.zip(scale).and_then(|(precision, scale)| precision.checked_sub(scale));
            let limit = power(whole.map(|whole| whole.saturating_add(Money::SCALE)));
            let (Some(unit), Some(limit)) = (unit, limit) else { return Err(at.unknown()) };
            (rule.unit, rule.max) = (rule.unit.max(unit), rule.max.min(limit - 1));
            Ok(())
        }
        _ => Err(at.unknown()),
    })
}

/// A bound in hundredths, if the float that jsonschema compares with is the one nearest to a number with two decimals
/// and at most 15 digits: among such numbers, floats keep the order.
fn hundredths(bound: &Value) -> Option<i64> {
    let limit = 10_i64.pow(Money::PRECISION);
    let hundredths = match (bound.as_i64(), bound.as_f64()) {
        (Some(whole), _) => whole.checked_mul(100)?,
        (None, Some(float)) => {
            let hundredths = (float * 100.0).round();
            (hundredths / 100.0 == float && hundredths.abs() < limit as f64).then_some(hundredths as i64)?
        }
        (None, None) => return None,
    };
    (-limit < hundredths && hundredths < limit).then_some(hundredths)
}

// === reading a schema ===

/// A schema within the order's.
#[derive(Clone)]
struct Place<'s> {
    root: &'s Value,
    schema: &'s Value,
    pointer: String,
    depth: usize,
}

/// A keyword of it.
struct At<'p, 's> {
    place: &'p Place<'s>,
    keyword: &'s str,
    value: &'s Value,
}

/// The schema of an object.
struct Object<'s> {
    place: Place<'s>,
    properties: Option<&'s Map<String, Value>>,
    required: Vec<&'s str>,
    closed: bool,
}

/// Reads the schema of an object with these fields.
fn object<'s>(place: &Place<'s>, fields: &[&str]) -> Covered<Object<'s>> {
    let mut place = place.clone();
    // A schema that is nothing but a reference is what it refers to. Others are not followed: which properties are
    // additional is a matter of one schema.
    while let Some(referred) = place.only_reference()? {
        place = referred;
    }
    let mut object = Object { place: place.clone(), properties: None, required: Vec::new(), closed: false };
    for (keyword, value) in place.keywords()? {
        let at = At { place: &place, keyword, value };
        match (keyword.as_str(), value) {
            ("$schema", Value::String(draft)) if draft == DRAFT && place.depth == 0 => {}
            ("type", Value::String(kind)) if kind == "object" => {}
            ("additionalProperties", Value::Bool(open)) => object.closed = !open,
            ("properties", Value::Object(properties)) => object.properties = Some(properties),
            ("required", Value::Array(names)) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                object.required = names.ok_or_else(|| at.unknown())?;
            }
            (note, _) if NOTES.contains(&note) => {}
            _ => return Err(at.unknown()),
        }
    }
    let names = object.properties.into_iter().flat_map(Map::keys).map(String::as_str);
    match names.chain(object.required.iter().copied()).find(|name| !fields.contains(name)) {
        Some(name) => Err(NotCovered::new(&place.pointer, &format!("the field {name:?}"))),
        None => Ok(object),
    }
}

impl<'s> Object<'s> {
    /// Reads the schema of one field, if it has one.
    fn field<R>(
        &self,
        name: &str,
        field: &mut Field<R>,
        read: impl FnOnce(&Place<'s>, &mut R) -> Covered<()>,
    ) -> Covered<()> {
        let schema = self.properties.and_then(|properties| properties.get(name));
        field.presence = match schema {
            None if self.closed => Presence::Forbidden,
            _ if self.required.contains(&name) => Presence::Required,
            _ => Presence::Optional,
        };
        let Some(schema) = schema else { return Ok(()) };
        let pointer = format!("{}/properties/{name}", self.place.pointer);
        read(&self.place.deeper(schema, pointer)?, &mut field.rule)
    }
}

impl<'s> Place<'s> {
    fn deeper(&self, schema: &'s Value, pointer: String) -> Covered<Self> {
        let depth = self.depth + 1;
        if MAX_DEPTH < depth {
            return Err(NotCovered::new(&pointer, "more references than it follows"));
        }
        Ok(Self { root: self.root, schema, pointer, depth })
    }

    fn keywords(&self) -> Covered<&'s Map<String, Value>> {
        self.schema.as_object().ok_or_else(|| NotCovered::new(&self.pointer, "a schema without keywords"))
    }

    fn only_reference(&self) -> Covered<Option<Self>> {
        let keywords = self.keywords()?;
        let others = keywords.keys().filter(|keyword| !NOTES.contains(&keyword.as_str())).count();
        match keywords.get("$ref") {
            Some(value) if others == 1 => At { place: self, keyword: "$ref", value }.referred().map(Some),
            _ => Ok(None),
        }
    }

    /// Each keyword that has to be known, those behind `$ref` and `allOf` with them.
    fn each_keyword(&self, known: &mut dyn FnMut(&At<'_, 's>) -> Covered<()>) -> Covered<()> {
        for (keyword, value) in self.keywords()? {
            let at = At { place: self, keyword, value };
            match (keyword.as_str(), value) {
                (note, _) if NOTES.contains(&note) => {}
                ("$ref", _) => at.referred()?.each_keyword(known)?,
                ("allOf", Value::Array(all)) => {
                    for (index, schema) in all.iter().enumerate() {
                        self.deeper(schema, format!("{}/allOf/{index}", self.pointer))?.each_keyword(known)?;
                    }
                }
                _ => known(&at)?,
            }
        }
        Ok(())
    }
}

impl<'s> At<'_, 's> {
    fn unknown(&self) -> NotCovered {
        NotCovered::new(&self.place.pointer, &format!("this {:?}", self.keyword))
    }

    fn size(&self, value: &Value) -> Covered<usize> {
        value.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or_else(|| self.unknown())
    }

    /// The schema that is this keyword's value.
    fn place(&self) -> Covered<Place<'s>> {
        self.place.deeper(self.value, format!("{}/{}", self.place.pointer, self.keyword))
    }

    /// The definition that a reference names.
    fn referred(&self) -> Covered<Place<'s>> {
        let name = self.value.as_str().and_then(|to| to.strip_prefix(DEFS)).ok_or_else(|| self.unknown())?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let schema = self.place.root.get("$defs").and_then(|defs| defs.get(name)).filter(|_| plain);
        self.place.deeper(schema.ok_or_else(|| self.unknown())?, format!("/$defs/{name}"))
    }
}
