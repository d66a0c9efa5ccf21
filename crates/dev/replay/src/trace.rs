//! A trace of jobs: when each begins to wait, how long it takes, and its tag.

use runnerless_core::time::Millis;

/// The header of a trace's file.
pub const HEADER: &str = "t,job_seconds,tag";

/// The longest job and the longest trace: a month, which is the longest that GitLab lets a job run.
const LONGEST_S: i64 = 31 * 86_400;

/// The most jobs of a trace. A million take minutes.
const MOST_JOBS: usize = 2_000_000;

/// Jobs, in the order in which they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it begins to wait, since the trace's beginning.
    pub at: Millis,
    /// How long it runs.
    pub length: Millis,
    /// Its tag.
    pub tag: String,
}

/// A file that is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrace {
    /// Its first line.
    #[error("line 1 is {0:?}: it must be the header {HEADER:?}")]
    Header(String),
    /// A line with another number of fields.
    #[error("line {line} has {fields} fields: a job has three, {HEADER}; tags have no commas")]
    Fields {
        /// Its number, from 1.
        line: usize,
        /// How many it has.
        fields: usize,
    },
    /// A field that is no such number.
    #[error("line {line}: {field} is {value:?}: it must be {must}")]
    Number {
        /// Its number, from 1.
        line: usize,
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        must: &'static str,
    },
    /// No job.
    #[error("there is no job below the header: add lines such as 0,60,build")]
    Empty,
    /// Too many jobs.
    #[error("there are more than {MOST_JOBS} jobs: replay a part of them")]
    Long,
    /// A tag that no job has.
    #[error("no job has the tag {0:?}: leave it out, or name one of the trace's")]
    NoSuchTag(String),
}

impl Trace {
    /// Reads a file's text. Lines may come in any order.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, BadTrace> {
        let mut lines = text.trim_start_matches('\u{feff}').lines();
        let header = lines.next().unwrap_or_default().trim();
        if header != HEADER {
            return Err(BadTrace::Header(header.chars().take(80).collect()));
        }
        let rows = (2..).zip(lines).filter(|(_, text)| !text.trim().is_empty());
        let mut jobs = rows.map(|(line, text)| job(line, text)).take(MOST_JOBS + 1).collect::<Result<Vec<_>, _>>()?;
        match jobs.len() {
            0 => return Err(BadTrace::Empty),
            many if many > MOST_JOBS => return Err(BadTrace::Long),
            _ => {}
        }
        jobs.sort_by_key(|job| job.at);
        Ok(Self { jobs })
    }

    /// Its jobs with this tag.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_tag(mut self, tag: &str) -> Result<Self, BadTrace> {
        self.jobs.retain(|job| job.tag == tag);
        if self.jobs.is_empty() { Err(BadTrace::NoSuchTag(tag.to_owned())) } else { Ok(self) }
    }

    /// The file's text.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let row = |job: &Job| format!("{},{},{}\n", seconds(job.at), seconds(job.length), job.tag);
        std::iter::once(format!("{HEADER}\n")).chain(self.jobs.iter().map(row)).collect()
    }
}

fn job(line: usize, text: &str) -> Result<Job, BadTrace> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [at, length, tag] = fields[..] else { return Err(BadTrace::Fields { line, fields: fields.len() }) };
    let at = time(line, "t", at, 0, "the seconds since the beginning, 0 to 2678400")?;
    let length = time(line, "job_seconds", length, 1, "the seconds that the job runs, above 0 and at most 2678400")?;
    Ok(Job { at, length, tag: tag.to_owned() })
}

/// Seconds, with up to three decimals.
fn time(line: usize, field: &'static str, text: &str, least: i64, must: &'static str) -> Result<Millis, BadTrace> {
    let millis = millis(text).filter(|millis| (least..=LONGEST_S * 1000).contains(millis));
    millis.map(Millis).ok_or_else(|| BadTrace::Number { line, field, value: text.to_owned(), must })
}

fn millis(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let part: i64 = format!("{part:0<3}")[..3].parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(part)
}

fn seconds(time: Millis) -> String {
    match (time.0 / 1000, time.0 % 1000) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:03}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &str) -> Result<Trace, BadTrace> {
        Trace::parse(&format!("{HEADER}\n{rows}"))
    }

    #[test]
    fn a_trace_is_read_in_any_order_and_written_again() {
        let trace = parse("5,60,build\r\n\n0,1.5,test\n").unwrap();
        assert_eq!(trace.to_csv(), "t,job_seconds,tag\n0,1.500,test\n5,60,build\n");
        assert_eq!(Trace::parse(&trace.to_csv()), Ok(trace));
    }

    #[test]
    fn each_bad_line_is_named_with_its_field_and_its_cure() {
        for (rows, error) in [
            ("0,60", "line 2 has 2 fields: a job has three, t,job_seconds,tag; tags have no commas"),
            ("0,60,a,b", "line 2 has 4 fields: a job has three, t,job_seconds,tag; tags have no commas"),
            ("0,1,a\n-1,60,a", "line 3: t is \"-1\": it must be the seconds since the beginning, 0 to 2678400"),
            ("x,60,a", "line 2: t is \"x\": it must be the seconds since the beginning, 0 to 2678400"),
            ("1e3,60,a", "line 2: t is \"1e3\": it must be the seconds since the beginning, 0 to 2678400"),
            (
                "0,0,a",
                "line 2: job_seconds is \"0\": it must be the seconds that the job runs, above 0 and at most 2678400",
            ),
            (
                "0,2678401,a",
                "line 2: job_seconds is \"2678401\": it must be the seconds that the job runs, above 0 and at most 2678400",
            ),
            ("", "there is no job below the header: add lines such as 0,60,build"),
        ] {
            assert_eq!(parse(rows).unwrap_err().to_string(), error, "{rows}");
        }
        let error = Trace::parse("time;length\n").unwrap_err().to_string();
        assert_eq!(error, "line 1 is \"time;length\": it must be the header \"t,job_seconds,tag\"");
        assert!(matches!(parse("0,1,a").unwrap().of_tag("b"), Err(BadTrace::NoSuchTag(_))));
    }
}
