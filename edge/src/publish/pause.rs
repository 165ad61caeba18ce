//! How long a client should wait before it tries again, where no measure says so. Always with some chance in it, so that
//! clients that were refused together do not come back together.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// While something is away of which nobody knows when it returns.
const BASE: Duration = Duration::from_millis(500);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// What has been away for long is less likely to be back in a second.
#[must_use]
pub fn while_away(away: Duration) -> Duration {
    spread(BASE, (SHORTEST + away / 4).min(LONGEST))
}

/// As long as this, and up to as much longer as that.
#[must_use]
pub fn spread(least: Duration, more: Duration) -> Duration {
    // A hasher is made from fresh keys each time: chance enough for this, and no generator is needed.
    let chance = RandomState::new().hash_one(()) >> 11;
    least + more.mul_f64(chance as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_apart_and_grow_with_the_outage_up_to_a_bound() {
        let pauses = |away| (0..1000).map(|_| while_away(Duration::from_secs(away))).collect::<Vec<_>>();
        for (away, least, most) in [(0, 500, 1500), (8, 500, 3500), (3600, 500, 5500)] {
            let pauses = pauses(away);
            let (min, max) = (pauses.iter().min().unwrap().as_millis(), pauses.iter().max().unwrap().as_millis());
            assert!(least <= min && max <= most, "{away}: {min} to {max}");
            assert!((most - least) * 9 / 10 < max - min, "{away}: {min} to {max} is the whole range");
        }
    }
}
