//! TLS of the orders' port as the command has it: by flags, with client certificates, read anew on SIGHUP.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{PrivateKeyDer, ServerName},
    },
};

use crate::{
    command::{Edge, free_ports},
    world::{PATIENCE, World, order, request, until},
};

/// An authority and its files, which do not outlive the test.
struct Files {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Files {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("orderflow-edge-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes a certificate for this host.
    fn write(&self, host: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        fs::write(self.folder.join("cert.pem"), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(self.folder.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn client(&self, shows_one: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        if !shows_one {
            return Arc::new(config.with_no_client_auth()).into();
        }
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(Vec::new()).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(config.with_client_auth_cert(vec![cert.der().clone()], key).unwrap()).into()
    }
}

async fn connect(client: &TlsConnector, edge: &Edge, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(edge.address).await?;
    client.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
}

/// The answer's first line, and how many bytes came; nothing when the connection ended first.
async fn place(stream: &mut TlsStream<TcpStream>, id: &str) -> Option<String> {
    let sent = request(&order(id), &[]).replace("connection: close\r\n", "");
    stream.write_all(sent.as_bytes()).await.ok()?;
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        let more = tokio::time::timeout(PATIENCE, stream.read_buf(&mut read)).await.expect("an answer in time");
        more.ok().filter(|count| 0 < *count)?;
    }
    String::from_utf8(read).unwrap().lines().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_taken_over_tls_and_a_new_certificate_is_used_after_sighup() {
    let (world, files) = (World::ready().await, Files::new());
    files.write("old.example");
    let (address, admin) = free_ports().await;
    let flags = [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem"), ("--tls-client-ca", "ca.pem")];
    let flags: Vec<_> = flags.iter().map(|(flag, name)| format!("{flag}={}", files.path(name))).collect();
    let edge = Edge::start_with(&world, address, admin, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    edge.until_ready().await;
    let client = files.client(true);
    let mut old = connect(&client, &edge, "old.example").await.unwrap();
    assert_eq!(place(&mut old, "tls-1").await.unwrap(), "HTTP/1.1 202 Accepted");
    if let Ok(mut stranger) = connect(&files.client(false), &edge, "old.example").await {
        assert_eq!(place(&mut stranger, "tls-2").await, None, "without a certificate");
    }
    // Silent handshakes are in nobody's way.
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
        silent.push(stream);
    }
    files.write("new.example");
    edge.signal("-HUP");
    let mut new = None;
    until("the new certificate is used", async || {
        new = connect(&client, &edge, "new.example").await.ok();
        new.is_some()
    })
    .await;
    assert_eq!(place(&mut new.unwrap(), "tls-3").await.unwrap(), "HTTP/1.1 202 Accepted");
    assert_eq!(place(&mut old, "tls-4").await.unwrap(), "HTTP/1.1 202 Accepted", "an open connection stays");
    for stream in &mut silent {
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 99])).await;
        end.expect("an end in time").ok();
    }
    let stored: Vec<_> = world.stored().into_iter().map(|stored| stored.key).collect();
    assert!(stored.len() == 3 && !stored.contains(&"tls-2".to_owned()), "{stored:?}");
}
