//! What the judge hears of the records.

use super::*;

/// Place, class, and whether it stops the slot.
type Blamed = (usize, &'static str, bool);

/// Notes what it is told, and stops at the second blame.
#[derive(Default)]
struct Noting {
    blamed: Arc<std::sync::Mutex<Vec<Blamed>>>,
    committed: Arc<std::sync::Mutex<Vec<usize>>>,
    judged: Arc<std::sync::Mutex<Vec<i64>>>,
}

impl Judge for Noting {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        let rejection = |kind| Rejection {
            alias: "clean".to_owned(),
            module: LABEL.to_owned(),
            kind,
            reason: String::new(),
            passed: Passed::default(),
        };
        Ok(records
            .iter()
            .map(|record| match record.key.as_deref() {
                Some(b"trap") => Verdict::Reject(rejection(FaultKind::Trap)),
                Some(b"no") => Verdict::Reject(rejection(FaultKind::Rejected)),
                _ => Verdict::Emit(vec![record.clone()]),
            })
            .collect())
    }

    fn header(&self) -> &'static str {
        LABEL
    }

    fn judged(&mut self, inputs: &mut dyn Iterator<Item = &Input>, records: &[Record], _: &[Verdict]) {
        let offsets: Vec<i64> = inputs.map(|input| input.offset).collect();
        assert_eq!(offsets.len(), records.len());
        self.judged.lock().unwrap().extend(offsets);
    }

    fn blame(&mut self, (at, input): (usize, &Input), reason: &Reason, stops: bool) -> Result<(), Unjudged> {
        let mut blamed = self.blamed.lock().unwrap();
        assert!(at < 5 && input.offset > 0);
        blamed.push((at, reason.class, stops));
        if blamed.len() > 2 { Err(Unjudged::Withdrawn("enough".to_owned())) } else { Ok(()) }
    }

    fn committed(&mut self, done: usize) {
        self.committed.lock().unwrap().push(done);
    }
}

#[test]
fn the_judge_hears_of_what_failed_in_a_module_and_of_nothing_else() {
    let noting = Noting::default();
    let (blamed, committed, judged) =
        (Arc::clone(&noting.blamed), Arc::clone(&noting.committed), Arc::clone(&noting.judged));
    let (_, mut worker) = worker(keep);
    worker.judge = Box::new(noting);
    let mut out = Vec::new();
    let good = |offset, id: &str| input(offset, Some(id.as_bytes()), Some(framed(id)));
    let batch = [good(1, "o-1"), input(2, Some(b"o-2"), None), good(3, "trap"), good(4, "no"), good(5, "o-5")];
    assert_eq!(worker.apply(&batch, &mut out).unwrap(), Tally { done: 5, out: 2, dead: 3, dropped: 0 });
    assert_eq!(*blamed.lock().unwrap(), [(2, "orderflow.ModuleTrap", false), (3, REJECTED, false)]);
    assert_eq!((committed.lock().unwrap().len(), judged.lock().unwrap().as_slice()), (0, &[1, 3, 4, 5][..]));
    worker.committed(5);
    assert_eq!(*committed.lock().unwrap(), [5], "when it is, and not before");
    let Err(Hold::Wait { reason, .. }) = worker.apply(&[good(6, "o-6"), good(7, "trap")], &mut out) else {
        panic!("one too many is committed");
    };
    assert_eq!(reason, "enough");
    worker.routes.dead_letters = None;
    assert!(worker.apply(&[good(8, "trap")], &mut out).is_err());
    assert_eq!(blamed.lock().unwrap().last(), Some(&(0, "orderflow.ModuleTrap", true)));
}
