//! The address in `camel.sink.url`: of the elasticsearch component, or of the http component with one PUT a document.

use schemas::names::topics::ORDER_PLACED;

use super::super::{Subject, has_placeholder, near};
use super::URL;
use crate::files::At;
use crate::rules;

/// Options of Camel's Elasticsearch component 3.21, from `ElasticsearchEndpointConfigurer`.
const ELASTICSEARCH: &[&str] = &[
    "certificatePath",
    "connectionTimeout",
    "disconnect",
    "documentClass",
    "enableSSL",
    "enableSniffer",
    "from",
    "hostAddresses",
    "indexName",
    "lazyStartProducer",
    "maxRetryTimeout",
    "operation",
    "scrollKeepAliveMs",
    "size",
    "sniffAfterFailureDelay",
    "snifferInterval",
    "socketTimeout",
    "useScroll",
    "waitForActiveShards",
];
/// Those that are numbers.
const NUMBERS: &[&str] = &["connectionTimeout", "socketTimeout", "maxRetryTimeout", "waitForActiveShards"];

/// Options of Camel's http component 3.21 that a sink can use, from `HttpEndpointConfigurer`.
const HTTP: &[&str] = &[
    "authMethod",
    "authenticationPreemptive",
    "bridgeEndpoint",
    "connectionClose",
    "connectionsPerRoute",
    "copyHeaders",
    "customHostHeader",
    "disableStreamCache",
    "followRedirects",
    "httpMethod",
    "ignoreResponseBody",
    "lazyStartProducer",
    "maxTotalConnections",
    "okStatusCodeRange",
    "preserveHostHeader",
    "proxyHost",
    "proxyPort",
    "skipRequestHeaders",
    "skipResponseHeaders",
    "sslContextParameters",
    "throwExceptionOnFailure",
    "userAgent",
    // Handed on to Elasticsearch's own API.
    "op_type",
    "refresh",
    "require_alias",
    "routing",
    "timeout",
    "version",
    "version_type",
    "wait_for_active_shards",
];
/// Time limits that the http component takes from its settings only.
const IGNORED: &[&str] = &["socketTimeout", "connectTimeout", "connectionRequestTimeout"];

/// How the address of a known component begins.
pub(super) const BEGINNINGS: [&str; 3] = ["elasticsearch:", "http://", "https://"];

/// The field that is an order's version.
const VERSION: &str = "received_offset";

/// An address that is known.
pub(in crate::check) enum Address<'a> {
    /// `elasticsearch:NAME?OPTIONS`.
    Elasticsearch {
        /// What follows the question mark.
        options: &'a str,
    },
    /// `http://HOST/INDEX/_doc/ID?OPTIONS`.
    Http {
        /// Host and port.
        host: &'a str,
        /// What follows the host.
        path: &'a str,
        /// What follows the question mark.
        options: &'a str,
    },
}

impl<'a> Address<'a> {
    pub(in crate::check) fn of(url: &'a str) -> Option<Self> {
        let (rest, options) = url.split_once('?').unwrap_or((url, ""));
        if rest.starts_with("elasticsearch:") {
            return Some(Self::Elasticsearch { options });
        }
        let rest = rest.strip_prefix("http://").or_else(|| rest.strip_prefix("https://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self::Http { host, path, options })
    }

    /// The servers that documents go to.
    pub(in crate::check) fn host(&self) -> &'a str {
        match self {
            Self::Elasticsearch { options } => option(options, "hostAddresses").unwrap_or_default(),
            Self::Http { host, .. } => host,
        }
    }

    /// The index that documents go to.
    pub(in crate::check) fn index(&self) -> &'a str {
        match self {
            Self::Elasticsearch { options } => option(options, "indexName").unwrap_or_default(),
            Self::Http { path, .. } => path.split('/').next().unwrap_or_default(),
        }
    }

    /// The headers that name a document, and its version.
    pub(super) fn id_headers(&self) -> Vec<&'a str> {
        match self {
            Self::Elasticsearch { .. } => vec!["indexId"],
            Self::Http { path, options, .. } => {
                let named = |text: &'a str| {
                    text.split("${header.").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
                };
                named(path).chain(named(options)).collect()
            }
        }
    }
}

