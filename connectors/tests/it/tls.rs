//! Servers that have TLS and ask who we are: whom we trust, what we show, and that no password is repeated.

use std::fs;
use std::path::PathBuf;

use connectors::connect::{Connect, ConnectError};
use connectors::elastic::Elastic;
use connectors::http::{Access, HttpError};
use connectors::retry::Transient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use service_kit::http::{ClientAuth, Tls, TlsFiles};

use crate::command::connectors;
use crate::stub::Stub;

const SECRET: &str = "hunter2tiger";

/// An authority, and a folder for the files of a test.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Authority {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("connectors-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(), folder }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn ca(&self) -> PathBuf {
        self.file("ca.pem", &self.issuer.pem())
    }

    /// Certificate and key.
    fn identity(&self, host: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (self.file(&format!("{host}.pem"), &cert.pem()), self.file(&format!("{host}.key"), &key.serialize_pem()))
    }

    /// A server of this authority; with `clients`, one that asks for certificates.
    async fn server(&self, clients: Option<PathBuf>) -> (Stub, String) {
        let (cert, key) = self.identity("localhost");
        let files = TlsFiles { cert, key, client_ca: clients.map(|path| (path, ClientAuth::Required)) };
        let stub = Stub::with("127.0.0.1:0".parse().unwrap(), Some(Tls::read(files).unwrap()), |line, _| {
            (200, if line == "GET /connectors" { json!([]) } else { json!({}) })
        })
        .await;
        let url = format!("https://localhost:{}", stub.address().port());
        (stub, url)
    }
}

fn access(ca: Option<PathBuf>, identity: Option<(PathBuf, PathBuf)>) -> Access {
    Access { ca, identity, login: Some(("me".to_owned(), SECRET.to_owned().into())) }
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_spoken_to_with_our_login() {
    let authority = Authority::new("trusted");
    let (stub, url) = authority.server(None).await;
    let access = access(Some(authority.ca()), None);
    assert_eq!(Connect::with(&url, &access).unwrap().names().await.unwrap(), [""; 0]);
    assert!(Elastic::with(&url, &access).unwrap().probe("i").await.is_ok());
    let basic = "Basic bWU6aHVudGVyMnRpZ2Vy";
    let logins = stub.logins();
    assert!(2 <= logins.len() && logins.iter().all(|login| login == basic), "{logins:?}");
    assert!(!format!("{:?} {access:?}", Connect::with(&url, &access)).contains(SECRET));
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_and_asking_again_is_no_use() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let (stub, url) = authority.server(None).await;
    for ca in [Some(other.ca()), None] {
        let Ok(connect) = Connect::with(&url, &access(ca, None)) else { continue };
        let err = connect.names().await.unwrap_err();
        assert!(!err.is_transient(), "{err}");
        let told = err.to_string();
        assert!(told.contains("UnknownIssuer") && told.contains("--connect-ca") && !told.contains(SECRET), "{told}");
    }
    let url = url.replace("localhost", "127.0.0.1");
    let err = Connect::with(&url, &access(Some(authority.ca()), None)).unwrap().names().await.unwrap_err();
    assert!(matches!(err, ConnectError::Http(HttpError::Tls { .. })), "the name in the certificate counts: {err:?}");
    assert_eq!(stub.logins(), [""; 0], "nobody who is not trusted gets our login");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let (_stub, url) = authority.server(Some(clients.ca())).await;
    let with = access(Some(authority.ca()), Some(clients.identity("me")));
    assert!(Connect::with(&url, &with).unwrap().names().await.is_ok());
    let without = Connect::with(&url, &access(Some(authority.ca()), None)).unwrap().names().await.unwrap_err();
    // The server's word and the end of the connection may come together; then only the end is seen.
    if let ConnectError::Http(HttpError::Tls { .. }) = &without {
        assert!(!without.is_transient() && without.to_string().contains("--connect-cert"), "{without}");
    }
}

#[tokio::test]
async fn the_command_takes_all_of_it_from_the_environment_and_shows_no_password() {
    let (authority, clients) = (Authority::new("command"), Authority::new("command-clients"));
    let (stub, url) = authority.server(Some(clients.ca())).await;
    let (ca, (cert, key)) = (authority.ca(), clients.identity("me"));
    let password = authority.file("password", &format!("{SECRET}\n"));
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let mut servers: Vec<(&str, String)> = vec![
        ("CONNECT_URL", url.clone()),
        ("CONNECT_USER", "me".to_owned()),
        ("CONNECT_PASSWORD_FILE", text(password)),
        ("CONNECT_CA", text(ca)),
        ("CONNECT_CERT", text(cert)),
        ("CONNECT_KEY", text(key)),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1".to_owned()),
        ("TRANSFORMS_URL", "http://127.0.0.1:1".to_owned()),
        ("CONNECTORS_URL", "http://127.0.0.1:1".to_owned()),
    ];
    let run = async |servers: &[(&str, String)]| {
        let servers: Vec<(String, String)> = servers.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        let work = tokio::task::spawn_blocking(move || {
            let servers: Vec<(&str, &str)> = servers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            connectors(&["status"], &servers)
        });
        let output = work.await.unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let told = run(&servers).await;
    assert!(!told.contains("cannot ask Kafka Connect"), "{told}");
    let logins = stub.logins();
    assert!(!logins.is_empty() && logins.iter().all(|login| login == "Basic bWU6aHVudGVyMnRpZ2Vy"), "{logins:?}");

    servers.retain(|(name, _)| !name.starts_with("CONNECT_"));
    servers.push((
        "CONNECT_URL",
        url.replace("https://", &format!("https://me:{SECRET}@")).replace("localhost", "127.0.0.1"),
    ));
    let told = run(&servers).await;
    assert!(told.contains("cannot ask Kafka Connect: https://127.0.0.1") && !told.contains(SECRET), "{told}");
}
