//! The databases whose addresses can be read, and the options that their drivers may be given: those that set times,
//! sizes, names and modes. A name is here only if all that its driver does with it is known; `LINT.md` shows the lists,
//! and a test holds the two together. From the drivers' own lists of properties: pgjdbc, MySQL's and MariaDB's
//! Connector/J, Microsoft's, and Oracle's "EZConnect Plus".
//!
//! PostgreSQL's `sslcert`, `sslkey` and `sslrootcert` name files that its driver reads, as certificates and keys: without
//! them no client has a certificate of its own. No option here names one that is written.

/// A database's driver.
pub(in crate::check) struct Driver {
    /// The database.
    pub(in crate::check) title: &'static str,
    /// What its addresses have behind `jdbc:`.
    pub(in crate::check) scheme: &'static str,
    /// How its addresses begin, before host and database.
    pub(in crate::check) starts: &'static [&'static str],
    /// How they begin where nothing but `HOST:PORT:NAME` or `HOST:PORT/NAME` may follow: all else means something else.
    pub(in crate::check) strictly: Option<&'static str>,
    /// It puts options into a description in brackets, so a bracket in the value of one begins another.
    pub(in crate::check) nests: bool,
    /// What an address looks like.
    pub(in crate::check) form: &'static str,
    /// The options that it may be given, in lower case.
    pub(in crate::check) options: &'static [&'static str],
}

/// All of them.
pub(in crate::check) static ALL: &[Driver] = &[
    Driver {
        title: "PostgreSQL",
        scheme: "postgresql",
        starts: &["jdbc:postgresql:"],
        strictly: None,
        nests: false,
        form: "jdbc:postgresql://HOST:PORT/DATABASE",
        options: &[
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
        ],
    },
    Driver {
        title: "MySQL",
        scheme: "mysql",
        starts: &["jdbc:mysql://"],
        strictly: None,
        nests: false,
        form: "jdbc:mysql://HOST:PORT/DATABASE",
        options: &[
            "cacheprepstmts",
            "characterencoding",
            "connectiontimezone",
            "connecttimeout",
            "forceconnectiontimezonetosession",
            "prepstmtcachesize",
            "prepstmtcachesqllimit",
            "rewritebatchedstatements",
            "servertimezone",
            "sockettimeout",
            "sslmode",
            "tcpkeepalive",
            "tcpnodelay",
            "tinyint1isbit",
            "useaffectedrows",
            "usecompression",
            "useserverprepstmts",
            "usessl",
            "useunicode",
            "user",
            "password",
        ],
    },
    Driver {
        title: "MariaDB",
        scheme: "mariadb",
        starts: &["jdbc:mariadb://"],
        strictly: None,
        nests: false,
        form: "jdbc:mariadb://HOST:PORT/DATABASE",
        options: &[
            "cacheprepstmts",
            "connecttimeout",
            "prepstmtcachesize",
            "sockettimeout",
            "sslmode",
            "tcpkeepalive",
            "timezone",
            "tinyint1isbit",
            "useaffectedrows",
            "usebulkstmts",
            "usecompression",
            "useserverprepstmts",
            "user",
            "password",
        ],
    },
    Driver {
        title: "SQL Server",
        scheme: "sqlserver",
        starts: &["jdbc:sqlserver://"],
        strictly: None,
        nests: false,
        form: "jdbc:sqlserver://HOST:PORT;databaseName=DATABASE",
        options: &[
            "applicationintent",
            "applicationname",
            "connectretrycount",
            "connectretryinterval",
            "database",
            "databasename",
            "encrypt",
            "hostnameincertificate",
            "instance",
            "instancename",
            "locktimeout",
            "logintimeout",
            "multisubnetfailover",
            "packetsize",
            "portnumber",
            "querytimeout",
            "responsebuffering",
            "sendstringparametersasunicode",
            "servername",
            "sockettimeout",
            "statementpoolingcachesize",
            "trustservercertificate",
            "usebulkcopyforbatchinsert",
            "user",
            "password",
        ],
    },
    Driver {
        title: "Oracle",
        scheme: "oracle",
        // Behind the `@` could also stand a directory, a file or a cloud that the rest is fetched from.
        starts: &["jdbc:oracle:thin:@//", "jdbc:oracle:thin:@tcp://", "jdbc:oracle:thin:@tcps://"],
        strictly: Some("jdbc:oracle:thin:@"),
        nests: true,
        form: "jdbc:oracle:thin:@//HOST:PORT/SERVICE",
        options: &[
            "connect_timeout",
            "expire_time",
            "retry_count",
            "retry_delay",
            "ssl_server_dn_match",
            "transport_connect_timeout",
        ],
    },
    Driver {
        title: "Db2",
        scheme: "db2",
        starts: &["jdbc:db2://"],
        strictly: None,
        nests: false,
        form: "jdbc:db2://HOST:PORT/DATABASE",
        // They would follow a colon, where nothing tells them from a name.
        options: &[],
    },
];

/// Whether this is `HOST:PORT:NAME` or `HOST:PORT/NAME` and no more. A name alone would be looked up in a file of the
/// worker, and what begins like an address of another kind would be fetched from there.
pub(in crate::check) fn is_listener(place: &str) -> bool {
    const KINDS: [&str; 7] = ["ldap", "ldaps", "tcp", "tcps", "http", "https", "beq"];
    let plain = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let Some((host, rest)) = place.split_once(':') else { return false };
    let Some((port, name)) = rest.split_once([':', '/']) else { return false };
    let lower = host.to_ascii_lowercase();
    let is_host = plain(host, ".-_") && !KINDS.contains(&lower.as_str()) && !lower.starts_with("config-");
    is_host && plain(port, "") && port.parse::<u16>().is_ok_and(|port| 0 < port) && plain(name, ".-_$")
}

/// Whether a driver may be given an option. Where it is not known which one gets it, any of them must know it: what one
/// of them takes for a number or a name none takes for a class or a file.
pub(in crate::check) fn has(driver: Option<&Driver>, option: &str) -> bool {
    let lower = option.to_ascii_lowercase();
    let knows = |driver: &Driver| driver.options.contains(&lower.as_str());
    driver.map_or_else(|| ALL.iter().any(knows), knows)
}