/// An option's value.
fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    pairs(options).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn pairs(options: &str) -> impl Iterator<Item = (&str, &str)> {
    options.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

pub(super) fn check(subject: &mut Subject<'_>, address: &Address<'_>) {
    match *address {
        Address::Elasticsearch { options } => elasticsearch(subject, options),
        Address::Http { path, options, .. } => http(subject, path, options),
    }
}

/// Every option is known, and none is given twice.
fn known(subject: &mut Subject<'_>, options: &str, known: &[&str], secrets: &[(&str, &str)]) {
    let mut seen = std::collections::BTreeSet::new();
    for (name, value) in pairs(options) {
        if !seen.insert(name) {
            let message = format!("option `{name}` is given twice");
            subject.tell(&rules::URL_OPTION, At::Part(URL, name), &message, "keep one of the two");
        } else if let Some((_, setting)) = secrets.iter().find(|(secret, _)| *secret == name) {
            let message = format!("option `{name}` would be logged");
            subject.tell(
                &rules::SECRET_IN_URL,
                At::Part(URL, &format!("{name}=")),
                &message,
                &format!("write \"{setting}\""),
            );
        } else if !known.contains(&name) && !IGNORED.contains(&name) {
            let near = near(name, known.iter().copied());
            let (hint, fix) = match near {
                Some(near) => (format!("; did you mean {near}?"), format!("write {near}={value}")),
                None => (String::new(), "take it out".to_owned()),
            };
            subject.tell(&rules::URL_OPTION, At::Part(URL, name), &format!("option `{name}` is not known{hint}"), &fix);
        }
    }
}

fn elasticsearch(subject: &mut Subject<'_>, options: &str) {
    let secrets =
        [("user", "camel.component.elasticsearch.user"), ("password", "camel.component.elasticsearch.password")];
    known(subject, options, ELASTICSEARCH, &secrets);
    for needed in ["hostAddresses", "indexName", "operation"] {
        if option(options, needed).unwrap_or_default().is_empty() {
            let hint = if needed == "operation" { "; without it a record's header decides" } else { "" };
            let example = ["hostAddresses=HOST:9200", "indexName=order_placed", "operation=Index"];
            let example = example.iter().find(|example| example.starts_with(needed)).copied().unwrap_or_default();
            let message = format!("option `{needed}` is missing{hint}");
            subject.tell(&rules::URL_OPTION, At::Value(URL), &message, &format!("add {example}"));
        }
    }
    if let Some(operation) =
        option(options, "operation").filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case("Index"))
    {
        let message = format!("operation `{operation}` does not store a document under an id");
        subject.tell(&rules::URL_OPTION, At::Part(URL, "operation"), &message, "write operation=Index");
    }
    if let Some(hosts) = option(options, "hostAddresses").filter(|hosts| hosts.contains("://")) {
        let message = format!("hostAddresses `{hosts}` has a scheme");
        subject.tell(
            &rules::URL_OPTION,
            At::Part(URL, "hostAddresses"),
            &message,
            "write HOST:PORT, and enableSSL=true for https",
        );
    }
    for (name, value) in pairs(options).filter(|(name, _)| NUMBERS.contains(name)) {
        if value.parse::<u64>().is_err() && !has_placeholder(value) {
            let message = format!("option `{name}` is `{value}`, which is not a number");
            subject.tell(
                &rules::URL_OPTION,
                At::Part(URL, name),
                &message,
                &format!("write {name}=10000, or another number"),
            );
        }
    }
}

