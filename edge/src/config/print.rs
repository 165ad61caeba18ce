//! The settings that are used, as a file that can be used again.

use std::fmt;

use schemas::registry::Address;

use super::given::{Given, Origin, Setting};

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# What `edge` uses; a file for --config.\n")?;
        self.0.iter().try_for_each(|setting| setting.print(f))
    }
}

impl Setting {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, help, origin, .. } = self;
        write!(f, "\n# {help}\n")?;
        if self.values.is_empty() && *origin == Origin::Default {
            return writeln!(f, "# {name} is not set");
        }
        if self.is_secret() {
            return writeln!(f, "# {name} is set but not shown # {origin}");
        }
        match self.toml() {
            Some(value) => {
                let hidden = if self.hides() { "; its user and password are not shown" } else { "" };
                writeln!(f, "{name} = {value} # {origin}{hidden}")
            }
            None => writeln!(f, "# {name} is not UTF-8, so it cannot stand in a file # {origin}"),
        }
    }

    /// Whether a value is an address with a user in it.
    fn hides(&self) -> bool {
        self.values.iter().filter_map(|value| value.to_str()).any(|value| Address::new(value).hides())
    }

    fn toml(&self) -> Option<String> {
        let values: Vec<String> = self
            .values
            .iter()
            .map(|value| value.to_str().map(|value| literal(&shown(value))))
            .collect::<Option<_>>()?;
        Some(match &values[..] {
            [value] if !self.is_list() => value.clone(),
            values => format!("[{}]", values.join(", ")),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag => f.write_str("flag"),
            Self::Env(variable) => write!(f, "environment, {variable}"),
            Self::File(place) => write!(f, "file, {place}"),
        }
    }
}

/// An address without the user and the password in it, all else as it is.
fn shown(value: &str) -> String {
    let address = Address::new(value);
    if address.hides() { address.to_string() } else { value.to_owned() }
}

/// A number or a truth value as it is, all else as a string.
fn literal(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if is_number || value == "true" || value == "false" {
        return value.to_owned();
    }
    // JSON's escapes are TOML's too; beyond them TOML wants DEL escaped.
    serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007F")
}
