//! How often a service that dies is started again: at once, then ever slower, and not for ever.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Deaths within the window after which a service is left alone.
pub(crate) const MAX_DEATHS: usize = 8;
/// What lies further back is forgotten.
pub(crate) const WINDOW: Duration = Duration::from_secs(180);
/// The longest pause between two starts.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// The recent deaths of one service.
#[derive(Debug, Default)]
pub(crate) struct Deaths(VecDeque<Instant>);

impl Deaths {
    /// Counts a death. The pause before the next start, or none if there shall be no next one.
    pub(crate) fn pause_after(&mut self, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|death| now.saturating_duration_since(*death) > WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let deaths = self.0.len();
        if deaths >= MAX_DEATHS {
            return None;
        }
        // 0, 0.5, 1, 2, 4, 8, 15 s: a single kill costs nothing, a loop does not burn the machine.
        let doublings = u32::try_from(deaths).unwrap_or(u32::MAX).saturating_sub(2);
        Some(if deaths == 1 {
            Duration::ZERO
        } else {
            (Duration::from_millis(500) * 2_u32.saturating_pow(doublings)).min(MAX_PAUSE)
        })
    }

    /// An operator asked for a new start: the past no longer counts.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_no_time_and_a_loop_ends() {
        let (mut deaths, start) = (Deaths::default(), Instant::now());
        let pauses: Vec<_> = (0..8_u32).map(|n| deaths.pause_after(start + Duration::from_secs(1) * n)).collect();
        let seconds: Vec<_> = pauses.iter().flatten().map(Duration::as_secs_f32).collect();
        assert_eq!(seconds, [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0]);
        assert_eq!(pauses.last(), Some(&None));
    }

    #[test]
    fn deaths_far_apart_are_each_the_first() {
        let (mut deaths, mut now) = (Deaths::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(deaths.pause_after(now), Some(Duration::ZERO));
            now += WINDOW + Duration::from_secs(1);
        }
    }

    #[test]
    fn an_operator_gives_a_fresh_start() {
        let (mut deaths, now) = (Deaths::default(), Instant::now());
        while deaths.pause_after(now).is_some() {}
        deaths.forget();
        assert_eq!(deaths.pause_after(now), Some(Duration::ZERO));
    }
}
