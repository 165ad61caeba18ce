use std::{collections::BTreeMap, fs};

use super::*;

/// A folder of files that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kafka-security-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> Option<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nSECRETKEY\n-----END PRIVATE KEY-----\n";

fn faults(args: &SecurityArgs) -> String {
    let mut faults = Vec::new();
    args.check(&mut faults);
    faults.join("\n")
}

#[test]
fn a_login_over_tls_with_both_certificates_is_handed_on_whole_and_shown_without_secrets() {
    let folder = Folder::new("whole");
    let args = SecurityArgs {
        kafka_security_protocol: Protocol::SaslSsl,
        kafka_sasl_mechanism: None,
        kafka_sasl_username: Some("edge".to_owned()),
        kafka_sasl_password_file: folder.file("password", "pa ss\r\n"),
        kafka_tls_ca: folder.file("ca.pem", CERTIFICATE),
        kafka_tls_cert: folder.file("cert.pem", CERTIFICATE),
        kafka_tls_key: folder.file("key.pem", KEY),
    };
    let mut none = Vec::new();
    let security = args.check(&mut none);
    assert_eq!(none, Vec::<String>::new());
    let config = BTreeMap::from_iter(security.properties());
    for (name, value) in [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "edge"),
        ("sasl.password", "pa ss"),
        ("ssl.ca.pem", CERTIFICATE),
        ("ssl.certificate.pem", CERTIFICATE),
        ("ssl.key.pem", KEY),
        ("ssl.endpoint.identification.algorithm", "https"),
        ("enable.ssl.certificate.verification", "true"),
    ] {
        assert_eq!(config.get(name), Some(&value), "{name}");
    }
    for shown in [format!("{security:?}"), format!("{args:?}"), security.in_words()] {
        assert!(!shown.contains("pa ss") && !shown.contains("SECRETKEY"), "{shown}");
    }
}

#[test]
fn without_protection_nothing_is_set_that_would_pretend_it() {
    let security = SecurityArgs::default().check(&mut Vec::new());
    assert_eq!(security.properties(), [("security.protocol", "plaintext")]);
}

#[test]
fn all_that_is_wrong_with_a_combination_is_told_at_once() {
    let folder = Folder::new("wrong");
    let all = SecurityArgs {
        kafka_security_protocol: Protocol::Plaintext,
        kafka_sasl_mechanism: Some(Mechanism::Plain),
        kafka_sasl_username: Some("u".to_owned()),
        kafka_sasl_password_file: folder.file("password", "x"),
        kafka_tls_ca: folder.file("ca.pem", CERTIFICATE),
        kafka_tls_cert: folder.file("cert.pem", CERTIFICATE),
        kafka_tls_key: folder.file("key.pem", KEY),
    };
    assert_eq!(faults(&all).lines().count(), 6, "{}", faults(&all));
    let open = faults(&SecurityArgs { kafka_security_protocol: Protocol::SaslPlaintext, ..all.clone() });
    assert!(open.contains("plain sends the password as it is") && open.lines().count() == 4, "{open}");
    let nobody = faults(&SecurityArgs { kafka_security_protocol: Protocol::SaslSsl, ..SecurityArgs::default() });
    assert!(nobody.contains("-username: is needed") && nobody.contains("-password-file: is needed"), "{nobody}");
    let half = faults(&SecurityArgs {
        kafka_security_protocol: Protocol::Ssl,
        kafka_tls_cert: all.kafka_tls_cert,
        ..SecurityArgs::default()
    });
    assert_eq!(half, "--kafka-tls-key: is needed with --kafka-tls-cert");
}

#[test]
fn a_file_that_is_not_what_its_flag_says_is_refused_without_showing_what_it_holds() {
    let folder = Folder::new("files");
    let args = |password, ca, key| SecurityArgs {
        kafka_security_protocol: Protocol::SaslSsl,
        kafka_sasl_username: Some("u".to_owned()),
        kafka_sasl_password_file: password,
        kafka_tls_ca: ca,
        kafka_tls_cert: folder.file("cert.pem", CERTIFICATE),
        kafka_tls_key: key,
        ..SecurityArgs::default()
    };
    let nowhere = || Some(folder.0.join("nowhere"));
    let missing = faults(&args(nowhere(), nowhere(), nowhere()));
    assert_eq!(missing.matches("cannot be read").count(), 3, "{missing}");
    let swapped =
        faults(&args(folder.file("two", "a\nSECRETLINE"), folder.file("ca", KEY), folder.file("key", CERTIFICATE)));
    for part in ["-password-file: ", "-tls-ca: ", "holds no certificate", "-tls-key: ", "holds no private key"] {
        assert!(swapped.contains(part), "{part}: {swapped}");
    }
    assert!(!swapped.contains("SECRET"), "{swapped}");
    let locked = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let rest = faults(&args(folder.file("empty", "\n"), folder.file("ca", CERTIFICATE), folder.file("key", &locked)));
    assert!(rest.contains("does not hold one line") && rest.contains("has a password"), "{rest}");
    let large = "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
    assert!(faults(&args(folder.file("large", &large), None, None)).contains("has more than"));
}
