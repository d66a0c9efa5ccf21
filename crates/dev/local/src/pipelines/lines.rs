//! The JSON lines of a suite that runs pipelines: on standard output, and in a file when one is wanted.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

/// Where the lines go.
#[derive(Debug)]
pub struct Lines {
    file: Option<File>,
    /// Why the file lacks lines.
    failed: Option<io::Error>,
}

/// The line of one job.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JobLine {
    /// `<project id>/<job id>`.
    pub key: String,
    /// The full name.
    pub name: String,
    /// `LAMBDA` or `EC2`; null where nothing was launched.
    pub engine: Option<String>,
    /// The function's ARN.
    pub target: Option<String>,
    /// The launch that ran it.
    pub launch: Option<String>,
    /// The instance that it had to itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// How many launches were charged to it.
    pub attempt: u64,
    /// GitLab's word for how it ended.
    pub status: String,
    /// The script's.
    pub exit_code: Option<i64>,
    /// GitLab's word for why it failed.
    pub failure_reason: Option<String>,
    /// What the status should be.
    pub expected: String,
    /// Whether all that was expected of it held.
    pub ok: bool,
    /// What did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// When what happened.
    pub t: Times,
    /// Its log.
    pub log: Option<String>,
    /// And the hash of that.
    pub log_sha256: Option<String>,
}

/// Times in ms since the epoch. The simulator stamps the first and the last but one column, the ledger the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The `pending` hook left GitLab.
    pub hook_sent: Option<i64>,
    /// Its row was stored.
    pub ingested: Option<i64>,
    /// A launch was charged to it.
    pub charged: Option<i64>,
    /// AWS took the request.
    pub launched: Option<i64>,
    /// The runner began to ask.
    pub polling: Option<i64>,
    /// GitLab handed the job out.
    pub picked_up: Option<i64>,
    /// The script's first words arrived.
    pub first_output: Option<i64>,
    /// GitLab saw its end.
    pub finished: Option<i64>,
    /// The launch was closed.
    pub closed: Option<i64>,
    /// Its instance and what belonged to it were gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<i64>,
}

/// The last line's numbers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// The make target.
    pub target: &'static str,
    /// Jobs that ended as expected.
    pub passed: usize,
    /// Jobs that did not.
    pub failed: usize,
    /// Jobs that the pipeline's file left out.
    pub skipped: usize,
    /// All of it.
    pub seconds: f64,
    /// Whether all that was expected held, of the jobs and of what is left.
    pub ok: bool,
}

impl Lines {
    /// Standard output, and `out` from its beginning.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(out: Option<&Path>) -> io::Result<Self> {
        Ok(Self { file: out.map(File::create).transpose()?, failed: None })
    }

    /// A stage is over.
    pub fn stage(&mut self, name: &str, ms: u64) {
        self.write("stage", &Stage { name, ms });
    }

    /// A job's line.
    pub fn job(&mut self, job: &JobLine) {
        self.write("job", job);
    }

    /// Something is left.
    pub fn leftover(&mut self, what: &str, id: &str) {
        self.write("leftover", &Left { what, id });
    }

    /// A line of another kind.
    pub fn other(&mut self, kind: &'static str, body: &serde_json::Value) {
        self.write(kind, body);
    }

    /// The last line.
    pub fn summary(&mut self, summary: &Summary) {
        self.write("summary", summary);
    }

    /// Why the file lacks lines, if it does. Told once.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    /// A reader that left does not end the run: what it started must still be ended. Nor does a file that cannot be
    /// written, but the run has failed then, see [`Lines::failure`].
    fn write(&mut self, kind: &'static str, body: &impl Serialize) {
        let Ok(line) = serde_json::to_string(&Line { v: 1, kind, body }) else { return };
        let text = format!("{line}\n");
        let mut output = io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(text.as_bytes())
        {
            self.failed.get_or_insert(error);
        }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    v: u8,
    kind: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Serialize)]
struct Stage<'a> {
    name: &'a str,
    ms: u64,
}

#[derive(Serialize)]
struct Left<'a> {
    what: &'a str,
    id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.jsonl");
        let mut lines = Lines::new(Some(&out)).unwrap();
        lines.stage("build", 7);
        lines.leftover("port", "127.0.0.1:1");
        assert!(lines.failure().is_none());
        let read = std::fs::read_to_string(&out).unwrap();
        let kinds: Vec<serde_json::Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&kinds[0]["name"], &kinds[0]["v"], &kinds[1]["kind"]),
            (&"build".into(), &1.into(), &"leftover".into())
        );
    }

    #[test]
    fn a_line_that_the_disk_did_not_take_is_a_failure() {
        let mut lines = Lines::new(Some(Path::new("/dev/full"))).unwrap();
        lines.stage("build", 7);
        assert_eq!(lines.failure().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
