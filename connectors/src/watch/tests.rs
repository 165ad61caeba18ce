//! What a watch shows from look to look.

use super::*;
use crate::dead_letters::count::{Counts, Open};
use crate::status::{DeadLetters, Task};

fn report(committed: i64, lag: i64) -> Report {
    let partition =
        Partition { topic: "t".to_owned(), partition: 3, committed, lag: Some(lag), ..Partition::default() };
    let row = Row {
        name: "s".to_owned(),
        kind: "sink",
        state: "RUNNING".to_owned(),
        running: 1,
        tasks: vec![Task { state: "RUNNING".to_owned(), ..Task::default() }],
        lag: Some(lag),
        partitions: vec![partition],
        ..Row::default()
    };
    Report { connectors: vec![row], ..Report::default() }
}

#[test]
fn a_backlog_that_drains_has_a_bar_and_a_time_and_is_forgotten_when_it_is_done() {
    let (mut screen, start) = (Screen::default(), Instant::now());
    let mut at =
        |second: u64, committed, lag| screen.look(start + Duration::from_secs(second), &report(committed, lag), true);
    assert!(!at(0, 0, 1_000).contains("a second"), "one look has no rate");
    let half = at(1, 500, 500);
    assert!(half.contains("s: 500 records a second"), "{half}");
    assert!(half.contains("[###############...............] 50 % of 1000, 500 wait, 1 s left"), "{half}");
    assert!(half.contains("  t-3         500 wait      500/s"), "{half}");
    let done = at(2, 1_000, 0);
    assert!(!done.contains('%') && !done.contains("wait"), "{done}");
    let next = at(3, 1_000, 100);
    assert!(next.contains("0 % of 100"), "{next}");
    // Set back by hand: nothing was read, and nothing is counted below nothing.
    let back = at(4, 0, 1_000);
    assert!(back.contains("s: 180 records a second"), "{back}");
    assert!(!back.contains(": -"), "{back}");
}

#[test]
fn what_stands_still_has_no_time_left() {
    let (mut screen, start) = (Screen::default(), Instant::now());
    screen.look(start, &report(7, 900), true);
    let still = screen.look(start + Duration::from_secs(1), &report(7, 900), true);
    assert!(still.contains("900 wait, it does not move"), "{still}");
    assert!(still.contains("s: 0 records a second"), "{still}");
}

#[test]
fn elsewhere_each_look_is_a_line_without_any_escape_and_who_is_gone_is_forgotten() {
    let (mut screen, start) = (Screen::default(), Instant::now());
    screen.look(start, &report(0, 300), false);
    let line = screen.look(start + Duration::from_secs(2), &report(100, 200), false);
    assert!(line.ends_with("Z s RUNNING 1/1 lag 200 rate 50/s left 4 s\n"), "{line}");
    assert!(!line.contains('\u{1b}'));
    screen.look(start, &Report::default(), false);
    assert!(screen.seen.is_empty());
}

#[test]
fn a_task_that_failed_and_dead_letters_stand_in_the_log_and_on_the_screen() {
    let mut report = report(0, 0);
    let failed = Task { id: 1, state: "FAILED".to_owned(), worker: Some("w".to_owned()), failure: None };
    report.connectors.iter_mut().for_each(|row| row.tasks.push(failed.clone()));
    let topics = Counts::from([("t".to_owned(), Open { open: 3, at_least: false })]);
    report.dead_letters = DeadLetters { topics, age_seconds: Some(9), unknown: None };
    let log = Screen::default().look(Instant::now(), &report, false);
    let letters = "dead letters: 3 in t (9 s ago); see `connectors dead-letters list`\n";
    assert!(log.contains("Z s RUNNING 1/2 lag 0 task 1: FAILED on w\n"), "{log}");
    assert!(log.ends_with(&format!("Z {letters}")), "{log}");
    let screen = Screen::default().look(Instant::now(), &report, true);
    assert!(screen.contains("\n  task 1: FAILED on w\n") && screen.contains(letters), "{screen}");
}

/// A reader that is there, or gone; and what it got, whole looks only.
#[derive(Default)]
struct Pipe {
    waits: Vec<u8>,
    read: Vec<u8>,
    is_closed: bool,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.waits.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.read.append(&mut self.waits);
        Ok(())
    }
}

#[test]
fn for_programs_each_look_is_a_line_that_is_sent_at_once_in_the_shape_of_a_status() {
    let (mut screen, mut pipe) = (Screen::default(), Pipe::default());
    let looks = [report(0, 300), report(100, 200)];
    for (done, look) in looks.iter().enumerate() {
        show(&mut pipe, &mut screen, look, Form::Json).unwrap();
        let text = String::from_utf8(pipe.read.clone()).unwrap();
        assert_eq!(text.matches('\n').count(), done + 1, "{text}");
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let status = serde_json::to_value(look).unwrap();
        let keys = |row: &serde_json::Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&last["connectors"][0]), keys(&status["connectors"][0]));
        let partition = |of: &serde_json::Value| keys(&of["connectors"][0]["partitions"][0]);
        assert_eq!(partition(&last), partition(&status));
        assert_eq!(last["connectors"][0]["rate"].is_number(), done == 1, "one look has no rate: {text}");
    }
    pipe.is_closed = true;
    for form in [Form::Screen, Form::Lines, Form::Json] {
        let told = show(&mut pipe, &mut screen, &looks[0], form).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe, "{form:?}");
    }
}

#[test]
fn for_programs_there_is_a_rate_of_each_partition_from_the_second_look_that_saw_it() {
    let (mut screen, start) = (Screen::default(), Instant::now());
    let mut at = |second: u64, report: &Report| {
        screen.hear(start + Duration::from_secs(second), report);
        let row = screen.rated(report).connectors.pop().unwrap();
        (row.rate, row.partitions.iter().map(|one| one.rate).collect::<Vec<_>>())
    };
    assert_eq!(at(0, &report(0, 900)), (None, vec![None]));
    assert_eq!(at(3, &report(100, 800)), (Some(33.3), vec![Some(33.3)]));
    let mut more = report(100, 800);
    let new = Partition { topic: "t".to_owned(), partition: 4, committed: 5, ..Partition::default() };
    more.connectors[0].partitions.push(new);
    assert_eq!(at(4, &more), (Some(20.0), vec![Some(20.0), None]), "a partition that was not there before");
    more.connectors[0].partitions[1].committed = 15;
    assert_eq!(at(5, &more).1, [Some(12.0), Some(10.0)]);
}

#[test]
fn times_are_told_as_people_say_them() {
    let told = [5, 99, 100, 5_999, 6_000].map(|seconds| span(Duration::from_secs(seconds)));
    assert_eq!(told, ["5 s", "99 s", "2 min", "100 min", "2 h"]);
}
