//! The state machine over time: what is seen each second, and which restarts come of it.

use super::*;

const UP: Target = Target::Well;
const AWAY: Target = Target::Away;

struct Run {
    healer: Healer,
    start: Instant,
    now: Instant,
    restarts: Vec<(u64, Reason)>,
}

impl Run {
    fn new() -> Self {
        let start = Instant::now();
        Self { healer: Healer::default(), start, now: start, restarts: Vec::new() }
    }

    /// The same thing is seen for some seconds, twice a second.
    fn see(&mut self, state: State, target: Target, seconds: u64) -> &mut Self {
        for _ in 0..seconds * 2 {
            if let Some(reason) = self.healer.step(self.now, Seen { state, target }) {
                self.restarts.push(((self.now - self.start).as_secs(), reason));
            }
            self.now += Duration::from_millis(500);
        }
        self
    }
}

#[test]
fn a_failed_task_is_restarted_at_once() {
    let mut run = Run::new();
    run.see(State::Running, UP, 5).see(State::Failed, UP, 1);
    assert_eq!(run.restarts, [(5, Reason::Failed)]);
}

#[test]
fn a_target_that_is_away_is_tried_rarely_and_at_once_when_it_is_back() {
    let mut run = Run::new();
    run.see(State::Failed, AWAY, 200);
    assert_eq!(
        run.restarts,
        [
            (10, Reason::TargetAway),
            (30, Reason::TargetAway),
            (70, Reason::TargetAway),
            (130, Reason::TargetAway),
            (190, Reason::TargetAway)
        ]
    );
    run.restarts.clear();
    run.see(State::Failed, UP, 1);
    assert_eq!(run.restarts, [(200, Reason::TargetBack)]);
}

#[test]
fn the_first_failures_after_a_target_is_back_are_retried_quickly() {
    let mut run = Run::new();
    run.see(State::Failed, AWAY, 5).see(State::Failed, UP, 8);
    let at: Vec<u64> = run.restarts.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [5, 6, 8, 12]);
}

#[test]
fn a_poison_does_not_make_a_hot_loop() {
    let mut run = Run::new();
    // It runs for two seconds after each restart, then meets the record again.
    while run.now - run.start < Duration::from_secs(600) {
        run.see(State::Failed, UP, 1);
        if run.healer.episode().is_some_and(|episode| run.now < episode.next) {
            run.see(State::Running, UP, 2);
        }
    }
    assert!(run.restarts.len() < 20, "{} restarts in ten minutes: {:?}", run.restarts.len(), run.restarts);
    assert!(run.healer.episode().unwrap().is_suspect());
    let last: Vec<u64> = run.restarts.iter().map(|(at, _)| *at).collect();
    assert!(60 <= last[last.len() - 1] - last[last.len() - 2], "the pause has grown to its cap: {last:?}");
}

#[test]
fn running_for_long_ends_the_episode_and_its_pauses() {
    let mut run = Run::new();
    run.see(State::Failed, UP, 20).see(State::Running, UP, 59);
    assert!(run.healer.episode().unwrap().is_settling());
    run.see(State::Running, UP, 2);
    assert!(run.healer.episode().is_none());
    run.restarts.clear();
    run.see(State::Failed, UP, 1);
    assert_eq!(run.restarts, [(81, Reason::Failed)]);
}

#[test]
fn a_stuck_connector_is_restarted_ever_more_rarely_and_not_while_its_target_is_away() {
    let mut run = Run::new();
    run.see(State::Stuck, AWAY, 30);
    assert_eq!(run.restarts, []);
    run.see(State::Stuck, UP, 100);
    let at: Vec<u64> = run.restarts.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [30, 31, 33, 37, 45, 61, 93]);
}

#[test]
fn what_someone_paused_is_left_alone_and_what_changes_is_waited_for() {
    let mut run = Run::new();
    run.see(State::Held, UP, 10).see(State::Changing, UP, 10);
    assert_eq!(run.restarts, []);
    assert!(run.healer.episode().is_none());
}

#[test]
fn a_target_that_says_it_is_in_trouble_is_tried_every_few_seconds_and_no_record_is_suspected() {
    let mut run = Run::new();
    run.see(State::Failed, Target::Troubled, 30);
    let at: Vec<u64> = run.restarts.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [0, 1, 3, 7, 12, 17, 22, 27]);
    assert!(!run.healer.episode().unwrap().is_suspect());
    // Then it fails for another reason.
    run.see(State::Failed, UP, 30);
    assert!(run.healer.episode().unwrap().is_suspect());
    // And a long pause ends when the words come again.
    run.restarts.clear();
    run.see(State::Failed, UP, 100).restarts.clear();
    run.see(State::Failed, Target::Troubled, 6);
    assert!(!run.restarts.is_empty(), "a pause of a minute is not waited for");
}
