//! How much of a bench runs: all of it, the parts that were named, or what says most in the least time.

use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;

/// How long a bench takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    /// As long as its figures need.
    Full,
    /// `--quick` with `--only`: the parts that were named, in short runs.
    Short,
    /// `--quick` alone: the fewest and shortest runs that still say something. All benches so take some ten
    /// minutes.
    Quick,
}

/// A part of a bench, which `--only` can name. Parts run in the order in which they are declared.
pub trait Part: ValueEnum + Copy + PartialEq {
    /// Whether a quick run of the whole bench has it.
    fn in_quick(self) -> bool;
}

impl Length {
    /// Of a bench that has no parts.
    #[must_use]
    pub fn whole(quick: bool) -> Self {
        if quick { Self::Quick } else { Self::Full }
    }

    /// Of a bench of which only these parts run; of all of it where none is named.
    #[must_use]
    pub fn of<P>(quick: bool, only: &[P]) -> Self {
        if quick && !only.is_empty() { Self::Short } else { Self::whole(quick) }
    }

    /// Whether nothing is left out or cut short.
    #[must_use]
    pub fn is_full(self) -> bool {
        self == Self::Full
    }

    /// One of three, for a full, a short and a quick run.
    pub(crate) fn pick<T>(self, [full, short, quick]: [T; 3]) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
            Self::Quick => quick,
        }
    }

    /// The first for a full run, else the other.
    pub(crate) fn full_or<T>(self, full: T, other: T) -> T {
        if self.is_full() { full } else { other }
    }

    /// Whether that runs which measures these parts together: when one of them was named; where none was, in a quick run
    /// only when all of them are in it.
    pub(crate) fn runs<P: Part>(self, only: &[P], parts: &[P]) -> bool {
        if only.is_empty() {
            self != Self::Quick || parts.iter().all(|part| part.in_quick())
        } else {
            parts.iter().any(|part| only.contains(part))
        }
    }

    /// The parts that run, in their order.
    pub(crate) fn parts<P: Part>(self, only: &[P]) -> Vec<P> {
        P::value_variants().iter().copied().filter(|part| self.runs(only, &[*part])).collect()
    }

    /// For the notes of a quick run: what it leaves out.
    pub(crate) fn left_out(self, what: &str) -> Option<String> {
        (self == Self::Quick).then(|| format!("a quick run leaves out: {what}"))
    }

    /// The same of a bench with parts: first those.
    pub(crate) fn parts_left_out<P: Part>(self, what: &str) -> Option<String> {
        let parts: Vec<P> = P::value_variants().iter().copied().filter(|part| !part.in_quick()).collect();
        self.left_out(&format!("{} (`--only` has each of them); {what}", names(&parts).join(", ")))
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.full_or("full", "quick"))
    }
}

/// Of parts, as `--only` takes them.
#[must_use]
pub fn names<P: ValueEnum>(parts: &[P]) -> Vec<String> {
    let name = |part: &P| Some(part.to_possible_value()?.get_name().to_owned());
    parts.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{edge, sinks, transforms};

    #[test]
    fn a_quick_run_has_the_parts_that_say_most() {
        use transforms::Stage::{Latency, Recovery, Sandbox, Throughput};
        let edge = [edge::Stage::Encode, edge::Stage::Throughput, edge::Stage::Latency, edge::Stage::Memory];
        assert_eq!(Length::Quick.parts::<edge::Stage>(&[]), edge);
        assert_eq!(Length::Quick.parts::<transforms::Stage>(&[]), [Sandbox, Throughput, Latency]);
        assert_eq!(Length::Quick.parts::<sinks::Stage>(&[]), [sinks::Stage::Rates]);
        // What measures two parts together needs both, or one by its name.
        assert!(!Length::Quick.runs(&[], &[Latency, Recovery]) && Length::Full.runs(&[], &[Latency, Recovery]));
        assert!(Length::Short.runs(&[Recovery], &[Latency, Recovery]));
    }

    #[test]
    fn a_full_run_has_every_part_and_a_named_part_runs_alone_also_when_quick() {
        fn check<P: Part + fmt::Debug>() {
            assert_eq!(Length::Full.parts::<P>(&[]), P::value_variants());
            for part in P::value_variants() {
                let only = [*part];
                let lengths = [false, true].map(|quick| Length::of(quick, &only));
                assert_eq!(lengths, [Length::Full, Length::Short]);
                assert!(lengths.iter().all(|length| length.parts(&only) == only));
            }
        }
        check::<edge::Stage>();
        check::<transforms::Stage>();
        check::<sinks::Stage>();
    }

    #[test]
    fn a_quick_run_says_what_it_leaves_out() {
        let note = Length::Quick.parts_left_out::<edge::Stage>("a floor").unwrap();
        assert!(note.contains("overload, growth, instructions (`--only`") && note.ends_with("; a floor"), "{note}");
        assert!(!note.contains("memory"), "{note}");
        for length in [Length::Full, Length::Short] {
            assert_eq!(length.parts_left_out::<edge::Stage>("a floor"), None, "{length:?}");
        }
    }
}
