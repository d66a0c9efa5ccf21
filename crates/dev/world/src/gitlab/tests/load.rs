//! A load is exact, repeats itself, and ends when somebody serves it.

use std::collections::BTreeMap;

use super::*;

fn loaded(seed: u64, jobs: usize) -> (GitLab, Vec<(Timestamp, Step)>) {
    let mut gitlab = GitLab::new(Rng::with_seed(seed), GitLabRules::default());
    let projects = vec![gitlab.add_project("acme/a"), gitlab.add_project("acme/b")];
    let specs = [&["arm", "linux"][..], &["linux"]];
    let lanes = specs.map(|names| {
        let runner = gitlab.add_runner(runner_with(names, RunnerKind::Ours));
        LoadLane { runner, projects: projects.clone(), names: vec!["unit".to_owned(), "build".to_owned()] }
    });
    gitlab.add_runner(runner_with(&["arm", "linux"], RunnerKind::Foreign));
    let load = Load { jobs, from: START, span: Millis::minutes(20), lanes: lanes.to_vec(), uncovered_one_in: 50 };
    let steps = gitlab.load(&load);
    (gitlab, steps)
}

#[test]
fn a_load_has_as_many_jobs_as_asked_for_and_repeats() {
    for (seed, jobs) in [(1, 1), (2, 7), (3, 500)] {
        let (_, steps) = loaded(seed, jobs);
        let count = |step: &Step| if let Step::Pipeline(spec) = step { spec.jobs.len() } else { 0 };
        assert_eq!(steps.iter().map(|(_, step)| count(step)).sum::<usize>(), jobs);
        assert!(steps.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!(loaded(seed, jobs).1, steps);
    }
    assert_ne!(loaded(4, 50).1, loaded(5, 50).1);
}

#[test]
fn whoever_serves_it_ends_all_of_it() {
    let (mut gitlab, steps) = loaded(6, 1000);
    let ours: Vec<String> = gitlab
        .runners()
        .filter(|(_, runner)| runner.spec.kind == RunnerKind::Ours)
        .map(|(_, runner)| runner.token.clone())
        .collect();
    let mut steps = steps.into_iter().peekable();
    let (mut now, mut process) = (START, 0);
    let mut running: BTreeMap<u64, Offer> = BTreeMap::new();
    let mut told = 0;
    while steps.peek().is_some() || !gitlab.is_quiet() {
        now = now + Millis::secs(10);
        while let Some((at, step)) = steps.next_if(|(at, _)| *at <= now) {
            gitlab.tick(at);
            gitlab.step(&step, at);
        }
        gitlab.tick(now);
        let ended = std::mem::take(&mut running);
        for (process, offer) in ended {
            gitlab.update(offer.key.job, &offer.token, Report::Success, Voice::Process(process), now);
        }
        for token in &ours {
            process += 1;
            let ask = Ask { token, system_id: "r_0123456789ab", accepts: true, graceful: false, process };
            while let Asked::Offer(offer) = gitlab.request_job(&ask, now) {
                gitlab.accept(offer.key.job, &offer.token, process, now);
                gitlab.script_began(offer.key.job, process);
                running.insert(offer.key.job, offer);
            }
        }
        told += gitlab.take_hooks().len();
    }
    let judged = gitlab.judge(now);
    assert!(judged.doubled.is_empty() && judged.lost.is_empty(), "{judged:?}");
    assert!(told >= gitlab.jobs() * 2, "{told} messages of {} jobs", gitlab.jobs());
    assert!(gitlab.waits().any(|wait| wait.how == Waited::Foreign));
    assert!(gitlab.waits().any(|wait| wait.how == Waited::Cancelled));
    assert!(gitlab.waits().any(|wait| wait.how == Waited::Dropped && !wait.ours));
}
