//! A GitLab that is written from the contract, for the demo and the tests.
//!
//! It speaks GitLab's runner API, as much of the user API as Runnerless uses, smart HTTP for git, and sends job hooks.
//! What a real GitLab would not forgive is refused or noted as a violation. It listens on the loopback interface only.
//!
//! ```text
//! /api/v4/...                  GitLab's own API
//! /<namespace>/<project>.git/  git
//! /_sim/v1/...                 control: projects, pipelines, case files' jobs, hooks, faults, settings, records
//! ```
//!
//! [`rules`] decides without state, [`world`] is the state, [`moves`] changes it under one lock, [`api`] and [`control`]
//! translate HTTP, [`hooks`] sends messages, [`ci`] reads `.gitlab-ci.yml` and [`git_http`] serves repositories.
#![allow(rustdoc::private_intra_doc_links, reason = "the map above is for readers of the code")]

mod api;
mod body;
pub mod ci;
mod clock;
mod control;
mod faults;
pub mod git_http;
mod hooks;
mod id_token;
mod launch;
mod log;
mod moves;
mod random;
mod repository;
mod rules;
mod saved;
mod server;
mod sim;
mod start;
mod storage;
mod world;
mod zip;

pub use log::LogError;
pub use saved::SavedError;
pub use start::{Options, Simulator, StartError, Stop};
