use std::path::PathBuf;

use super::*;
use crate::ledger::Answer;
use crate::row::{Row as Order, Value, Version};
use crate::world::{Letter, Origin, Placed, Received, Store, Stored, World};

fn entry(seq: u64, sent_ms: i64, took: Option<i64>, outcome: Outcome) -> Entry {
    Entry {
        seq,
        id: format!("a-{seq}"),
        class: "valid".to_owned(),
        content_type: "application/json".to_owned(),
        body: Vec::new(),
        intended_ms: sent_ms - 5,
        sent_ms,
        done_ms: took.map(|took| sent_ms + took),
        answer: Answer { outcome, ..Answer::unknown(None, "") },
    }
}

fn report(findings: Option<&Findings>) -> Report {
    let entries = [
        entry(2, 4_100, Some(700), Outcome::Ok),
        entry(0, 1_000, Some(10), Outcome::Ok),
        entry(1, 1_999, None, Outcome::Info),
        entry(3, 4_900, Some(2), Outcome::Fail),
        Entry {
            class: "refused".to_owned(),
            answer: Answer { outcome: Outcome::Fail, ..Answer::unknown(Some(422), "") },
            ..entry(4, 3_500, Some(1), Outcome::Fail)
        },
    ];
    let struck = Struck {
        id: "F14",
        name: "a store is \"away\" <now>".to_owned(),
        from_ms: 1_500,
        until_ms: 4_000,
        moved_ms: 4_500,
        said: "FAILED & waits".to_owned(),
    };
    let look = |at_ms, lag| Look {
        at_ms,
        lag: [("connect-orders-postgres".to_owned(), lag)].into(),
        rss_mib: [("edge".to_owned(), 12)].into(),
    };
    Report::new(("here".to_owned(), 77), findings, &entries, vec![struck], vec![look(1_000, 0), look(2_000, 40)])
}

/// A call of this stage alone.
fn call(passed: Option<bool>, report: Report) -> Call {
    let stage = Stage { name: "F14 & more".to_owned(), passed, seconds: 9, report: Some(report) };
    Call { command: "scripts/faults F14 --seed 77".to_owned(), stages: vec![stage] }
}

#[test]
fn orders_count_where_they_were_sent_and_silence_is_shown() {
    let report = report(None);
    let yes: Vec<(i64, usize, usize)> = report.seconds.iter().map(|(at, all)| (*at, all.sent, all.yes)).collect();
    assert_eq!(yes, [(1_000, 2, 1), (2_000, 0, 0), (3_000, 1, 0), (4_000, 2, 1)]);
    let during = report.faults[0].answers;
    assert_eq!(during, Answers { sent: 3, yes: 1, by_rule: 1, no: 0, possibly: 1, longest_ms: 705 });
}

#[test]
fn the_page_says_what_was_counted_and_lets_no_text_out() {
    let page = call(Some(true), report(None)).html();
    assert!(page.contains("Nothing was counted"), "{page}");
    assert!(page.contains("F14</a> a store is &quot;away&quot; &lt;now&gt;"), "{page}");
    assert!(page.contains("FAILED &amp; waits") && !page.contains("<now>"), "{page}");
    assert!(page.contains("<td>2.5 s<td>0.5 s<td>3<td>1<td>1<td>0<td>1<td>705 ms"), "{page}");
    assert_eq!(page.matches("<svg").count(), 2, "the whole run, and the one fault");

    let mut findings = Findings::default();
    assert!(call(Some(true), report(Some(&findings))).html().contains("Every counter is zero"));
    findings.add(Counter::Lost, "an <order>".to_owned());
    let page = call(Some(false), report(Some(&findings))).html();
    assert!(page.contains("1 findings: the promise is broken") && page.contains("lost: an &lt;order&gt;"), "{page}");
    assert!(page.contains("F14 &amp; more</a><td class=bad>FAILED<td>9 s") && page.contains("seed 77"), "{page}");
}

#[test]
fn what_was_not_seen_is_not_drawn() {
    let points = vec![(0, 1.0), (1_000, 2.0), (9_000, 2.0), (10_000, 4.0), (99_000, 9.0)];
    let panel = plot::Panel { title: "t", lines: vec![plot::Line { class: "c0", name: "n".to_owned(), points }] };
    let svg = plot::svg(&[panel], &[("fault", 2_000, 3_000), ("fault", 50_000, 60_000)], 0, 10_000);
    let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 2), "{path}");
    assert!(svg.contains("class=\"scale\">4<"), "the scale is of what is shown: {svg}");
    assert_eq!(svg.matches("<rect class=\"fault\"").count(), 1, "{svg}");
}

