//! Why a file is refused.

/// A file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CiError {
    /// It cannot be read at all.
    #[error(".gitlab-ci.yml line {line}: {problem}")]
    Yaml {
        /// The line, from 1.
        line: usize,
        /// What is wrong there, and the cure.
        problem: String,
    },
    /// A keyword outside the jobs.
    #[error(".gitlab-ci.yml: `{keyword}` {problem}")]
    Global {
        /// The keyword; one below another follows it after a colon.
        keyword: String,
        /// What is wrong with it, and the cure.
        problem: String,
    },
    /// A keyword of a job.
    #[error(".gitlab-ci.yml: job `{job}`: `{keyword}` {problem}")]
    Job {
        /// The job's name in the file.
        job: String,
        /// The keyword; one below another follows it after a colon.
        keyword: String,
        /// What is wrong with it, and the cure.
        problem: String,
    },
}

/// The place of a value in the file, for errors.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    job: Option<&'a str>,
    keyword: String,
}

impl<'a> Place<'a> {
    /// A keyword outside the jobs.
    pub(super) fn global(keyword: &str) -> Self {
        Self { job: None, keyword: keyword.to_owned() }
    }

    /// A keyword of a job.
    pub(super) fn job(job: &'a str, keyword: &str) -> Self {
        Self { job: Some(job), keyword: keyword.to_owned() }
    }

    /// A keyword below this one.
    pub(super) fn below(&self, keyword: &str) -> Self {
        Self { job: self.job, keyword: format!("{}:{keyword}", self.keyword) }
    }

    /// Refuses what stands here. The problem is the rest of a sentence that begins with the keyword.
    pub(super) fn refuse(&self, problem: impl Into<String>) -> CiError {
        let (keyword, problem) = (self.keyword.clone(), problem.into());
        match self.job {
            Some(job) => CiError::Job { job: job.to_owned(), keyword, problem },
            None => CiError::Global { keyword, problem },
        }
    }
}
