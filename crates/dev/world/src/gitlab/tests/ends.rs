//! How jobs end: by their runner, by users, by GitLab's own clocks.

use runnerless_core::status::JobStatus;

use super::*;

#[test]
fn a_token_dies_with_its_job() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    let offer = desk.run(1, START);
    assert_eq!(desk.say(&offer, Report::Success, 1, after(5)), Updated::Done(JobStatus::Ended("success")));
    assert_eq!(desk.say(&offer, Report::Success, 1, after(5)), Updated::Forbidden(Some(JobStatus::Ended("success"))));
    assert_eq!(desk.gitlab.update(job, "other", Report::Running, Voice::Reporter, after(6)), Updated::Forbidden(None));
    assert_eq!(desk.gitlab.update(job + 99, "x", Report::Running, Voice::Reporter, after(6)), Updated::NoJob);
}

#[test]
fn a_cancelled_job_ends_at_once_unless_its_runner_is_to_clean_up() {
    let mut desk = Desk::new(GitLabRules::default());
    let waiting = desk.job(START);
    desk.gitlab.step(&Step::Cancel(waiting), after(1));
    assert_eq!((desk.status(waiting).as_str(), desk.ask(1, after(1))), ("canceled", Asked::Nothing));
    let offered = desk.job(START);
    let offer = desk.offer(1, after(2));
    desk.gitlab.step(&Step::Cancel(offered), after(3));
    let canceled = Updated::Forbidden(Some(JobStatus::Ended("canceled")));
    assert_eq!(desk.say(&offer, Report::Running, 1, after(3)), canceled);
    desk.gitlab.tick(after(200));
    assert_eq!(desk.ask(1, after(200)), Asked::Nothing, "it does not come back");
    let running = desk.job(after(201));
    let offer = desk.run(2, after(201));
    desk.gitlab.step(&Step::Cancel(running), after(203));
    assert_eq!(desk.status(running), "canceling");
    assert_eq!(desk.say(&offer, Report::Running, 2, after(204)), Updated::Done(JobStatus::Canceling));
    let failed = Report::Failed("unknown_failure");
    assert_eq!(desk.say(&offer, failed, 2, after(205)), Updated::Done(JobStatus::Ended("canceled")));
    assert!(desk.gitlab.judge(after(206)).killed.is_empty());
}

#[test]
fn cancellations_come_at_their_moment() {
    for (from, before, then) in [
        (Moment::Created, "pending", "canceled"),
        (Moment::Pending, "pending", "canceled"),
        (Moment::Offered, "running", "canceling"),
        (Moment::Running, "running", "canceling"),
    ] {
        let mut desk = Desk::new(GitLabRules::default());
        let cancel = Some(CancelAt { from, after: Millis::secs(7) });
        let job = desk.pipeline(vec![JobSpec { cancel, ..job_with("unit", &["linux"]) }], START)[0];
        if before == "running" {
            desk.run(1, START);
        }
        desk.gitlab.tick(after(6));
        assert_eq!(desk.status(job), before, "{from:?}");
        desk.gitlab.tick(after(7));
        assert_eq!(desk.status(job), then, "{from:?}");
    }
}

#[test]
fn a_job_that_nobody_may_have_is_dropped_after_an_hour_and_any_after_a_day() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    desk.gitlab.tick(after(3599));
    assert_eq!(desk.status(job), "pending");
    desk.gitlab.tick(after(3600));
    assert_eq!(desk.status(job), "failed");
    assert_eq!(desk.gitlab.history(job).unwrap().end.as_ref().unwrap().how, How::Stuck);
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    let token = desk.gitlab.runner(desk.runner).unwrap().token.clone();
    for hour in 0..24 {
        desk.gitlab.verify(&token, None, after(hour * 3600));
        desk.gitlab.tick(after(hour * 3600));
        assert_eq!(desk.status(job), "pending", "hour {hour}");
    }
    desk.gitlab.tick(after(24 * 3600));
    assert_eq!(desk.gitlab.history(job).unwrap().end.as_ref().unwrap().how, How::WaitedTooLong);
}

