//! The supervisor's listener: `/healing` (what is going on, for `connectors status`) beside health, readiness and metrics.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use ::http::{Method, StatusCode};
use service_kit::{Admin, Door, http};
use tower::Service;

use super::board::Board;

/// Where the healing is told.
pub const HEALING: &str = "/healing";

/// The listener's service.
#[derive(Debug, Clone)]
pub struct Pages {
    admin: Admin,
    door: Door,
    board: Board,
}

impl Pages {
    /// Shows the board behind the door, beside the admin's pages.
    #[must_use]
    pub fn new(admin: Admin, door: Door, board: Board) -> Self {
        Self { admin, door, board }
    }
}

impl<B> Service<::http::Request<B>> for Pages {
    type Response = http::Response;
    type Error = Infallible;
    type Future = Ready<Result<http::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Self::Future {
        if request.uri().path() != HEALING || request.method() != Method::GET {
            return self.admin.call(request);
        }
        ready(Ok(match self.door.check(request.uri(), request.headers()) {
            Ok(()) => http::json(StatusCode::OK, &self.board.show()),
            Err(refused) => refused.problem().into_response(),
        }))
    }
}
