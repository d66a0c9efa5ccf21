//! The referee finds what was broken, and nothing else.

use super::*;

#[test]
fn a_job_that_its_own_process_ends_is_nobodys_crime() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    let offer = desk.run(1, START);
    desk.gitlab.script_began(job, 1);
    desk.say(&offer, Report::Failed("script_failure"), 1, after(5));
    assert_eq!(desk.gitlab.judge(after(6)), Judged::default());
    let wait = desk.gitlab.waits().next().unwrap();
    assert_eq!((wait.since, wait.until, wait.how, wait.ours), (START, Some(START), Waited::Ours, true));
}

#[test]
fn ending_the_job_of_a_living_process_is_killing_and_of_a_dead_one_is_not() {
    for (dies, killed) in [(false, 1), (true, 0)] {
        let mut desk = Desk::new(GitLabRules::default());
        let job = desk.job(START);
        let offer = desk.run(1, START);
        if dies {
            desk.gitlab.process_ended(1, after(3));
        }
        desk.gitlab.update(job, &offer.token, Report::Failed("runner_system_failure"), Voice::Reporter, after(5));
        let judged = desk.gitlab.judge(after(6));
        assert_eq!((judged.killed.len(), judged.lost.len()), (killed, 0), "{judged:?}");
    }
}

#[test]
fn a_script_in_two_processes_is_doubled() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    desk.gitlab.script_began(job, 1);
    desk.gitlab.script_began(job, 1);
    assert!(desk.gitlab.judge(START).doubled.is_empty());
    desk.gitlab.script_began(job, 2);
    assert_eq!(desk.gitlab.judge(START).doubled.len(), 1);
}

#[test]
fn jobs_that_gitlab_gave_up_on_are_lost_if_they_were_ours() {
    let mut desk = Desk::new(GitLabRules::default());
    let jobs = desk.pipeline(vec![job_with("a", &["linux"]), job_with("b", &["nobody-has-this"])], START);
    let judged = desk.gitlab.judge(after(1));
    assert_eq!(judged.lost.iter().map(|finding| finding.job.job).collect::<Vec<_>>(), [jobs[0]], "it waits");
    desk.gitlab.tick(after(3600));
    let judged = desk.gitlab.judge(after(3600));
    assert_eq!(judged.lost.iter().map(|finding| finding.job.job).collect::<Vec<_>>(), [jobs[0]], "it was dropped");
}

#[test]
fn a_silent_job_is_lost_unless_its_process_died_before_it_could_say_a_word() {
    for (accepts, dies, lost) in [(true, false, 1), (true, true, 1), (false, true, 0), (false, false, 1)] {
        let mut desk = Desk::new(GitLabRules { two_phase: false, ..GitLabRules::default() });
        desk.job(START);
        let offer = desk.offer(1, START);
        if accepts {
            desk.say(&offer, Report::Running, 1, after(1));
        }
        if dies {
            desk.gitlab.process_ended(1, after(2));
        }
        desk.gitlab.tick(after(4000));
        assert_eq!(desk.gitlab.judge(after(4000)).lost.len(), lost, "{accepts} {dies}");
    }
}
