use std::fs;

use http::HeaderValue;
use serde_json::{Value, json};

use super::*;

/// Keys by their ids, secrets and further members, in a file of their own.
struct Book {
    path: PathBuf,
    keys: Keys,
}

impl Drop for Book {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn list(keys: &[(&str, &str, Value)]) -> String {
    let entry = |(id, secret, more): &(&str, &str, Value)| {
        let sha256: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut entry = json!({ "id": id, "sha256": sha256 });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    Value::from(keys.iter().map(entry).collect::<Vec<_>>()).to_string()
}

fn book(keys: &[(&str, &str, Value)]) -> Book {
    let path = std::env::temp_dir().join(format!("edge-keys-{}.json", uuid::Uuid::new_v4()));
    fs::write(&path, list(keys)).unwrap();
    let args = Args { api_keys: Some(path.clone()), new_api_key: None };
    let mut faults = Vec::new();
    let keys = Keys::new(args.check(&mut faults));
    assert!(faults.is_empty(), "{faults:?}");
    Book { path, keys }
}

fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

const BEARER: &HeaderName = &header::AUTHORIZATION;

impl Book {
    fn ask(&self, pairs: &[(&HeaderName, &str)]) -> Result<String, String> {
        let client = self.keys.authenticate(&headers(pairs));
        client.map(|client| client.id().to_owned()).map_err(|refusal| refusal.to_string())
    }
}

#[test]
fn a_key_is_known_by_its_id_and_its_secret() {
    let book = book(&[
        ("shop", "s1", json!({})),
        ("till", "s.2", json!({})),
        ("old", "s3", json!({ "disabled": true })),
        ("past", "s4", json!({ "expires": "2020-01-01T00:00:00Z" })),
        ("next", "s5", json!({ "expires": "2100-01-01T00:00:00Z" })),
    ]);
    let key = &HEADER;
    for (pairs, id) in [
        (&[(BEARER, "Bearer shop.s1")][..], "shop"),
        (&[(BEARER, "bearer  shop.s1 ")], "shop"),
        (&[(key, "till.s.2")], "till"),
        (&[(BEARER, "Basic xyz"), (key, "shop.s1")], "shop"),
        (&[(BEARER, "Bearer next.s5")], "next"),
    ] {
        assert_eq!(book.ask(pairs), Ok(id.to_owned()), "{pairs:?}");
    }
    let unknown = book.ask(&[(BEARER, "Bearer nobody.s1")]).unwrap_err();
    for pairs in [
        &[][..],
        &[(BEARER, "Bearer shop.s2")],
        &[(BEARER, "Bearer shop.")],
        &[(BEARER, "Bearer shop")],
        &[(BEARER, "Bearer .")],
        &[(BEARER, "shop.s1")],
        &[(BEARER, "Basic shop.s1")],
        &[(BEARER, "Bearer old.wrong")],
        &[(BEARER, "Bearer shop.s1"), (BEARER, "Bearer shop.s1")],
        &[(key, "shop.s1"), (key, "till.s.2")],
        &[(BEARER, "Bearer shop.s1"), (key, "shop.s2")],
    ] {
        assert_eq!(book.ask(pairs), Err(unknown.clone()), "nobody learns what was wrong: {pairs:?}");
    }
    assert!(book.ask(&[(BEARER, "Bearer old.s3")]).unwrap_err().contains("disabled"));
    assert!(book.ask(&[(BEARER, "Bearer past.s4")]).unwrap_err().contains("expired"));
    let long = format!("Bearer shop.{}", "x".repeat(600));
    assert_eq!(book.ask(&[(BEARER, &long)]), Err(unknown));
    let shown = format!("{:?}{:?}", book.keys, book.keys.authenticate(&headers(&[(BEARER, "Bearer shop.s1")])));
    assert!(!shown.contains("s1") && !shown.contains("digest"), "{shown}");
    assert_eq!(Keys::default().authenticate(&HeaderMap::new()).unwrap().id(), "", "nobody is asked");
}

#[test]
fn what_was_used_stays_used_when_the_file_is_read_anew_unless_the_quota_changed() {
    let one = |burst: u32| json!({ "requestsPerSecond": 1, "burst": burst });
    let book = book(&[("a", "s1", one(2)), ("b", "s2", one(2)), ("c", "s3", json!({}))]);
    let client =
        |id: &str, secret: &str| book.keys.authenticate(&headers(&[(BEARER, &format!("Bearer {id}.{secret}"))]));
    let (a, b) = (client("a", "s1").unwrap(), client("b", "s2").unwrap());
    for client in [&a, &b] {
        assert!(client.charge_request().is_ok() && client.charge_request().is_ok() && client.charge_request().is_err());
    }
    fs::write(&book.path, list(&[("a", "new", one(2)), ("b", "s2", one(3)), ("d", "s4", json!({}))])).unwrap();
    assert_eq!(book.keys.reload(), Ok("3 keys, 0 of them disabled".to_owned()));
    assert!(client("a", "s1").is_err() && client("c", "s3").is_err(), "what is not in the file any more is not taken");
    assert!(client("a", "new").unwrap().charge_request().is_err(), "another secret is not another quota");
    let fresh = client("b", "s2").unwrap();
    assert!(fresh.charge_request().is_ok(), "another quota is");
    assert!(Arc::ptr_eq(b.queue().unwrap(), fresh.queue().unwrap()), "what it holds it still holds");

    fs::write(&book.path, r#"[{"id": "a"}, {"sha256": "x"}]"#).unwrap();
    let faults = book.keys.reload().unwrap_err();
    assert!(faults.contains("key 1 (a): sha256") && faults.contains("key 2: id"), "{faults}");
    assert!(client("d", "s4").is_ok(), "the keys from before stay");
}

#[test]
fn a_new_key_is_what_its_entry_says() {
    let text = new::make("shop-1").unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let key = lines.iter().find(|line| line.starts_with("shop-1.")).unwrap();
    let entry = lines.iter().find(|line| line.starts_with('{')).unwrap();
    assert_eq!(key.len(), "shop-1.".len() + 64, "256 bits");
    assert!(!entry.contains(&key["shop-1.".len()..]), "the entry has no secret");
    let path = std::env::temp_dir().join(format!("edge-keys-{}.json", uuid::Uuid::new_v4()));
    fs::write(&path, format!("[{entry}]")).unwrap();
    let entries = file::read(&path).unwrap();
    let book = Book { keys: Keys::new(Some(Config { path: path.clone(), entries })), path };
    assert_eq!(book.ask(&[(BEARER, &format!("Bearer {key}"))]), Ok("shop-1".to_owned()));
    assert_ne!(text, new::make("shop-1").unwrap());
    assert!(new::make("a.b").unwrap_err().contains("letters"));
}