fn http(subject: &mut Subject<'_>, path: &str, options: &str) {
    let secrets =
        [("authUsername", "camel.component.http.authUsername"), ("authPassword", "camel.component.http.authPassword")];
    if path.split('/').any(|part| part == "_bulk") {
        let fix = "write one PUT a document: /INDEX/_doc/${header.docId}";
        return subject.tell(&rules::CAMEL_BULK, At::Part(URL, "_bulk"), "sends bulks", fix);
    }
    known(subject, options, HTTP, &secrets);
    for (name, _) in pairs(options).filter(|(name, _)| IGNORED.contains(name)) {
        let message = format!("option `{name}` has no effect in an http address");
        let fix = format!("write \"camel.component.http.{name}\"");
        subject.tell(&rules::URL_OPTION, At::Part(URL, name), &message, &fix);
    }
    if option(options, "httpMethod") != Some("PUT") {
        let message = "option `httpMethod` must be PUT; without it Camel guesses";
        subject.tell(&rules::URL_OPTION, At::Value(URL), message, "add httpMethod=PUT");
    }
    let limit = "camel.component.http.socketTimeout";
    if subject.setting(limit).is_empty() {
        let message = "is missing; a store that hangs holds the task for ever";
        subject.tell(&rules::POLL_INTERVAL, At::Value(limit), message, &format!("write \"{limit}\": \"10000\""));
    }
    if option(options, "throwExceptionOnFailure") == Some("false") {
        let message = "option `throwExceptionOnFailure` takes every refusal for success";
        subject.tell(&rules::SILENT_DROP, At::Part(URL, "throwExceptionOnFailure"), message, "take it out");
    }
    let codes = option(options, "okStatusCodeRange").unwrap_or("200-299");
    let fine = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse::<u16>().unwrap_or_default();
        range.trim() == "409" || (200 <= number(from) && number(to) <= 299)
    };
    if let Some(range) = codes.split(',').find(|range| !fine(range)) {
        let message = format!("okStatusCodeRange takes {range} for success");
        subject.tell(
            &rules::SILENT_DROP,
            At::Part(URL, "okStatusCodeRange"),
            &message,
            "write okStatusCodeRange=200-299,409",
        );
    }
    if option(options, "version").is_none()
        || !option(options, "version_type").is_some_and(|kind| kind.starts_with("external"))
    {
        let message = "gives documents no version";
        let fix = "add version=${header.docVersion}&version_type=external_gte, made of received_offset";
        subject.tell(&rules::STALE_WRITE, At::Value(URL), message, fix);
    }
    version(subject, options);
    content_type(subject);
}

/// What orders the versions of an order is its place in `orders.received`, and nothing else.
fn version(subject: &mut Subject<'_>, options: &str) {
    let header = option(options, "version").and_then(|value| value.strip_prefix("${header.")?.strip_suffix('}'));
    let made = header.and_then(|header| super::made_of(subject, &format!("CamelHeader.{header}")));
    let known = subject.list("topics").any(|topic| topic == ORDER_PLACED);
    if let Some((alias, field)) = made.filter(|(_, field)| known && *field != VERSION) {
        let message = format!("`{field}` is not the version of {ORDER_PLACED}, {VERSION}");
        let key = format!("transforms.{alias}.fields");
        subject.tell(&rules::STALE_WRITE, At::Value(&key), &message, &format!("write \"{VERSION}\" in its place"));
    }
}

/// Elasticsearch takes a document only with its kind.
fn content_type(subject: &mut Subject<'_>) {
    const HEADER: &str = "CamelHeader.Content-Type";
    let aliases: Vec<&str> = subject.list("transforms").collect();
    let made = aliases.iter().find(|alias| subject.setting(&format!("transforms.{alias}.header")) == HEADER);
    let Some(alias) = made else {
        let message = format!("no transform makes {HEADER}, without which Elasticsearch refuses each document");
        let fix = format!("add InsertHeader with \"header\": \"{HEADER}\", \"value.literal\": \"application/json\"");
        return subject.tell(&rules::DOCUMENT_FORM, At::Key("transforms"), &message, &fix);
    };
    let key = format!("transforms.{alias}.value.literal");
    if !subject.is(&key, "application/json") {
        let message = format!("`{}` is not the kind of a document", subject.setting(&key));
        subject.tell(&rules::DOCUMENT_FORM, At::Value(&key), &message, "write \"application/json\"");
    }
}
