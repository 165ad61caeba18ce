//! The certificates and passwords by which a broker and its clients know each other, and the flags that name them.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

use super::PASSWORD;

/// All that the two sides show each other.
pub(super) struct Files {
    dir: PathBuf,
    pub(super) broker: String,
    pub(super) authority: String,
    pub(super) password: PathBuf,
}

impl Files {
    pub(super) fn new(dir: &Path) -> Self {
        let (authority, issuer) = new_authority("authority");
        let (other, other_issuer) = new_authority("other");
        let (certificate, key) = signed("broker", &["localhost"], &issuer);
        let mut files =
            Self { dir: dir.to_owned(), broker: format!("{key}{certificate}"), authority, password: PathBuf::new() };
        files.write("ca.pem", &files.authority);
        files.write("other.pem", &other);
        for (name, issuer) in [("edge", &issuer), ("forged", &other_issuer)] {
            let (certificate, key) = signed("edge", &[], issuer);
            files.write(&format!("{name}.pem"), &certificate);
            files.write(&format!("{name}.key"), &key);
        }
        files.password = files.write("password", &format!("{PASSWORD}\n"));
        files
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A user's login over TLS.
    pub(super) fn login(&self, user: &str, password: &Path) -> Vec<String> {
        vec![
            "--kafka-security-protocol=sasl_ssl".to_owned(),
            format!("--kafka-sasl-username={user}"),
            format!("--kafka-sasl-password-file={}", password.display()),
            format!("--kafka-tls-ca={}", self.dir.join("ca.pem").display()),
        ]
    }

    pub(super) fn tls(&self) -> Vec<String> {
        self.tls_of("ca")
    }

    pub(super) fn tls_of(&self, authority: &str) -> Vec<String> {
        let authority = self.dir.join(format!("{authority}.pem"));
        vec!["--kafka-security-protocol=ssl".to_owned(), format!("--kafka-tls-ca={}", authority.display())]
    }

    pub(super) fn own(&self, name: &str) -> Vec<String> {
        let path = |kind: &str| self.dir.join(format!("{name}.{kind}")).display().to_string();
        vec![format!("--kafka-tls-cert={}", path("pem")), format!("--kafka-tls-key={}", path("key"))]
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn new_authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

fn signed(name: &str, hosts: &[&str], issuer: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (named(name, hosts).signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}
