//! How a command and Kafka prove to each other who they are: TLS, SASL, certificates of both sides. Flags first, checked
//! together and told together; then what librdkafka is given. Secrets come from files only, so that they stand in no
//! list of processes, and are shown nowhere.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use crate::files;

/// What was given.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct SecurityArgs {
    /// How to speak to Kafka's brokers
    #[arg(long, env = "KAFKA_SECURITY_PROTOCOL", value_enum, default_value_t, global = true)]
    pub kafka_security_protocol: Protocol,
    /// How to log in to Kafka; scram-sha-512 if absent, and plain only over TLS
    #[arg(long, env = "KAFKA_SASL_MECHANISM", value_enum, global = true)]
    pub kafka_sasl_mechanism: Option<Mechanism>,
    /// The user at Kafka
    #[arg(long, env = "KAFKA_SASL_USERNAME", global = true)]
    pub kafka_sasl_username: Option<String>,
    /// File with the user's password; a line end behind it does not count
    #[arg(long, env = "KAFKA_SASL_PASSWORD_FILE", global = true)]
    pub kafka_sasl_password_file: Option<PathBuf>,
    /// PEM file with the authorities that may sign the brokers' certificates; the system's if absent
    #[arg(long, env = "KAFKA_TLS_CA", global = true)]
    pub kafka_tls_ca: Option<PathBuf>,
    /// PEM file with our own certificate, for brokers that ask for one
    #[arg(long, env = "KAFKA_TLS_CERT", global = true)]
    pub kafka_tls_cert: Option<PathBuf>,
    /// PEM file with that certificate's key, without a password
    #[arg(long, env = "KAFKA_TLS_KEY", global = true)]
    pub kafka_tls_key: Option<PathBuf>,
}

/// What lies between us and a broker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Protocol {
    /// Nothing: for a broker on the same machine, or a network that is safe by other means.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// A user and a password, over a line that anybody on it can read.
    SaslPlaintext,
    /// A user and a password over TLS.
    SaslSsl,
}

/// How a password is shown to be known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Mechanism {
    /// The password itself is sent.
    Plain,
    /// Without sending it.
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// Without sending it.
    #[value(name = "scram-sha-512")]
    ScramSha512,
}

/// What is used: checked, with the files' contents, so that a new producer never meets half of a change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Security {
    protocol: Protocol,
    login: Option<Login>,
    authorities: Option<Pem>,
    own: Option<(Pem, Pem)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Login {
    mechanism: Mechanism,
    user: String,
    password: Secret,
}

/// The content of a PEM file; not shown, since it may be a key.
#[derive(Clone, Eq, PartialEq)]
struct Pem(String);

/// A password; not shown.
#[derive(Clone, Eq, PartialEq)]
struct Secret(String);

/// Far above any chain of certificates; a larger file is another file.
const MAX_FILE: u64 = 1024 * 1024;
const MAX_PASSWORD: usize = 1024;

// === impl SecurityArgs ===

impl SecurityArgs {
    /// Checks what was given and reads the files. Each fault is appended; the value counts only when there is none.
    pub fn check(&self, faults: &mut Vec<String>) -> Security {
        let protocol = self.kafka_security_protocol;
        self.expect_meaning(protocol, faults);
        let login = if protocol.logs_in() { self.login(protocol, faults) } else { None };
        let (mut authorities, mut own) = (None, None);
        if protocol.is_tls() {
            authorities =
                self.kafka_tls_ca.as_deref().and_then(|path| pem("--kafka-tls-ca", path, Kind::Certificate, faults));
            own = self.own(faults);
        }
        Security { protocol, login, authorities, own }
    }

    /// A flag without a meaning is a misunderstanding, and here one that could cost the protection that was wanted.
    fn expect_meaning(&self, protocol: Protocol, faults: &mut Vec<String>) {
        let tls = [
            ("--kafka-tls-ca", self.kafka_tls_ca.is_some()),
            ("--kafka-tls-cert", self.kafka_tls_cert.is_some()),
            ("--kafka-tls-key", self.kafka_tls_key.is_some()),
        ];
        let login = [
            ("--kafka-sasl-mechanism", self.kafka_sasl_mechanism.is_some()),
            ("--kafka-sasl-username", self.kafka_sasl_username.is_some()),
            ("--kafka-sasl-password-file", self.kafka_sasl_password_file.is_some()),
        ];
        for (flags, has, way_out) in
            [(tls, protocol.is_tls(), "ssl or sasl_ssl"), (login, protocol.logs_in(), "sasl_ssl")]
        {
            for (flag, _) in flags.into_iter().filter(|(_, given)| *given && !has) {
                let protocol = protocol.name();
                faults.push(format!("{flag}: has no meaning with --kafka-security-protocol {protocol}; use {way_out}"));
            }
        }
    }

