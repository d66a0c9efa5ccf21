//! The AWS witness: an HTTP/1.1 proxy on loopback between the functions and the emulator. It records every call, and
//! puts faults on calls that are asked for.
//!
//! Requests and answers pass unchanged, also the `Host` header, which signatures cover. Bodies stream; only what must
//! be read is held: a form that may name the action, a `GetParametersByPath`, a call that is carried out twice, and every call
//! while a suite watches what calls are about.

mod answers;
mod autoscaling;
mod ec2;
pub mod faults;
pub mod identify;
pub mod kin;
pub mod operation;
pub mod record;
mod server;
mod witness;

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;

pub use server::{Bound, Files, Proxy};

/// Any body: passed on, held or our own.
type Body = BoxBody<Bytes, hyper::Error>;

/// For bodies that cannot fail.
fn never(nothing: Infallible) -> hyper::Error {
    match nothing {}
}
