//! From the SDK's errors to ours.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ports::RemoteError;

/// Codes by which AWS says that it does not know the caller, or no longer.
const UNKNOWN: [&str; 7] = [
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingAuthenticationTokenException",
    "ExpiredTokenException",
];

/// Codes by which AWS says that the caller may not.
const DENIED: [&str; 3] = ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"];

/// One API operation and the right that it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// Its name.
    pub(super) name: &'static str,
    /// The IAM action.
    pub(super) right: &'static str,
}

impl Operation {
    pub(super) const fn new(name: &'static str, right: &'static str) -> Self {
        Self { name, right }
    }

    /// The error of one call of it.
    pub(super) fn failure<E, R>(self, error: SdkError<E, R>) -> RemoteError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let code = error.code().unwrap_or_default().to_owned();
        self.coded(&code, Box::new(error))
    }

    /// The error that AWS gave this code.
    pub(super) fn coded(self, code: &str, source: crate::ports::Cause) -> RemoteError {
        match code {
            code if UNKNOWN.contains(&code) => RemoteError::Unknown { operation: self.name, source },
            code if DENIED.contains(&code) => RemoteError::Denied { operation: self.name, right: self.right, source },
            _ => RemoteError::Failed { operation: self.name, source },
        }
    }

    /// As [`Self::failure`], where "not found" means that `table` is not there.
    pub(super) fn on_table<E, R>(self, table: &str, error: SdkError<E, R>) -> RemoteError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        match error.code() {
            Some("ResourceNotFoundException") => self.missing(format!("table {table}")),
            _ => self.failure(error),
        }
    }

    /// What was asked of is not there.
    pub(super) const fn missing(self, what: String) -> RemoteError {
        RemoteError::Missing { operation: self.name, what }
    }

    /// A request that could not even be made, or an answer that cannot be used.
    pub(super) fn unusable(self, cause: impl Into<crate::ports::Cause>) -> RemoteError {
        RemoteError::Failed { operation: self.name, source: cause.into() }
    }
}
