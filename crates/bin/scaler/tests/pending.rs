//! The jobs that wait: counted by GitLab's own rule of tags, or not known, which is not none.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod support;

use runnerless_core::id::JobKey;
use runnerless_core::lane::TagSet;
use runnerless_core::status::JobStatus;
use runnerless_gitlab::rest::ApiJob;
use runnerless_scaler::Waiting;
use support::{Says, World};

fn job(project: u64, job: u64, tags: Option<&[&str]>) -> ApiJob {
    ApiJob {
        key: JobKey { project, job },
        status: JobStatus::Pending,
        tags: tags.map(|tags| TagSet::new(tags).unwrap()),
        runner: None,
        system_id: None,
        name: "unit".to_owned(),
        stage: "test".to_owned(),
        git_ref: "main".to_owned(),
        created_at: None,
    }
}

fn world(projects: &[u64], tags: &[&str]) -> World {
    let mut world = World::new(&[Says::Jobs(0, 4, 9)]);
    world.no_jobs = None;
    world.waiting = Waiting { projects: projects.to_vec(), tags: TagSet::new(tags).unwrap() };
    world
}

#[tokio::test]
async fn jobs_count_whose_tags_the_pools_runner_has() {
    let mut world = world(&[7, 8], &["docker", "arm"]);
    for (project, number, tags) in [
        (7, 1, &["docker"][..]),
        (7, 2, &["docker", "arm"]),
        (7, 3, &["docker", "gpu"]),
        (7, 4, &[]),
        (8, 5, &["arm"]),
        (9, 6, &["arm"]),
    ] {
        world.jobs.put(job(project, number, Some(tags)));
    }
    let mut running = job(8, 9, Some(&["arm"]));
    running.status = JobStatus::Running;
    world.jobs.put(running);
    assert_eq!(world.run().await.unwrap().seen.pending, Some(3));
    world.waiting.tags = TagSet::default();
    assert_eq!(world.run().await.unwrap().seen.pending, Some(1), "a runner without tags takes untagged jobs only");
}

#[tokio::test]
async fn waiting_jobs_make_an_idle_pool_grow() {
    let mut world = world(&[7], &[]);
    (1..=9).for_each(|number| world.jobs.put(job(7, number, Some(&[]))));
    let report = world.run().await.unwrap();
    assert_eq!((report.seen.pending, report.counts.grown), (Some(9), 2), "{report:?}");
}

#[tokio::test]
async fn pages_are_followed_so_far_and_a_count_that_is_not_whole_is_none() {
    let mut world = world(&[7], &[]);
    world.settings.maximum = 3;
    world.jobs.page_size(4);
    (1..=10).for_each(|number| world.jobs.put(job(7, number, Some(&[]))));
    assert_eq!(world.run().await.unwrap().seen.pending, Some(10), "three pages");
    (11..=12).for_each(|number| world.jobs.put(job(7, number, Some(&["gpu"]))));
    (13..=20).for_each(|number| world.jobs.put(job(7, number, Some(&["gpu"]))));
    let report = world.run().await.unwrap();
    assert_eq!(report.seen.pending, None);
    assert!(report.findings.iter().any(|text| text.contains("project 7")), "{:?}", report.findings);
    // As many as all members together could take: the rest does not matter.
    (21..=40).for_each(|number| world.jobs.put(job(7, number, Some(&[]))));
    assert_eq!(world.run().await.unwrap().seen.pending, Some(12));
}

#[tokio::test]
async fn what_gitlab_does_not_tell_is_unknown_and_the_pool_is_sized_by_its_jobs() {
    for (hidden, failing, tags, why) in [
        (true, None, Some(&[][..]), "project 7"),
        (false, Some(503), Some(&[]), "GitLab.Unavailable"),
        (false, Some(401), Some(&[]), "GitLab.TokenRefused"),
        (false, None, None, "which tags"),
    ] {
        let mut world = world(&[7, 8], &[]);
        world.jobs.put(job(7, 1, tags));
        world.jobs.put(job(8, 2, Some(&[])));
        if hidden {
            world.jobs.hide(7);
        }
        world.jobs.fail(failing);
        world.say(1, Says::Jobs(4, 4, 9));
        let report = world.run().await.unwrap();
        assert_eq!((report.seen.pending, report.counts.grown), (None, 1), "{why}: {report:?}");
        assert!(report.findings.iter().any(|text| text.contains(why)), "{why}: {:?}", report.findings);
        assert_eq!(report.counts.troubles, 1, "an operator asked for the count");
    }
}

#[tokio::test]
async fn without_projects_nobody_asks_and_that_is_no_trouble() {
    let mut world = world(&[], &[]);
    world.no_jobs = Some("the stack's parameter PendingProjects names no project");
    let report = world.run().await.unwrap();
    assert_eq!((report.seen.pending, report.counts.troubles, world.jobs.calls()), (None, 0, 0), "{report:?}");
    let mut world = self::world(&[7], &[]);
    world.no_jobs = Some("there is no API token");
    let report = world.run().await.unwrap();
    assert_eq!((report.seen.pending, report.counts.troubles, world.jobs.calls()), (None, 1, 0), "{report:?}");
}
