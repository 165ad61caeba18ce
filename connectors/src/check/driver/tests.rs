use std::fs;
use std::path::Path;

use super::super::plugins;
use super::*;

/// The parts of an address of a database that is known.
fn parts(url: &str) -> Option<(Option<&'static str>, &str, Vec<&str>)> {
    let address = Address::of(url)?;
    let names = address.pairs().map(|(name, _)| name).collect();
    Some((address.driver.map(|driver| driver.title), address.place, names))
}

#[test]
fn options_are_found_whatever_divides_them_and_whatever_is_before_them() {
    let of = |url| parts(url).unwrap();
    let url = "jdbc:postgresql://h:1/d?ssl=true&socketFactory=a.B&x";
    assert_eq!(of(url), (Some("PostgreSQL"), "//h:1/d", vec!["ssl", "socketFactory", "x"]));
    assert_eq!(of("jdbc:postgresql://h/d;ssl=y?loggerFile=x").2, ["ssl", "loggerFile"], "pgjdbc's begin at the ?");
    assert_eq!(of("${env:URL}&socketFactory=a.B"), (None, "${env:URL}", vec!["socketFactory"]));
    assert_eq!(of("${env:URL}?a=b;c").2, ["a", "c"]);
    assert_eq!(of("jdbc:postgresql://${env:H}/d?a=${env:X}").2, ["a"]);
    assert_eq!(of("jdbc:postgresql://h/d${x:?loggerFile=y}").2, ["loggerFile"], "Connect knows no provider x");
    assert_eq!(of("jdbc:sqlserver://h:1;databaseName=d;encrypt=true").2, ["databaseName", "encrypt"]);
    assert_eq!(of("jdbc:postgresql://h/d?"), (Some("PostgreSQL"), "//h/d", vec![]));
    for other in
        ["jdbc:h2:mem:d;INIT=RUNSCRIPT FROM 'x'", "JDBC:postgresql://h/d", "jdbc:${env:X}", "http://h/?a=b", ""]
    {
        assert_eq!(parts(other), None, "{other}");
    }
}

#[test]
fn a_place_that_may_hold_options_of_another_kind_is_not_plain() {
    let is_plain = |url: &str| Address::of(url).unwrap().is_plain();
    for url in [
        "${env:URL}",
        "${env:BASE}/orders",
        "jdbc:postgresql:orders",
        "jdbc:postgresql://h1:1,[::1]:2/d",
        "jdbc:postgresql://${env:HOST}:${env:PORT}/d?ssl=true",
        "jdbc:sqlserver://h\\one:1433;databaseName=d",
        "jdbc:oracle:thin:@tcps://h:1/s",
        "jdbc:oracle:thin:@localhost:1521:orclpdb1",
        "jdbc:oracle:thin:@db.shop:1521/orders.shop",
    ] {
        assert!(is_plain(url), "{url}");
    }
    for url in [
        "${env:URL}socketFactory=x",
        "${env:SCHEME}://h/d",
        "jdbc:mysql://(host=h,autoDeserialize=true)/d",
        "jdbc:mysql://address=(host=h)/d",
        "jdbc:db2://h:1/d:clientRerouteServerListJNDIName=x;",
        "jdbc:oracle:thin:@//h:1/s(SECURITY=x)",
    ] {
        assert!(!is_plain(url), "{url}");
    }
    for url in [
        "jdbc:sqlite:/srv/x.jsp",
        "jdbc:oracle:thin:@ldap://h/s",
        "jdbc:oracle:thin:@ldap:389:x",
        "jdbc:oracle:thin:@config-file:x",
        "jdbc:oracle:thin:@config-file:1521/x",
        "jdbc:oracle:thin:@alias",
        "jdbc:oracle:thin:@alias?TNS_ADMIN=/tmp",
        "jdbc:oracle:thin:@h:1521",
        "jdbc:oracle:thin:@h:99999:x",
        "jdbc:oracle:thin:@h:1521:x:y",
        "jdbc:oracle:thin:@h:1521/../x",
        "jdbc:oracle:thin:@${env:HOST}:1521:x",
        "jdbc:oracle:thin:@(DESCRIPTION=x)",
        "jdbc:oracle:thin:scott/tiger@h:1521:x",
    ] {
        assert!(Address::of(url).is_none(), "{url}");
    }
}

#[test]
fn an_option_is_looked_for_on_its_drivers_list_or_on_all_where_nobody_knows_which() {
    let driver = |title: &str| known::ALL.iter().find(|driver| driver.title == title);
    assert!(known::has(driver("MySQL"), "useSSL") && !known::has(driver("PostgreSQL"), "useSSL"));
    assert!(known::has(None, "useSSL") && known::has(None, "tcpKeepAlive"));
    for loads in ["socketFactory", "autoDeserialize", "queryInterceptors", "INIT", "loggerFile", "traceFile", ""] {
        assert!(!known::has(None, loads), "{loads}");
    }
    for driver in known::ALL {
        let small = |option: &&str| **option == option.to_ascii_lowercase();
        assert!(driver.options.iter().all(small), "{}: an option in capitals is never found", driver.title);
    }
}

/// The page tells users what they may write.
#[test]
fn the_page_of_the_rules_has_what_is_allowed() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("LINT.md")).unwrap();
    let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    for driver in known::ALL {
        let options = if driver.options.is_empty() { "none".to_owned() } else { code(driver.options) };
        let row = format!("| {} | `{}` | {options} |\n", driver.title, driver.form);
        assert!(page.contains(&row), "LINT.md has no row {row}");
    }
    let debezium = plugins::of(crate::names::JDBC_CLASS).unwrap();
    let passed =
        debezium.keys.iter().map(|(key, _)| *key).filter(|key| key.starts_with("hibernate.") && *key != "hibernate.*");
    let line = format!("Settings of Hibernate: {}.\n", code(&passed.collect::<Vec<_>>()));
    assert!(page.contains(&line), "LINT.md has no line {line}");
}
