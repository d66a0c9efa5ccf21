//! The local stack: an AWS emulator, a GitLab and a witness between the functions and the emulator, started, deployed
//! and ended as one; and the demo on it.

pub mod attack;
pub mod aws;
mod bill;
pub mod breakage;
pub mod cage;
mod case_lines;
pub mod conformance;
pub mod demo;
pub mod deploy;
pub mod desk;
pub mod dice;
pub mod faults;
mod field;
pub mod gitlab;
pub mod guard;
pub mod hostile;
pub mod http;
pub mod instance_cases;
pub mod instances;
pub mod isolation;
pub mod layout;
pub mod pipelines;
pub mod processes;
pub mod proxy;
pub mod runtime_api;
mod schedule;
pub mod seed;
mod sentinels;
pub mod stack;
pub mod stack_env;
pub mod storm;
pub mod strays;
pub mod supervise;
pub mod up;
pub mod venv;
mod witness;
