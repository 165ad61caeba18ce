//! How a batch ends: with the last receipt, with one that says why the rest was not taken, or because nobody reads.

use http_body::Body;

use super::{Batch, Fate, input::End, receipts::Writer};
use crate::{
    metrics::{BatchEnd, Outcome},
    refusal::{Refusal, Unit},
};

impl<B> Batch<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
{
    /// Each line that was taken has its receipt: says in a last one why the rest was not, and lets the client write the
    /// rest, so that it reads this and not a reset. What is left then is what the client has not read.
    pub(super) async fn finish(mut self) -> Writer {
        let line = self.input.splitter.line();
        let ended = self.input.ended.take();
        let is_whole = matches!(ended, Some(End::Whole));
        let last = match (self.beyond, ended) {
            ((0, _), Some(End::Refused(refusal))) => Some((line, refusal)),
            ((0, _), _) => None,
            ((beyond, first), _) => {
                let (limit, size) = (self.limits.batch_orders, (self.taken + beyond) as u64);
                Some((first, Refusal::BatchTooLarge { unit: Unit::Orders, limit, size, is_whole }))
            }
        };
        let Some((line, refusal)) = last else {
            tracing::debug!(request.id = self.begun.id, batch.orders = self.taken, "batch is complete");
            self.receipts.finish();
            self.counted.end(BatchEnd::Complete);
            return self.receipts;
        };
        tracing::debug!(
            request.id = self.begun.id,
            batch.orders = self.taken,
            reason = refusal.slug(),
            "batch is cut short"
        );
        self.out = self.refuse(line, None, &refusal);
        self.send();
        if refusal.is_early() && !is_whole {
            self.orders.bodies.forget(&self.begun.headers, &mut self.input.body, true).await;
        }
        self.receipts.finish();
        self.counted.end(BatchEnd::CutShort);
        self.receipts
    }

    /// Nobody reads the receipts. What was handed over is settled without us.
    pub(super) fn hung_up(self) {
        for line in &self.lines {
            // A refusal was counted when it was made.
            if matches!(line.fate, Fate::HandedOver { .. }) {
                self.orders.metrics.ended(Outcome::ClientGone);
            }
        }
        let (taken, open) = (self.taken, self.lines.len());
        tracing::debug!(request.id = self.begun.id, batch.orders = taken, batch.open = open, "client of a batch left");
        self.counted.end(BatchEnd::ClientGone);
    }
}
