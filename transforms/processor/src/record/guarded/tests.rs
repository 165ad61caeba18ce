//! A judge under guard, with a closure for the modules.

use std::sync::mpsc::channel;

use transform_host::Rejection;

use super::*;
use crate::pipeline::policy::Policy;
use crate::record::divert::{Module, Stage};

type Answer = Box<dyn FnMut(&[Record]) -> Result<Vec<Verdict>, ChainError> + Send>;

struct Told(Answer);

impl Judge for Told {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        Ok((self.0)(records)?)
    }

    fn header(&self) -> &'static str {
        "m@1.0.0"
    }
}

fn guarded(
    policy: Policy,
    can_go_back: bool,
    judge: impl FnMut(&[Record]) -> Result<Vec<Verdict>, ChainError> + Send + 'static,
) -> Guarded {
    let guard = Arc::new(Guard::new(policy, false, can_go_back, Arc::default()));
    Guarded::new(Box::new(Told(Box::new(judge))), guard, Arc::default())
}

/// A record whose judge runs out of time.
fn slow() -> Record {
    Record { key: Some(b"slow".to_vec()), ..Record::default() }
}

fn input() -> Input {
    let (key, value, headers) = (None, None, Vec::new());
    Input { topic: Arc::from("in"), partition: 2, offset: 7, timestamp_ms: None, key, value, headers }
}

/// As a chain of one module does: three time-outs in a call with nothing before them trip it.
fn chain(records: &[Record]) -> Result<Vec<Verdict>, ChainError> {
    let mut verdicts = Vec::new();
    let mut time_outs = 0;
    for record in records {
        if record == &slow() {
            time_outs += 1;
            let (alias, module, reason) = ("m".to_owned(), "m@1.0.0".to_owned(), "it ran out of time".to_owned());
            verdicts.push(Verdict::Reject(Rejection {
                alias,
                module,
                kind: FaultKind::Deadline,
                reason,
                passed: Passed::default(),
            }));
        } else {
            verdicts.push(Verdict::Emit(vec![record.clone()]));
        }
    }
    if time_outs >= 3 {
        verdicts.truncate(verdicts.iter().position(ran_out_of_time).unwrap_or(verdicts.len()));
        if verdicts.is_empty() {
            return Err(ChainError::Breaker { module: "m@1.0.0".to_owned(), time_outs });
        }
    }
    Ok(verdicts)
}

#[test]
fn records_that_run_out_of_time_come_to_an_end_one_by_one() {
    let mut judge = guarded(Policy { retries: 2, ..Policy::default() }, false, chain);
    let mut rest = vec![slow(); 5];
    rest.extend(vec![Record::default(); 100]);
    for _ in 0..2 {
        assert!(
            matches!(judge.judge(&rest), Err(Unjudged::Chain(ChainError::Breaker { .. }))),
            "it may be the machine"
        );
    }
    let mut sizes = Vec::new();
    while !rest.is_empty() {
        let verdicts = judge.judge(&rest).unwrap();
        assert_eq!(verdicts[0] != Verdict::Emit(vec![Record::default()]), rest[0] == slow());
        sizes.push(verdicts.len());
        rest.drain(..verdicts.len());
    }
    assert_eq!(sizes, [1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 37], "and what is well comes in larger parts again");
}

#[test]
fn more_slow_records_behind_good_ones_do_not_wait_again() {
    let mut judge = guarded(Policy { retries: 0, ..Policy::default() }, false, chain);
    let mut rest = [vec![slow(); 3], vec![Record::default(); 3], vec![slow(); 9]].concat();
    while !rest.is_empty() {
        let done = judge.judge(&rest).unwrap().len();
        rest.drain(..done);
    }
}

#[test]
fn a_new_version_whose_records_run_out_of_time_goes_at_once() {
    let mut judge = guarded(Policy::default(), true, chain);
    let Err(Unjudged::Withdrawn(reason)) = judge.judge(&[slow(), slow(), slow()]) else { panic!("it goes on") };
    assert!(reason.contains("3 records ran out of time"), "{reason}");
    assert!(matches!(judge.judge(&[Record::default()]), Err(Unjudged::Withdrawn(_))), "and judges nothing more");
}

#[test]
fn blame_tells_rejects_from_errors_and_no_words_of_the_module() {
    let reason = |class| {
        let module = Module { label: "m@1.0.0".to_owned(), parameters: String::new(), lookups: "[]".to_owned() };
        Reason { module: Some(module), ..Reason::new(Stage::Transformation, class, "customer Jane Doe is bad") }
    };
    let policy = Policy { watch_errors: 0, watch_rejects: 1, ..Policy::default() };
    let mut judge = guarded(policy, true, chain);
    judge.blame((0, &input()), &reason(REJECTED), false).unwrap();
    let Err(Unjudged::Withdrawn(words)) =
        judge.blame((1, &Input { offset: 8, ..input() }), &reason("orderflow.ModuleTrap"), false)
    else {
        panic!()
    };
    assert!(words.contains("orderflow.ModuleTrap in m@1.0.0") && !words.contains("Jane"), "{words}");
}

#[test]
fn who_looks_on_gets_what_there_is_room_for_and_nobody_waits() {
    let tap = Arc::new(Tap::default());
    let guard = Arc::new(Guard::new(Policy::default(), true, false, Arc::default()));
    let mut judge = Guarded::new(Box::new(Told(Box::new(chain))), guard, Arc::clone(&tap));
    let inputs = vec![input(); 300];
    let records = vec![Record::default(); 300];
    let mut show = || {
        let verdicts = judge.judge(&records).unwrap();
        judge.judged(&mut inputs.iter(), &records, &verdicts);
    };
    show();
    let (samples, receiver) = channel();
    let waiting = tap.listen(samples);
    for _ in 0..5 {
        show();
    }
    let sample = receiver.try_recv().unwrap();
    assert_eq!((sample.records.len(), sample.verdicts.len(), sample.addresses.len()), (240, 240, 240));
    assert_eq!((sample.addresses[0].partition, sample.addresses[0].offset), (2, 7));
    assert_eq!(waiting.skipped(), 2 * 60 + 3 * 300, "the third of a row finds no room");
    assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());
    waiting.taken();
    waiting.taken();
    show();
    assert!(receiver.try_recv().is_ok(), "there is room again");
    drop(receiver);
    show();
    show();
}
