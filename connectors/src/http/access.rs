//! How a server is reached beside its address: whom to trust, who we are. Secrets are never shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use service_kit::files;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

use super::HttpError;
use crate::config::Secret;

/// Far above any file of certificates, that of a whole system included.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;
/// A password is a line.
const PASSWORD_LIMIT: u64 = 4096;
/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What a server asks of its clients.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The authorities that its certificate may come from, in PEM; those of the system if absent.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

/// An address without the user and password that may stand in it, and these.
pub(super) fn parted(address: &str) -> (String, Option<(String, Secret)>) {
    let address = address.trim_end_matches('/');
    let parts = address.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (user, host) = authority.rsplit_once('@')?;
        Some((format!("{scheme}://{host}{path}"), user))
    });
    match parts {
        Some((address, user)) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            (address, Some((user.to_owned(), Secret::from(password.to_owned()))))
        }
        None => (address.to_owned(), None),
    }
}

/// The value of an `Authorization` header.
pub(super) fn basic(user: &str, password: &Secret) -> Result<HeaderValue, HttpError> {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal())));
    let mut value = HeaderValue::from_str(&text).map_err(|_| HttpError::Client("the login is no text".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A password that stands in a file, without the end of its line.
///
/// # Errors
/// In words that name the file.
pub fn password(path: &Path) -> Result<Secret, String> {
    let text = files::read_text(path, PASSWORD_LIMIT).map_err(|fault| format!("{}: {fault}", path.display()))?;
    Ok(Secret::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The client's side of TLS. Files are read only where they are needed: for `https`.
pub(super) fn tls(access: &Access, encrypted: bool) -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    if encrypted {
        let path = access.ca.clone().or_else(|| SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file()));
        let Some(path) = path else {
            return Err(HttpError::Client(
                "no file of authorities was found; name one, as --connect-ca does".to_owned(),
            ));
        };
        let (trusted, _) = roots.add_parsable_certificates(certificates(&path)?);
        if trusted == 0 {
            return Err(fault(&path, "has no certificate that can be used"));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|err| HttpError::Client(err.to_string()))?
        .with_root_certificates(roots);
    match access.identity.as_ref().filter(|_| encrypted) {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, key)) => {
            let private =
                PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|err| fault(key, &format!("no key: {err}")))?;
            builder.with_client_auth_cert(certificates(cert)?, private).map_err(|err| fault(cert, &err.to_string()))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(fault(path, "has no PEM block CERTIFICATE")),
        Err(err) => Err(fault(path, &format!("is not PEM: {err}"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, HttpError> {
    files::read(path, FILE_LIMIT).map_err(|what| fault(path, &what))
}

fn fault(path: &Path, what: &str) -> HttpError {
    HttpError::Client(format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_an_address_is_used_and_goes_out_of_it() {
        let of = |address: &str| {
            let (address, login) = parted(address);
            (address, login.map(|(user, password)| (user, password.reveal().to_owned())))
        };
        let login = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("https://u:p@ss@h:1/x/"), ("https://h:1/x".to_owned(), login("u", "p@ss")));
        assert_eq!(of("http://u@h?a=b@c"), ("http://h?a=b@c".to_owned(), login("u", "")));
        assert_eq!(of("http://h:1/a@b"), ("http://h:1/a@b".to_owned(), None));
        assert_eq!(of("nonsense"), ("nonsense".to_owned(), None));
        assert!(!format!("{:?}", parted("http://u:hunter2@h")).contains("hunter2"));
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let access = Access { ca: Some(PathBuf::from("/nonexistent/ca.pem")), ..Access::default() };
        assert!(tls(&access, true).unwrap_err().to_string().contains("/nonexistent/ca.pem"));
        assert!(tls(&access, false).is_ok(), "without encryption it is not read");
    }
}
