//! What a pipeline may set on a module: told to the host by `describe`, read by `configure`.

use crate::Decimal;

/// What a parameter's text must be; the host checks it before the module sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number of 64 bits.
    Whole,
    /// A decimal number without an exponent.
    Decimal,
}

/// A parameter, as `describe` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in the pipeline's file.
    pub name: &'static str,
    /// What its text must be.
    pub kind: Kind,
    /// Whether the pipeline must set it.
    pub required: bool,
    /// What is taken otherwise.
    pub default: Option<&'static str>,
    /// One line for people.
    pub description: &'static str,
}

/// The configuration of a module; `#[derive(Parameters)]` makes it from a struct.
pub trait Parameters: Sized {
    /// All parameters.
    fn describe() -> Vec<Parameter>;

    /// Reads what the pipeline sets, with defaults for the rest. An error names the parameter.
    fn parse(set: &[(String, String)]) -> Result<Self, String>;
}

/// A module without parameters.
impl Parameters for () {
    fn describe() -> Vec<Parameter> {
        Vec::new()
    }

    fn parse(_: &[(String, String)]) -> Result<Self, String> {
        Ok(())
    }
}

/// A type that a parameter may have. Make it for your own types too: [`Kind::Text`] and a parser.
pub trait ParameterValue: Sized {
    /// What the host checks.
    const KIND: Kind;

    /// Whether a parameter of this type need not be set, even without a default.
    const OPTIONAL: bool = false;

    /// Reads the text; an error says why it is refused.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value when nothing is set and there is no default.
    fn absent() -> Option<Self> {
        None
    }
}

impl ParameterValue for String {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ParameterValue for bool {
    const KIND: Kind = Kind::Boolean;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is neither `true` nor `false`"))
    }
}

impl ParameterValue for i64 {
    const KIND: Kind = Kind::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is not a whole number of 64 bits"))
    }
}

impl ParameterValue for Decimal {
    const KIND: Kind = Kind::Decimal;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| format!("`{text}`: {error}"))
    }
}

impl<T: ParameterValue> ParameterValue for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// What the derive calls for each field.
#[doc(hidden)]
pub fn value<T: ParameterValue>(set: &[(String, String)], name: &str, default: Option<&str>) -> Result<T, String> {
    let given = set.iter().find(|(given, _)| given == name).map(|(_, text)| text.as_str());
    let value = match given.or(default) {
        Some(text) => T::parse(text),
        None => T::absent().ok_or_else(|| "it must be set".to_owned()),
    };
    value.map_err(|why| format!("{name}: {why}"))
}
