//! What every service of stacks does.

use std::time::Duration;

use runnerless_aws_admin::ports::{StackFacts, Stacks};

/// The stack of the suite, whose one output is `Word`: `a & b`.
pub const NAME: &str = "suite-stack";

/// Runs the suite where that stack is and no other.
pub async fn all(stacks: &impl Stacks) {
    assert_eq!(stacks.show("no-such-stack").await.unwrap(), None);
    stacks.delete("no-such-stack").await.unwrap();
    let shown = stacks.show(NAME).await.unwrap().expect("it is there");
    assert_eq!((shown.status.as_str(), shown.protected), ("CREATE_COMPLETE", false));
    assert_eq!(shown.outputs.get("Word").map(String::as_str), Some("a & b"));
    assert_eq!(stacks.show(&shown.id).await.unwrap().as_ref(), Some(&shown), "by its id, too");
    stacks.delete(&shown.id).await.unwrap();
    let gone: StackFacts = loop {
        let seen = stacks.show(&shown.id).await.unwrap().expect("its id stays its");
        if seen.status != "DELETE_IN_PROGRESS" {
            break seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(gone.status, "DELETE_COMPLETE");
    assert_eq!(stacks.show(NAME).await.unwrap(), None, "its name is free");
    stacks.delete(NAME).await.unwrap();
}
