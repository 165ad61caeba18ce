//! What is said of a replay's end, beside the end that the letter tells of.

use std::fmt::Write as _;

use super::kind::Kind;
use super::letter::{Letter, Said};
use super::now::Now;
use super::rerun::{Came, End, Replayed};
use super::setting::Basis;
use crate::author::show::plain;
use crate::lookup::Moved;

/// Records that are told one by one, and addresses.
const EACH: usize = 3;

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As the letter says; or, through other modules, well.
    Well,
    /// Otherwise.
    Otherwise,
    /// The modules do what they did; what the broker did then, no replay can show.
    Unseen,
}

/// Says where a replay ended. `with`: another module stood for the one that failed.
pub fn verdict(replayed: &Replayed, letter: &Letter, with: bool, text: &mut String) -> Ended {
    let _ = writeln!(text, "now:  {}", end(&replayed.end));
    if let Some(note) = note(replayed, letter) {
        let _ = writeln!(text, "note: {note}");
    }
    for moved in &replayed.moved {
        let _ = writeln!(text, "tables: {}", has_moved_on(moved));
    }
    let same = replayed.is_as(&letter.said);
    let (ended, words) = match Kind::of(&letter.said.class) {
        _ if with => with_another(&replayed.end),
        Kind::Refused => refused(&replayed.end, &letter.said),
        Kind::TooLarge if let End::Emitted(came) = &replayed.end => too_large(came),
        Kind::Unread | Kind::Module(_) | Kind::Unfit | Kind::TooLarge | Kind::Unknown if same => {
            (Ended::Well, "the same as then".to_owned())
        }
        Kind::Unread | Kind::Module(_) | Kind::Unfit | Kind::TooLarge | Kind::Unknown => {
            (Ended::Otherwise, "not the same as then".to_owned())
        }
    };
    let _ = writeln!(text, "{words}");
    ended
}

/// Says what becomes of the record in the pipeline as it is now.
pub fn now(now: &Now, pipeline: &str, letter: &Letter, text: &mut String) -> Ended {
    let (ended, words) = match now {
        Now::Dead(said) => (Ended::Otherwise, plain(&said.to_string())),
        Now::Dropped => (Ended::Well, format!("a module of {pipeline} drops it")),
        Now::Stored(topics) => (Ended::Well, format!("{pipeline} takes it; it goes to {}", topics.join(", "))),
    };
    let _ = writeln!(text, "now:  {words}");
    if matches!(now, Now::Stored(_)) && Kind::of(&letter.said.class) == Kind::Refused {
        let _ = writeln!(text, "note: then the topic refused it; whether it does again shows only when it is sent");
    }
    ended
}

fn end(end: &End) -> String {
    match end {
        End::Dead(said) => plain(&said.to_string()),
        End::Dropped => "a module dropped it".to_owned(),
        End::Emitted(came) => emitted(came),
        End::Read => "it can be read; --now shows what becomes of it".to_owned(),
    }
}

fn emitted(came: &[Came]) -> String {
    let count = if came.len() == 1 { "it came out".to_owned() } else { format!("{} records came out", came.len()) };
    let each = came.iter().take(EACH).map(|Came { topic, bytes, most }| match most {
        Some(most) => format!("at most {bytes} bytes for {topic}, which takes {most}"),
        None => format!("at most {bytes} bytes for {topic}"),
    });
    let more = (came.len() > EACH).then(|| "…".to_owned());
    let each: Vec<String> = each.chain(more).collect();
    format!("{count}: {}", each.join("; "))
}

/// What it ran in, where that is not surely what the letter's worker had.
fn note(replayed: &Replayed, letter: &Letter) -> Option<String> {
    let pipeline = letter.chain.as_ref().map(|chain| chain.pipeline.as_str()).unwrap_or_default();
    match &replayed.basis {
        // What the letter does not hold is of now.
        Basis::Same if !replayed.is_as(&letter.said) && letter.lookups != "[]" => {
            Some("the tables are as compaction left them".to_owned())
        }
        Basis::Same if !replayed.is_as(&letter.said) && Kind::of(&letter.said.class) == Kind::Unfit => {
            Some("the schemas of outputs are those of now".to_owned())
        }
        Basis::Same => None,
        // Nothing of the modules is claimed where none had a part in it.
        Basis::Now if replayed.steps.is_empty() => None,
        Basis::Now => {
            Some(format!("the letter names no modules; these, and the tables, are those that {pipeline} has now"))
        }
        Basis::Earlier => Some(format!("in an earlier version of {pipeline}")),
        Basis::Changed => {
            Some(format!("in no version of {pipeline} that is known does it end so; its outputs are those of now"))
        }
        Basis::Gone(why) => Some(format!("{why}; which outputs it had is not known")),
    }
}

