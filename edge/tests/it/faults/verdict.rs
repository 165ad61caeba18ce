//! Compares what clients were told with what is in the topic. Knows nothing of how either came about, so that it can be
//! tested with defects of every kind.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

/// One POST that was sent whole.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: String,
    /// What was wrong at that time.
    pub(crate) fault: &'static str,
    pub(crate) told: Told,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    Yes {
        partition: i32,
        offset: i64,
    },
    No,
    Possibly,
    /// The connection ended without an answer.
    Nothing,
}

/// One record in the topic.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// The producer, its epoch, and the number of the batch.
    #[expect(dead_code, reason = "shown with a violation")]
    pub(crate) number: (i64, i16, i32),
    /// A copy that a broker which checks sequence numbers would not have taken.
    pub(crate) resent: bool,
}

/// The counts of one fault.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) posts: usize,
    pub(crate) yes: usize,
    pub(crate) no: usize,
    pub(crate) possibly: usize,
    pub(crate) nothing: usize,
    /// Of those in doubt.
    pub(crate) stored_all_the_same: usize,
    /// How many were in flight when something was cut: more cannot be in doubt.
    pub(crate) in_flight: usize,
}

#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) lines: BTreeMap<&'static str, Line>,
    pub(crate) violations: Vec<String>,
    resent: usize,
}

/// `in_flight`: by fault, the sum over its cuts.
pub(crate) fn judge(posts: &[Post], found: &[Found], in_flight: &BTreeMap<&'static str, usize>) -> Verdict {
    let mut by_id: HashMap<&str, Vec<&Found>> = HashMap::new();
    for record in found {
        by_id.entry(&record.id).or_default().push(record);
    }
    let mut verdict = Verdict {
        lines: BTreeMap::new(),
        violations: Vec::new(),
        resent: found.iter().filter(|record| record.resent).count(),
    };
    for post in posts {
        let records = by_id.remove(post.id.as_str()).unwrap_or_default();
        verdict.count(post, &records);
    }
    for (id, _) in by_id {
        verdict.violations.push(format!("{id} is in the topic and nobody posted it"));
    }
    for (fault, line) in &mut verdict.lines {
        line.in_flight = in_flight.get(fault).copied().unwrap_or(0);
        let doubtful = line.possibly + line.nothing;
        if line.in_flight < doubtful {
            let most = line.in_flight;
            verdict.violations.push(format!("{fault}: {doubtful} in doubt, and only {most} were in flight at a cut"));
        }
    }
    verdict.violations.sort();
    verdict
}

impl Verdict {
    fn count(&mut self, post: &Post, records: &[&Found]) {
        let stored = records.iter().filter(|record| !record.resent).count();
        let line = self.lines.entry(post.fault).or_default();
        line.posts += 1;
        let wrong = match post.told {
            Told::Yes { partition, offset } => {
                line.yes += 1;
                let is_there = |record: &&Found| (record.partition, record.offset) == (partition, offset);
                match stored {
                    0 => Some("told yes, and it is not in the topic"),
                    1 if !records.iter().any(is_there) => Some("told yes, and it is in another place than its receipt"),
                    1 => None,
                    _ => Some("told yes, and it is in the topic more than once"),
                }
            }
            Told::No => {
                line.no += 1;
                (!records.is_empty()).then_some("told no, and it is in the topic")
            }
            Told::Possibly | Told::Nothing => {
                if post.told == Told::Possibly {
                    line.possibly += 1;
                } else {
                    line.nothing += 1;
                }
                line.stored_all_the_same += stored.min(1);
                (1 < stored).then_some("in doubt, and it is in the topic more than once")
            }
        };
        if let Some(wrong) = wrong {
            self.violations.push(format!("{} ({}): {wrong}: {:?}, {records:?}", post.id, post.fault, post.told));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["fault", "posts", "yes", "no", "possibly", "no answer", "in flight at cuts", "doubtful, stored"];
        writeln!(f, "| {} |\n|{}", names.join(" | "), "---|".repeat(names.len()))?;
        let mut sum = Line::default();
        for (fault, line) in &self.lines {
            row(f, fault, line)?;
            sum.posts += line.posts;
            sum.yes += line.yes;
            sum.no += line.no;
            sum.possibly += line.possibly;
            sum.nothing += line.nothing;
            sum.in_flight += line.in_flight;
            sum.stored_all_the_same += line.stored_all_the_same;
        }
        row(f, "all", &sum)?;
        writeln!(
            f,
            "{} sent again by librdkafka, which a broker drops by its number and the mock does not",
            self.resent
        )?;
        writeln!(f, "{} violations", self.violations.len())?;
        self.violations.iter().take(20).try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}

fn row(f: &mut fmt::Formatter<'_>, fault: &str, line: &Line) -> fmt::Result {
    let Line { posts, yes, no, possibly, nothing, stored_all_the_same, in_flight } = line;
    writeln!(f, "| {fault} | {posts} | {yes} | {no} | {possibly} | {nothing} | {in_flight} | {stored_all_the_same} |")
}

/// One good run, and then each defect by itself: a checker that sees none of them would be worth nothing.
#[test]
fn the_checker_sees_each_defect() {
    let post = |id: &str, told| Post { id: id.to_owned(), fault: "cut", told };
    let found = |id: &str, offset, resent| Found { id: id.to_owned(), partition: 2, offset, number: (1, 0, 0), resent };
    let yes = |offset| Told::Yes { partition: 2, offset };
    let posts = [
        post("yes", yes(7)),
        post("yes-resent", yes(11)),
        post("no", Told::No),
        post("possibly", Told::Possibly),
        post("possibly-not", Told::Possibly),
        post("nothing", Told::Nothing),
    ];
    let records = [
        found("yes", 7, false),
        found("yes-resent", 9, false),
        found("possibly", 10, false),
        found("yes-resent", 11, true),
    ];
    let in_flight = BTreeMap::from([("cut", 3)]);
    let good = judge(&posts, &records, &in_flight);
    assert_eq!(good.violations, Vec::<String>::new());
    let line = Line { posts: 6, yes: 2, no: 1, possibly: 2, nothing: 1, stored_all_the_same: 1, in_flight: 3 };
    assert_eq!(good.lines["cut"], line);

    let defects: [(&str, Vec<Found>); 7] = [
        ("told no, and it is in the topic", [&records[..], &[found("no", 12, false)]].concat()),
        ("told no, and it is in the topic", [&records[..], &[found("no", 12, true)]].concat()),
        ("told yes, and it is not in the topic", records[1..].to_vec()),
        ("told yes, and it is in the topic more than once", [&records[..], &[found("yes", 12, false)]].concat()),
        ("in another place", [&records[1..], &[found("yes", 12, false)]].concat()),
        ("in doubt, and it is in the topic more than once", [&records[..], &[found("possibly", 12, false)]].concat()),
        ("nobody posted it", [&records[..], &[found("stranger", 12, false)]].concat()),
    ];
    for (defect, records) in defects {
        let violations = judge(&posts, &records, &in_flight).violations;
        assert!(violations.len() == 1 && violations[0].contains(defect), "{defect}: {violations:?}");
    }
    let violations = judge(&posts, &records, &BTreeMap::from([("cut", 2)])).violations;
    assert!(violations.len() == 1 && violations[0].contains("only 2 were in flight"), "{violations:?}");
}
