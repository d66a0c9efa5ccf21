//! The processes of a function of the stack: found by the program that it runs, below this stack's own folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Process, table};
use crate::layout::Layout;

/// The processes of a part (`executor`) of the stack with this layout. The command line tells where the program is that a
/// process runs; the emulator unpacks each function below the stack's own temporary folder.
pub(crate) fn of_part(layout: &Layout, part: &str) -> Vec<Process> {
    let Ok(wanted) = fs::read(layout.source("target/lambda").join(part).join("bootstrap")) else { return Vec::new() };
    let runs_it = |process: &Process| {
        let program = program(process.pid).filter(|program| program.starts_with(layout.tmp()));
        program.is_some_and(|program| is_same(&program, &wanted))
    };
    table().into_iter().filter(|entry| !entry.zombie).map(|entry| entry.process).filter(runs_it).collect()
}

fn program(pid: i32) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = line.split(|byte| *byte == 0).next()?;
    Some(PathBuf::from(String::from_utf8(first.to_vec()).ok()?))
}

fn is_same(program: &Path, wanted: &[u8]) -> bool {
    let length = fs::metadata(program).map(|found| found.len()).unwrap_or_default();
    length == wanted.len() as u64 && fs::read(program).is_ok_and(|bytes| bytes == wanted)
}