#[test]
fn a_call_has_all_its_stages_and_says_who_failed() {
    let folder = std::env::temp_dir().join(format!("orderflow-faults-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let put = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).unwrap();
    put("command", b"scripts/faults F14 F7 F36 --seed 77\n");
    put("0001.stage", b"F14\npassed\n70\n");
    let mut findings = Findings::default();
    put("0001.json", &serde_json::to_vec(&report(Some(&findings))).unwrap());
    put("0002.stage", b"F36\nfailed\n80\n");
    findings.add(Counter::Lost, "an order".to_owned());
    put("0002.json", &serde_json::to_vec(&report(Some(&findings))).unwrap());
    put("0003.stage", b"F7\n");
    let call = Call::read(&folder).unwrap();
    assert_eq!(call.stages[0].report, Some(report(Some(&Findings::default()))));
    let told = [
        "  passed     70 s  F14; 1 fault, every counter zero",
        "  FAILED     80 s  F36; 1 fault, lost 1",
        "  no end      0 s  F7",
        "2 of 3 failed; the same again: scripts/faults F14 F7 F36 --seed 77",
    ];
    assert_eq!(call.summary(), told.join("\n"));
    let written: PathBuf = folder.join("whole");
    call.write(&written).unwrap();
    let page = std::fs::read_to_string(written.join("report.html")).unwrap();
    assert!(page.contains("id=s0f0") && page.contains("id=s1f0") && !page.contains("id=s2f0"), "{page}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(written.join("report.json")).unwrap()).unwrap();
    assert_eq!((&json["stages"][1]["passed"], &json["stages"][1]["report"]["seed"]), (&false.into(), &77.into()));
    std::fs::remove_dir_all(&folder).unwrap();
}

fn order(id: &str, version: Option<Version>) -> Order {
    let mut row = Order::default();
    row.set("order_id", Value::Text(id.to_owned()));
    if let Some(at) = version {
        row.set("received_partition", Value::Whole(at.partition.into()));
        row.set("received_offset", Value::Whole(at.offset));
    }
    row
}

/// Order a-1 is in the table alone, a-12 a dead letter, and a-3 in the input topic and no further.
fn world() -> World {
    let at = |offset| Version { partition: 2, offset };
    let received = |id: &str, offset| Received {
        at: at(offset),
        key: None,
        value: None,
        headers: Vec::new(),
        row: Ok(order(id, None)),
    };
    let placed = Placed { at: at(70), key: None, value: None, row: Ok(order("a-1", Some(at(7)))), headers: Vec::new() };
    let letter = Letter {
        at: at(5),
        origin: None,
        key: Some(b"a-12".to_vec()),
        value: None,
        headers: Vec::new(),
        reason: "too dear".to_owned(),
    };
    World {
        posts: vec![entry(1, 1_000, Some(5), Outcome::Ok), entry(12, 2_000, None, Outcome::Info)],
        received: vec![received("a-1", 7), received("a-12", 8), received("a-3", 9)],
        placed: vec![placed],
        dead: vec![letter],
        stores: [(Store::Postgres, vec![Stored { key: "a-1".to_owned(), row: order("a-1", Some(at(7))) }])].into(),
        ..World::default()
    }
}

#[test]
fn what_a_finding_names_is_followed_to_where_it_was_last_seen() {
    let mut findings = Findings::default();
    findings.add(Counter::Mismatch, "a-1 is in postgres alone".to_owned());
    findings.add(Counter::Lost, "elasticsearch: a-1 is not there".to_owned());
    findings.add(Counter::Lost, "orders.received at 2@9: nothing became of it".to_owned());
    findings.add(Counter::Inversion, "a-12: version 2@8 behind a later one, order_placed at 2@80".to_owned());
    findings.add(Counter::Integrity, "3 in, 2 out, dead and dropped".to_owned());
    let told = last_seen(&world(), &findings);
    assert_eq!(
        told,
        [
            "a-1 was last seen in postgres; the ledger: request 1 at 1000 ms: no answer; orders.received: 2@7; \
             order_placed: 2@70; postgres: version 2@7",
            "a-3 was last seen in orders.received; orders.received: 2@9",
            "a-12 was last seen in the dead letters; the ledger: request 12 at 2000 ms: no answer; \
             orders.received: 2@8; the dead letters: 2@5 (too dear)",
        ]
    );
}

#[test]
fn a_finding_that_names_a_place_alone_is_followed_too() {
    let mut world = world();
    let at = |offset| Version { partition: 2, offset };
    let letter = |key: &str, offset, from| Letter {
        at: at(offset),
        origin: Some(Origin { topic: "order_placed".to_owned(), at: at(from) }),
        key: Some(key.into()),
        value: None,
        headers: Vec::new(),
        reason: "too long".to_owned(),
    };
    let placed = Placed {
        at: at(81),
        key: Some("b-1".into()),
        value: None,
        row: Err("no Avro".to_owned()),
        headers: Vec::new(),
    };
    world.placed.push(placed);
    world.placed.push(Placed {
        at: at(82),
        key: None,
        value: None,
        row: Ok(order("b-2", Some(at(99)))),
        headers: Vec::new(),
    });
    world.dead.push(letter("b-3", 20, 0));
    world.sink_dead = [(Store::Elasticsearch, vec![letter("b-4", 30, 83), letter("b-5", 31, 84)])].into();
    for (text, told) in [
        ("order_placed at 2@81: no Avro", "b-1 was last seen in order_placed; order_placed: 2@81"),
        (
            "order_placed at 2@82 (b-2): version 2@99 is not in orders.received",
            "b-2 was last seen in order_placed; order_placed: 2@82",
        ),
        ("the planted record 2@99 is not in orders.received", "b-2 was last seen in order_placed; order_placed: 2@82"),
        (
            "dead at 2@20: 2@400 is not in orders.received",
            "b-3 was last seen in the dead letters; the dead letters: 2@20 (too long)",
        ),
        (
            "dead letter of elasticsearch: 2@83 is not in order_placed",
            "b-4 was last seen in the dead letters of elasticsearch; the dead letters of elasticsearch: 2@30 (too long)",
        ),
        (
            "dead letter of elasticsearch at 2@31: its headers do not say where it comes from",
            "b-5 was last seen in the dead letters of elasticsearch; the dead letters of elasticsearch: 2@31 (too long)",
        ),
    ] {
        let mut findings = Findings::default();
        findings.add(Counter::Phantom, text.to_owned());
        assert_eq!(last_seen(&world, &findings), [told], "{text}");
    }
    let mut findings = Findings::default();
    findings.add(Counter::Phantom, "dead letter of postgres: 2@83 is not in order_placed".to_owned());
    assert_eq!(last_seen(&world, &findings), Vec::<String>::new(), "a place of another store's");
}
