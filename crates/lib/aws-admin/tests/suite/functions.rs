//! What all settings of functions do.
//!
//! Tenancy and versions are not here: the emulator drops the one, and the other would need a published function. The caller
//! who may not read settings is the stand-in's to play; the emulator lets the root do everything.

use runnerless_aws_admin::ports::{FunctionFacts, Functions};

/// The function that the suite expects.
pub const NAME: &str = "echo";

/// What is to be known of it.
pub fn facts() -> FunctionFacts {
    FunctionFacts {
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{NAME}"),
        timeout_s: 900,
        ..FunctionFacts::default()
    }
}

/// Runs the suite on an account that has the function [`NAME`].
pub async fn all(functions: &impl Functions) {
    let wanted = facts();
    for function in [NAME, wanted.arn.as_str()] {
        assert_eq!(functions.facts(function).await.unwrap().as_ref(), Some(&wanted), "{function}");
    }
    for function in ["missing", &format!("{}x", wanted.arn), "ech", "cho"] {
        assert_eq!(functions.facts(function).await.unwrap(), None, "{function}");
    }
}
