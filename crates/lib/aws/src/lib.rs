//! The ports through which decisions meet AWS, their adapters, and in-memory stand-ins with the same semantics.
//!
//! A port is as narrow as its users need. No type of the SDK is in a signature, so that a handler can be driven by the
//! stand-ins of [`fake`], which one suite holds to the same behaviour as the adapters. The stand-ins are always
//! compiled: a feature for them would build this crate, and everything above it, twice.

mod adapter;
#[doc(hidden)]
pub mod attributes;
pub mod book;
mod caches;
pub mod clock;
mod connections;
mod error;
pub mod fake;
pub mod job_token;
mod launch_nonce;
mod parameters;
mod place;
pub mod ports;
mod runner_token;

#[doc(hidden)]
pub use adapter::failure;
pub use adapter::{DynamoLedger, DynamoMapping, EventBus, LambdaInvoker, ParameterStore};
pub use caches::{CacheBucket, SignError};
pub use error::{AwsError, Cause, Service};
pub use launch_nonce::{NoNonce, launch_nonce};
pub use parameters::{Branch, ParameterCache};
pub use place::{Credentials, Place};
#[doc(hidden)]
pub use place::{retries, timeouts};
pub use runner_token::{LaneToken, TokenError, lane_token, launch_token, runner_token, runner_token_name};
