//! The work of the simulated slots: each record becomes an output; now and then it stops early, is held, or panics.

use std::sync::Arc;
use std::time::Duration;

use transforms::kafka::{Input, Outgoing};
use transforms::work::{Factory, Hold, NoWork, Tally, Work};

use super::clients::{Shared, VERSION, lock};
use super::faults::Defect;

/// A version of the pipeline.
pub(super) struct Make {
    pub(super) world: Shared,
    pub(super) version: u64,
}

struct Copy {
    world: Shared,
    version: u64,
}

impl Factory for Make {
    fn make(&self) -> Result<Box<dyn Work>, NoWork> {
        let mut world = lock(&self.world);
        let rate = world.rates.work;
        if world.rng.chance(rate) {
            return Err(NoWork::Again("the machine is busy".to_owned()));
        }
        Ok(Box::new(Copy { world: Arc::clone(&self.world), version: self.version }))
    }
}

fn becomes(input: &Input, topic: &str, version: u64) -> Outgoing {
    Outgoing {
        topic: Arc::from(topic),
        key: input.key.clone(),
        value: input.value.clone(),
        timestamp_ms: None,
        headers: vec![(VERSION.to_vec(), Some(version.to_le_bytes().to_vec()))],
    }
}

impl Work for Copy {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        let mut world = lock(&self.world);
        let rate = world.rates.work;
        let done = match world.rng.chance(rate) {
            false => batch.len(),
            true => match world.rng.below(4) {
                0 => return Err(Hold::wait("told to")),
                1 => {
                    drop(world);
                    std::panic::resume_unwind(Box::new("the work broke"));
                }
                _ => usize::try_from(world.rng.between(1, batch.len() as u64 + 1)).unwrap(),
            },
        };
        let version = |at: usize| match world.defect {
            Some(Defect::MixesVersions) if at + 1 == done => world.versions,
            _ => self.version,
        };
        out.extend(batch[..done].iter().enumerate().map(|(at, input)| becomes(input, "out", version(at))));
        Ok(Tally { done, out: done as u64, ..Tally::default() })
    }

    fn commit_interval(&self) -> Duration {
        // Versions differ in this as well.
        Duration::from_millis([20, 0, 300, 0][(self.version % 4) as usize])
    }

    fn divert(&mut self, input: &Input, _: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        out.push(becomes(input, "dead", self.version));
        Ok(Tally { done: 1, dead: 1, ..Tally::default() })
    }
}
