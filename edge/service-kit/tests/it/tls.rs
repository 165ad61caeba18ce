//! TLS: who is let in, by which version and protocol, and how certificates change while the service runs.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use service_kit::{
    Tasks,
    http::{self, ClientAuth, Limits, Tls, TlsFiles},
    tasks::Drained,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{PrivateKeyDer, ServerName},
        version,
    },
};

use super::{
    KEEP, LIMITS,
    frames::{self, DATA},
    hello,
};

const ROOMY: Limits = Limits { connections: 64, ..LIMITS };

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
        let folder = std::env::temp_dir().join(format!("orderflow-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(), folder }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Certificate and key in PEM.
    fn issue(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    fn write(&self, host: &str) -> TlsFiles {
        let (cert, key) = self.issue(host, |_| {});
        let (cert, key) = (self.file("cert.pem", &cert), self.file("key.pem", &key.serialize_pem()));
        TlsFiles { cert, key, client_ca: None }
    }

    fn client(&self, identity: Option<&Authority>, protocols: &[&[u8]], versions: Versions) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let key = KeyPair::generate().unwrap();
                let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
                let cert = params.signed_by(&key, &authority.issuer).unwrap();
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![cert.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config).into()
    }
}

type Versions = &'static [&'static rustls::SupportedProtocolVersion];
const OLD: Versions = &[&version::TLS12];
const NEW: Versions = &[&version::TLS13];
const BOTH: Versions = &[&version::TLS13, &version::TLS12];

async fn start(tasks: &Tasks, limits: Limits, tls: &Arc<Tls>) -> SocketAddr {
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |request| Ok::<_, std::convert::Infallible>(hello(request).await));
    let connections = http::Connections::new(limits.connections);
    tasks.spawn(http::serve_with(listener, service, limits, Some(Arc::clone(tls)), connections, tasks.clone()));
    address
}

async fn connect(client: &TlsConnector, address: SocketAddr, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    client.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
}

/// One request; an error when the connection or the handshake fails, which with TLS 1.3 the first read tells.
async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(KEEP.as_bytes()).await?;
    let mut read = Vec::new();
    while !read.ends_with(b"hello") {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

async fn is_let_in(client: &TlsConnector, address: SocketAddr) -> bool {
    match connect(client, address, "localhost").await {
        Ok(mut stream) => ask(&mut stream).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let (tasks, authority) = (Tasks::new(), Authority::new("versions"));
    let address = start(&tasks, ROOMY, &Arc::new(Tls::read(authority.write("localhost")).unwrap())).await;
    for versions in [OLD, NEW] {
        let client = authority.client(None, &[b"http/1.1"], versions);
        let mut stream = connect(&client, address, "localhost").await.unwrap();
        // Its buffers are given back in between.
        for pause in [0, 400, 400] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            ask(&mut stream).await.unwrap();
        }
        let client = authority.client(None, &[b"h2", b"http/1.1"], versions);
        let mut stream = connect(&client, address, "localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        stream.write_all(&[frames::hello(&[]), frames::get(1, "/")].concat()).await.unwrap();
        assert_eq!(frames::until(&mut stream, DATA).await.unwrap().payload, b"hello");
    }
    assert!(is_let_in(&authority.client(None, &[], BOTH), address).await, "without ALPN it is HTTP/1");
    assert!(!is_let_in(&authority.client(None, &[b"spdy/3"], BOTH), address).await);
}

#[tokio::test]
async fn an_idle_connection_is_ended_with_a_goodbye() {
    let (tasks, authority) = (Tasks::new(), Authority::new("idle"));
    let address = start(&tasks, ROOMY, &Arc::new(Tls::read(authority.write("localhost")).unwrap())).await;
    let mut stream = connect(&authority.client(None, &[], BOTH), address, "localhost").await.unwrap();
    ask(&mut stream).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 9])).await.expect("an end");
    assert_eq!(end.expect("an end that TLS vouches for"), 0);
}

#[tokio::test]
async fn a_handshake_has_its_time_and_a_stop_does_not_wait_for_it() {
    let (tasks, authority) = (Tasks::new(), Authority::new("silent"));
    let tls = Arc::new(Tls::read(authority.write("localhost")).unwrap());
    let address = start(&tasks, ROOMY, &tls).await;
    let record = [0x16, 3, 1, 2, 0, 1, 0];
    for sent in [&record[..1], &record, &[]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 9])).await.expect("an end");
        assert!(end.is_err() || end.is_ok_and(|count| count == 0), "{sent:?}");
    }
    let patient = Limits { head_time: Duration::from_secs(60), ..ROOMY };
    let address = start(&tasks, patient, &tls).await;
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&record).await.unwrap();
    let shaken = connect(&authority.client(None, &[], BOTH), address, "localhost").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
    drop((half, shaken));
}

#[tokio::test]
async fn who_forgets_the_s_of_https_is_told() {
    let (tasks, authority) = (Tasks::new(), Authority::new("plain"));
    let address = start(&tasks, ROOMY, &Arc::new(Tls::read(authority.write("localhost")).unwrap())).await;
    let answer = super::talk(address, KEEP).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
}

