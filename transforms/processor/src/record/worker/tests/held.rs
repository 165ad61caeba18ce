//! What is not done, or not yet: the batch is held or the slot stops, and what is done stands.

use super::*;

#[test]
fn only_the_proven_prefix_counts_as_done() {
    let (_, mut worker) = worker(|records| Ok(keep(records)?.into_iter().take(2).collect()));
    let batch = [
        input(0, Some(b"a"), Some(framed("a"))),
        input(1, None, None),
        input(2, Some(b"b"), Some(framed("b"))),
        input(3, None, None),
        input(4, Some(b"c"), Some(framed("c"))),
    ];
    let mut out = Vec::new();
    // The dead letter at 3 stands before the first record without a verdict, so it is done as well.
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 4, out: 2, dead: 2, dropped: 0 });
}

#[test]
fn without_the_registry_nothing_is_diverted() {
    let (registry, mut worker) = worker(keep);
    registry.store(false, Ordering::Relaxed);
    let unknown = input(1, Some(b"o"), Some(vec![0, 0, 0, 9, 9, 1]));
    let mut out = Vec::new();
    assert!(matches!(worker.apply(std::slice::from_ref(&unknown), &mut out), Err(Hold::Wait { .. })));
    // What stands before it needs no registry, and does not wait for it.
    let batch = [input(0, None, None), unknown];
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 1, out: 0, dead: 1, dropped: 0 });
    registry.store(true, Ordering::Relaxed);
    out.clear();
    assert_eq!(worker.apply(&batch, &mut out).unwrap().dead, 2);
}

/// A registry that is busy, and knows nothing.
struct Slow;

impl Source for Slow {
    fn schema(&self, _: u32) -> Result<Option<String>, String> {
        std::thread::sleep(READ_TIME / 5);
        Ok(None)
    }
}

#[test]
fn a_slow_registry_does_not_keep_the_slot_from_its_group() {
    let (_, mut worker) = worker(keep);
    worker.writers = Writers::new(Arc::new(Slow), Arc::from(ORDER_PLACED_AVSC));
    let batch: Vec<Input> = (0..30).map(|id| input(id.into(), None, Some(vec![0, 0, 0, 9, id, 1]))).collect();
    let tally = worker.apply(&batch, &mut Vec::new()).unwrap();
    assert!((1..=6).contains(&tally.done), "{tally:?}");
}

#[test]
fn a_chain_that_cannot_judge_holds_the_batch() {
    let (_, mut worker) = worker(|_| Err(ChainError::Breaker { module: LABEL.to_owned(), time_outs: 3 }));
    let held = worker.apply(&[input(0, Some(b"o"), Some(framed("o")))], &mut Vec::new());
    let words = "offset 0 of partition 3 of orders.received";
    assert!(
        matches!(held, Err(Hold::Wait { reason, .. }) if reason.contains("breaker") && reason.contains(words)),
        "the record is named"
    );
    let batch = [input(0, None, None), input(1, Some(b"o"), Some(framed("o")))];
    assert_eq!(worker.apply(&batch, &mut Vec::new()).unwrap().done, 1, "what stands before it needs no verdict");
}

#[test]
fn without_tolerance_the_slot_stops_at_the_first_bad_record_and_commits_what_stands_before() {
    let (_, mut worker) = worker(keep);
    worker.routes.dead_letters = None;
    let batch = [input(0, Some(b"o"), Some(framed("o"))), input(1, Some(b"o"), None)];
    let mut out = Vec::new();
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 1, out: 1, dead: 0, dropped: 0 });
    let stopped = worker.apply(&batch[1..], &mut out);
    assert!(matches!(stopped, Err(Hold::Fail(trace)) if trace.contains("offset 1") && trace.contains("NullValue")));
}

#[test]
fn a_transaction_becomes_no_more_than_its_limit() {
    let copies = OUTPUT_RECORDS / 10;
    let (_, mut worker) =
        worker(move |records| Ok(records.iter().map(|record| Verdict::Emit(vec![record.clone(); copies])).collect()));
    let batch: Vec<Input> = (0..30).map(|offset| input(offset, Some(b"o"), Some(framed("o")))).collect();
    let mut out = Vec::new();
    assert_eq!(worker.apply(&batch, &mut out).unwrap().done, 10);
    assert_eq!(out.len(), OUTPUT_RECORDS);
}
