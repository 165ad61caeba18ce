//! What is done about a transaction that is aborted again and again: at first it is just done again, then it is shown
//! and done again less often, and when the broker refuses a record for good, the record is looked for: by halves, since
//! a broker refuses batches, down to one. Decides; the slot does. Knows addresses, not Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::kafka::{Input, Place, Refusal, after};

/// From this abort on the slot says that it is in trouble, and waits longer each time.
const SHOWN: u32 = 3;
/// From this abort on a refused record is looked for.
const SOUGHT: u32 = 5;
/// The pause before the next try, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What is known of the trouble. It ends when every partition is past the records that were aborted.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    aborts: u32,
    /// The offsets behind what was aborted.
    behind: BTreeMap<Place, i64>,
    /// At most so many records are tried together.
    share: Option<usize>,
    /// The records that were refused alone. By their addresses: the next batch may begin with another partition.
    culprits: BTreeMap<(Place, i64), Refusal>,
}

/// How the slot goes on after an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// How long it waits.
    pub(super) pause: Duration,
    /// Whether it says so.
    pub(super) shown: bool,
}

impl Stuck {
    /// What of `rest` is tried now; and why its one record must not be tried any more.
    pub(super) fn part<'b>(&self, rest: &'b [Input]) -> (&'b [Input], Option<&Refusal>) {
        let share = self.share.unwrap_or(usize::MAX).min(rest.len());
        let part = rest.get(..share).unwrap_or(rest);
        (part, self.culprit(part))
    }

    fn culprit(&self, part: &[Input]) -> Option<&Refusal> {
        match part {
            [input] => self.culprits.get(&address(input)),
            _ => None,
        }
    }

    /// The transaction of `part` was aborted, perhaps because the broker refused a record.
    pub(super) fn aborted(&mut self, part: &[Input], refusal: Option<Refusal>) -> Pace {
        self.aborts = self.aborts.saturating_add(1);
        for (place, at) in after(part) {
            let behind = self.behind.entry(place).or_insert(at);
            *behind = at.max(*behind);
        }
        // A culprit's dead letter may be refused as well; then nothing is left to look for.
        let seeks = refusal.is_some() && self.aborts >= SOUGHT && self.culprit(part).is_none();
        if seeks {
            self.share = Some((part.len() / 2).max(1));
        }
        if let (true, Some(refusal), [input]) = (seeks, refusal, part) {
            self.culprits.insert(address(input), refusal);
        }
        // The search ends by itself, so it need not be slow.
        let doublings = if seeks { 0 } else { (self.aborts + 1).saturating_sub(SHOWN).min(16) };
        Pace { pause: PAUSE.0.saturating_mul(1 << doublings).min(PAUSE.1), shown: self.aborts >= SHOWN }
    }

    /// `part` is committed.
    pub(super) fn committed(&mut self, part: &[Input]) {
        if self.aborts == 0 {
            return;
        }
        for (place, at) in after(part) {
            if self.behind.get(&place).is_some_and(|behind| *behind <= at) {
                self.behind.remove(&place);
            }
        }
        let found = matches!(part, [input] if self.culprits.remove(&address(input)).is_some());
        if self.behind.is_empty() || (found && self.culprits.is_empty()) {
            *self = Self::default();
        }
    }

    /// Only these partitions are ours now.
    pub(super) fn keep(&mut self, assigned: &[Place]) {
        self.behind.retain(|place, _| assigned.contains(place));
        self.culprits.retain(|(place, _), _| assigned.contains(place));
        if self.behind.is_empty() {
            *self = Self::default();
        }
    }
}

fn address(input: &Input) -> (Place, i64) {
    (Place { topic: Arc::clone(&input.topic), partition: input.partition }, input.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(partition: i32, offset: i64) -> Input {
        let topic = Arc::from("in");
        Input { topic, partition, offset, timestamp_ms: None, key: None, value: None, headers: Vec::new() }
    }

    fn refusal() -> Option<Refusal> {
        Some(Refusal { topic: "out".to_owned(), text: "too large".to_owned() })
    }

    #[test]
    fn the_one_refused_record_is_found_and_the_others_are_committed() {
        for bad in [0, 1, 611, 4_998, 4_999] {
            let all: Vec<Input> = (0..5_000).map(|offset| input(0, offset)).collect();
            let (mut stuck, mut from, mut aborts, mut dead) = (Stuck::default(), 0, 0, Vec::new());
            while from < all.len() {
                let (part, culprit) = stuck.part(&all[from..]);
                if culprit.is_some() {
                    dead.push(part[0].offset);
                } else if part.iter().any(|input| input.offset == bad) {
                    aborts += 1;
                    stuck.aborted(part, refusal());
                    continue;
                }
                from += part.len();
                stuck.committed(part);
            }
            assert_eq!(dead, [bad]);
            assert!(aborts < 5 + 14, "{aborts} aborts for {bad}");
            assert_eq!(stuck.share, None, "{bad}: everything is tried together again");
        }
    }

    #[test]
    fn only_the_record_that_was_refused_is_diverted_whichever_comes_first() {
        let (bad, worse, good) = ([input(0, 7)], [input(1, 3)], [input(2, 5)]);
        let mut stuck = Stuck::default();
        for _ in 0..4 {
            stuck.aborted(&[input(0, 7), input(1, 3), input(2, 5)], refusal());
        }
        stuck.aborted(&bad, refusal());
        assert_eq!(stuck.part(&good), (&good[..], None));
        stuck.committed(&good);
        assert_eq!(stuck.part(&worse), (&worse[..], None), "it is not known yet");
        stuck.aborted(&worse, refusal());
        for culprit in [&worse, &bad] {
            assert!(stuck.part(culprit).1.is_some());
            stuck.committed(culprit);
        }
        assert_eq!((stuck.aborts, stuck.share), (0, None));
    }

    #[test]
    fn what_no_record_is_to_blame_for_is_shown_and_slows_down() {
        let mut stuck = Stuck::default();
        let part = [input(0, 7), input(1, 3)];
        let paces: Vec<_> = (0..9).map(|_| stuck.aborted(&part, None)).collect();
        let shown: Vec<_> = paces.iter().map(|pace| pace.shown).collect();
        assert_eq!(shown, [false, false, true, true, true, true, true, true, true]);
        let millis: Vec<_> = paces.iter().map(|pace| pace.pause.as_millis()).collect();
        assert_eq!(millis, [100, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(stuck.part(&part), (&part[..], None), "nothing is cut, nothing is diverted");
    }

    #[test]
    fn the_count_goes_on_while_only_others_are_committed() {
        let mut stuck = Stuck::default();
        stuck.aborted(&[input(0, 7), input(1, 3)], None);
        stuck.committed(&[input(1, 3), input(1, 4)]);
        assert_eq!(stuck.aborts, 1);
        stuck.committed(&[input(0, 7)]);
        assert_eq!(stuck.aborts, 0);
    }
}
