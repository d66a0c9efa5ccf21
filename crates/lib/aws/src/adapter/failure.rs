//! From the SDK's errors to ours.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{AwsError, Service};

/// Codes by which AWS asks to slow down.
const THROTTLES: [&str; 7] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "ThrottledException",
    "LimitExceededException",
];

/// Codes of AWS's own troubles, which pass.
const TROUBLES: [&str; 4] = ["InternalServerError", "InternalFailure", "ServiceUnavailable", "ServiceException"];

/// The error of one call.
pub(crate) fn failure<E, R>(service: Service, operation: &'static str, error: SdkError<E, R>) -> AwsError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let answered = matches!(error, SdkError::ServiceError(_));
    let code = error.code().unwrap_or_default().to_owned();
    let source = Box::new(error);
    match code.as_str() {
        code if THROTTLES.contains(&code) => AwsError::Throttled { service, operation, source },
        code if !answered || TROUBLES.contains(&code) => AwsError::Unavailable { service, operation, source },
        _ => AwsError::Refused { service, operation, source },
    }
}
