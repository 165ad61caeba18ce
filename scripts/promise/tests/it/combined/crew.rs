//! The processes beside the stack's own.

use stack::Service;

use super::victims::{BESIDE, WORKER};
use crate::beside::{Aside, Beside};
use crate::clock::Clock;
use crate::faults::{ASK, BACK, LOOK, wait_for};
use crate::house::House;
use crate::sink::connectors;
use crate::worker::Worker;

/// How often the second Connect worker may end by itself: as often as the stack's own, before its supervisor gives it up.
const ENDS: usize = 8;

/// The processes beside the stack's own; none, while one is down.
pub(super) struct Crew {
    pub(super) beside: [Option<Beside>; BESIDE.len()],
    edge: String,
    /// Of the edge and the transforms.
    clock: Clock,
    /// How the second Connect worker is started, if there is to be one.
    worker: Option<Worker>,
    /// How often that has ended by itself.
    ended: usize,
}

impl Crew {
    pub(super) fn new(house: &House, edge: &str, with_worker: bool) -> Self {
        let worker = with_worker.then(|| Worker::like_the_first(house));
        let beside = [None, None, None, None];
        let mut crew = Self { beside, edge: edge.to_owned(), clock: Clock::right(), worker, ended: 0 };
        let all = if with_worker { BESIDE.len() } else { WORKER };
        (0..all).for_each(|nth| crew.start(house, nth));
        let listens = || std::net::TcpStream::connect(edge).is_ok();
        wait_for(&format!("the second edge to listen at {edge}"), BACK, LOOK, listens);
        wait_for("`connectors status` to show both healers, one of them on duty", BACK, ASK, || {
            let status = connectors(house, &["status", "--format", "json"]).json();
            let healers = status["healers"].as_array().cloned().unwrap_or_default();
            let on_duty = healers.iter().filter(|healer| healer["onDuty"] == true).count();
            healers.len() == 2 && on_duty == 1 && healers.iter().any(|healer| healer["name"] == "beside")
        });
        crew.wait_for_worker(house);
        crew
    }

    /// Until the second Connect worker has a share of the sinks' tasks, if there is one.
    pub(super) fn wait_for_worker(&mut self, house: &House) {
        if self.worker.is_none() {
            return;
        }
        wait_for("tasks on the second worker", BACK, ASK, || {
            self.expect_all(house);
            self.worker.as_ref().is_some_and(|worker| worker.tasks(house).iter().any(|tasks| 0 < *tasks))
        });
    }

    pub(super) fn start(&mut self, house: &House, nth: usize) {
        self.beside[nth] = Some(match &self.worker {
            Some(worker) if nth == WORKER => worker.start(),
            _ => self.ours(house, nth).start(),
        });
    }

    /// The edge and the transforms go by the clock, and through a door to Kafka where that is the stack's own.
    fn ours<'h>(&self, house: &'h House, nth: usize) -> Aside<'h> {
        let (any, aside) = ("127.0.0.1:0", Aside::new(house, BESIDE[nth]));
        let aside = match BESIDE[nth] {
            Service::Edge => aside.admin_at(any).at(&self.edge),
            _ => aside.at(any),
        };
        match house.doors.get(nth) {
            Some(door) if house.options.kafka.is_none() => aside.kafka(&door.address()).clock(&self.clock),
            Some(_) => aside.clock(&self.clock),
            None => aside,
        }
    }

    /// Sets their clock so many seconds ahead.
    pub(super) fn set_clock(&self, house: &House, seconds: i64) {
        self.clock.jump(house, seconds);
    }

    /// None of ours has ended by itself. Connect does, if it finds no Kafka when it starts; who runs it starts it again.
    pub(super) fn expect_all(&mut self, house: &House) {
        for (nth, service) in BESIDE.into_iter().enumerate() {
            if self.beside[nth].as_mut().is_none_or(Beside::is_running) {
                continue;
            }
            self.ended += usize::from(nth == WORKER);
            assert!(nth == WORKER && self.ended < ENDS, "the {service} process beside has ended by itself");
            println!("the second Connect worker has ended by itself and is started again");
            self.start(house, nth);
        }
    }

    pub(super) fn leave(self, house: &House) {
        for (nth, beside) in self.beside.into_iter().enumerate() {
            match (beside, &self.worker) {
                (Some(beside), Some(worker)) if nth == WORKER => worker.leave(house, beside),
                (Some(beside), _) => beside.leave(),
                (None, _) => {}
            }
        }
    }
}
