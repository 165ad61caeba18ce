//! What a batch waits for: its first line to be settled, more of its body, its client to read.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use service_kit::http::BodyError;

use super::{
    Batch, Fate,
    input::{End, SILENCE, WAITING},
};
use crate::{
    publish::{Placed, PublishError},
    refusal::Refusal,
};

/// What a batch waited for.
pub(super) enum Event {
    /// The first line; `None` if it was refused.
    Settled(Option<Result<Placed, PublishError>>),
    Came(Option<Result<Bytes, BodyError>>),
    Silence,
    LastCall,
    ReceiptsRead,
}

impl<B> Batch<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
{
    /// Waits for whatever comes first. While there is no room for receipts, only the client can make some.
    pub(super) async fn next_event(&mut self) -> Event {
        let wants_more = self.input.splitter.wants_more() && self.may_take();
        let may_answer = self.may_answer();
        let deadline = self.begun.deadline;
        let silence = self.input.wait(wants_more);
        let last_call = self.orders.bodies.last_call();
        let is_open = self.input.ended.is_none();
        let first = self.lines.front_mut();
        let settled = async {
            match first.map(|line| &mut line.fate) {
                Some(Fate::HandedOver { in_flight, end, .. }) => {
                    Some(in_flight.settled_by((*end).into(), deadline).await)
                }
                Some(Fate::Refused(_)) => None,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = last_call.cancelled(), if is_open => Event::LastCall,
            settled = settled, if may_answer => Event::Settled(settled),
            piece = self.input.body.frame(), if wants_more => Event::Came(piece.map(|piece| match piece {
                Ok(frame) => Ok(frame.into_data().unwrap_or_default()), // trailers are no data
                Err(error) => Err(BodyError::Broken(error)),
            })),
            () = tokio::time::sleep_until(silence), if wants_more => Event::Silence,
            () = self.receipts.changed(may_answer) => Event::ReceiptsRead,
        }
    }

    pub(super) fn on(&mut self, event: Event) {
        match event {
            Event::Settled(settled) => self.answer_first(settled),
            Event::Came(Some(Ok(piece))) => {
                self.input.came();
                self.input.push(piece, &mut self.begun.memory, self.limits.batch_bytes);
            }
            Event::Came(Some(Err(error))) => self.input.end(End::Refused(error.into())),
            Event::Came(None) => self.end_in_order(),
            Event::Silence => {
                let within = if WAITING <= self.input.came() { WAITING } else { SILENCE };
                self.input.end(End::Refused(BodyError::Slow { within }.into()));
            }
            Event::LastCall => self.input.end(End::Refused(Refusal::Draining)),
            Event::ReceiptsRead => {}
        }
    }

    /// The body is whole; its last line may have no line end.
    fn end_in_order(&mut self) {
        match self.input.splitter.end() {
            Ok(last) => {
                if let Some(last) = last {
                    self.take(last);
                }
                self.input.end(End::Whole);
            }
            Err(form) => self.input.end(End::Refused(form.into())),
        }
    }
}
