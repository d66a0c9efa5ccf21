//! What becomes of the jobs of a pipeline that are still `created`.
//!
//! The rule is GitLab's `Ci::PipelineProcessing::AtomicProcessingService`: a job's turn comes when the stages before it,
//! or the jobs that it needs, are complete; whether it then runs depends on `when`.

use super::composite::composite;
use crate::world::spec::When;
use crate::world::status::Status;

/// A job of the pipeline; only the newest of each name.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    /// Full name.
    pub name: &'a str,
    /// Place of its stage.
    pub stage: usize,
    /// Names of the jobs that it needs; `None` for stage order.
    pub needs: Option<&'a [String]>,
    /// `when:`.
    pub when: When,
    /// Its state.
    pub status: Status,
    /// Whether its failure is forgiven.
    pub allow_failure: bool,
}

/// What happens to a `created` job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It becomes pending.
    Enqueue,
    /// It waits for a person.
    Ask,
    /// It waits so many seconds.
    Delay(u64),
    /// It never runs.
    Skip,
}

/// The steps that are due now, by index. A skipped job may make another one's turn come: call again until it is empty.
pub(crate) fn due(nodes: &[Node<'_>]) -> Vec<(usize, Step)> {
    let created = nodes.iter().enumerate().filter(|(_, node)| node.status == Status::Created);
    created.filter_map(|(at, node)| step(node, nodes).map(|step| (at, step))).collect()
}

fn step(node: &Node<'_>, nodes: &[Node<'_>]) -> Option<Step> {
    let before: Vec<(Status, bool)> = nodes
        .iter()
        .filter(|other| match node.needs {
            Some(needs) => needs.iter().any(|need| need == other.name),
            None => other.stage < node.stage,
        })
        .map(|other| (other.status, other.allow_failure))
        .collect();
    let status = composite(&before, node.needs.is_some()).unwrap_or(Status::Success);
    if !status.is_completed() {
        return None;
    }
    Some(if !wanted(node, status) {
        Step::Skip
    } else {
        match node.when {
            When::Manual => Step::Ask,
            When::Delayed(seconds) => Step::Delay(seconds),
            When::OnSuccess | When::OnFailure | When::Always => Step::Enqueue,
        }
    })
}

/// GitLab's `valid_statuses_for_build`.
fn wanted(node: &Node<'_>, status: Status) -> bool {
    match node.when {
        When::OnSuccess | When::Manual | When::Delayed(_) if node.needs.is_some() => status == Status::Success,
        When::OnSuccess | When::Manual | When::Delayed(_) => matches!(status, Status::Success | Status::Skipped),
        When::OnFailure => status == Status::Failed,
        When::Always => matches!(status, Status::Success | Status::Failed | Status::Skipped),
    }
}

/// The skipped jobs that come alive again when the named job is repeated: those after it, by stage or by need.
pub(crate) fn revived(nodes: &[Node<'_>], repeated: &str) -> Vec<usize> {
    let stage = nodes.iter().find(|node| node.name == repeated).map_or(0, |node| node.stage);
    let mut names = vec![repeated.to_owned()];
    let mut found = Vec::new();
    loop {
        let more = nodes.iter().enumerate().find(|(at, node)| {
            node.status == Status::Skipped
                && !found.contains(at)
                && match node.needs {
                    Some(needs) => needs.iter().any(|need| names.contains(need)),
                    None => node.stage > stage,
                }
        });
        let Some((at, node)) = more else { return found };
        names.push(node.name.to_owned());
        found.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Canceled, Created, Failed, Manual, Pending, Skipped, Success};

    fn node(name: &'static str, stage: usize, when: When, status: Status) -> Node<'static> {
        Node { name, stage, needs: None, when, status, allow_failure: false }
    }

    #[test]
    fn the_first_stage_starts_and_the_second_waits() {
        let nodes = [node("a", 0, When::OnSuccess, Created), node("b", 1, When::OnSuccess, Created)];
        assert_eq!(due(&nodes), [(0, Step::Enqueue)]);
    }

    #[test]
    fn after_a_failure_only_on_failure_and_always_run() {
        let nodes = [
            node("a", 0, When::OnSuccess, Failed),
            node("b", 1, When::OnSuccess, Created),
            node("c", 1, When::OnFailure, Created),
            node("d", 1, When::Always, Created),
        ];
        assert_eq!(due(&nodes), [(1, Step::Skip), (2, Step::Enqueue), (3, Step::Enqueue)]);
    }

    #[test]
    fn after_success_on_failure_is_skipped() {
        let nodes = [node("a", 0, When::OnSuccess, Success), node("b", 1, When::OnFailure, Created)];
        assert_eq!(due(&nodes), [(1, Step::Skip)]);
    }

    #[test]
    fn a_cancelled_stage_skips_the_rest() {
        let nodes = [node("a", 0, When::OnSuccess, Canceled), node("b", 1, When::Always, Created)];
        assert_eq!(due(&nodes), [(1, Step::Skip)]);
    }

    #[test]
    fn a_manual_job_that_may_fail_does_not_hold_the_pipeline_and_another_does() {
        let mut nodes = [node("a", 0, When::Manual, Manual), node("b", 1, When::OnSuccess, Created)];
        assert_eq!(due(&nodes), []);
        nodes[0].allow_failure = true;
        assert_eq!(due(&nodes), [(1, Step::Enqueue)]);
    }

    #[test]
    fn needs_override_stages() {
        let needs = ["a".to_owned()];
        let nothing: [String; 0] = [];
        let nodes = [
            node("a", 0, When::OnSuccess, Success),
            node("slow", 0, When::OnSuccess, Pending),
            Node { needs: Some(&needs), ..node("b", 1, When::OnSuccess, Created) },
            Node { needs: Some(&nothing), ..node("c", 2, When::OnSuccess, Created) },
            node("d", 1, When::OnSuccess, Created),
        ];
        assert_eq!(due(&nodes), [(2, Step::Enqueue), (3, Step::Enqueue)]);
    }

    #[test]
    fn a_repeated_job_revives_what_was_skipped_because_of_it() {
        let needs = ["a".to_owned()];
        let nodes = [
            node("a", 0, When::OnSuccess, Pending),
            Node { needs: Some(&needs), ..node("b", 0, When::OnSuccess, Skipped) },
            node("c", 1, When::OnSuccess, Skipped),
            node("d", 1, When::OnSuccess, Success),
        ];
        assert_eq!(revived(&nodes, "a"), [1, 2]);
    }
}