#[test]
fn a_silent_job_is_dropped_after_an_hour_counted_from_a_sign_that_was_written_down() {
    let mut desk = Desk::new(GitLabRules::default());
    let job = desk.job(START);
    let offer = desk.run(1, START);
    desk.say(&offer, Report::Running, 1, after(14 * 60));
    desk.say(&offer, Report::Running, 1, after(20 * 60));
    desk.gitlab.tick(after(80 * 60 - 1));
    assert_eq!(desk.status(job), "running", "the second sign was more than a quarter of an hour after the first");
    desk.gitlab.tick(after(80 * 60));
    assert_eq!(desk.status(job), "failed");
    assert_eq!(desk.say(&offer, Report::Success, 1, after(5000)), Updated::Forbidden(Some(JobStatus::Ended("failed"))));
}

#[test]
fn a_retry_is_a_new_job_and_revives_what_was_skipped_for_the_old_one() {
    let mut desk = Desk::new(GitLabRules::default());
    let second = JobSpec { needs: vec![0], ..job_with("b", &["linux"]) };
    let first = JobSpec { retry: Some(Millis::secs(30)), ..job_with("a", &["linux"]) };
    let jobs = desk.pipeline(vec![first, second], START);
    assert_eq!(desk.status(jobs[1]), "created");
    let offer = desk.run(1, START);
    desk.say(&offer, Report::Failed("script_failure"), 1, after(5));
    assert_eq!((desk.status(jobs[0]).as_str(), desk.status(jobs[1]).as_str()), ("failed", "skipped"));
    desk.gitlab.tick(after(35));
    assert_eq!(desk.status(jobs[1]), "created");
    let again = desk.run(2, after(36));
    assert_ne!(again.key.job, jobs[0]);
    assert_eq!(again.work.exit_code, 0);
    desk.say(&again, Report::Success, 2, after(40));
    assert_eq!(desk.status(jobs[1]), "pending");
    desk.gitlab.step(&Step::Retry(jobs[0]), after(41));
    assert_eq!(desk.gitlab.jobs(), 3, "a job that was replaced is not started again");
}

#[test]
fn a_foreign_runner_takes_runs_and_ends() {
    let mut desk = Desk::new(GitLabRules::default());
    let foreign = desk.gitlab.add_runner(runner_with(&["linux"], RunnerKind::Foreign));
    desk.gitlab.step(&Step::Foreign(foreign), START);
    let job = desk.job(START);
    desk.gitlab.step(&Step::Foreign(foreign), START);
    assert_eq!(desk.status(job), "running");
    assert_eq!(desk.gitlab.next_tick(), Some(after(5)));
    desk.gitlab.tick(after(5));
    assert_eq!(desk.status(job), "success");
    assert_eq!(desk.gitlab.waits().next().unwrap().how, Waited::Foreign);
}

#[test]
fn listings_have_pages_with_the_newest_first() {
    let mut desk = Desk::new(GitLabRules::default());
    let jobs = desk.pipeline((0..5).map(|n| job_with(&format!("j{n}"), &["linux"])).collect(), START);
    desk.run(1, START);
    let page = desk.gitlab.pending(desk.project, 1, 3);
    assert_eq!(page.jobs.iter().map(|job| job.key.job).collect::<Vec<_>>(), [jobs[4], jobs[3], jobs[2]]);
    let page = desk.gitlab.pending(desk.project, page.next.unwrap(), 3);
    assert_eq!((page.jobs.len(), page.next), (1, None));
    assert_eq!(desk.gitlab.pending(desk.project + 1, 1, 3).jobs.len(), 0);
    let shown = desk.gitlab.job(JobKey { project: desk.project, job: jobs[0] }).unwrap();
    assert_eq!((shown.runner, shown.system_id.as_deref()), (Some(desk.runner), Some("r_0123456789ab")));
    assert!(desk.gitlab.job(JobKey { project: desk.project + 1, job: jobs[0] }).is_none());
}
