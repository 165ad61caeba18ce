//! The registry's address. It may hold a user and a password; whatever is shown or logged is without them.

use std::{convert::Infallible, fmt, str::FromStr};

/// An address that shows itself without its password.
#[derive(Clone)]
pub struct Address {
    url: String,
    /// `user:secret@`, or nothing.
    userinfo: String,
}

impl Address {
    /// Without the slash at the end.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let userinfo = authority.rfind('@').and_then(|at| authority.get(..=at)).unwrap_or_default().to_owned();
        Self { url, userinfo }
    }

    /// For the clients only.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it shows less than it holds.
    #[must_use]
    pub fn hides(&self) -> bool {
        !self.userinfo.is_empty()
    }

    /// A text without the password, should it quote the address.
    pub(super) fn hide(&self, text: &str) -> String {
        if self.userinfo.is_empty() { text.to_owned() } else { text.replace(&self.userinfo, "") }
    }
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self::new(url))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hide(&self.url))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("http://user:secret@host:8085/apis/ccompat/v7/", "http://host:8085/apis/ccompat/v7"),
            ("https://user:sec@ret@host", "https://host"),
            ("http://user@host?x=a@b", "http://host?x=a@b"),
            ("http://host/a@b", "http://host/a@b"),
            ("http://127.0.0.1:8085", "http://127.0.0.1:8085"),
            ("nonsense", "nonsense"),
        ] {
            let address = Address::new(url);
            assert_eq!(address.to_string(), shown);
            assert_eq!(
                address.hide(&format!("cannot reach {}/subjects", address.url())),
                format!("cannot reach {shown}/subjects")
            );
            assert!(!format!("{address:?}").contains("sec"));
        }
    }
}
