//! Launch rows: one attempt each to provide a runner for a lane.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cache::NamedCaches;
use crate::change::Due;
use crate::id::{JobKey, LaneId, LaunchId};
use crate::lane::{Engine, Lane, TagSet};
use crate::limits;
use crate::official::Official;
use crate::own_runner::OwnRunner;
use crate::sealed::SealedToken;
use crate::time::{Millis, Timestamp};

/// Where a launch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchState {
    /// Its row is written, its compute is not started yet.
    Charged,
    /// AWS took the request to start its compute.
    Starting,
    /// Its runner may ask GitLab for a job.
    Polling,
    /// Its runner has a job.
    Bound,
    /// Somebody stops it: its runner may bind nothing any more.
    Closing,
    /// Over; nothing of it is left.
    Closed,
}

/// When a row entered each state, for timelines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LaunchTimes {
    /// See [`LaunchState::Charged`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_at: Option<Timestamp>,
    /// See [`LaunchState::Starting`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_at: Option<Timestamp>,
    /// See [`LaunchState::Polling`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_at: Option<Timestamp>,
    /// See [`LaunchState::Bound`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_at: Option<Timestamp>,
    /// See [`LaunchState::Closing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing_at: Option<Timestamp>,
    /// See [`LaunchState::Closed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
}

