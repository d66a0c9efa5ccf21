//! What every GitLab does with runners: it proves their tokens, knows their managers, and makes and deletes them.
//!
//! One that cannot be reached is unknown, as one that asks to come later: the reporter's suite has it for the same client.

use runnerless_core::lane::TagSet;
use runnerless_gitlab::protocol::{Deleted, Forgotten, Made, NewRunner, RunnerScope, Runners, Secret, Verified};

use super::simulator::SYSTEM_ID;

/// What the suite does beside the port.
pub trait Ground {
    /// The system ids of the runner's managers; none of a runner that is gone.
    async fn managers(&self) -> Vec<String>;
    /// From now on GitLab asks to come later, or answers again.
    async fn fails(&self, failing: bool);
    /// Its owner deletes the runner.
    async fn deleted(&self);
}

/// Runs the suite on a runner without managers.
pub async fn all(runners: &impl Runners, id: u64, token: &Secret, ground: &impl Ground) {
    const OTHER: &str = "r_0123456789ab";
    let stranger = Secret::new("glrt-of-nobody");
    assert!(matches!(runners.verify(&stranger, SYSTEM_ID).await, Verified::Refused(_)));
    assert!(matches!(runners.forget(&stranger, SYSTEM_ID).await, Forgotten::Refused(_)));
    assert!(ground.managers().await.is_empty());

    for _ in 0..2 {
        assert_eq!(runners.verify(token, SYSTEM_ID).await, Verified::Runner(Some(id)));
        assert_eq!(ground.managers().await, [SYSTEM_ID], "one, however often it is said");
    }
    assert_eq!(runners.verify(token, OTHER).await, Verified::Runner(Some(id)));
    assert_eq!(ground.managers().await, [OTHER, SYSTEM_ID]);
    let long = "r".repeat(65);
    assert!(matches!(runners.verify(token, &long).await, Verified::Refused(_)), "no system id is so long");

    ground.fails(true).await;
    assert!(matches!(runners.verify(token, SYSTEM_ID).await, Verified::Unknown(_)));
    assert!(matches!(runners.forget(token, SYSTEM_ID).await, Forgotten::Unknown(_)));
    ground.fails(false).await;
    assert_eq!(ground.managers().await.len(), 2, "what is not known is not gone");

    for _ in 0..2 {
        assert_eq!(runners.forget(token, OTHER).await, Forgotten::Gone, "one that is gone is gone");
        assert_eq!(ground.managers().await, [SYSTEM_ID]);
    }
    ground.deleted().await;
    assert!(ground.managers().await.is_empty(), "a runner takes its managers with it");
    assert!(matches!(runners.verify(token, SYSTEM_ID).await, Verified::Refused(_)));
    assert!(matches!(runners.forget(token, SYSTEM_ID).await, Forgotten::Refused(_)));
}

/// What the suite about making runners does beside the port.
pub trait Owner {
    /// A token that may make runners of the instance, one that may not, and a project's registration token.
    fn tokens(&self) -> [Secret; 3];
    /// The runner of this id as its owner sees it: description and tags; `None` of one that is gone.
    async fn shown(&self, id: u64) -> Option<String>;
    /// From now on GitLab fails, or answers again.
    async fn fails(&self, failing: bool);
}

/// Runs the suite on a GitLab that takes registration tokens.
pub async fn making(runners: &impl Runners, owner: &impl Owner) {
    let (tags, [api, narrow, registration]) = (TagSet::new(["docker", "large"]).unwrap(), owner.tokens());
    let new = |description| NewRunner {
        description,
        note: "for one job",
        tags: &tags,
        run_untagged: false,
        longest_s: Some(900),
    };
    let mut made = Vec::new();
    for (by_api, name) in [(true, "of the api"), (false, "of the project")] {
        let answer = match by_api {
            true => runners.create(&api, RunnerScope::Instance, &new(name)).await,
            false => runners.register(&registration, &new(name)).await,
        };
        let Made::Runner { id, token } = answer else { panic!("{name}: {answer:?}") };
        assert_eq!(owner.shown(id).await.as_deref(), Some(name));
        assert_eq!(runners.verify(&token, SYSTEM_ID).await, Verified::Runner(Some(id)), "its token is its own");
        made.push((id, token));
    }

    let refused = async |made: Made| assert!(matches!(made, Made::Refused(_)), "{made:?}");
    let stranger = Secret::new("glpat-of-nobody");
    for token in [&stranger, &narrow] {
        refused(runners.create(token, RunnerScope::Instance, &new("x")).await).await;
    }
    refused(runners.register(&Secret::new("GR1348941nobody"), &new("x")).await).await;
    let short = NewRunner { longest_s: Some(599), ..new("x") };
    refused(runners.create(&api, RunnerScope::Instance, &short).await).await;
    refused(runners.register(&registration, &short).await).await;

    owner.fails(true).await;
    let unknown = async |made: Made| assert!(matches!(made, Made::Unknown(_)), "{made:?}");
    unknown(runners.create(&api, RunnerScope::Instance, &new("x")).await).await;
    unknown(runners.register(&registration, &new("x")).await).await;
    assert!(matches!(runners.unregister(&made[0].1).await, Deleted::Unknown(_)));
    owner.fails(false).await;

    for (id, token) in made {
        assert!(owner.shown(id).await.is_some(), "what is not known is not gone");
        assert_eq!(runners.unregister(&token).await, Deleted::Gone);
        assert_eq!(owner.shown(id).await, None);
        assert!(matches!(runners.unregister(&token).await, Deleted::Stranger(_)), "its token is nobody's");
    }
}
