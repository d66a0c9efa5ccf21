//! `docs/iam.md` is the template's rights, each with its reason.

use runnerless_tidy::read;
use runnerless_tidy::rights::{COMMAND, FILE, document, roles};
use runnerless_tidy::template::Template;

#[test]
fn the_page_is_what_the_template_says() {
    let made = document(&Template::load()).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    assert!(made == read(FILE), "{FILE} is not what the template says: run `{COMMAND}`");
}

#[test]
fn the_executor_may_little() {
    let template = Template::load();
    let executor = roles(&template).into_iter().find(|role| role.id == "ExecutorFunction").expect("ExecutorFunction");
    let allowed = executor.rights.iter().filter(|right| !right.denied).map(|right| right.action.as_str());
    let known = [
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "ssm:GetParametersByPath",
    ];
    for action in allowed {
        assert!(known.contains(&action), "the role that is closest to other people's code may {action}");
    }
}
