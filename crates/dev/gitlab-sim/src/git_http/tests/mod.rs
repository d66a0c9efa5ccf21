//! Real git clients against a real socket, and the repositories behind it.

mod client;
mod ending;
mod fetching;
mod refusing;
mod repositories;