/// One launch of the ledger (`launch#<launch id>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchRow {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// Its id.
    pub launch: LaunchId,
    /// Where it stands.
    pub state: LaunchState,
    /// The lane that it serves.
    pub lane: LaneId,
    /// The lane's tags, so that a binding can tell whom else the launch could serve without another read.
    pub lane_tags: TagSet,
    /// Whether the lane takes untagged jobs.
    pub run_untagged: bool,
    /// What runs its job.
    pub engine: Engine,
    /// The function's ARN for LAMBDA.
    pub target: String,
    /// The request that starts it, frozen to the byte when it was charged: an unknown outcome repeats exactly this.
    /// It holds the nonce and is erased as soon as the launch begins or ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Whether the target is started under a tenant id, the launch's own: a part of the frozen request.
    #[serde(default)]
    pub isolated: bool,
    /// The job that it was started for; `None` for a sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_to: Option<JobKey>,
    /// The job's attempt number that this launch is, for idempotency tokens. 0 for a sentinel.
    pub attempt: u32,
    /// The job that its runner really got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_job: Option<JobKey>,
    /// The instance, for EC2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The runner at GitLab that is made for this launch alone, see [`crate::moves::enrolment`]; without one its runner
    /// asks as the lane's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_runner: Option<OwnRunner>,
    /// The official runner serves it, as this executor. It tells nobody which job it got: GitLab does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official: Option<Official>,
    /// The runner manager's system id that its runner shows to GitLab.
    pub system_id: String,
    /// SHA-256 (hex) of the nonce in its launch event: the proof of who speaks for it. The nonce itself is in the
    /// frozen request only.
    pub nonce_sha256: String,
    /// The random claim of the process that let it begin: a second delivery of the same event is told apart by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Whether its runner accepted the bound job from GitLab: set by the first heartbeat, which follows the acceptance
    /// at once. What was only offered may be another runner's two minutes later.
    #[serde(default)]
    pub accepted: bool,
    /// The bound job's token, kept to report the job as failed should its runner be lost. Erased when the launch ends:
    /// a launch that was lost is `closing` until GitLab was told, see [`crate::moves::debt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_token: Option<SealedToken>,
    /// How often its runner gives a sign of life, if it said so when it bound its job; else it renews once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_ms: Option<Millis>,
    /// The caches that the bound job names, and its runner may ask URLs for. Erased when the launch ends.
    #[serde(default, skip_serializing_if = "NamedCaches::is_empty")]
    pub caches: NamedCaches,
    /// Until when its present state may last without a word from it.
    pub lease_until: Timestamp,
    /// Its hard end.
    pub deadline: Timestamp,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// When the sweep looks at it.
    #[serde(flatten)]
    pub due: Due,
    /// Times of its states.
    #[serde(flatten)]
    pub times: LaunchTimes,
    /// When DynamoDB may delete the row (s since the epoch); closed rows only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl LaunchRow {
    /// Whether its runner may still take a job that it has not got yet.
    #[must_use]
    pub const fn is_unbound_live(&self) -> bool {
        matches!(self.state, LaunchState::Charged | LaunchState::Starting | LaunchState::Polling)
    }

    /// Whether its runner is the official one and began: it may have a job that is not known yet.
    #[must_use]
    pub const fn may_run_unknown(&self) -> bool {
        matches!(self.state, LaunchState::Polling) && self.official.is_some()
    }

    /// Whether it never began to ask.
    #[must_use]
    pub const fn never_began(&self) -> bool {
        matches!(self.state, LaunchState::Charged | LaunchState::Starting)
    }

    /// Whether its runner can serve a job with these tags, or, when the tags are unknown, a job of this lane.
    #[must_use]
    pub fn can_serve(&self, lane: Option<&LaneId>, tags: Option<&TagSet>) -> bool {
        match tags {
            Some(tags) => self.as_lane().can_serve(tags),
            None => lane == Some(&self.lane),
        }
    }

    /// The lane as far as eligibility goes.
    #[must_use]
    pub fn as_lane(&self) -> Lane {
        Lane {
            tags: self.lane_tags.clone(),
            engine: self.engine,
            target: self.target.clone(),
            run_untagged: self.run_untagged,
        }
    }

    /// Enters a state at `now`.
    pub(crate) fn enter(&mut self, state: LaunchState, now: Timestamp) {
        self.state = state;
        let at = match state {
            LaunchState::Charged => &mut self.times.charged_at,
            LaunchState::Starting => &mut self.times.starting_at,
            LaunchState::Polling => &mut self.times.polling_at,
            LaunchState::Bound => &mut self.times.bound_at,
            LaunchState::Closing => &mut self.times.closing_at,
            LaunchState::Closed => &mut self.times.closed_at,
        };
        *at = Some(now);
    }

    /// Grants the present state until `until`, when the sweep looks.
    pub(crate) fn lease(&mut self, until: Timestamp) {
        self.lease_until = until;
        self.due = Due::at(&self.launch.pk(), until);
    }

    /// Ends the launch: it can neither bind nor owe anything any more. A row with an instance, or with a runner of its own,
    /// stays `closing` until that is gone, see [`crate::moves::cleared`]: whoever ends instances does it at once, and the sweep
    /// follows.
    pub(crate) fn retire(&mut self, now: Timestamp, reason: impl Into<String>) {
        if self.instance_id.is_none() && self.own_runner.is_none() {
            return self.close_for_good(now, reason);
        }
        if self.is_winding_up() {
            return;
        }
        self.enter(LaunchState::Closing, now);
        self.end_reason = Some(reason.into());
        self.request = None;
        self.job_token = None;
        self.caches = NamedCaches::default();
        self.lease(now + limits::SETTLE_CHECK);
    }

    /// Whether it is over but for its instance, or its own runner, which are to be ended.
    #[must_use]
    pub const fn is_winding_up(&self) -> bool {
        matches!(self.state, LaunchState::Closing)
            && (self.instance_id.is_some() || self.own_runner.is_some())
            && self.request.is_none()
            && self.job_token.is_none()
    }

    /// Closes the row: nothing of the launch is left.
    pub(crate) fn close_for_good(&mut self, now: Timestamp, reason: impl Into<String>) {
        self.enter(LaunchState::Closed, now);
        self.end_reason = Some(reason.into());
        self.request = None;
        self.job_token = None;
        self.caches = NamedCaches::default();
        if let Some(own) = &mut self.own_runner {
            own.token = None;
        }
        self.due = Due::never();
        self.expires_at = Some((now + limits::KEEP_CLOSED_ROWS).epoch_secs());
    }

    /// Whether it is over but for one thing: GitLab is to be told that its job failed.
    #[must_use]
    pub fn owes_report(&self) -> bool {
        self.state == LaunchState::Closing && self.job_token.is_some()
    }

    /// Ends the row once GitLab was told that the bound job failed; at once where there is nothing to tell it with.
    pub(crate) fn owe_report(&mut self, now: Timestamp, reason: impl Into<String>) {
        if self.job_token.is_none() {
            return self.retire(now, reason);
        }
        self.enter(LaunchState::Closing, now);
        self.end_reason = Some(reason.into());
        self.lease(now + limits::DEBT_GRACE);
    }
}
