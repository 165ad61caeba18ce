//! The processes beside the stack's own.

use stack::Service;

use super::victims::BESIDE;
use crate::beside::{Aside, Beside};
use crate::clock::Clock;
use crate::faults::{ASK, BACK, LOOK, wait_for};
use crate::house::House;
use crate::sink::connectors;

/// The processes beside the stack's own; none, while one is down.
pub(super) struct Crew {
    pub(super) beside: [Option<Beside>; 3],
    edge: String,
    /// Of the edge and the transforms.
    clock: Clock,
}

impl Crew {
    pub(super) fn new(house: &House, edge: &str) -> Self {
        let mut crew = Self { beside: [None, None, None], edge: edge.to_owned(), clock: Clock::right() };
        (0..BESIDE.len()).for_each(|nth| crew.start(house, nth));
        let listens = || std::net::TcpStream::connect(edge).is_ok();
        wait_for(&format!("the second edge to listen at {edge}"), BACK, LOOK, listens);
        wait_for("`connectors status` to show both healers, one of them on duty", BACK, ASK, || {
            let status = connectors(house, &["status", "--format", "json"]).json();
            let healers = status["healers"].as_array().cloned().unwrap_or_default();
            let on_duty = healers.iter().filter(|healer| healer["onDuty"] == true).count();
            healers.len() == 2 && on_duty == 1 && healers.iter().any(|healer| healer["name"] == "beside")
        });
        crew
    }

    /// The edge and the transforms go through a door to Kafka.
    pub(super) fn start(&mut self, house: &House, nth: usize) {
        let (any, aside) = ("127.0.0.1:0", Aside::new(house, BESIDE[nth]));
        let aside = match BESIDE[nth] {
            Service::Edge => aside.admin_at(any).at(&self.edge),
            _ => aside.at(any),
        };
        let aside = match house.doors.get(nth) {
            Some(door) => aside.kafka(&door.address()).clock(&self.clock),
            None => aside,
        };
        self.beside[nth] = Some(aside.start());
    }

    /// Sets their clock so many seconds ahead.
    pub(super) fn set_clock(&self, house: &House, seconds: i64) {
        self.clock.jump(house, seconds);
    }

    /// None has ended by itself.
    pub(super) fn expect_all(&mut self) {
        for (beside, service) in self.beside.iter_mut().zip(BESIDE) {
            let ended = beside.as_mut().is_some_and(|beside| !beside.is_running());
            assert!(!ended, "the {service} process beside has ended by itself");
        }
    }

    pub(super) fn leave(self) {
        self.beside.into_iter().flatten().for_each(Beside::leave);
    }
}
