//! TLS for a listener: certificate, key and the authorities of client certificates, read from PEM files at start and anew
//! when asked. Open connections keep what they began with; a file that cannot be used changes nothing.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
        sign::{CertifiedKey, SingleCertAndKey},
        version,
    },
};

mod validity;

use validity::Validity;

use crate::files;

/// Far above any chain of certificates; a larger file is another file.
const MAX_FILE: u64 = 1024 * 1024;

/// Whether clients must show a certificate of an authority that is trusted; a wrong one is never taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum ClientAuth {
    /// Those that show one must show a good one.
    Optional,
    /// Without one no connection is made.
    #[default]
    Required,
}

/// Where the files are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The authorities of client certificates; without them none are asked for.
    pub client_ca: Option<(PathBuf, ClientAuth)>,
}

/// The TLS of one listener.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its file.
    pub fn read(files: TlsFiles) -> Result<Self, Vec<String>> {
        let (config, _) = files.load()?;
        Ok(Self { files, current: RwLock::new(Arc::new(config)) })
    }

    /// Reads the files anew, for the connections that begin from now on. Says what is in use now.
    ///
    /// # Errors
    /// What is wrong with the files. What was read before stays in use then.
    pub fn reload(&self) -> Result<String, String> {
        let (config, now) = self.files.load().map_err(|faults| faults.join("; "))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(now)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.files).finish()
    }
}

impl TlsFiles {
    /// The settings, and in words what was read.
    fn load(&self) -> Result<(ServerConfig, String), Vec<String>> {
        let provider = Arc::new(ring::default_provider());
        let mut faults = Faults::default();
        let chain = faults.note(&self.cert, certificates(&self.cert));
        let until = chain.as_ref().and_then(|chain| faults.note(&self.cert, check_times(chain)));
        let key = faults.note(&self.key, private_key(&self.key, &provider));
        let clients = match &self.client_ca {
            None => Some(WebPkiClientVerifier::no_client_auth()),
            Some((path, auth)) => faults.note(path, client_verifier(path, *auth, &provider)),
        };
        let identity = chain.zip(key).map(|(chain, key)| CertifiedKey::new(chain, key));
        if let Some(identity) = &identity
            && let Err(error) = identity.keys_match()
        {
            faults.note::<()>(&self.key, Err(mismatch(&error, &self.cert)));
        }
        match (identity, until, clients) {
            (Some(identity), Some(until), Some(clients)) if faults.0.is_empty() => {
                let config = config(identity, clients, provider).map_err(|error| vec![error.to_string()])?;
                Ok((config, format!("certificate {}, valid until {until}", self.cert.display())))
            }
            _ => Err(faults.0),
        }
    }
}

/// What is wrong, each with its file.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note<T>(&mut self, path: &Path, read: Result<T, String>) -> Option<T> {
        read.map_err(|fault| self.0.push(format!("{}: {fault}", path.display()))).ok()
    }
}

fn config(
    identity: CertifiedKey,
    clients: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Clients keep their own sessions, so that ten thousand of them cost no memory here. The keys live as long as these
    // settings: who could connect before a file changed must show itself anew after.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    files::read(path, MAX_FILE)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() {
        return Err("has no PEM block CERTIFICATE".to_owned());
    }
    Ok(found)
}

/// All of the chain must be valid now; until when the first of them is.
fn check_times(chain: &[CertificateDer<'_>]) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut first = None;
    for (number, certificate) in (1..).zip(chain) {
        let validity = Validity::of(certificate).ok_or(format!("its certificate {number} cannot be read as X.509"))?;
        if validity.until.unix_timestamp() < now {
            return Err(format!("its certificate {number} expired at {}", validity.until));
        }
        if now < validity.from.unix_timestamp() {
            return Err(format!("its certificate {number} is not valid before {}", validity.from));
        }
        first = Some(first.map_or(validity.until, |until| validity.until.min(until)));
    }
    Ok(first.map_or_else(String::new, |until| until.to_string()))
}

fn private_key(path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn rustls::sign::SigningKey>, String> {
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => "has no PEM block PRIVATE KEY (one that is encrypted cannot be used)".to_owned(),
        // Its words could hold a part of the key.
        _ => "is not PEM".to_owned(),
    })?;
    provider.key_provider.load_private_key(key).map_err(|_| {
        "is not a key that can be used: RSA from 2048 bits, ECDSA with P-256 or P-384, or Ed25519 in PKCS#8 can"
            .to_owned()
    })
}

fn client_verifier(
    path: &Path,
    auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(certificates(path)?) {
        roots.add(certificate).map_err(|error| format!("its certificate {number} cannot be trusted: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = match auth {
        ClientAuth::Required => verifier,
        ClientAuth::Optional => verifier.allow_unauthenticated(),
    };
    verifier.build().map_err(|error| format!("cannot be used: {error}"))
}

fn mismatch(error: &rustls::Error, cert: &Path) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => format!("does not belong to the certificate in {}", cert.display()),
        error => format!("cannot be matched with the certificate in {}: {error}", cert.display()),
    }
}
