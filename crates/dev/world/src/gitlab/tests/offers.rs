//! Who gets which job, and what an offer is worth.

use runnerless_core::status::JobStatus;

use super::*;

#[test]
fn an_offer_hides_its_job_for_two_minutes_and_is_made_again_under_another_token() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    let first = desk.offer(1, START);
    assert_eq!((first.key.job, desk.status(job).as_str()), (job, "pending"));
    desk.gitlab.tick(after(119));
    assert_eq!(desk.ask(2, after(119)), Asked::Nothing);
    desk.gitlab.tick(after(120));
    let second = desk.offer(2, after(120));
    assert_ne!(first.token, second.token);
    assert!(matches!(desk.say(&first, Report::Running, 1, after(121)), Updated::Refused(_)), "too late");
    assert_eq!(desk.say(&first, Report::Failed("runner_system_failure"), 1, after(121)), Updated::Forbidden(None));
    assert_eq!(desk.say(&second, Report::Running, 2, after(121)), Updated::Done(JobStatus::Running));
    assert_eq!(desk.gitlab.history(job).unwrap().offers.len(), 2);
}

#[test]
fn an_offered_job_takes_no_report_of_its_end_and_an_offer_may_be_kept() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    let offer = desk.offer(1, START);
    for report in [Report::Success, Report::Failed("runner_system_failure")] {
        assert!(matches!(desk.say(&offer, report, 1, after(1)), Updated::Refused(_)), "{report:?}");
    }
    assert_eq!(desk.say(&offer, Report::Pending, 1, after(100)), Updated::Done(JobStatus::Pending));
    desk.gitlab.tick(after(219));
    assert_eq!(desk.ask(2, after(219)), Asked::Nothing, "it was kept");
    assert_eq!(desk.say(&offer, Report::Running, 1, after(219)), Updated::Done(JobStatus::Running));
    assert!(matches!(desk.say(&offer, Report::Pending, 1, after(220)), Updated::Refused(_)));
    desk.gitlab.tick(after(400));
    assert_eq!(desk.status(job), "running");
}

#[test]
fn without_two_phase_acceptance_a_job_runs_from_the_201_on() {
    let mut desk = Desk::new(GitLabRules { two_phase: false, ..GitLabRules::default() });
    let job = desk.job(START);
    let offer = desk.offer(1, START);
    assert_eq!(desk.status(job), "running");
    desk.gitlab.tick(after(300));
    assert_eq!(desk.ask(2, after(300)), Asked::Nothing);
    let report = Report::Failed("runner_system_failure");
    assert_eq!(desk.say(&offer, report, 1, after(300)), Updated::Done(JobStatus::Ended("failed")));
    assert!(desk.gitlab.is_quiet());
}

#[test]
fn tags_protection_pauses_and_tokens_decide_who_may_have_a_job() {
    for (job, runner, untagged, protected, expected) in [
        (&["linux"][..], &["linux", "arm"][..], false, false, true),
        (&["linux", "arm"], &["linux"], false, false, false),
        (&[], &["linux"], false, false, false),
        (&[], &["linux"], true, false, true),
        (&["linux"], &["linux"], false, true, false),
    ] {
        let mut desk = Desk::new(GitLabRules::default());
        let spec =
            RunnerSpec { kind: RunnerKind::Ours, tags: tags(runner), run_untagged: untagged, ref_protected: protected };
        desk.runner = desk.gitlab.add_runner(spec);
        desk.pipeline(vec![job_with("unit", job)], START);
        desk.gitlab.pause(desk.runner, true);
        assert_eq!(desk.ask(1, START), Asked::Nothing, "paused");
        desk.gitlab.pause(desk.runner, false);
        assert_eq!(matches!(desk.ask(1, START), Asked::Offer(_)), expected, "{job:?} {runner:?}");
    }
    let mut desk = Desk::new(GitLabRules::default());
    let old = desk.gitlab.runner(desk.runner).unwrap().token.clone();
    let new = desk.gitlab.reset_token(desk.runner).unwrap();
    assert_eq!(desk.gitlab.verify(&old, None, START), Verified::Refused);
    assert_eq!(desk.gitlab.verify(&new, None, START), Verified::Runner(desk.runner));
    let ask = Ask { token: &old, system_id: "r_0123456789ab", accepts: true, graceful: true, process: 1 };
    assert_eq!(desk.gitlab.request_job(&ask, START), Asked::Refused);
}

#[test]
fn managers_are_recorded_until_they_are_forgotten() {
    let mut desk = Desk::new(GitLabRules::default());
    assert_eq!(desk.ask(1, START), Asked::Nothing);
    let runner = desk.gitlab.runner(desk.runner).unwrap();
    let token = runner.token.clone();
    assert_eq!((runner.managers.len(), runner.contacted_at), (1, Some(START)));
    desk.gitlab.verify(&token, Some("r_another00000"), after(9));
    assert_eq!(desk.gitlab.runner(desk.runner).unwrap().managers.len(), 2);
    assert_eq!(desk.gitlab.forget_manager(&token, "r_another00000"), Some(true));
    assert_eq!(desk.gitlab.forget_manager(&token, "r_another00000"), Some(false));
    assert_eq!(desk.gitlab.forget_manager("glrt-x", "r_another00000"), None);
}

#[test]
fn the_oldest_job_is_offered_first_and_each_to_one() {
    let mut desk = Desk::new(GitLabRules::default());
    let jobs = desk.pipeline(vec![job_with("a", &["linux"]), job_with("b", &[]), job_with("c", &["arm"])], START);
    let got: Vec<u64> = (0..2).map(|process| desk.offer(process, START).key.job).collect();
    assert_eq!(got, [jobs[0], jobs[2]]);
    assert_eq!(desk.ask(9, START), Asked::Nothing, "nobody here may have the untagged one");
}

#[test]
fn a_runner_that_is_deleted_asks_no_more_and_its_job_goes_on_without_it() {
    let mut desk = Desk::new(GitLabRules::default());
    let spec = runner_with(&["linux"], RunnerKind::Launchs);
    let (id, token) = desk.gitlab.make_runner(spec, "runnerless l-1");
    let ask = Ask { token: &token, system_id: "r_1", accepts: true, graceful: true, process: 1 };
    let (job, _) = (desk.job(START), desk.job(START));
    let Asked::Offer(offer) = desk.gitlab.request_job(&ask, START) else { panic!("no job") };
    assert!(matches!(desk.say(&offer, Report::Running, 1, after(1)), Updated::Done(_)));
    assert_eq!((offer.key.job, desk.gitlab.job(offer.key).unwrap().runner), (job, Some(id)));
    assert_eq!(desk.gitlab.delete_runner(&token), Some(id));
    assert_eq!(desk.gitlab.delete_runner(&token), None, "again");
    assert_eq!(desk.gitlab.request_job(&ask, after(2)), Asked::Refused);
    assert_eq!(desk.gitlab.job(offer.key).unwrap().runner, None);
    assert!(matches!(desk.say(&offer, Report::Success, 1, after(3)), Updated::Done(_)));
}
