//! The way of each job, for people.

use std::fmt::Write as _;

use super::lines::{JobLine, Times};

/// A column: what it is called, and where it is.
type Step = (&'static str, fn(&Times) -> Option<i64>);

/// The columns.
const STEPS: [Step; 9] = [
    ("ingested", |t| t.ingested),
    ("charged", |t| t.charged),
    ("launched", |t| t.launched),
    ("polling", |t| t.polling),
    ("picked up", |t| t.picked_up),
    ("1st output", |t| t.first_output),
    ("finished", |t| t.finished),
    ("closed", |t| t.closed),
    ("terminated", |t| t.terminated),
];

/// One row a job: ms after GitLab sent the hook that said that the job waits.
#[must_use]
pub fn table(jobs: &[JobLine]) -> String {
    let width = jobs.iter().map(|job| job.name.chars().count()).max().unwrap_or_default().max(3);
    let mut text = format!("{:width$}  {:8}", "job", "status");
    for (name, _) in STEPS {
        let _ = write!(text, " {name:>10}");
    }
    text.push_str("   (ms after its hook)\n");
    for job in jobs {
        let _ = write!(text, "{:width$}  {:8}", job.name, job.status);
        for (_, at) in STEPS {
            let since = job.t.hook_sent.and_then(|sent| at(&job.t).map(|at| at - sent));
            let _ = write!(text, " {:>10}", since.map_or_else(|| "-".to_owned(), |ms| ms.to_string()));
        }
        text.push_str(if job.ok { "   ok\n" } else { "   NOT AS EXPECTED\n" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_from_the_hook_on() {
        let t = Times { hook_sent: Some(1_000), ingested: Some(1_020), closed: Some(3_000), ..Times::default() };
        let job = JobLine { name: "build: [x]".into(), status: "success".into(), ok: true, t, ..JobLine::default() };
        let shown = table(&[job]);
        let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["build:", "[x]", "success", "20", "-", "-", "-", "-", "-", "-", "2000", "-", "ok"]);
    }
}
