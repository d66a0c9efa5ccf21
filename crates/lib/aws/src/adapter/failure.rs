//! From the SDK's errors to ours.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{AwsError, Service};

/// Codes by which AWS asks to slow down, or to wait until it has done what it was asked before. Nothing was changed.
const THROTTLES: [&str; 11] = [
    "EC2ThrottledException",
    "ENILimitReachedException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ResourceContention",
    "ScalingActivityInProgress",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Codes of troubles that pass although AWS answers them as mistakes of the caller.
const TROUBLES: [&str; 4] =
    ["RequestTimeout", "RequestTimeoutException", "TransactionConflictException", "TransactionInProgressException"];

/// From this status on the trouble is AWS's own, whatever it is called.
const OWN_TROUBLE: u16 = 500;

/// The error of one call.
#[doc(hidden)]
pub fn failure<E>(service: Service, operation: &'static str, error: SdkError<E, HttpResponse>) -> AwsError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default().to_owned();
    let answered = matches!(error, SdkError::ServiceError(_));
    let source = Box::new(error);
    match meaning(answered, status, &code) {
        Meaning::Throttled => AwsError::Throttled { service, operation, source },
        Meaning::Unavailable => AwsError::Unavailable { service, operation, source },
        Meaning::Refused => AwsError::Refused { service, operation, source },
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Throttled,
    Unavailable,
    Refused,
}

fn meaning(answered: bool, status: Option<u16>, code: &str) -> Meaning {
    if THROTTLES.contains(&code) {
        Meaning::Throttled
    } else if !answered || TROUBLES.contains(&code) || status.is_some_and(|status| status >= OWN_TROUBLE) {
        Meaning::Unavailable
    } else {
        Meaning::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_no_is_final() {
        assert_eq!(meaning(true, Some(400), "AccessDeniedException"), Meaning::Refused);
        assert_eq!(meaning(true, Some(404), "ResourceNotFoundException"), Meaning::Refused);
        assert_eq!(meaning(true, Some(429), "TooManyRequestsException"), Meaning::Throttled);
        assert_eq!(meaning(true, Some(502), "EC2ThrottledException"), Meaning::Throttled);
        assert_eq!(
            meaning(true, Some(500), "ResourceContention"),
            Meaning::Throttled,
            "Auto Scaling is busy with others"
        );
        assert_eq!(meaning(true, Some(500), "InternalException"), Meaning::Unavailable);
        assert_eq!(meaning(true, Some(503), ""), Meaning::Unavailable);
        assert_eq!(meaning(true, Some(400), "TransactionConflictException"), Meaning::Unavailable);
        assert_eq!(meaning(false, None, ""), Meaning::Unavailable, "nobody answered");
    }
}
