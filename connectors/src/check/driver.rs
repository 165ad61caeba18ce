//! The options of a JDBC address. A driver takes some of them for names of classes that it makes, for scripts that it
//! runs or for files that it reads and writes on the worker, so whoever may edit a connector's file could do these
//! things. pgjdbc mended one such option as CVE-2022-21724, and others are there by design; hence a list of what is
//! known to be harmless, and not of what is not.

use super::Subject;
use crate::files::At;
use crate::rules;

/// Options of pgjdbc that set times, sizes, names and modes.
const POSTGRESQL: &[&str] = &[
    "applicationname",
    "autosave",
    "binarytransfer",
    "cancelsignaltimeout",
    "channelbinding",
    "connecttimeout",
    "currentschema",
    "defaultrowfetchsize",
    "gssencmode",
    "hostrecheckseconds",
    "loadbalancehosts",
    "logintimeout",
    "maxresultbuffer",
    "options",
    "preferquerymode",
    "preparedstatementcachequeries",
    "preparedstatementcachesizemib",
    "preparethreshold",
    "quotereturningidentifiers",
    "readonly",
    "rewritebatchedinserts",
    "sockettimeout",
    "ssl",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "stringtype",
    "targetservertype",
    "tcpkeepalive",
    "tcpnodelay",
    "unknownlength",
    "user",
    // Told of as a password in the open.
    "password",
];

/// Of the other databases nothing is known but these, in lower case: they load classes, run scripts or open files.
const ELSEWHERE: &[&str] = &[
    "allowloadlocalinfile",
    "allowurlinlocalinfile",
    "autodeserialize",
    "init",
    "loggerfile",
    "queryinterceptors",
    "socketfactory",
    "sslfactory",
    "statementinterceptors",
    "trace_level_file",
];

pub(super) fn check(subject: &mut Subject<'_>) {
    const URL: &str = "connection.url";
    let url = subject.setting(URL).to_owned();
    let postgresql = url.starts_with("jdbc:postgresql:");
    for name in options(&url) {
        let lower = name.to_ascii_lowercase();
        let known = |list: &[&str]| list.contains(&lower.as_str());
        let is_fine = if postgresql { known(POSTGRESQL) } else { !known(ELSEWHERE) };
        if !is_fine {
            let message = format!("option `{name}` is not among those that a sink's address may have");
            subject.tell(&rules::DRIVER_OPTION, At::Part(URL, name), &message, "take it out of the address");
        }
    }
}

/// The names in `jdbc:…?a=b&c=d`, and in `jdbc:h2:…;A=B`.
fn options(url: &str) -> impl Iterator<Item = &str> {
    let after = if url.starts_with("jdbc:") { url.split_once(['?', ';']).map_or("", |(_, rest)| rest) } else { "" };
    let pairs = after.split(['&', ';']).filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn the_names_of_an_addresss_options_are_found() {
        let names = |url| options(url).collect::<Vec<_>>();
        assert_eq!(names("jdbc:postgresql://h:1/d?ssl=true&socketFactory=a.B&x"), ["ssl", "socketFactory", "x"]);
        assert_eq!(names("jdbc:h2:mem:d;INIT=RUNSCRIPT FROM 'x'"), ["INIT"]);
        assert_eq!(names("jdbc:postgresql://h/d"), Vec::<&str>::new());
        assert_eq!(names("http://h:9200/?a=b"), Vec::<&str>::new());
    }
}
