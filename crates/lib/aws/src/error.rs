//! What can go wrong at a port, with the names that state machines match on.

use std::fmt;

use runnerless_core::change::BadRow;

/// What was spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// The ledger table.
    Ledger,
    /// The mapping table.
    Mapping,
    /// Parameter Store.
    Parameters,
    /// The event bus.
    Bus,
    /// Lambda's invoke.
    Invoke,
    /// EC2.
    Fleet,
    /// Auto Scaling.
    Scaling,
}

/// The cause of an error, of whatever type the SDK has.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A call that did not work.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// AWS asks to slow down. Nothing was changed.
    #[error("{service}: {operation} was throttled")]
    Throttled {
        /// What was spoken to.
        service: Service,
        /// The API operation.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// No answer, or AWS failed: whether something was changed is unknown. Saying the same again is safe, because every
    /// write has a condition.
    #[error("{service}: {operation} got no usable answer")]
    Unavailable {
        /// What was spoken to.
        service: Service,
        /// The API operation.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// AWS understood and refused: a missing right, a wrong name, an impossible request. Repeating does not help.
    #[error("{service}: {operation} was refused")]
    Refused {
        /// What was spoken to.
        service: Service,
        /// The API operation.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// A row of the ledger that this version cannot read. It is left alone.
    #[error(transparent)]
    BadRow(#[from] BadRow),
    /// The same row was written by others again and again while it was to be changed.
    #[error("ledger: {0} was changed by others each time it was to be written")]
    Contended(String),
}

impl AwsError {
    /// The name under which it leaves a function; state machines match on it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Throttled { service, .. } => match service {
                Service::Ledger => "Ledger.Throttled",
                Service::Mapping => "Mapping.Unavailable",
                Service::Parameters => "Parameters.Unavailable",
                Service::Bus => "Bus.Unavailable",
                Service::Invoke => "Invoke.Unavailable",
                Service::Fleet => "Fleet.Throttled",
                Service::Scaling => "Scaling.Throttled",
            },
            Self::Unavailable { service, .. } => match service {
                Service::Ledger => "Ledger.Unavailable",
                Service::Mapping => "Mapping.Unavailable",
                Service::Parameters => "Parameters.Unavailable",
                Service::Bus => "Bus.Unavailable",
                Service::Invoke => "Invoke.Unavailable",
                Service::Fleet => "Fleet.Unavailable",
                Service::Scaling => "Scaling.Unavailable",
            },
            Self::Refused { service, .. } => match service {
                Service::Ledger => "Ledger.Refused",
                Service::Mapping => "Mapping.Refused",
                Service::Parameters => "Parameters.Refused",
                Service::Bus => "Bus.Refused",
                Service::Invoke => "Invoke.Refused",
                Service::Fleet => "Fleet.Refused",
                Service::Scaling => "Scaling.Refused",
            },
            Self::BadRow(_) => "Ledger.BadRow",
            Self::Contended(_) => "Ledger.Throttled",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ledger => "ledger",
            Self::Mapping => "mapping",
            Self::Parameters => "Parameter Store",
            Self::Bus => "event bus",
            Self::Invoke => "Lambda",
            Self::Fleet => "EC2",
            Self::Scaling => "Auto Scaling",
        })
    }
}
