//! Why Kafka does not take us, or not for this, in words that name the way out. librdkafka's own words name addresses, and
//! settings that our commands have not; of them only what tells the causes apart is looked at.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a broker said so long ago says nothing of now. librdkafka keeps the same words to itself for 30 s.
const LATELY: Duration = Duration::from_secs(60);
/// Of a broker that breaks the connection off without a word; one that is about to start does so, too.
pub const HANGS_UP: &str = "the broker hangs up at once: perhaps this port speaks another --kafka-security-protocol, or \
                            asks for a --kafka-tls-cert that it trusts";

/// What a client was told lately beside the answers to its questions: why the brokers do not take it, if they do not.
/// That one cannot be reached does not count: of a host's two addresses only one may be the broker's. Cheap to clone;
/// clones share it.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<Option<(Instant, &'static str)>>>);

impl Heard {
    /// A broker does not take us; librdkafka's words for it.
    pub fn refused(&self, reason: &str) {
        self.set(cause(reason));
    }

    /// A line of librdkafka's log.
    pub fn logged(&self, facility: &str, message: &str) {
        if facility == "FAIL"
            && let Some(cause) = cause_in_log(message)
        {
            self.set(cause);
        }
    }

    /// Why they do not take us, as far as they said so lately.
    #[must_use]
    pub fn why(&self) -> Option<&'static str> {
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.filter(|(at, _)| at.elapsed() < LATELY).map(|(_, why)| why)
    }

    fn set(&self, why: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why));
    }
}

/// Why a broker does not take us, of what librdkafka says of it.
#[must_use]
pub fn cause(reason: &str) -> &'static str {
    const CAUSES: [(&str, &str); 5] = [
        ("nsupported", "Kafka does not take --kafka-sasl-mechanism for a login on this port"),
        ("uthentication", "Kafka refuses the login: --kafka-sasl-username or --kafka-sasl-password-file is wrong"),
        (
            "certificate verify failed",
            "the broker's certificate does not hold: not signed by an authority in --kafka-tls-ca, expired, or made for \
             another host name than the one in --kafka",
        ),
        ("alert", "the broker breaks the TLS handshake off: it does not take --kafka-tls-cert, or asks for one"),
        ("SSL", "the TLS handshake with the broker fails: is TLS spoken on this port?"),
    ];
    let said = said(reason);
    let known = CAUSES.iter().find(|(part, _)| said.contains(part));
    known.map_or("the broker does not take us", |(_, cause)| cause)
}

/// The same from a line of librdkafka's log: of a broker that hangs up it tells nothing else.
#[must_use]
pub fn cause_in_log(message: &str) -> Option<&'static str> {
    const SIGNS: [&str; 5] = [
        "Invalid response size",
        "requesting ApiVersion",
        "in state APIVERSION_QUERY",
        "verify that security.protocol",
        "alert",
    ];
    let said = said(message);
    SIGNS.iter().any(|sign| said.contains(sign)).then_some(HANGS_UP)
}

/// What to do about an error by which a broker says that we may not, or does not know us; its words are Kafka's own.
#[must_use]
pub fn way_out(words: &str) -> Option<&'static str> {
    const WAYS: [(&str, &str); 4] = [
        (
            "uthorization failed",
            "Kafka's ACLs do not let the user of --kafka-sasl-username or --kafka-tls-cert do that; edge/KAFKA.md lists \
             what each command needs",
        ),
        ("SASL Authentication failed", "is --kafka-sasl-username or --kafka-sasl-password-file wrong?"),
        ("Authentication failure", "is --kafka-sasl-username or --kafka-sasl-password-file wrong?"),
        ("Local: SSL error", "are --kafka-security-protocol and --kafka-tls-ca right?"),
    ];
    WAYS.iter().find(|(part, _)| words.contains(part)).map(|(_, way)| *way)
}

/// An error's words, with the way out behind them where there is one.
#[must_use]
pub fn with_way_out(words: String) -> String {
    match way_out(&words) {
        Some(way) => format!("{words}; {way}"),
        None => words,
    }
}

