//! `docs/iam.md` is the template's rights, each with its reason.

use runnerless_core::pool::pool_pk;
use runnerless_tidy::read;
use runnerless_tidy::rights::{COMMAND, FILE, document, roles};
use runnerless_tidy::template::{POOL, Template};

#[test]
fn the_page_is_what_the_template_says() {
    let made = document(&Template::both()).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    assert!(made == read(FILE), "{FILE} is not what the template says: run `{COMMAND}`");
}

#[test]
fn a_scaler_may_change_its_own_group_and_its_own_row_and_nothing_else() {
    let pool = Template::at(POOL);
    let scaler = roles(&pool).into_iter().find(|role| role.id == "ScalerFunction").expect("ScalerFunction");
    for right in scaler.rights.iter().filter(|right| !right.denied) {
        let (action, on) = (right.action.as_str(), right.resource.as_str());
        let bounded = match action.split_once(':').unwrap_or_default() {
            (_, operation) if operation.starts_with("Describe") => on == "everything",
            ("autoscaling", _) => on == "`group ${StackName}` or `group ${GroupName}`",
            ("dynamodb", "GetItem" | "BatchGetItem" | "PutItem") => {
                right.condition == "`dynamodb:LeadingKeys` is `pool#${StackName}` or `pool#${GroupName}`"
            }
            ("ssm", "GetParametersByPath") => on.starts_with("`parameter ${ParameterPath}/control"),
            _ => false,
        };
        assert!(bounded, "the scaler may {action} on {on} {}", right.condition);
    }
    assert!(pool_pk("builds") == "pool#builds", "the condition names the row as the code does");
}

#[test]
fn the_executor_may_little() {
    let template = Template::load();
    let executor = roles(&template).into_iter().find(|role| role.id == "ExecutorFunction").expect("ExecutorFunction");
    for right in executor.rights.iter().filter(|right| !right.denied) {
        let (action, on) = (right.action.as_str(), right.resource.as_str());
        let little = match action.split_once(':').unwrap_or_default() {
            ("dynamodb", "GetItem" | "BatchGetItem" | "PutItem" | "UpdateItem") | ("ssm", "GetParametersByPath") => {
                true
            }
            // What it signs URLs for: caches, where there are any, and nothing else of their bucket.
            ("s3", "GetObject" | "PutObject") => on == "`bucket ${CacheBucket}/project/*`",
            ("s3", "ListBucket") => on == "`bucket ${CacheBucket}`",
            _ => false,
        };
        assert!(little, "the role that is closest to other people's code may {action} on {on}");
    }
}
