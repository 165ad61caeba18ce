//! How requests come in: the flags of connections and of TLS, checked. What they do is `service_kit::http`'s.

use std::{path::PathBuf, sync::Arc};

use service_kit::http::{ClientAuth, Tls, TlsFiles};

/// The flags of the orders' port.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "transport")]
pub struct Args {
    /// Clients that are connected at once, as far as open files allow; beyond three quarters of it each new one ends the
    /// one that has idled the longest
    #[arg(long, env = "EDGE_MAX_CONNECTIONS", default_value_t = 16_384)]
    pub max_connections: usize,
    /// Certificate of the orders' port in PEM, followed by those between it and its authority; with it the port speaks
    /// TLS only
    #[arg(long, env = "EDGE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM
    #[arg(long, env = "EDGE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Authorities of client certificates in PEM
    #[arg(long, env = "EDGE_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is let in; required, unless said otherwise
    #[arg(long, env = "EDGE_TLS_CLIENT_AUTH", value_enum)]
    pub tls_client_auth: Option<ClientAuth>,
}

/// How requests come in.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Clients that are connected at once.
    pub max_connections: usize,
    /// The TLS of the orders' port, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
}

const MIN_CONNECTIONS: usize = 16;
const MAX_CONNECTIONS: usize = 1_000_000;

impl Transport {
    /// Checks the flags and reads the files; what is wrong is added to `faults`.
    #[must_use]
    pub fn check(args: Args, faults: &mut Vec<String>) -> Self {
        let max_connections = args.max_connections;
        if !(MIN_CONNECTIONS..=MAX_CONNECTIONS).contains(&max_connections) {
            faults.push("--max-connections: from 16 to 1000000 is possible".to_owned());
        }
        if args.tls_client_auth.is_some() && args.tls_client_ca.is_none() {
            faults.push("--tls-client-auth: needs --tls-client-ca, the authorities of those certificates".to_owned());
        }
        let client_ca = args.tls_client_ca.map(|path| (path, args.tls_client_auth.unwrap_or_default()));
        let files = match (args.tls_cert, args.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key, client_ca }),
            (Some(_), None) => {
                faults.push("--tls-key: the key of --tls-cert is needed".to_owned());
                None
            }
            (None, Some(_)) => {
                faults.push("--tls-cert: the certificate of --tls-key is needed".to_owned());
                None
            }
            (None, None) if client_ca.is_some() => {
                faults
                    .push("--tls-client-ca: needs --tls-cert and --tls-key, without which no TLS is spoken".to_owned());
                None
            }
            (None, None) => None,
        };
        let tls = files.and_then(|files| {
            Tls::read(files).map_err(|told| faults.extend(told.into_iter().map(|fault| format!("TLS: {fault}")))).ok()
        });
        Self { max_connections, tls: tls.map(Arc::new) }
    }
}
