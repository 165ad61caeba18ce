use super::*;
use crate::kafka::record::Address;
use crate::serve::isolate::reason::Reason;

fn reason(message: &str) -> Reason {
    Reason { stage: "TASK_PUT", class: "a.B".to_owned(), message: message.to_owned() }
}

fn poison(index: usize, message: &str) -> stretch::Poison {
    stretch::Poison { index, reason: reason(message) }
}

fn judged(live: Ended, edited: Ended) -> Report {
    let record = |offset| {
        let at = Address::new("t", 0, offset);
        Record { at, timestamp_ms: None, key: None, value: None, headers: Vec::new() }
    };
    let mut report = Report::default();
    judge(&mut report, &[record(5), record(6)], &BTreeMap::from([(Side::Live, live), (Side::Edited, edited)]));
    report
}

#[test]
fn the_files_reason_stands_and_each_side_that_refuses_is_named() {
    let live = Ended { tried: 2, poison: vec![poison(0, "now"), poison(1, "now")], ..Ended::default() };
    let edited = Ended { tried: 2, poison: vec![poison(0, "with the file")], ..Ended::default() };
    let report = judged(live, edited);
    let told = report.poison.iter().map(|one| (one.record.offset, one.message.as_str(), one.sides.as_slice()));
    let both = [Side::Edited, Side::Live];
    assert_eq!(told.collect::<Vec<_>>(), [(5, "with the file", &both[..]), (6, "now", &[Side::Live][..])]);
    assert_eq!(report.incomplete, None);
    assert_eq!(report.rates.len(), 2);
}

#[test]
fn a_side_that_was_cut_says_how_far_it_came_and_on_what_it_failed() {
    let cut = |why: &str| Ended { tried: 1, cut: Some(why.to_owned()), ..Ended::default() };
    let edited = Ended { halted: Some(reason("disk full")), ..cut("it is away") };
    let words = "edited: 1 of 2 records were tried, since it is away (a.B: disk full)";
    let whole = Ended { tried: 2, ..Ended::default() };
    assert_eq!(judged(whole, edited).incomplete.as_deref(), Some(words));
    let both = judged(cut("one"), cut("two")).incomplete.unwrap();
    assert_eq!(both, "edited: 1 of 2 records were tried, since two; live: 1 of 2 records were tried, since one");
}
