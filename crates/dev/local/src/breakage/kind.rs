//! The ways in which something is out of order.

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
    /// The process is killed (SIGKILL).
    Killed,
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
            Self::Killed => "killed",
        }
    }

    /// What the witness is asked to do.
    #[must_use]
    pub const fn deed(self) -> &'static str {
        match self {
            Self::Throttled => "throttle",
            Self::Failing => "fail",
            Self::Hanging | Self::Killed => "hang:before",
            Self::Reset => "reset:before",
            Self::AnswerLost => "reset",
        }
    }

    /// Attempts that the SDK makes of one call before it gives up (`lib/aws/src/place.rs`): four, or as many as fit into
    /// eight seconds when each hangs for three.
    #[must_use]
    pub const fn attempts(self) -> u64 {
        match self {
            Self::Hanging => 3,
            _ => 4,
        }
    }
}
