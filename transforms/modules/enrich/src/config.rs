//! What a pipeline sets, read once and strictly: a typing mistake in a rate must stop the pipeline, not change money.

use std::collections::BTreeMap;

use transform_sdk::{Decimal, Kind, ParameterValue};

/// Three capital letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Currency(String);

impl Currency {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl ParameterValue for Currency {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is not three capital letters")),
        }
    }
}

/// The worth of one unit of each currency.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates(BTreeMap<Currency, Decimal>);

impl Rates {
    pub(crate) fn of(&self, currency: &str) -> Option<Decimal> {
        self.0.iter().find(|(code, _)| code.as_str() == currency).map(|(_, rate)| *rate)
    }
}

impl ParameterValue for Rates {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        let mut rates = BTreeMap::new();
        for (pair, code, number) in pairs(text)? {
            let refused = |why: &str| format!("`{pair}`: {why}");
            let code = Currency::parse(code).map_err(|why| refused(&why))?;
            let rate = decimal(number, 6, 6).map_err(|why| refused(&why))?;
            if rate <= Decimal::ZERO {
                return Err(refused("a rate must be above zero"));
            }
            if rates.insert(code, rate).is_some() {
                return Err(refused("this currency is there twice"));
            }
        }
        Ok(Self(rates))
    }
}

/// Names of value bands by their lower bounds, which rise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bands(Vec<(String, Decimal)>);

impl Bands {
    pub(crate) fn of(&self, amount: Decimal) -> Option<&str> {
        self.0.iter().rev().find(|(_, bound)| *bound <= amount).map(|(name, _)| name.as_str())
    }
}

impl ParameterValue for Bands {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        let mut bands: Vec<(String, Decimal)> = Vec::new();
        for (pair, name, number) in pairs(text)? {
            let refused = |why: &str| format!("`{pair}`: {why}");
            let bound = decimal(number, 13, 2).map_err(|why| refused(&why))?;
            if !band_name(name) {
                return Err(refused("a band's name must be [a-z][a-z0-9_-]{0,31}"));
            }
            if bands.iter().any(|(other, _)| other == name) {
                return Err(refused("this band is there twice"));
            }
            if bands.last().is_some_and(|(_, last)| *last >= bound) {
                return Err(refused("bounds must rise"));
            }
            bands.push((name.to_owned(), bound));
        }
        Ok(Self(bands))
    }
}

fn band_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

/// Each pair as it stands, its name and its number. An empty text has none.
fn pairs(text: &str) -> Result<Vec<(&str, &str, &str)>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|pair| match pair.split_once(':') {
            Some((name, number)) => Ok((pair.trim(), name.trim(), number.trim())),
            None => Err(format!("`{}` is not NAME:NUMBER", pair.trim())),
        })
        .collect()
}

/// A decimal with at most so many digits before and behind its point; leading zeros do not count.
fn decimal(text: &str, before: usize, behind: usize) -> Result<Decimal, String> {
    let number: Decimal = text.parse().map_err(|error| format!("{error}"))?;
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.trim_start_matches('0').len() > before || fraction.len() > behind {
        return Err(format!("at most {before} digits before the point and {behind} behind it"));
    }
    Ok(number)
}
