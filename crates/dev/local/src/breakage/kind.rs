//! The ways in which something is out of order.

use rustix::process::Signal;

/// How a service breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks to slow down.
    Throttled,
    /// It answers 500.
    Failing,
    /// It takes the call and never answers.
    Hanging,
    /// It closes the connection without an answer, and does nothing.
    Reset,
    /// It does what it was asked, and the answer is lost.
    AnswerLost,
    /// It answers that the caller has no right to this.
    Denied,
    /// The bus takes the call, and none of its entries.
    Refused,
    /// A workflow is not where the bus's rule says, and cannot be started.
    Gone,
    /// A workflow is of another release than the function that it calls.
    Outdated,
    /// The process is killed (SIGKILL).
    Killed,
    /// The process stands still (SIGSTOP) until Lambda ends it.
    Frozen,
}

/// The ways in which a whole service is out of order.
pub const OUT_OF_ORDER: [Kind; 4] = [Kind::Throttled, Kind::Failing, Kind::Hanging, Kind::Reset];

impl Kind {
    /// For ids and people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Failing => "failing",
            Self::Hanging => "hanging",
            Self::Reset => "reset",
            Self::AnswerLost => "answer-lost",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Outdated => "outdated",
            Self::Killed => "killed",
            Self::Frozen => "frozen",
        }
    }

    /// What the witness is asked to do to the calls of a case. A workflow is put out of order where it is, and its case
    /// has no calls.
    #[must_use]
    pub const fn deed(self) -> &'static str {
        match self {
            Self::Throttled => "throttle",
            Self::Failing | Self::Gone | Self::Outdated => "fail",
            Self::Hanging | Self::Killed | Self::Frozen => "hang:before",
            Self::Reset => "reset:before",
            Self::Denied => "error:AccessDeniedException",
            Self::Refused => "refuse_entry",
            Self::AnswerLost => "reset",
        }
    }

    /// Attempts that the SDK makes of one call before it gives up (`lib/aws/src/place.rs`): four, or as many as fit into
    /// eight seconds when each hangs for three. A plain no is final.
    #[must_use]
    pub const fn attempts(self) -> u64 {
        match self {
            Self::Hanging | Self::Killed | Self::Frozen => 3,
            Self::Denied | Self::Refused => 1,
            _ => 4,
        }
    }

    /// What is done to the process of a case.
    #[must_use]
    pub const fn signal(self) -> Option<Signal> {
        match self {
            Self::Killed => Some(Signal::KILL),
            Self::Frozen => Some(Signal::STOP),
            _ => None,
        }
    }
}
