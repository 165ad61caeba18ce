//! The rules of an order: jsonschema with the `order.schema.json` that was given at start is the authority; beside its
//! own keywords it knows `x-decimal` and `x-range`. All violations at once, each with a JSON Pointer, no value in any.
//! Does not make a typed order: see `convert`.

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use crate::json::{
    Json, push_key,
    representation::{Handle, Raw},
};

mod decimal;
mod range;

/// Violations that one answer lists; a client that breaks more rules has the first ones to begin with.
pub const MAX_LISTED: usize = 32;
/// Characters of one explanation.
const MAX_DETAIL: usize = 240;

/// A broken rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// JSON Pointer to the value (or to where it is missing).
    pub pointer: String,
    /// The keyword of the schema that is broken, such as `maxLength`, `required` or `x-decimal`.
    pub rule: String,
    /// What the rule asks for; never the value.
    pub detail: String,
}

/// All violations of one order; at most [`MAX_LISTED`] are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violations {
    /// How many there are.
    pub total: usize,
    /// The first of them.
    pub listed: Vec<Violation>,
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON.
    #[error("order schema is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON, but not a schema we can compile.
    #[error("order schema cannot be compiled: {what} (at {at:?})")]
    Compile {
        /// What jsonschema says.
        what: String,
        /// Where in the schema.
        at: String,
    },
}

/// The compiled schema.
pub struct Rules(Validator<Raw>);

impl Rules {
    /// Compiles a schema: offline, with an engine for patterns that never backtracks, with formats asserted.
    ///
    /// # Errors
    /// When the text is no schema, refers to something outside itself, or names a format that nobody checks.
    pub fn compile(schema: &str) -> Result<Self, SchemaError> {
        let schema: Value = serde_json::from_str(schema)?;
        let options = jsonschema::options_for::<Raw>()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            // Ours, so that what is admitted here is what `convert` can read.
            .with_format("date-time", |text: &str| crate::timestamp::parse(text).is_some())
            .with_keyword("x-decimal", |_, value, at| decimal::compile(value, at))
            .with_keyword("x-range", |_, value, at| range::compile(value, at));
        let compiled = options
            .build(&schema)
            .map_err(|error| SchemaError::Compile { what: error.to_string(), at: error.instance_path().to_string() })?;
        Ok(Self(compiled))
    }

    /// Checks a body against every rule.
    ///
    /// # Errors
    /// All violations.
    pub fn check(&self, body: &Json<'_>) -> Result<(), Violations> {
        if self.0.is_valid(Handle::Value(body)) {
            return Ok(());
        }
        let mut violations = Violations { total: 0, listed: Vec::new() };
        for error in self.0.iter_errors(Handle::Value(body)) {
            violations.add(&error);
        }
        Err(violations)
    }
}

impl Violations {
    /// One violation that the schema itself did not see.
    #[must_use]
    pub fn one(pointer: String, rule: &str, detail: &str) -> Self {
        let violation = Violation { pointer, rule: rule.to_owned(), detail: detail.to_owned() };
        Self { total: 1, listed: vec![violation] }
    }

    fn add(&mut self, error: &ValidationError<'_>) {
        let at = error.instance_path().as_str();
        let rule = error.kind().keyword();
        match error.kind() {
            // These two point at the object; the pointer that helps is the member's.
            ValidationErrorKind::Required { property } => {
                self.push_member(at, property.as_str().unwrap_or_default(), rule, "is required");
            }
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                for name in unexpected {
                    self.push_member(at, name, rule, "is no field that is known here");
                }
            }
            // Written by us, without the value.
            ValidationErrorKind::Custom { message, .. } => self.push(at.to_owned(), rule, message),
            _ if self.listed.len() < MAX_LISTED => self.push(at.to_owned(), rule, &error.masked().to_string()),
            _ => self.total += 1,
        }
    }

    fn push_member(&mut self, parent: &str, name: &str, rule: &str, detail: &str) {
        let mut pointer = parent.to_owned();
        push_key(&mut pointer, name);
        self.push(pointer, rule, detail);
    }

    fn push(&mut self, pointer: String, rule: &str, detail: &str) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED {
            let detail = detail.chars().take(MAX_DETAIL).collect();
            self.listed.push(Violation { pointer, rule: rule.to_owned(), detail });
        }
    }
}

#[cfg(test)]
mod tests;
