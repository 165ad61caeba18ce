//! How full what is bounded is: the queue to the broker, the memory for bodies, the connections. Read when asked.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::publish::{Admission, Permits};
use service_kit::http::Connections;

/// What is watched; what nobody has told of yet is shown as empty.
#[derive(Clone, Debug, Default)]
struct Watched {
    queue: Option<Arc<Admission>>,
    bodies: Option<Permits>,
    connections: Option<Connections>,
}

/// The fill of all that is watched.
#[derive(Debug, Default)]
pub(super) struct Fill(Mutex<Watched>);

impl Fill {
    pub(super) fn watch_queue(&self, queue: Arc<Admission>) {
        self.change(|watched| watched.queue = Some(queue));
    }

    pub(super) fn watch_bodies(&self, permits: Permits) {
        self.change(|watched| watched.bodies = Some(permits));
    }

    pub(super) fn watch_connections(&self, connections: Connections) {
        self.change(|watched| watched.connections = Some(connections));
    }

    fn change(&self, change: impl FnOnce(&mut Watched)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> [(&'static str, &'static str, usize); 9] {
        let Watched { queue, bodies, connections } = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of = |permits: &Option<Permits>| permits.as_ref().map_or(((0, 0), (0, 0)), |p| (p.taken(), p.limits()));
        let ((orders, bytes), (orders_limit, bytes_limit)) = of(&queue.as_ref().map(|queue| queue.permits().clone()));
        let drain = queue.map_or(0, |queue| queue.orders_per_second().round() as usize);
        let ((_, memory), (_, memory_limit)) = of(&bodies);
        let (open, open_limit) = connections.map_or((0, 0), |connections| (connections.open(), connections.limit()));
        [
            ("queue_orders", "Orders that wait for the broker", orders),
            ("queue_orders_limit", "Orders that may wait for the broker", orders_limit),
            ("queue_bytes", "Bytes that wait for the broker", bytes),
            ("queue_bytes_limit", "Bytes that may wait for the broker", bytes_limit),
            ("drain_orders_per_second", "Orders that the broker acknowledges when there are enough of them", drain),
            ("body_bytes", "Memory that bodies take which are being read", memory),
            ("body_bytes_limit", "Memory that such bodies may take", memory_limit),
            ("connections", "Open connections of clients", open),
            ("connections_limit", "Connections of clients that may be open", open_limit),
        ]
    }
}

/// The fill, for the registry.
#[derive(Debug)]
pub(super) struct Shown(pub(super) super::Metrics);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(metrics) = self;
        for (name, help, value) in metrics.0.fill.read() {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        metrics.0.kafka.encode(encoder)
    }
}
