//! The settings that are used, as a file that can be used again.

use std::fmt;

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
            Some(value) => writeln!(f, "{name} = {value} # {origin}"),
            None => writeln!(f, "# {name} is not UTF-8, so it cannot stand in a file # {origin}"),
        }
    }

    fn toml(&self) -> Option<String> {
        let values: Vec<String> = self.values.iter().map(|value| value.to_str().map(literal)).collect::<Option<_>>()?;
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

/// A number or a truth value as it is, all else as a string.
fn literal(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if is_number || value == "true" || value == "false" {
        return value.to_owned();
    }
    // JSON's escapes are TOML's too; beyond them TOML wants DEL escaped.
    serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007F")
}
