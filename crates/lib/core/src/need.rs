//! Need: how many more launches the waiting jobs ask for. The sweep, and only it, counts.

use crate::id::{JobKey, LaneId, LaunchId};
use crate::lane::TagSet;
use crate::launch::LaunchRow;

/// A pending job without a live charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingJob {
    /// The job.
    pub key: JobKey,
    /// Its lane, as routed.
    pub lane: LaneId,
    /// Its own tags, when known.
    pub tags: Option<TagSet>,
}

/// A waiting job and what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A launch that is under way and was started for a job that no longer needs it.
    Spare(LaunchId),
    /// Nothing under way can serve it: it needs a launch of its own.
    Launch,
}

/// Matches waiting jobs with spare launches: as many jobs as possible get a spare one, the rest need new launches.
///
/// `spare` are live unbound launches that are charged to no waiting job. A launch serves one job, and jobs are tried
/// in the given order (oldest first). Overlapping tag sets make this a bipartite matching: taking the first launch
/// that fits could strand a job whose only launch it was, so a taken launch is handed on where another one fits.
/// Among launches that fit, the most specific (fewest tags) is tried first, so that broad ones stay free.
#[must_use]
pub fn need(waiting: &[WaitingJob], spare: &[LaunchRow]) -> Vec<(JobKey, Answer)> {
    let mut order: Vec<usize> = (0..spare.len()).collect();
    order.sort_by_key(|&at| (spare[at].lane_tags.len(), spare[at].launch.clone()));
    let mut taken_by: Vec<Option<usize>> = vec![None; spare.len()];
    for job in 0..waiting.len() {
        let mut seen = vec![false; spare.len()];
        find_launch(job, waiting, spare, &order, &mut taken_by, &mut seen);
    }
    let launch_of = |job: usize| taken_by.iter().position(|&taker| taker == Some(job));
    let answer = |job: usize| launch_of(job).map_or(Answer::Launch, |at| Answer::Spare(spare[at].launch.clone()));
    waiting.iter().enumerate().map(|(at, job)| (job.key, answer(at))).collect()
}

