//! The peers: programs in the tools that others use today, which do the same job on the same servers. Their sources lie in
//! `scripts/race/peers`; they are built when they are needed, and measured as processes from outside, as ours are.

use std::fmt::{self, Display, Formatter};

use crate::{
    report::{Found, Row},
    spread::{Goal, Spread},
};

mod build;
mod servers;

pub(crate) use build::{Built, Program};
pub(crate) use servers::{Servers, registry_api};

/// How one program is started.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What it is called in the report.
    pub(crate) name: &'static str,
    /// Flags of what runs it: a JVM, Node.
    pub(crate) flags: Vec<&'static str>,
    /// What it reads from its environment, beside addresses.
    pub(crate) environment: Vec<(String, String)>,
}

impl Settings {
    pub(crate) fn new(name: &'static str, flags: &[&'static str], variables: &[(&str, &str)]) -> Self {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name, flags: flags.to_vec(), environment }
    }

    /// Whether it is set as an expert would set it.
    pub(crate) fn is_tuned(&self) -> bool {
        self.name.contains("tuned")
    }
}

impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = self.flags.iter().map(|flag| (*flag).to_owned()).chain(variables).collect();
        let text = all.join(" ");
        f.write_str(if all.is_empty() { "as it comes" } else { &text })
    }
}

/// A ratio of ours to a peer's, told as a claim only of several rounds of which none says the opposite.
pub(crate) fn claim(what: &str, ratio: Spread, goal: Option<Goal>) -> Row {
    let why = if ratio.runs.len() < 2 {
        Some("one round has no range")
    } else {
        (ratio.min <= 1.0 && 1.0 <= ratio.max).then_some("the range holds 1")
    };
    let what = why.map_or_else(|| what.to_owned(), |why| format!("{what} (no claim: {why})"));
    let row = Row::new(what, ratio, "x");
    match goal.filter(|_| why.is_none()) {
        Some(goal) => row.goal(goal),
        None => row,
    }
}

/// What is told of a run: what it is, its unit, and where it stands.
pub(crate) type Figure<R> = (&'static str, &'static str, fn(&R) -> f64);

/// Each figure of each program.
pub(crate) fn told<R>(names: &[&str], runs: &[Vec<R>], figures: &[Figure<R>]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for (what, unit, figure) in figures {
        for (name, runs) in names.iter().zip(runs) {
            found.add(format!("{name}, {what}"), unit, &runs.iter().map(figure).collect::<Vec<f64>>())?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::Verdict;

    #[test]
    fn a_ratio_whose_range_holds_one_is_no_claim_and_reaches_no_goal() {
        let goal = Some(Goal::AtLeast(0.5));
        for (min, max, claimed) in [(0.9, 1.2, false), (1.0, 3.0, false), (0.5, 1.0, false), (1.1, 3.0, true)] {
            let row = claim("ours, of theirs", Spread::of(&[min, max]).unwrap(), goal);
            assert_eq!(row.verdict, claimed.then_some(Verdict::Met), "{min} to {max}");
            assert_eq!(row.what.contains("no claim"), !claimed, "{min} to {max}");
        }
        let slower = Spread::of(&[0.4, 0.5, 0.6]).unwrap();
        assert_eq!(claim("x", slower, Some(Goal::AtLeast(10.0))).verdict, Some(Verdict::Missed), "a loss is told");
    }

    #[test]
    fn one_round_makes_no_claim_and_reaches_no_goal() {
        let goal = Some(Goal::AtLeast(2.0));
        let of = |runs: &[f64]| claim("ours, of theirs", Spread::of(runs).unwrap(), goal);
        let (one, two) = (of(&[7.0]), of(&[7.0, 7.0]));
        assert_eq!((one.verdict, one.what.as_str()), (None, "ours, of theirs (no claim: one round has no range)"));
        assert_eq!((two.verdict, two.what.as_str()), (Some(Verdict::Met), "ours, of theirs"));
    }

    #[test]
    fn one_form_of_each_peer_is_tuned_and_comes_behind_the_plain_one() {
        let edges = crate::edge::Peer::ALL.map(crate::edge::Peer::settings);
        for settings in edges.into_iter().chain(crate::sinks::Peer::ALL.map(crate::sinks::Peer::settings)) {
            assert_eq!(settings.each_ref().map(Settings::is_tuned), [false, true], "{settings:?}");
        }
    }
}
