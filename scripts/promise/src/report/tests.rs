use super::*;
use crate::ledger::Answer;

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
    Report::new("here".to_owned(), findings, &entries, vec![struck], vec![look(1_000, 0), look(2_000, 40)])
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
    let page = report(None).html();
    assert!(page.contains("Nothing was counted"), "{page}");
    assert!(page.contains("F14</a> a store is &quot;away&quot; &lt;now&gt;"), "{page}");
    assert!(page.contains("FAILED &amp; waits") && !page.contains("<now>"), "{page}");
    assert!(page.contains("<td>2.5 s<td>0.5 s<td>3<td>1<td>1<td>0<td>1<td>705 ms"), "{page}");
    assert_eq!(page.matches("<svg").count(), 2, "the whole run, and the one fault");

    let mut findings = Findings::default();
    assert!(report(Some(&findings)).html().contains("Every counter is zero"));
    findings.add(Counter::Lost, "an order".to_owned());
    assert!(report(Some(&findings)).html().contains("1 findings: the promise is broken"));
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
