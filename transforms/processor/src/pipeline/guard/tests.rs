//! A version's guard, told one record after the other.

use super::*;

fn policy() -> Policy {
    Policy {
        watch: 100,
        watch_errors: 2,
        watch_rejects: 5,
        breaker_errors: 10,
        breaker_window: 50,
        ..Policy::default()
    }
}

fn guard(policy: Policy, can_go_back: bool) -> Guard {
    Guard::new(policy, false, can_go_back, Arc::default())
}

/// A record of its own.
fn address(offset: usize) -> Address {
    Address { topic: Arc::from("in"), partition: 0, offset: offset as i64 }
}

/// Tells `guard` of batches of one record; true: it failed. Answers what is decided, and after how many.
fn tell(guard: &Guard, records: impl IntoIterator<Item = Option<Failed>>) -> Option<(usize, Word)> {
    for (number, record) in records.into_iter().enumerate() {
        if let Some(failed) = record
            && let Err(word) = guard.failed((0, address(number)), failed, "boom", false)
        {
            return Some((number + 1, word));
        }
        guard.committed(1);
    }
    None
}

#[test]
fn a_new_version_goes_with_the_first_error_above_its_budget() {
    let guard = guard(policy(), true);
    let (after, word) = tell(&guard, [Some(Failed::Error); 20]).unwrap();
    assert_eq!((after, word.action), (3, Action::RollBack));
    assert_eq!(word.because, "3 of its first 3 records failed in it, swap.max.errors allows 2; the last: boom");
    assert_eq!(guard.check(), Err(word), "and it does not come back by itself");
}

#[test]
fn the_first_word_stands_whatever_is_found_later() {
    let guard = guard(policy(), true);
    let (_, first) = tell(&guard, [Some(Failed::Error); 20]).unwrap();
    // Another slot runs out of the budget for rejects before it has heard.
    let later = (10..20).find_map(|at| guard.failed((0, address(at)), Failed::Reject, "no", false).err());
    assert_eq!((later, guard.word()), (Some(first.clone()), Some(first)));
}

#[test]
fn rejects_have_a_budget_of_their_own() {
    let (after, word) = tell(&guard(policy(), true), [Some(Failed::Reject); 20]).unwrap();
    assert_eq!((after, word.action), (6, Action::RollBack));
    assert!(word.because.contains("swap.max.rejects allows 5"), "{}", word.because);
}

#[test]
fn within_a_batch_only_the_watched_records_count() {
    let guard = guard(policy(), true);
    guard.committed(98);
    for at in 0..2 {
        guard.failed((at, address(at)), Failed::Error, "boom", false).unwrap();
    }
    // The watch has 100 records, so this one stands behind its end.
    guard.failed((2, address(2)), Failed::Error, "boom", false).unwrap();
    guard.committed(3);
    assert_eq!(guard.progress(), Progress { watched: 101, of: 100, passed: true });
}

#[test]
fn a_version_that_passed_is_watched_no_more_but_has_a_breaker() {
    for passed_before in [false, true] {
        let guard = Guard::new(policy(), passed_before, true, Arc::default());
        if !passed_before {
            assert_eq!(tell(&guard, [None; 100]), None);
        }
        assert!(guard.progress().passed);
        let (after, word) = tell(&guard, [Some(Failed::Error); 20]).unwrap();
        assert_eq!((after, word.action), (10, Action::Park));
    }
}

#[test]
fn the_breaker_counts_the_last_records_only() {
    // One in six is never ten of the last fifty; one in five is.
    let every = |n: usize| (0..1_000).map(move |number| (number % n == 0).then_some(Failed::Error));
    let passed = || Guard::new(policy(), true, true, Arc::default());
    assert_eq!(tell(&passed(), every(6)), None);
    let (after, word) = tell(&passed(), every(5)).unwrap();
    assert_eq!((after, word.action), (46, Action::Park));
    assert_eq!(tell(&passed(), [Some(Failed::Reject); 1_000]), None, "what is rejected on purpose is no failure");
}

#[test]
fn what_the_breaker_does_is_the_policys() {
    for (breaker, can_go_back, expected) in [
        (Breaker::Rollback, true, Action::RollBack),
        (Breaker::Rollback, false, Action::Park),
        (Breaker::Park, true, Action::Park),
        (Breaker::Stop, true, Action::Stop),
    ] {
        let guard = Guard::new(Policy { breaker, ..policy() }, true, can_go_back, Arc::default());
        assert_eq!(tell(&guard, [Some(Failed::Error); 20]).unwrap().1.action, expected);
    }
}

#[test]
fn the_first_version_is_not_judged_by_its_watch_since_nothing_was_before_it() {
    let guard = guard(Policy { breaker_errors: 1_000, breaker_window: 1_000, ..policy() }, false);
    assert_eq!(tell(&guard, [Some(Failed::Error); 100]), None);
    assert!(guard.timed(Duration::from_secs(100), 100).is_ok());
    let breaker = ChainError::Breaker { module: "m".to_owned(), time_outs: 3 };
    assert!(guard.held(&breaker, 9).is_ok());
}

#[test]
fn a_slow_version_goes_by_its_median_and_not_by_one_slow_batch() {
    let slow = |batch: u32| if batch == 3 { Duration::from_secs(9) } else { Duration::from_micros(10) };
    let first = guard(policy(), true);
    assert!((0..20).all(|batch| first.timed(slow(batch), 20).is_ok()));
    let second = guard(policy(), true);
    let told: Vec<_> = (0..9).map(|_| second.timed(Duration::from_millis(40), 20)).collect();
    assert!(told[..4].iter().all(Result::is_ok), "fewer than a hundred records say nothing of time");
    let word = told[4].clone().unwrap_err();
    assert_eq!(word.because, "it takes 2ms a record, swap.max.time.per.record.us allows 1ms");
}

#[test]
fn a_new_version_that_cannot_judge_goes() {
    let breaker = ChainError::Breaker { module: "m".to_owned(), time_outs: 3 };
    let start = ChainError::Start { module: "m".to_owned(), reason: "no".to_owned() };
    assert!(guard(policy(), true).held(&breaker, 1).is_err(), "the one before may be quicker");
    assert!(guard(policy(), true).held(&start, 2).is_ok(), "a busy machine may start it yet");
    assert!(guard(policy(), true).held(&start, 3).is_err());
    assert!(guard(policy(), true).held(&ChainError::Lookup("no table".to_owned()), 9).is_ok(), "nor could another");
    assert!(Guard::new(policy(), true, true, Arc::default()).held(&breaker, 9).is_ok(), "it passed before");
}

#[test]
fn where_no_dead_letters_are_the_first_failure_of_a_new_version_is_one_too_many() {
    let guard = guard(policy(), true);
    assert!(guard.failed((0, address(0)), Failed::Error, "boom", true).is_err());
}

#[test]
fn a_record_that_is_judged_again_after_an_abort_counts_once() {
    for (guard, allowed) in [(guard(policy(), true), 2), (Guard::new(policy(), true, true, Arc::default()), 9)] {
        for _ in 0..100 {
            (0..allowed).for_each(|at| guard.failed((at, address(at)), Failed::Error, "boom", false).unwrap());
        }
        assert!(guard.failed((allowed, address(allowed)), Failed::Error, "boom", false).is_err(), "one more is more");
    }
}

#[test]
fn small_batches_say_nothing_of_time() {
    let guard = guard(policy(), true);
    assert!((0..500).all(|_| guard.timed(Duration::from_millis(50), TIMED_BATCH - 1).is_ok()));
}