/// Of a table that does not have any more what it may have had.
fn has_moved_on(Moved { lookup, topic, at }: &Moved) -> String {
    let each = at.iter().take(EACH).map(|(partition, offset)| format!("{topic}/{partition}/{offset}"));
    let each: Vec<String> = each.chain((at.len() > EACH).then(|| "…".to_owned())).collect();
    let (keys, has) = if at.len() == 1 { ("a key", "has") } else { ("keys", "have") };
    format!(
        "{lookup} has moved on since: {keys} that it was asked for {has} newer records only ({}); if there was a value \
         then, it was overwritten and is not there any more",
        each.join(", ")
    )
}

/// Of what comes out now, and was too large then.
fn too_large(came: &[Came]) -> (Ended, String) {
    let (ended, words) = match came.iter().all(|came| came.most.is_some()) {
        true => (Ended::Otherwise, "not the same as then: it is not too large for its topic any more"),
        false => (Ended::Unseen, "whether it is too large is not known: the broker does not tell what the topic takes"),
    };
    (ended, words.to_owned())
}

fn with_another(end: &End) -> (Ended, String) {
    match end {
        End::Dead(_) => (Ended::Otherwise, "that module refuses it, too".to_owned()),
        End::Dropped | End::Emitted(_) | End::Read => (Ended::Well, "that module takes it".to_owned()),
    }
}

