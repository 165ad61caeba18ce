//! The work of the simulated slots: each record becomes an output; now and then it stops early, is held, or panics.

use std::sync::Arc;

use transforms::kafka::{Input, Outgoing};
use transforms::work::{Factory, Hold, NoWork, Tally, Work};

use super::clients::{Shared, lock};

pub(super) struct Make(pub(super) Shared);

struct Copy(Shared);

impl Factory for Make {
    fn make(&self) -> Result<Box<dyn Work>, NoWork> {
        let mut world = lock(&self.0);
        let rate = world.rates.work;
        if world.rng.chance(rate) {
            return Err(NoWork::Again("the machine is busy".to_owned()));
        }
        Ok(Box::new(Copy(Arc::clone(&self.0))))
    }
}

fn becomes(input: &Input, topic: &str) -> Outgoing {
    Outgoing {
        topic: Arc::from(topic),
        key: input.key.clone(),
        value: input.value.clone(),
        timestamp_ms: None,
        headers: Vec::new(),
    }
}

impl Work for Copy {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        let mut world = lock(&self.0);
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
        out.extend(batch[..done].iter().map(|input| becomes(input, "out")));
        Ok(Tally { done, out: done as u64, ..Tally::default() })
    }

    fn divert(&mut self, input: &Input, _: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        out.push(becomes(input, "dead"));
        Ok(Tally { done: 1, dead: 1, ..Tally::default() })
    }
}
