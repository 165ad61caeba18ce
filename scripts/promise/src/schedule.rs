//! Faults that meet: who is struck when, how and for how long, determined by one seed. Pure: it knows of victims and of what
//! may be done to them only how many there are.

use std::time::Duration;

use crate::rng::Rng;

/// Between the beginnings of two strikes, in milliseconds.
const EVERY: (u64, u64) = (500, 5_000);
/// How long one lasts, in milliseconds: up to longer than a session of the transforms (6 s) and than a transaction may stay
/// open (7 s).
const LASTS: (u64, u64) = (1_000, 15_000);
/// So long a victim is left alone afterwards: who dies eight times in three minutes is given up by the supervisor.
const LEFT_ALONE: Duration = Duration::from_secs(25);
/// Most that go on at once.
const AT_ONCE: usize = 4;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// From the beginning of all.
    pub at: Duration,
    /// Which victim.
    pub victim: usize,
    /// Which of the things that may be done to it.
    pub deed: usize,
    /// Until it is put right.
    pub lasts: Duration,
}

impl Strike {
    fn end(&self) -> Duration {
        self.at + self.lasts
    }
}

/// The strikes that begin within `length`, in order of time; `deeds` has for each victim how many things may be done to it.
#[must_use]
pub fn schedule(seed: u64, length: Duration, deeds: &[usize]) -> Vec<Strike> {
    let mut rng = Rng::new(seed);
    let mut strikes: Vec<Strike> = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += milliseconds(&mut rng, EVERY);
        if length <= at {
            return strikes;
        }
        if AT_ONCE <= strikes.iter().filter(|strike| at < strike.end()).count() {
            continue;
        }
        let is_free =
            |victim: &usize| strikes.iter().all(|strike| strike.victim != *victim || strike.end() + LEFT_ALONE <= at);
        let free: Vec<usize> = (0..deeds.len()).filter(is_free).collect();
        if free.is_empty() {
            continue;
        }
        let victim = rng.pick(&free);
        let count = deeds.get(victim).copied().unwrap_or_default();
        if count == 0 {
            continue;
        }
        let deed = usize::try_from(rng.below(count as u64)).unwrap_or_default();
        strikes.push(Strike { at, victim, deed, lasts: milliseconds(&mut rng, LASTS) });
    }
}

fn milliseconds(rng: &mut Rng, (low, high): (u64, u64)) -> Duration {
    Duration::from_millis(rng.between(low, high))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const DEEDS: [usize; 5] = [3, 1, 5, 2, 4];

    #[test]
    fn one_seed_gives_one_schedule() {
        assert_eq!(schedule(7, HOUR, &DEEDS), schedule(7, HOUR, &DEEDS));
        assert_ne!(schedule(7, HOUR, &DEEDS), schedule(8, HOUR, &DEEDS));
        let short = schedule(7, HOUR / 60, &DEEDS);
        assert_eq!(schedule(7, HOUR, &DEEDS).get(..short.len()), Some(&*short), "a longer one begins as a shorter one");
    }

    #[test]
    fn everything_is_done_to_everybody_and_faults_meet() {
        let strikes = schedule(1, HOUR, &DEEDS);
        let done: BTreeSet<_> = strikes.iter().map(|strike| (strike.victim, strike.deed)).collect();
        assert_eq!(done.len(), DEEDS.iter().sum::<usize>());
        let met = strikes.windows(2).filter(|pair| pair.last().map(|last| last.at) < pair.first().map(Strike::end));
        assert!(strikes.len() / 2 < met.count());
    }

    #[test]
    fn a_victim_has_time_to_come_back() {
        for seed in 0..50 {
            let strikes = schedule(seed, HOUR / 6, &DEEDS);
            for (nth, strike) in strikes.iter().enumerate() {
                assert!(strike.at < HOUR / 6 && DEEDS.get(strike.victim).is_some_and(|deeds| strike.deed < *deeds));
                let earlier = strikes.iter().take(nth);
                let same = earlier.clone().filter(|earlier| earlier.victim == strike.victim);
                assert!(same.clone().all(|earlier| earlier.end() + LEFT_ALONE <= strike.at), "seed {seed}: {strike:?}");
                assert!(
                    earlier.filter(|earlier| strike.at < earlier.end()).count() < AT_ONCE,
                    "seed {seed}: {strike:?}"
                );
            }
        }
    }

    #[test]
    fn nobody_to_strike_is_nothing_to_do() {
        assert_eq!(schedule(1, HOUR, &[]), []);
        assert_eq!(schedule(1, HOUR, &[0]), []);
    }
}
