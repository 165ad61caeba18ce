//! What a module says of itself, checked: it comes from hostile hands.

#[cfg(test)]
mod tests;

use crate::{LoadError, bindings};

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `[a-z][a-z0-9-]*`.
    pub name: String,
    /// `major.minor.patch`.
    pub version: String,
    /// How it reads and writes values.
    pub payload: Payload,
    /// The Avro schema that it was built for; `None`: it takes any.
    pub schema: Option<String>,
    /// What a pipeline may set.
    pub parameters: Vec<Parameter>,
}

/// How a module reads and writes values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Avro datums.
    Avro,
}

/// A parameter of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in the pipeline's file.
    pub name: String,
    /// What its text must be.
    pub kind: ParameterKind,
    /// Whether the pipeline must set it.
    pub required: bool,
    /// What the module takes otherwise.
    pub default: Option<String>,
    /// One line for people.
    pub description: String,
}

/// What a parameter's text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number of 64 bits.
    Whole,
    /// A decimal number without an exponent.
    Decimal,
}

impl ParameterKind {
    /// What such a text looks like, for people.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Boolean => "`true` or `false`",
            Self::Whole => "a whole number of 64 bits",
            Self::Decimal => "a decimal number such as -12.50",
        }
    }

    /// Whether a text is of this kind.
    pub fn admits(self, text: &str) -> bool {
        let digits = |part: &str| (1..=15).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Text => true,
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Whole => text.parse::<i64>().is_ok(),
            Self::Decimal => match text.strip_prefix('-').unwrap_or(text).split_once('.') {
                Some((whole, fraction)) => digits(whole) && digits(fraction),
                None => digits(text.strip_prefix('-').unwrap_or(text)),
            },
        }
    }
}

/// Parameters that a module may have, and bytes of a default or a description.
const MAX_PARAMETERS: usize = 64;
const MAX_PARAMETER_TEXT: usize = 4 << 10;

/// Checks what `describe` said.
pub(crate) fn check(said: bindings::Description) -> Result<Description, LoadError> {
    if !transform_frame::WORLDS.contains(&said.world.as_str()) {
        return Err(LoadError::World(said.world));
    }
    if !is_name(&said.name, "-") {
        return Err(LoadError::Name(said.name));
    }
    if !is_version(&said.version) {
        return Err(LoadError::Version(said.version));
    }
    let payload = match said.payload {
        bindings::Payload::Avro => Payload::Avro,
        bindings::Payload::Json => return Err(LoadError::Payload),
    };
    if said.parameters.len() > MAX_PARAMETERS {
        let reason = format!("it is one of {}, the limit is {MAX_PARAMETERS}", said.parameters.len());
        let name = said.parameters.into_iter().next().map(|parameter| parameter.name).unwrap_or_default();
        return Err(LoadError::Parameter { name, reason });
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    for parameter in said.parameters {
        let parameter = parameter_of(parameter);
        let reason = fault_of(&parameter)
            .or_else(|| parameters.iter().any(|other| other.name == parameter.name).then_some("it is described twice"));
        if let Some(reason) = reason {
            return Err(LoadError::Parameter { name: parameter.name, reason: reason.to_owned() });
        }
        parameters.push(parameter);
    }
    Ok(Description { name: said.name, version: said.version, payload, schema: said.schema, parameters })
}

fn parameter_of(said: bindings::Parameter) -> Parameter {
    let kind = match said.kind {
        bindings::ParameterKind::Text => ParameterKind::Text,
        bindings::ParameterKind::Boolean => ParameterKind::Boolean,
        bindings::ParameterKind::Whole => ParameterKind::Whole,
        bindings::ParameterKind::Decimal => ParameterKind::Decimal,
    };
    Parameter { name: said.name, kind, required: said.required, default: said.default, description: said.description }
}

fn fault_of(parameter: &Parameter) -> Option<&'static str> {
    let default = parameter.default.as_deref().unwrap_or_default();
    if !is_name(&parameter.name, ".-") {
        Some("its name is not [a-z][a-z0-9.-]* of at most 64 characters")
    } else if default.len() > MAX_PARAMETER_TEXT || parameter.description.len() > MAX_PARAMETER_TEXT {
        Some("its default or its description is longer than 4096 bytes")
    } else if parameter.required && parameter.default.is_some() {
        Some("it is required and has a default")
    } else if parameter.default.is_some() && !parameter.kind.admits(default) {
        Some("its default is not of its kind")
    } else {
        None
    }
}

fn is_name(name: &str, also: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || also.contains(letter))
}

/// `1.4.0`. No pre-release, since no pipeline could name it; no build metadata, since a label puts the digest there.
fn is_version(version: &str) -> bool {
    let number = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    version.split('.').count() == 3 && version.split('.').all(number)
}
