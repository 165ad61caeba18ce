//! What a member does while partitions come and go.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode as Code;
use transforms::kafka::seam::{Member, Offsets};
use transforms::kafka::{Call, Fault, Place};

use super::Pair;
use crate::simulation::broker::failure;
use crate::simulation::faults::Defect;
use crate::simulation::group::Mode;

impl Member for Pair {
    fn is_incremental(&self) -> bool {
        self.world().group.mode != Mode::Eager
    }

    fn is_lost(&self) -> bool {
        self.world().clients[self.client].lost
    }

    fn committed(&self, places: &[Place]) -> Result<Vec<(Place, Option<i64>)>, Fault> {
        // librdkafka asks again for as long as an offset is not stable, up to the time-out.
        let asked = places.to_vec();
        let done = self.site.call(
            Call::Assign,
            Duration::from_secs(5),
            |world| {
                let stable = |place: &Place| !world.coordinator.is_unstable(place.partition);
                if world.defect != Some(Defect::Impatient) && !asked.iter().all(stable) {
                    return Err(failure(Code::OperationTimedOut, ""));
                }
                let offset = |place: Place| {
                    let at = world.group.offsets.get(&place.partition).copied();
                    (place, at)
                };
                Ok(asked.into_iter().map(offset).collect())
            },
            |_| None,
        );
        match done {
            Err(_) if self.world().defect == Some(Defect::GuessesPositions) => {
                Ok(places.iter().map(|place| (place.clone(), None)).collect())
            }
            done => done,
        }
    }

    fn log(&self, place: &Place) -> Result<(i64, i64), Fault> {
        let at = usize::try_from(place.partition).unwrap();
        self.site.call(
            Call::Assign,
            Duration::from_secs(5),
            |world| {
                let log = &world.logs[at];
                Ok(if world.defect == Some(Defect::SkipsGaps) { (0, log.end()) } else { (log.start, log.end()) })
            },
            |_| None,
        )
    }

    fn commit(&self, next: &Offsets) -> Result<(), Fault> {
        let (client, next) = (self.client, self.positions(next));
        self.site.call(
            Call::Assign,
            Duration::from_secs(5),
            |world| {
                let card = world.card(client);
                world.group.admits(&card)?;
                world.checker.started(&next, &world.logs, &mut world.group.offsets);
                Ok(())
            },
            |_| None,
        )
    }

    fn assign(&self, next: &Offsets) -> Result<(), Fault> {
        let next = self.positions(next);
        let mut world = self.world();
        let eager = world.group.mode == Mode::Eager;
        let stays = world.defect == Some(Defect::StaysPaused);
        let one = &mut world.clients[self.client];
        if eager {
            one.reads.clear();
        }
        if !stays {
            one.paused.retain(|partition| !next.contains_key(partition));
        }
        one.reads.extend(next);
        Ok(())
    }

    fn unassign(&self, places: &[Place]) -> Result<(), Fault> {
        let mut world = self.world();
        let eager = world.group.mode == Mode::Eager;
        let reads = &mut world.clients[self.client].reads;
        reads.retain(|partition, _| !eager && places.iter().all(|place| place.partition != *partition));
        Ok(())
    }
}
