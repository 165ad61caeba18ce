//! What is written down comes back, and what has no end is info.

use super::*;
use crate::generator::Class;

fn post(seq: u64, body: &[u8]) -> Post {
    Post {
        seq,
        id: format!("o-{seq}"),
        body: body.to_vec(),
        content_type: "application/json",
        class: Class::Valid,
        repost: false,
    }
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("promise-ledger-{}-{name}.ndjson", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn what_is_written_comes_back() {
    let path = scratch("round");
    let ledger = Ledger::open(&path).unwrap();
    let receipt = Version { partition: 3, offset: 7 };
    let (order_id, request_id) = (Some("o-0".to_owned()), Some("r-0".to_owned()));
    let told = Told { order_id, request_id, schema_id: Some(3) };
    let ok = Answer { outcome: Outcome::Ok, receipt: Some(receipt), told, ..Answer::unknown(Some(202), "") };
    ledger.sending(&post(0, br#"{"a":"\u0000"}"#), 10, 11).unwrap();
    ledger.sending(&post(1, b"\xff\x00{"), 10, 12).unwrap();
    ledger.done(0, 20, &ok).unwrap();
    let entries = read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let [first, second] = entries.as_slice() else { panic!("two requests, not {entries:?}") };
    assert_eq!((&first.answer, first.done_ms, first.sent_ms), (&ok, Some(20), 11));
    assert_eq!(first.body, br#"{"a":"\u0000"}"#);
    assert_eq!(second.body, b"\xff\x00{");
    assert_eq!(second.content_type, "application/json");
}

#[test]
fn a_line_that_is_still_being_written_is_not_there_yet() {
    let path = scratch("torn");
    let ledger = Ledger::open(&path).unwrap();
    ledger.sending(&post(0, b"{}"), 1, 1).unwrap();
    ledger.sending(&post(1, b"{}"), 1, 1).unwrap();
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, text.get(..text.len() - 9).unwrap()).unwrap();
    let entries = read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(entries.len(), 1);
}

#[test]
fn a_request_without_an_end_is_info_and_not_fail() {
    let path = scratch("open");
    Ledger::open(&path).unwrap().sending(&post(5, b"{}"), 1, 1).unwrap();
    let entries = read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(entries.first().map(|entry| entry.answer.outcome), Some(Outcome::Info));
}

#[test]
fn a_line_that_is_none_is_named() {
    let path = scratch("broken");
    std::fs::write(&path, "{\"line\":\"done\",\"seq\":1,\"outcome\":\"ok\",\"done_ms\":1}\n").unwrap();
    let error = read(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error, "line 1 of the ledger cannot be read: request 1 ended before it was sent");
}

#[test]
fn what_comes_later_has_numbers_of_its_own() {
    let path = scratch("later");
    let ledger = Ledger::open(&path).unwrap();
    let before = ledger.next_seq().unwrap();
    ledger.sending(&post(7, b"{}"), 1, 1).unwrap();
    let behind = Ledger::open(&path).unwrap().next_seq().unwrap();
    ledger.sending(&post(7, b"{}"), 1, 1).unwrap();
    let error = read(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((before, behind), (0, 8));
    assert_eq!(error, "line 2 of the ledger cannot be read: request 7 was sent before");
}

#[test]
fn a_ledger_from_before_receipts_were_kept_is_read() {
    let path = scratch("old");
    Ledger::open(&path).unwrap().sending(&post(1, b"{}"), 1, 1).unwrap();
    let done = r#"{"line":"done","seq":1,"outcome":"ok","done_ms":2,"status":202,"partition":3,"offset":7}"#;
    let sent = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{sent}{done}\n")).unwrap();
    let entries = read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let receipt = Some(Version { partition: 3, offset: 7 });
    let ok = Answer { outcome: Outcome::Ok, receipt, ..Answer::unknown(Some(202), "") };
    assert_eq!(entries.first().map(|entry| &entry.answer), Some(&ok));
}
