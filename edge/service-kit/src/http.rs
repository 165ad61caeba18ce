//! HTTP for services: the accept loop, bounded bodies and problem answers. No routes: those are the services'.

mod body;
mod http1;
mod http2;
mod places;
mod problem;
mod serve;
mod timed;
mod tls;

pub use body::{BodyError, discard, read_body, read_body_with};
pub use places::Connections;
pub use problem::{PROBLEM_JSON, Problem, json};
pub use serve::{Answers, Limits, bind, serve, serve_with};
pub use tls::{ClientAuth, Tls, TlsFiles};

/// The body of every answer: one piece of bytes.
pub type Body = http_body_util::Full<bytes::Bytes>;

/// An answer as services write it.
pub type Response = ::http::Response<Body>;
