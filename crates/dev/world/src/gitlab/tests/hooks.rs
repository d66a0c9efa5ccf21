//! What hooks say, in which order, and when they are silent.

use runnerless_core::job::JobEvent;
use runnerless_gitlab::webhook::{Event, Instance, read};

use super::*;

fn event(hook: &Hook) -> JobEvent {
    let instance = Instance::parse("https://gitlab.example.com").unwrap();
    match read(&hook.body, &instance).unwrap() {
        Event::Job(job) => *job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_life_is_told_in_bodies_that_ingest_reads() {
    let mut desk = Desk::new(GitLabRules::default());
    let name = "unit: [\"a\\b\", 1.2] \u{e9}";
    let job = desk.pipeline(vec![job_with(name, &["linux"])], START)[0];
    let offer = desk.offer(1, after(1));
    desk.gitlab.accept(job, &offer.token, 1, after(2));
    desk.say(&offer, Report::Success, 1, after(9));
    let hooks = desk.gitlab.take_hooks();
    let told: Vec<String> = hooks.iter().map(|hook| hook.status.to_string()).collect();
    assert_eq!(told, ["created", "pending", "running", "success"]);
    assert!(desk.gitlab.take_hooks().is_empty());
    for hook in &hooks {
        let event = event(hook);
        assert_eq!((event.key, event.status.clone()), (JobKey { project: desk.project, job }, hook.status.clone()));
        assert_eq!((event.facts.name.as_str(), event.facts.project_path.as_str()), (name, "acme/widgets"));
        assert_eq!(event.created_at, Some(START));
        let has_runner = hook.status.rank() > 3;
        assert_eq!(event.runner.map(|taker| taker.id), has_runner.then_some(desk.runner), "{}", hook.status);
        assert!((1500..3500).contains(&hook.body.len()), "as long as GitLab's: {}", hook.body.len());
    }
    let messages: std::collections::BTreeSet<&str> = hooks.iter().map(|hook| hook.message.as_str()).collect();
    assert_eq!(messages.len(), 4);
}

#[test]
fn neither_offers_nor_canceling_nor_skipped_are_told() {
    let mut desk = Desk::new(GitLabRules::default());
    let needs = JobSpec { needs: vec![0], ..job_with("b", &["linux"]) };
    let jobs = desk.pipeline(vec![job_with("a", &["linux"]), needs], START);
    let offer = desk.offer(1, START);
    desk.gitlab.tick(after(120));
    desk.gitlab.take_hooks();
    let again = desk.run(2, after(121));
    desk.gitlab.step(&Step::Cancel(jobs[0]), after(122));
    desk.say(&again, Report::Failed("unknown_failure"), 2, after(123));
    assert_ne!(offer.token, again.token);
    let told: Vec<_> = desk.gitlab.take_hooks().iter().map(|hook| (hook.job.job, hook.status.to_string())).collect();
    assert_eq!(told, [(jobs[0], "running".to_owned()), (jobs[0], "canceled".to_owned())]);
    assert_eq!(desk.status(jobs[1]), "skipped");
}

#[test]
fn a_hook_that_fails_is_paused_longer_and_longer_and_then_disabled() {
    let mut desk = Desk::new(GitLabRules::default());
    let project = desk.project;
    let mut fail = |times: u32| (0..times).for_each(|_| desk.gitlab.hook_answered(project, false, START));
    fail(3);
    assert!(desk.gitlab.hook_leaves(project, START));
    let mut fail = |times: u32| (0..times).for_each(|_| desk.gitlab.hook_answered(project, false, START));
    fail(1);
    assert!(!desk.gitlab.hook_leaves(project, after(59)));
    assert!(desk.gitlab.hook_leaves(project, after(60)));
    desk.gitlab.hook_answered(project, false, after(60));
    let state = desk.gitlab.hook(project, after(60)).unwrap();
    assert_eq!((state.alert_status, state.disabled_until), (AlertStatus::TemporarilyDisabled, Some(after(180))));
    desk.gitlab.hook_answered(project, true, after(180));
    assert_eq!(desk.gitlab.hook(project, after(180)).unwrap().alert_status, AlertStatus::Executable);
    (0..40).for_each(|_| desk.gitlab.hook_answered(project, false, after(180)));
    let days = after(90 * 86_400);
    assert_eq!(desk.gitlab.hook(project, days).unwrap().alert_status.as_str(), "disabled");
    desk.gitlab.hook_tested(project);
    assert!(desk.gitlab.hook_leaves(project, days));
    assert!(!desk.gitlab.hook_leaves(project + 1, days), "there is no such project");
}

#[test]
fn created_is_told_in_bulk_and_may_be_late() {
    let mut desk = Desk::new(GitLabRules::default());
    desk.pipeline((0..20).map(|n| job_with(&format!("j{n}"), &["linux"])).collect(), START);
    let hooks = desk.gitlab.take_hooks();
    let created: Vec<&Hook> = hooks.iter().filter(|hook| hook.status.as_str() == "created").collect();
    assert_eq!(created.len(), 20);
    assert!(created.iter().any(|hook| hook.at > START) && created.iter().all(|hook| hook.at <= after(3)));
    assert!(hooks.iter().filter(|hook| hook.status.as_str() == "pending").all(|hook| hook.at == START));
}