/// One augmenting path (Kuhn's algorithm): true when the job has a launch afterwards, nobody losing theirs.
fn find_launch(
    job: usize,
    waiting: &[WaitingJob],
    spare: &[LaunchRow],
    order: &[usize],
    taken_by: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for &at in order {
        // Cheap questions first: this is asked for every pair of hundreds.
        let fits = !seen[at]
            && spare[at].is_unbound_live()
            && spare[at].can_serve(Some(&waiting[job].lane), waiting[job].tags.as_ref());
        if !fits {
            continue;
        }
        seen[at] = true;
        let free = match taken_by[at] {
            None => true,
            Some(other) => find_launch(other, waiting, spare, order, taken_by, seen),
        };
        if free {
            taken_by[at] = Some(job);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::LaunchState;
    use crate::moves::testing::{key, launch_row};
    use proptest::prelude::*;

    fn launch(id: usize, tags: &[&str]) -> LaunchRow {
        LaunchRow {
            lane: LaneId::new(tags.join("+")),
            lane_tags: TagSet::new(tags).unwrap(),
            run_untagged: false,
            ..launch_row(&format!("l-{id}"), None)
        }
    }

    fn job(id: u64, tags: &[&str]) -> WaitingJob {
        WaitingJob { key: key(id), lane: LaneId::new(tags.join("+")), tags: Some(TagSet::new(tags).unwrap()) }
    }

    fn launches(answers: &[(JobKey, Answer)]) -> usize {
        answers.iter().filter(|(_, answer)| *answer == Answer::Launch).count()
    }

    #[test]
    fn of_overlapping_tag_sets_no_job_is_stranded_by_another_that_had_a_choice() {
        // {a} fits both launches, {a,b} only the broad one; whoever comes first, both are served.
        for order in [[job(1, &["a"]), job(2, &["a", "b"])], [job(2, &["a", "b"]), job(1, &["a"])]] {
            assert_eq!(launches(&need(&order, &[launch(1, &["a", "b"]), launch(2, &["a"])])), 0);
            assert_eq!(launches(&need(&order, &[launch(1, &["a", "b"])])), 1);
            assert_eq!(launches(&need(&order, &[launch(1, &["a"])])), 1);
        }
    }

    #[test]
    fn a_launch_is_handed_on_to_the_job_that_has_no_other() {
        // {a} may take either launch and takes the first; {b} fits that one only.
        let jobs = [job(1, &["a"]), job(2, &["b"])];
        assert_eq!(launches(&need(&jobs, &[launch(1, &["a", "b"]), launch(2, &["a", "c"])])), 0);
    }

    #[test]
    fn a_bound_or_closing_launch_covers_nobody() {
        for state in [LaunchState::Bound, LaunchState::Closing, LaunchState::Closed] {
            let busy = LaunchRow { state, ..launch(1, &["a"]) };
            assert_eq!(launches(&need(&[job(1, &["a"])], &[busy])), 1, "{state:?}");
        }
    }

    #[test]
    fn jobs_with_unknown_tags_are_served_by_their_own_lane_only() {
        let unknown = WaitingJob { tags: None, ..job(1, &["a"]) };
        assert_eq!(launches(&need(std::slice::from_ref(&unknown), &[launch(1, &["a", "b"])])), 1);
        assert_eq!(launches(&need(&[unknown], &[launch(1, &["a"])])), 0);
    }

    #[test]
    fn a_burst_of_200_pushed_again_three_times_needs_no_launch_twice() {
        // 200 launches are under way for jobs that were cancelled; the 200 new jobs need none.
        let spare: Vec<_> = (0..200).map(|n| launch(n, &["a"])).collect();
        let waiting: Vec<_> = (0..200).map(|n| job(n, &["a"])).collect();
        for _push in 0..3 {
            assert_eq!(launches(&need(&waiting, &spare)), 0);
        }
        assert_eq!(launches(&need(&waiting, &spare[..150])), 50);
    }

    // With two sets above one, neither above the other: only there does it matter that a launch is handed on.
    const SETS: [&[&str]; 7] = [&["a"], &["b"], &["a", "b"], &["a", "c"], &["b", "c"], &["a", "b", "c"], &["c"]];

    /// The largest number of jobs that launches can serve, by trying everything.
    fn most(jobs: &[WaitingJob], spare: &[LaunchRow], used: u32) -> usize {
        let Some((first, rest)) = jobs.split_first() else { return 0 };
        let with = (0..spare.len())
            .filter(|at| used & (1 << at) == 0 && spare[*at].can_serve(Some(&first.lane), first.tags.as_ref()))
            .map(|at| 1 + most(rest, spare, used | (1 << at)));
        with.chain([most(rest, spare, used)]).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_more_launches_than_necessary_and_none_twice(
            jobs in prop::collection::vec(0..SETS.len(), 0..6),
            launched in prop::collection::vec(0..SETS.len(), 0..6),
        ) {
            let jobs: Vec<_> = jobs.iter().zip(0..).map(|(&set, id)| job(id, SETS[set])).collect();
            let spare: Vec<_> = launched.iter().enumerate().map(|(id, &set)| launch(id, SETS[set])).collect();
            let answers = need(&jobs, &spare);
            prop_assert_eq!(answers.len() - launches(&answers), most(&jobs, &spare, 0));
            let mut given: Vec<_> = answers.iter().filter_map(|(at, answer)| match answer {
                Answer::Spare(launch) => Some((launch.clone(), *at)),
                Answer::Launch => None,
            }).collect();
            for (launch, at) in &given {
                let row = spare.iter().find(|row| row.launch == *launch).expect("a launch that exists");
                let job = jobs.iter().find(|job| job.key == *at).expect("a job that exists");
                prop_assert!(row.can_serve(Some(&job.lane), job.tags.as_ref()));
            }
            let all = given.len();
            given.sort();
            given.dedup_by(|one, other| one.0 == other.0);
            prop_assert_eq!(given.len(), all);
        }
    }
}
