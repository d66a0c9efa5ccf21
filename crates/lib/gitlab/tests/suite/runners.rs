//! What every GitLab does with runners: it proves their tokens and knows their managers.
//!
//! One that cannot be reached is unknown, as one that asks to come later: the reporter's suite has it for the same client.

use runnerless_gitlab::protocol::{Forgotten, Runners, Secret, Verified};

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
