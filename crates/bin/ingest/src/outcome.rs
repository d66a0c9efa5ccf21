//! What became of a request, and how that is answered, logged and counted.

use runnerless_core::id::JobKey;
use runnerless_core::moves::Announce;
use runnerless_core::status::JobStatus;
use runnerless_gitlab::proof::{Credentials, Method, Refusal};
use runnerless_gitlab::webhook::BadPayload;
use runnerless_lambda_kit::metrics;
use serde_json::json;

use crate::SERVICE;
use crate::event::Request;

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// A job's hook, with a row that changed or that knew it already.
    Job(JobOutcome),
    /// Authentic, and nothing that we act on.
    Ignored(Ignored),
    /// Not believed, or not for us. Nothing was changed.
    Rejected(Rejected),
}

/// What became of a job's hook.
#[derive(Debug)]
pub struct JobOutcome {
    /// The job.
    pub job: JobKey,
    /// Its status in the hook.
    pub status: JobStatus,
    /// How the hook was proved.
    pub proved_by: Method,
    /// Whether the row changed.
    pub changed: bool,
    /// Why it did or did not.
    pub why: String,
    /// Who was told.
    pub announced: Announced,
}

/// Who was told of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nobody needs to be.
    NotNeeded,
    /// The bus.
    Told(Announce),
    /// The bus did not take it, for this reason. The row is due, and the sweep acts on it.
    Failed(String),
}

/// An authentic hook that we do not act on.
#[derive(Debug)]
pub enum Ignored {
    /// Another kind of event.
    Kind(String),
    /// A job that we know nothing of, and a status (or an age) that needs nothing.
    Job {
        /// The job.
        job: JobKey,
        /// Why nothing is done.
        why: String,
    },
    /// Proved by our secret, and sent by another GitLab than the one that this stack serves.
    ForeignInstance,
    /// A body that cannot be read. It is answered like the others: by a body that a template or somebody's job name
    /// made, nobody may bring GitLab to switch the hook off.
    Unreadable(BadPayload),
}

/// Why a request was turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Another path.
    Path,
    /// Another method than POST.
    Method,
    /// The body is too large.
    TooLarge,
    /// The body is marked as base64 and is none.
    Encoding,
    /// It is not proved to be GitLab's.
    Unproved(Refusal),
    /// It was proved by a credential that is bound to other projects.
    OutOfScope(JobKey),
}

impl Rejected {
    /// A short name for metrics and logs; the caller does not get it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Unproved(refusal) => refusal.name(),
            Self::OutOfScope(_) => "out_of_scope",
        }
    }

    const fn status(&self) -> u16 {
        match self {
            Self::Path => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::Encoding => 400,
            Self::Unproved(_) => 401,
            Self::OutOfScope(_) => 403,
        }
    }
}

impl Outcome {
    /// The HTTP status: 2xx for everything authentic, 4xx for everything else.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Job(_) | Self::Ignored(_) => 200,
            Self::Rejected(rejected) => rejected.status(),
        }
    }

    /// The word that the caller gets.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Job(JobOutcome { changed: true, .. }) => "recorded",
            Self::Job(_) => "nothing_new",
            Self::Ignored(_) => "ignored",
            Self::Rejected(_) => "refused",
        }
    }

    /// The field that kept an authentic body from being read, for whoever looks at the delivery in GitLab.
    #[must_use]
    pub const fn unreadable_field(&self) -> Option<&'static str> {
        match self {
            Self::Ignored(Ignored::Unreadable(bad)) => Some(bad.field()),
            _ => None,
        }
    }
}

/// Logs and counts what became of a request.
pub fn report(outcome: &Outcome, request: &Request) {
    match outcome {
        Outcome::Job(job) => report_job(job),
        Outcome::Ignored(ignored) => report_ignored(ignored),
        Outcome::Rejected(rejected) => report_rejected(rejected, request),
    }
}

fn report_job(outcome: &JobOutcome) {
    let JobOutcome { job, status, proved_by, changed, why, announced } = outcome;
    let told = match announced {
        Announced::NotNeeded => "nobody",
        Announced::Told(Announce::Pending) => "pending",
        Announced::Told(Announce::Finished) => "finished",
        Announced::Failed(_) => "failed",
    };
    tracing::info!(target: "runnerless", service = SERVICE, "job.key" = %job, "job.status" = %status,
        "hook.proof" = proved_by.as_str(), "row.changed" = changed, announced = told, "decision.reason" = why,
        "a job's hook");
    let fields = json!({"job.key": job});
    metrics::count(SERVICE, if *changed { "HooksRecorded" } else { "HooksRepeated" }, 1, &fields);
    if let Announced::Failed(error) = announced {
        tracing::error!(target: "runnerless", service = SERVICE, "job.key" = %job, error,
            "the bus took no event of a stored job; the sweep acts on its row");
        metrics::count(SERVICE, "BusRefusals", 1, &fields);
    }
}

fn report_ignored(ignored: &Ignored) {
    match ignored {
        Ignored::Kind(kind) => {
            tracing::info!(target: "runnerless", service = SERVICE, "hook.kind" = kind, "a hook that is not a job's");
            metrics::count(SERVICE, "HooksIgnored", 1, &json!({"why": "kind"}));
        }
        Ignored::Job { job, why } => {
            tracing::info!(target: "runnerless", service = SERVICE, "job.key" = %job, "decision.reason" = why,
                "a job's hook that needs nothing");
            metrics::count(SERVICE, "HooksIgnored", 1, &json!({"why": "status", "job.key": job}));
        }
        Ignored::ForeignInstance => {
            tracing::warn!(target: "runnerless", service = SERVICE, "a hook of another GitLab than this stack's");
            metrics::count(SERVICE, "HooksIgnored", 1, &json!({"why": "foreign_instance"}));
        }
        Ignored::Unreadable(bad) => {
            tracing::error!(target: "runnerless", service = SERVICE, "hook.field" = bad.field(), error = %bad,
                "an authentic hook that cannot be read");
            metrics::count(SERVICE, "HooksIgnored", 1, &json!({"why": "unreadable"}));
            metrics::trouble(SERVICE, "HooksUnreadable", 1, &json!({"field": bad.field()}));
        }
    }
}

fn report_rejected(rejected: &Rejected, request: &Request) {
    let why = match rejected {
        Rejected::Unproved(refusal) => refusal.to_string(),
        Rejected::OutOfScope(job) => format!("job {job} is outside of the projects that the credential is bound to"),
        other => other.name().to_owned(),
    };
    tracing::warn!(target: "runnerless", service = SERVICE, "http.source_ip" = request.source_ip(),
        refusal = rejected.name(), "refused: {why}");
    metrics::count(SERVICE, "HooksRefused", 1, &json!({"refusal": rejected.name()}));
    if *rejected == Rejected::Unproved(Refusal::NothingConfigured) {
        metrics::trouble(SERVICE, "SecretsMissing", 1, &json!({}));
    }
}

/// Names the parameters that cannot be used, at each request: a mistyped key must not stay unseen.
pub(crate) fn report_unusable(credentials: &Credentials) {
    for unusable in credentials.unusable() {
        tracing::error!(target: "runnerless", service = SERVICE, parameter = unusable.name, "{unusable}");
        metrics::trouble(SERVICE, "SecretsUnusable", 1, &json!({"parameter": unusable.name}));
    }
}