/// Of a record that the broker took from nobody: the modules, and what is known of its size.
fn refused(end: &End, then: &Said) -> (Ended, String) {
    let size = match end {
        End::Emitted(came) if came.iter().all(|came| came.most.is_some()) => "by its size the topic would take it",
        End::Emitted(_) => "whether its size is a reason is not known: the broker does not tell what the topic takes",
        End::Dead(said) if Kind::of(&said.class) == Kind::TooLarge => "by its size it would be refused again",
        End::Dead(_) | End::Dropped | End::Read => {
            return (Ended::Otherwise, "not the same as then: it does not come to a topic".to_owned());
        }
    };
    let message = plain(&then.message);
    let words = format!(
        "the modules do not refuse it: the topic did, with \"{message}\"; replay cannot show that, only the broker can; \
         {size}"
    );
    (Ended::Unseen, words)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kafka::Input;
    use crate::record::divert::Chain;

    fn said(class: &str, message: &str) -> Said {
        Said { stage: "S".to_owned(), class: class.to_owned(), message: message.to_owned() }
    }

    fn letter(said: Said) -> Letter {
        let input = Input {
            topic: Arc::from("in"),
            partition: 0,
            offset: 1,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let chain = Chain { pipeline: "p".to_owned(), schema: 7, steps: Vec::new() };
        Letter { input, said, chain: Some(chain), lookups: "[]".to_owned(), replays: 0 }
    }

    fn replayed(end: End) -> Replayed {
        Replayed { steps: Vec::new(), end, basis: Basis::Same, moved: Vec::new() }
    }

    fn told(then: &Said, end: End, with: bool) -> (Ended, String) {
        let mut text = String::new();
        let ended = verdict(&replayed(end), &letter(then.clone()), with, &mut text);
        (ended, text)
    }

    fn came(most: Option<usize>) -> End {
        End::Emitted(vec![Came { topic: "out".to_owned(), bytes: 300, most }])
    }

    #[test]
    fn each_kind_of_letter_is_told_by_its_end() {
        for class in ["NullValue", "ModuleTrap", "InvalidOutput", "OutputTooLarge", "OfAnotherRelease"] {
            let class = &format!("orderflow.{class}");
            let (then, other) = (said(class, "no"), said(class, "never"));
            let same = (Ended::Well, format!("now:  {class} (S): no\nthe same as then\n"));
            assert_eq!(told(&then, End::Dead(then.clone()), false), same);
            let (ended, text) = told(&then, End::Dead(other), false);
            // The limit that an output is too large for may be another one now.
            let (as_then, words) = match class.ends_with("TooLarge") {
                true => (Ended::Well, "\nthe same as then\n"),
                false => (Ended::Otherwise, "\nnot the same as then\n"),
            };
            assert!(ended == as_then && text.ends_with(words), "{text}");
            assert_eq!(told(&then, End::Dropped, false).0, Ended::Otherwise, "{class}");
        }
        let late = said("orderflow.ModuleDeadline", "it ran out of time");
        let endless = said("orderflow.ModuleDeadline", "it ran out of fuel: 20 times the 7 units");
        assert_eq!(told(&late, End::Dead(endless), false).0, Ended::Well, "of a time-out only the kind is the same");
        let (ended, text) = told(&said("orderflow.OutputTooLarge", "no"), came(Some(400)), false);
        let words = "now:  it came out: at most 300 bytes for out, which takes 400\n\
                     not the same as then: it is not too large for its topic any more\n";
        assert_eq!((ended, text.as_str()), (Ended::Otherwise, words));
        let (ended, text) = told(&said("orderflow.OutputTooLarge", "no"), came(None), false);
        assert!(ended == Ended::Unseen && text.contains("whether it is too large is not known"), "{text}");
        let (ended, text) = told(&said("orderflow.UnknownSchema", "no"), End::Read, false);
        assert!(ended == Ended::Otherwise && text.starts_with("now:  it can be read; --now"), "{text}");
    }

    #[test]
    fn a_table_that_has_moved_on_is_told_with_where_its_newer_records_lie_whichever_module_ran() {
        let moved = |at: &[(i32, i64)]| {
            let (lookup, topic) = ("tiers".to_owned(), "customer-tiers".to_owned());
            vec![Moved { lookup, topic, at: at.to_vec() }]
        };
        let then = said("orderflow.ModuleTrap", "no");
        for (at, words) in [
            (&[(0, 7)][..], "a key that it was asked for has newer records only (customer-tiers/0/7); if"),
            (
                &[(0, 7), (0, 9), (1, 2), (1, 3)],
                "keys that it was asked for have newer records only (customer-tiers/0/7, customer-tiers/0/9, \
                 customer-tiers/1/2, …); if",
            ),
        ] {
            for with in [false, true] {
                let mut text = String::new();
                let replayed = Replayed { moved: moved(at), ..replayed(End::Dropped) };
                verdict(&replayed, &letter(then.clone()), with, &mut text);
                assert!(text.contains(&format!("\ntables: tiers has moved on since: {words}")), "{text}");
            }
        }
    }

    #[test]
    fn what_the_broker_refused_is_not_claimed_and_its_size_is_told() {
        let then = said("orderflow.OutputRefused", "out refuses a record for good: \u{1b}[2J");
        let claim = "the modules do not refuse it: the topic did, with \"out refuses a record for good: \u{fffd}[2J\"; \
                     replay cannot show that, only the broker can; ";
        let too_large = End::Dead(said("orderflow.OutputTooLarge", "output is 500 bytes, out takes at most 400"));
        for (end, size) in [
            (came(Some(400)), "by its size the topic would take it"),
            (came(None), "whether its size is a reason is not known"),
            (too_large, "by its size it would be refused again"),
        ] {
            let (ended, text) = told(&then, end, false);
            assert!(ended == Ended::Unseen && text.contains(claim) && text.contains(size), "{text}");
        }
        let (ended, text) = told(&then, End::Dead(said("orderflow.ModuleTrap", "no")), false);
        assert!(ended == Ended::Otherwise && !text.contains("cannot show"), "{text}");
        let mut text = String::new();
        let stored = Now::Stored(vec!["out".to_owned()]);
        assert_eq!(now(&stored, "p", &letter(then), &mut text), Ended::Well);
        let words = "now:  p takes it; it goes to out\n\
                     note: then the topic refused it; whether it does again shows only when it is sent\n";
        assert_eq!(text, words);
    }

    #[test]
    fn another_module_takes_it_or_does_not_and_what_it_ran_in_is_told_where_that_is_not_sure() {
        let then = said("orderflow.ModuleTrap", "no");
        assert_eq!(told(&then, came(None), true).0, Ended::Well);
        let (ended, text) = told(&then, End::Dead(then.clone()), true);
        assert!(ended == Ended::Otherwise && text.ends_with("that module refuses it, too\n"), "{text}");
        for (basis, words) in [
            (Basis::Earlier, Some("note: in an earlier version of p\n")),
            (
                Basis::Changed,
                Some("note: in no version of p that is known does it end so; its outputs are those of now\n"),
            ),
            (Basis::Gone("there is no p".to_owned()), Some("note: there is no p; which outputs it had is not known\n")),
            (Basis::Same, None),
            (Basis::Now, None),
        ] {
            let (mut text, replayed) = (String::new(), Replayed { basis, ..replayed(End::Dropped) });
            verdict(&replayed, &letter(then.clone()), false, &mut text);
            let found = text.lines().find(|line| line.starts_with("note: ")).map(|line| format!("{line}\n"));
            assert_eq!(found.as_deref(), words);
        }
    }
}