#[tokio::test]
async fn only_clients_of_a_known_authority_are_let_in() {
    let (tasks, authority) = (Tasks::new(), Authority::new("clients"));
    let stranger = Authority::new("stranger");
    let ca = authority.file("ca.pem", &authority.issuer.pem());
    for (auth, nobody) in [(ClientAuth::Required, false), (ClientAuth::Optional, true)] {
        let files = TlsFiles { client_ca: Some((ca.clone(), auth)), ..authority.write("localhost") };
        let address = start(&tasks, ROOMY, &Arc::new(Tls::read(files).unwrap())).await;
        for versions in [OLD, NEW] {
            for (identity, expected) in [(None, nobody), (Some(&authority), true), (Some(&stranger), false)] {
                let client = authority.client(identity, &[], versions);
                let name = identity.map(|identity| identity.folder.display());
                assert_eq!(is_let_in(&client, address).await, expected, "{auth:?}, {name:?}");
            }
        }
    }
}

#[tokio::test]
async fn files_are_read_anew_and_bad_ones_change_nothing() {
    let (tasks, authority) = (Tasks::new(), Authority::new("reload"));
    let files = authority.write("old.example");
    let tls = Arc::new(Tls::read(files.clone()).unwrap());
    let address = start(&tasks, Limits { idle_time: Duration::from_secs(60), ..ROOMY }, &tls).await;
    let client = authority.client(None, &[], BOTH);
    let mut old = connect(&client, address, "old.example").await.unwrap();
    ask(&mut old).await.unwrap();
    authority.write("new.example");
    let now = tls.reload().unwrap();
    assert!(now.contains("cert.pem") && now.contains("valid until"), "{now}");
    ask(&mut connect(&client, address, "new.example").await.unwrap()).await.unwrap();
    assert!(connect(&client, address, "old.example").await.is_err());
    ask(&mut old).await.expect("an open connection stays");
    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let fault = tls.reload().unwrap_err();
    assert!(fault.contains("key.pem"), "{fault}");
    ask(&mut connect(&client, address, "new.example").await.unwrap()).await.expect("the one before stays");
}

#[test]
fn all_that_is_wrong_with_the_files_is_told_at_once() {
    let authority = Authority::new("faults");
    let good = authority.write("localhost");
    let other = authority.file("other.pem", &KeyPair::generate().unwrap().serialize_pem());
    let (expired, key) = authority.issue("localhost", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    let (expired, key) = (authority.file("expired.pem", &expired), authority.file("its-key.pem", &key.serialize_pem()));
    let (future, _) = authority.issue("localhost", |params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    let future = authority.file("future.pem", &future);
    let text = authority.file("text.pem", "no certificate\n");
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let odd = authority.file("odd.pem", block);
    let nowhere = authority.folder.join("nowhere.pem");
    let required = |path: &PathBuf| Some((path.clone(), ClientAuth::Required));
    for (cert, key, client_ca, told) in [
        (&good.cert, &other, None, &[["other.pem: does not belong", "cert.pem"]] as &[[&str; 2]]),
        (&expired, &key, None, &[["expired.pem: its certificate 1 expired", "2020-01-02"]]),
        (&future, &good.key, None, &[["future.pem: its certificate 1 is not valid before", "2999-01-01"]]),
        (
            &nowhere,
            &text,
            required(&odd),
            &[
                ["nowhere.pem: cannot be read", ""],
                ["text.pem: has no PEM block PRIVATE KEY", ""],
                ["odd.pem: its certificate 1", ""],
            ],
        ),
        (
            &text,
            &good.cert,
            required(&text),
            &[["text.pem: has no PEM block CERTIFICATE", ""], ["cert.pem: has no", ""]],
        ),
        (&odd, &good.key, None, &[["odd.pem: its certificate 1 cannot be read", ""]]),
    ] {
        let faults = Tls::read(TlsFiles { cert: cert.clone(), key: key.clone(), client_ca }).unwrap_err();
        for parts in told {
            let found = faults.iter().any(|fault| parts.iter().all(|part| fault.contains(part)));
            assert!(found, "{parts:?} is not in {faults:?}");
        }
    }
    let key = fs::read_to_string(&good.key).unwrap().replace("PRIVATE", "ENCRYPTED PRIVATE");
    let key = authority.file("encrypted.pem", &key);
    let faults = Tls::read(TlsFiles { key, ..good }).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("encrypted"), "{faults:?}");
}

/// Bytes of a record that does not end are no request.
#[tokio::test]
async fn a_record_byte_by_byte_does_not_keep_a_connection() {
    let (tasks, authority) = (Tasks::new(), Authority::new("bytes"));
    let address = start(&tasks, ROOMY, &Arc::new(Tls::read(authority.write("localhost")).unwrap())).await;
    let client = authority.client(None, &[b"http/1.1"], NEW);
    let mut stream = connect(&client, address, "localhost").await.unwrap();
    ask(&mut stream).await.unwrap();
    let begun = std::time::Instant::now();
    let socket = stream.get_mut().0;
    for byte in [0x17, 3, 3, 0x40, 0].into_iter().chain([7; 10]) {
        if socket.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(ROOMY.idle_time / 3).await;
    }
    assert!(begun.elapsed() < ROOMY.idle_time * 4, "{:?}", begun.elapsed());
}
