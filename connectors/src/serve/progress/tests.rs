//! Positions over time, and when a task is called stuck.

use super::*;

const NOBODY: BTreeMap<Spot, String> = BTreeMap::new();

fn place(partition: i32, committed: i64, end: i64) -> Place {
    Place { spot: ("t".to_owned(), partition), committed, end }
}

fn partitions(places: &[Place]) -> Vec<i32> {
    places.iter().map(|place| place.spot.1).collect()
}

/// A run in which looking finds a record in the partitions of `records`, and nothing at all while it is `blind`.
struct Run {
    progress: Progress,
    start: Instant,
    records: Vec<i32>,
    blind: bool,
    owners: BTreeMap<Spot, String>,
}

impl Run {
    fn new(records: &[i32], owners: &[(i32, &str)]) -> Self {
        let owners = owners.iter().map(|(p, owner)| (("t".to_owned(), *p), (*owner).to_owned())).collect();
        Self { progress: Progress::default(), start: Instant::now(), records: records.to_vec(), blind: false, owners }
    }

    /// The partitions that are stuck at this second.
    fn at(&mut self, second: u64, places: &[Place]) -> Vec<i32> {
        let now = self.start + Duration::from_secs(second);
        let verdict = self.progress.observe(now, places, &self.owners);
        let spots = || verdict.look.iter().map(|place| place.spot.clone());
        let looked = match self.blind {
            true => Looked { unknown: spots().collect(), ..Looked::default() },
            false => {
                Looked { unread: spots().filter(|(_, p)| self.records.contains(p)).collect(), ..Looked::default() }
            }
        };
        self.progress.looked(now, &verdict.look, &looked);
        partitions(&verdict.stuck)
    }
}

#[test]
fn a_record_that_waits_for_long_makes_its_partition_stuck() {
    let mut run = Run::new(&[0], &[]);
    for second in 0..64 {
        assert_eq!(run.at(second, &[place(0, 5, 9)]), [0; 0], "second {second}");
    }
    assert_eq!(run.at(64, &[place(0, 5, 99)]), [0]);
}

#[test]
fn moving_or_having_nothing_to_read_starts_the_time_anew() {
    for between in [place(0, 6, 99), place(0, 5, 5)] {
        let mut run = Run::new(&[0], &[]);
        (0..15).for_each(|second| assert_eq!(run.at(second, &[place(0, 5, 9)]), [0; 0]));
        run.at(15, std::slice::from_ref(&between));
        let later = Place { end: 99, ..between };
        (16..79).for_each(|second| assert_eq!(run.at(second, std::slice::from_ref(&later)), [0; 0], "second {second}"));
        assert_eq!(run.at(80, std::slice::from_ref(&later)), [0]);
    }
}

#[test]
fn a_task_that_moves_in_one_partition_works_and_one_that_moves_in_none_hangs() {
    let mut run = Run::new(&[0, 1, 2, 3], &[(0, "a"), (1, "a"), (2, "b"), (3, "b")]);
    let mut stuck = Vec::new();
    for second in 0..90 {
        let moving = i64::try_from(second).unwrap();
        stuck = run.at(second, &[place(0, moving, 99), place(1, 1, 9), place(2, 1, 9), place(3, 9, 9)]);
    }
    assert_eq!(stuck, [2]);
}

#[test]
fn markers_of_transactions_are_looked_at_once_and_are_no_lag() {
    let mut progress = Progress::default();
    let (start, idle) = (Instant::now(), [place(0, 5, 6)]);
    progress.observe(start, &idle, &NOBODY);
    assert_eq!(progress.lag(&idle), 1);
    let seen = progress.observe(start + LOOK_AFTER, &idle, &NOBODY).look;
    assert_eq!(partitions(&seen), [0]);
    progress.looked(start + LOOK_AFTER, &seen, &Looked::default());
    assert_eq!(progress.lag(&idle), 0);
    assert_eq!(progress.observe(start + STUCK_AFTER * 5, &idle, &NOBODY), Verdict::default());
}

#[test]
fn what_could_not_be_seen_is_not_taken_for_empty() {
    let (mut run, here) = (Run::new(&[0], &[]), [place(0, 5, 6)]);
    run.blind = true;
    for second in 0..10 {
        assert_eq!(run.at(second, &here), [0; 0]);
        assert_eq!(run.progress.lag(&here), 1);
    }
    run.blind = false;
    (10..70).for_each(|second| assert_eq!(run.at(second, &here), [0; 0], "second {second}"));
    assert_eq!(run.at(70, &here), [0], "the one order that waits makes it stuck");
}

#[test]
fn a_record_after_a_long_rest_gets_its_full_time() {
    let mut run = Run::new(&[], &[]);
    (0..600).for_each(|second| assert_eq!(run.at(second, &[place(0, 5, 6)]), [0; 0]));
    run.records = vec![0];
    (600..664).for_each(|second| assert_eq!(run.at(second, &[place(0, 5, 8)]), [0; 0], "second {second}"));
    assert_eq!(run.at(664, &[place(0, 5, 8)]), [0]);
}

#[test]
fn a_restart_gives_new_time_and_one_for_standstill_more_of_it() {
    let here = [place(0, 5, 9)];
    for (for_standstill, wanted) in [(false, 64), (true, 124)] {
        let mut run = Run::new(&[0], &[]);
        (0..64).for_each(|second| assert_eq!(run.at(second, &here), [0; 0]));
        run.progress.restarted(for_standstill);
        (64..64 + wanted).for_each(|second| assert_eq!(run.at(second, &here), [0; 0], "second {second}"));
        assert_eq!(run.at(64 + wanted, &here), [0]);
    }
}

#[test]
fn patience_has_an_end_and_moving_takes_it_back() {
    let mut run = Run::new(&[0], &[]);
    (0..20).for_each(|_| run.progress.restarted(true));
    let patience = 60 * 8 + 4;
    let first = (0..1000).find(|second| !run.at(*second, &[place(0, 5, 9)]).is_empty());
    assert_eq!(first, Some(patience));
    let second = (1000..2000).find(|second| !run.at(*second, &[place(0, 6, 9)]).is_empty());
    assert_eq!(second, Some(1064));
}