    fn login(&self, protocol: Protocol, faults: &mut Vec<String>) -> Option<Login> {
        let mechanism = self.kafka_sasl_mechanism.unwrap_or(Mechanism::ScramSha512);
        if mechanism == Mechanism::Plain && !protocol.is_tls() {
            faults.push(
                "--kafka-sasl-mechanism: plain sends the password as it is; use sasl_ssl, or a scram mechanism"
                    .to_owned(),
            );
        }
        let user = self.kafka_sasl_username.clone().filter(|user| !user.trim().is_empty() && !user.contains('\0'));
        if user.is_none() {
            faults.push(format!("--kafka-sasl-username: is needed with {}", protocol.name()));
        }
        let Some(path) = &self.kafka_sasl_password_file else {
            faults.push(format!("--kafka-sasl-password-file: is needed with {}", protocol.name()));
            return None;
        };
        let password = password(path, faults)?;
        Some(Login { mechanism, user: user?, password })
    }

    fn own(&self, faults: &mut Vec<String>) -> Option<(Pem, Pem)> {
        match (&self.kafka_tls_cert, &self.kafka_tls_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let cert = pem("--kafka-tls-cert", cert, Kind::Certificate, faults);
                let key = pem("--kafka-tls-key", key, Kind::Key, faults);
                cert.zip(key)
            }
            (Some(_), None) => {
                faults.push("--kafka-tls-key: is needed with --kafka-tls-cert".to_owned());
                None
            }
            (None, Some(_)) => {
                faults.push("--kafka-tls-cert: is needed with --kafka-tls-key".to_owned());
                None
            }
        }
    }
}

impl Protocol {
    fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn logs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// As the flag takes it, and librdkafka too.
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

impl Mechanism {
    /// As librdkafka takes it.
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

// === files ===

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Certificate,
    Key,
}

fn pem(flag: &str, path: &Path, kind: Kind, faults: &mut Vec<String>) -> Option<Pem> {
    let fault = match read(path) {
        Err(fault) => fault,
        Ok(text) if kind == Kind::Certificate && !text.contains("-----BEGIN CERTIFICATE-----") => {
            format!("{} holds no certificate in PEM form", path.display())
        }
        Ok(text) if kind == Kind::Key && text.contains("ENCRYPTED") => {
            format!("the key in {} has a password; write it without one, readable by us alone", path.display())
        }
        Ok(text) if kind == Kind::Key && !text.contains("PRIVATE KEY-----") => {
            format!("{} holds no private key in PEM form", path.display())
        }
        Ok(text) => return Some(Pem(text)),
    };
    faults.push(format!("{flag}: {fault}"));
    None
}

fn password(path: &Path, faults: &mut Vec<String>) -> Option<Secret> {
    let flag = "--kafka-sasl-password-file";
    let fault = match read(path) {
        Err(fault) => fault,
        Ok(text) => {
            let password =
                text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            if !password.is_empty() && password.len() <= MAX_PASSWORD && !password.contains(['\0', '\n']) {
                return Some(Secret(password.to_owned()));
            }
            format!("{} does not hold one line of 1 to {MAX_PASSWORD} bytes", path.display())
        }
    };
    faults.push(format!("{flag}: {fault}"));
    None
}

/// A text file, never more of it than can be what it is taken for.
fn read(path: &Path) -> Result<String, String> {
    files::read_text(path, MAX_FILE).map_err(|fault| format!("{} {fault}", path.display()))
}

// === impl Security ===

impl Security {
    /// What librdkafka needs, names and values; some are secrets. It checks the certificate and the host name of a broker;
    /// nothing here turns that off.
    #[must_use]
    pub fn properties(&self) -> Vec<(&'static str, &str)> {
        let mut all = vec![("security.protocol", self.protocol.name())];
        if let Some(Login { mechanism, user, password: Secret(password) }) = &self.login {
            all.push(("sasl.mechanism", mechanism.name()));
            all.push(("sasl.username", user.as_str()));
            all.push(("sasl.password", password.as_str()));
        }
        if self.protocol.is_tls() {
            all.push(("enable.ssl.certificate.verification", "true"));
            all.push(("ssl.endpoint.identification.algorithm", "https"));
        }
        if let Some(Pem(authorities)) = &self.authorities {
            all.push(("ssl.ca.pem", authorities.as_str()));
        }
        if let Some((Pem(certificate), Pem(key))) = &self.own {
            all.extend([("ssl.certificate.pem", certificate.as_str()), ("ssl.key.pem", key.as_str())]);
        }
        all
    }

    /// In words, for the log.
    #[must_use]
    pub fn in_words(&self) -> String {
        let login = self.login.as_ref().map(|login| format!(", user {} by {}", login.user, login.mechanism.name()));
        let own = self.own.as_ref().map(|_| ", with a certificate of its own");
        format!("{}{}{}", self.protocol.name(), login.unwrap_or_default(), own.unwrap_or_default())
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests;
