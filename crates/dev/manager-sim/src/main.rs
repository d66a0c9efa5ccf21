//! `manager-sim`: a runner manager for members of a local pool.

use std::process::ExitCode;

fn main() -> ExitCode {
    manager_sim::run(std::env::args_os().skip(1))
}