/// What follows the names of thread and broker: a host may be called anything.
fn said(message: &str) -> &str {
    let message = match message.strip_prefix("[thrd:") {
        Some(message) => message.split_once("]: ").map_or(message, |(_, rest)| rest),
        None => message,
    };
    message.split_once(": ").map_or(message, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_named_by_the_setting_that_mends_it_and_holds_no_address() {
        let told = "sasl_ssl://10.1.2.3:9093/bootstrap: SASL authentication error: Authentication failed during \
                    authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512";
        assert!(cause(told).contains("--kafka-sasl-password-file"), "{}", cause(told));
        let told = "ssl://h:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed";
        assert!(cause(told).contains("--kafka-tls-ca"), "{}", cause(told));
        assert!(cause("error:0A00045C:SSL routines::tlsv13 alert certificate required").contains("--kafka-tls-cert"));
        let told = "ssl://h:1/bootstrap: Disconnected: requesting ApiVersion: might be caused by broker version < 0.10";
        assert!(cause_in_log(told).is_some_and(|cause| cause.contains("--kafka-tls-cert")));
        let told = "[thrd:h:1/bootstrap]: h:1/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN \
                    (after 0ms in state APIVERSION_QUERY)";
        assert!(
            cause_in_log(told).is_some_and(|cause| cause.contains("--kafka-security-protocol")),
            "TLS is spoken there"
        );
        assert_eq!(cause_in_log("h:1/bootstrap: Connect to ipv4#10.1.2.3:1 failed: Connection refused"), None);
        assert!(cause("error:0A00010B:SSL routines::wrong version number").contains("is TLS spoken"));
        assert_eq!(cause("authentication.local:1/bootstrap: something else"), "the broker does not take us");
        let told =
            "[thrd:ssl://alert.local:1/bootstrap]: ssl://alert.local:1/bootstrap: Connect to ipv4#10.1.2.3:1 failed";
        assert_eq!(cause_in_log(told), None, "only the host's name says so");
        let told = "[thrd:ssl://h:1/bootstrap]: ssl://h:1/bootstrap: SSL handshake failed: tlsv13 alert";
        assert!(cause_in_log(told).is_some());
    }

    #[test]
    fn what_was_told_last_counts_and_clones_share_it() {
        let heard = Heard::default();
        let client = heard.clone();
        client.logged("PARTCNT", "h:1/bootstrap: Disconnected: requesting ApiVersion");
        client.logged("FAIL", "h:1/bootstrap: Connect to ipv6#[::1]:1 failed: Connection refused");
        assert_eq!(heard.why(), None, "nobody was refused");
        client.logged("FAIL", "h:1/bootstrap: Disconnected: requesting ApiVersion");
        assert!(heard.why().is_some_and(|why| why.contains("--kafka-security-protocol")));
        client.refused("h:1/bootstrap: SASL authentication error: Authentication failed");
        client.logged("FAIL", "h:1/bootstrap: Connect to ipv6#[::1]:1 failed: Connection refused");
        assert!(heard.why().is_some_and(|why| why.contains("--kafka-sasl-username")), "that of its other address");
    }

    #[test]
    fn a_right_that_is_missing_has_a_way_out_and_other_errors_stay_as_they_are() {
        for words in [
            "Metadata fetch error: TopicAuthorizationFailed (Broker: Topic authorization failed)",
            "Failed to acquire transactional PID: Broker: Transactional Id authorization failed",
            "GroupAuthorizationFailed (Broker: Group authorization failed)",
        ] {
            let told = with_way_out(words.to_owned());
            assert!(told.starts_with(words) && told.contains("edge/KAFKA.md"), "{told}");
        }
        let login = "SASLAuthenticationFailed (Broker: SASL Authentication failed)";
        assert!(way_out(login).is_some_and(|way| way.contains("--kafka-sasl-password-file")));
        assert_eq!(with_way_out("Local: Timed out".to_owned()), "Local: Timed out");
    }
}
