use std::fs;

use serde_json::json;

use super::*;

const READER: &str = "a-token-that-reads-0001";
const DEPLOYER: &str = "a-token-that-deploys-01";

struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("service-kit-tokens-{}-{name}.json", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn list(tokens: &[(&str, &str, &str)]) -> String {
    let entry =
        |(name, role, token): &(&str, &str, &str)| json!({ "name": name, "role": role, "sha256": sha256(token) });
    json!(tokens.iter().map(entry).collect::<Vec<_>>()).to_string()
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::AUTHORIZATION, value.parse().unwrap());
    }
    headers
}

fn basic(user: &str, token: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{token}")))
}

#[test]
fn a_token_says_who_calls_and_what_they_may() {
    let file = File::new("roles", &list(&[("look", "read", READER), ("ci", "deploy", DEPLOYER)]));
    let tokens = Tokens::from_file(&file.0).unwrap();
    let check = |values: &[&str], role| tokens.check(&headers(values), role).map(|caller| caller.name);
    let (reads, deploys) = (format!("Bearer {READER}"), format!("bearer  {DEPLOYER} "));
    assert_eq!(check(&[&reads], Role::Read).as_deref(), Ok("look"));
    assert_eq!(check(&[&reads], Role::Deploy), Err(Refused::Role("look".to_owned())));
    assert_eq!(check(&[&deploys], Role::Deploy).as_deref(), Ok("ci"));
    assert_eq!(check(&[&deploys], Role::Read).as_deref(), Ok("ci"));
    assert_eq!(check(&[&basic("ci", DEPLOYER)], Role::Deploy).as_deref(), Ok("ci"));
    for wrong in [
        &[][..],
        &["Bearer nothing-that-is-known"],
        &["Bearer "],
        &[&reads, &reads],
        &[&basic("look", DEPLOYER)],
        &["Basic ###"],
        &["Digest x"],
    ] {
        assert_eq!(check(wrong, Role::Read), Err(Refused::Unknown), "{wrong:?}");
    }
    let problem = Refused::Unknown.problem().into_response();
    assert_eq!(problem.status(), 401);
    assert!(problem.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[test]
fn without_tokens_nobody_is_asked_and_a_short_one_is_none() {
    let caller = Tokens::default().check(&HeaderMap::new(), Role::Deploy).unwrap();
    assert_eq!((caller.name.as_str(), Tokens::default().are_asked_for()), ("loopback", false));
    assert!(Tokens::one("env", "short").unwrap_err().contains("has 5 bytes"));
    let one = Tokens::one("env", DEPLOYER).unwrap();
    assert!(one.check(&headers(&[&format!("Bearer {DEPLOYER}")]), Role::Deploy).is_ok());
    assert_eq!(one.check(&headers(&[]), Role::Read), Err(Refused::Unknown));
}

#[test]
fn a_file_is_read_anew_and_a_broken_one_changes_nothing() {
    let file = File::new("anew", &list(&[("ci", "deploy", DEPLOYER)]));
    let tokens = Tokens::from_file(&file.0).unwrap();
    let passes = |token: &str| tokens.check(&headers(&[&format!("Bearer {token}")]), Role::Read).is_ok();
    fs::write(&file.0, "[").unwrap();
    assert!(tokens.reload().unwrap_err().contains("is not JSON"));
    assert!(passes(DEPLOYER));
    fs::write(&file.0, list(&[("look", "read", READER)])).unwrap();
    assert_eq!(tokens.reload().as_deref(), Ok("1 tokens"));
    assert!(passes(READER) && !passes(DEPLOYER));
}

#[test]
fn all_faults_of_a_file_are_told_at_once_and_without_what_may_be_the_token() {
    let text = json!([
        { "name": "a b", "role": "admin", "sha256": DEPLOYER, "note": 1 },
        { "name": "a", "role": "read", "sha256": sha256(READER) },
        { "name": "a", "role": "read", "sha256": sha256(READER) },
        7,
    ]);
    let file = File::new("faults", &text.to_string());
    let faults = Tokens::from_file(&file.0).unwrap_err();
    for (fault, words) in faults.iter().zip([
        "token 1: \"note\" is not known",
        "token 1: name:",
        "token 1: role:",
        "token 1: sha256:",
        "token 3: has the name of token 2",
        "token 3: is the same token as 2",
        "token 4: must be an object",
    ]) {
        assert!(fault.contains(words) && !fault.contains(DEPLOYER), "{words}: {faults:#?}");
    }
    assert_eq!(faults.len(), 7, "{faults:#?}");
}
