//! The door of an operator's API: refuses requests that a browser was talked into sending. A page the operator has
//! open must neither deploy code nor read state, by its own origin or by a name that it points at loopback.
//! It is no authentication.

use ::http::{HeaderMap, StatusCode, Uri, header, uri::Authority};

use crate::http::Problem;

/// Which hosts and origins may pass. Loopback names always may.
#[derive(Clone, Debug, Default)]
pub struct Door {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// Why a request may not pass.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// No host, or several.
    #[error("exactly one host header is needed")]
    NoHost,
    /// A name that this service does not answer to.
    #[error("host {0:?} is not served here; use a loopback name or one that is configured")]
    Host(String),
    /// A page from elsewhere.
    #[error("origin {0:?} may not call this service")]
    Origin(String),
}

impl Door {
    /// Answers to loopback names only: `localhost`, `127.0.0.0/8` and `[::1]`, with any port.
    #[must_use]
    pub fn loopback() -> Self {
        Self::default()
    }

    /// Answers to these host names too (without port), as given by an operator.
    #[must_use]
    pub fn with_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.hosts.extend(hosts.into_iter().map(|host| host.to_ascii_lowercase()));
        self
    }

    /// Lets pages of these origins (`scheme://host[:port]`) call.
    #[must_use]
    pub fn with_origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        self.origins.extend(origins.into_iter().map(|origin| origin.to_ascii_lowercase()));
        self
    }

    /// Whether a request with this target and these headers may pass.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refused::NoHost) };
        let host = shown(host);
        let authority: Authority = host.parse().map_err(|_| Refused::Host(host.clone()))?;
        for authority in std::iter::once(&authority).chain(target.authority()) {
            if !self.answers_to(authority) {
                return Err(Refused::Host(authority.to_string()));
            }
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = shown(origin);
            if !self.welcomes(&origin, &authority) {
                return Err(Refused::Origin(origin));
            }
        }
        Ok(())
    }

    fn answers_to(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().to_ascii_lowercase();
        is_loopback(&host) || self.hosts.contains(&host)
    }

    /// Our own pages, or those that an operator named. A page on another port of this machine is another origin.
    fn welcomes(&self, origin: &str, host: &Authority) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        own == Some(host.as_str().to_ascii_lowercase().as_str()) || self.origins.contains(&origin)
    }
}

impl Refused {
    /// The answer to a request that may not pass.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let status = match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) => StatusCode::FORBIDDEN,
        };
        Problem::of_status(status).detail(self.to_string())
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// A header as text, bounded, for comparing and for the refusal.
fn shown(value: &::http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(door: &Door, target: &str, headers: &[(header::HeaderName, &str)]) -> Result<(), Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        door.check(&target.parse().unwrap(), &map)
    }

    #[test]
    fn loopback_names_pass_and_others_do_not() {
        let door = Door::loopback();
        for host in ["localhost", "LOCALHOST:8084", "127.0.0.1:8084", "127.8.8.8", "[::1]:8084"] {
            assert_eq!(check(&door, "/modules", &[(header::HOST, host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "0.0.0.0:8084",
            "10.0.0.1",
            "a@localhost",
            "[::2]",
            "localhost:x y",
            "",
        ] {
            let refused = check(&door, "/modules", &[(header::HOST, host)]);
            assert!(matches!(refused, Err(Refused::Host(_))), "{host}: {refused:?}");
        }
        assert_eq!(check(&door, "/", &[]), Err(Refused::NoHost));
        assert_eq!(
            check(&door, "/", &[(header::HOST, "localhost"), (header::HOST, "localhost")]),
            Err(Refused::NoHost)
        );
        let absolute = check(&door, "http://evil.example/", &[(header::HOST, "localhost")]);
        assert_eq!(absolute, Err(Refused::Host("evil.example".to_owned())));
    }

    #[test]
    fn only_our_own_pages_may_call() {
        let door = Door::loopback();
        let from = |origin| check(&door, "/", &[(header::HOST, "localhost:8084"), (header::ORIGIN, origin)]);
        assert_eq!(from("http://localhost:8084"), Ok(()));
        for origin in ["null", "http://localhost:3000", "http://evil.example", "http://localhost:8084.evil.example", ""]
        {
            assert_eq!(from(origin), Err(Refused::Origin(origin.to_owned())));
        }
    }

    #[test]
    fn configured_names_pass() {
        let door = Door::loopback()
            .with_hosts(["Orders.example".to_owned()])
            .with_origins(["https://console.example".to_owned()]);
        let headers = [(header::HOST, "orders.example:8084"), (header::ORIGIN, "https://console.example")];
        assert_eq!(check(&door, "/", &headers), Ok(()));
    }
}
