//! Events doubled, late and reordered: every order of one job's life.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod desk;

use desk::{Desk, T0, id, key, secs};
use runnerless_core::job::{JobRow, JobState, JobTimes};
use runnerless_core::moves::{Announce, End};
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;

/// Every distinct order of `items`, equal ones taken as one.
fn orders<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut items = items.to_vec();
    items.sort_unstable();
    let mut all = Vec::new();
    extend(&mut Vec::new(), &mut items, &mut all);
    all
}

fn extend<'a>(begun: &mut Vec<&'a str>, left: &mut Vec<&'a str>, all: &mut Vec<Vec<&'a str>>) {
    if left.is_empty() {
        all.push(begun.clone());
    }
    for at in 0..left.len() {
        if at > 0 && left[at] == left[at - 1] {
            continue;
        }
        begun.push(left.remove(at));
        extend(begun, left, all);
        left.insert(at, begun.pop().expect("just pushed"));
    }
}

/// A row without what tells how and when it came about.
fn essence(row: &JobRow) -> JobRow {
    JobRow { rev: 0, times: JobTimes::default(), expires_at: row.expires_at.map(|_| 0), ..row.clone() }
}

/// The moment of the nth event.
fn moment(n: usize) -> Timestamp {
    secs(i64::try_from(n).unwrap())
}

#[test]
fn every_order_of_a_life_whose_events_come_twice_ends_in_the_same_row() {
    let mut count = 0;
    for life in [
        ["created", "pending", "running", "success"],
        ["pending", "running", "canceling", "canceled"],
        ["waiting_for_resource", "pending", "running", "failed"],
        ["created", "pending", "canceling", "canceled"],
    ] {
        let end = JobStatus::parse(life[3]);
        let mut whole: Option<JobRow> = None;
        for order in orders(&[life, life].concat()) {
            let mut desk = Desk::default();
            for n in 0..order.len() {
                heard(&mut desk, &order, n);
                let known = desk.row(1).map(|row| row.gitlab_status);
                let furthest = order[..=n].iter().max_by_key(|status| life.iter().position(|known| known == *status));
                // What precedes `pending` is not worth a row.
                let acts = |status: &&&str| !["created", "waiting_for_resource"].contains(*status);
                assert_eq!(known, furthest.filter(acts).map(|status| JobStatus::parse(status)), "{order:?} at {n}");
            }
            let row = essence(&desk.job(1));
            assert_eq!((&row.gitlab_status, row.state, row.due.next_check_at), (&end, JobState::Ended, None));
            assert_eq!(*whole.get_or_insert_with(|| row.clone()), row, "{order:?}");
            count += 1;
        }
    }
    assert_eq!(count, 4 * 2520, "8! orders of four lives, doubles taken as one");
}

/// The nth event, a hook of job 1, which may not move its row back, nor touch it once the job is over.
fn heard(desk: &mut Desk, order: &[&str], n: usize) -> Option<Announce> {
    let before = desk.row(1);
    let announce = desk.hook(1, order[n], moment(n));
    let after = desk.row(1);
    let rank = |row: &Option<JobRow>| row.as_ref().map_or(0, |row| row.gitlab_status.rank());
    assert!(rank(&after) >= rank(&before), "{order:?}: event {n} moves the row back");
    if before.as_ref().is_some_and(|row| row.gitlab_status.is_ended()) {
        assert_eq!(before, after, "{order:?}: event {n} touches what is over");
    }
    let over = after.is_some_and(|row| row.state == JobState::Ended);
    assert!(!(over && announce == Some(Announce::Pending)), "{order:?}: an ended job is launched for");
    announce
}

#[test]
fn every_order_of_hooks_with_a_charge_and_a_binding_between_them_ends_well() {
    let items = ["created", "pending", "pending", "running", "canceling", "canceled", "canceled", "bind"];
    let mut bindings = 0;
    for order in orders(&items) {
        let mut desk = Desk::default();
        // Another job's launch is about to get this one.
        desk.hook(2, "pending", T0);
        desk.launched(2, "l-2", T0).unwrap();
        desk.begin("l-2", T0).unwrap();
        for (n, item) in order.iter().enumerate() {
            if *item == "bind" {
                let over = desk.row(1).is_some_and(|row| row.state == JobState::Ended);
                let bound = desk.bind("l-2", 1, moment(n));
                assert_eq!(bound.is_err(), over, "{order:?}: {bound:?}");
                if over {
                    desk.give_back("l-2", 1, moment(n));
                }
            } else if heard(&mut desk, &order, n) == Some(Announce::Pending) {
                // Of a doubled announcement the second finds the job charged.
                let _ = desk.launched(1, "l-1", moment(n));
            }
        }
        let row = desk.job(1);
        assert_eq!((row.gitlab_status.as_str(), row.state, &row.charge), ("canceled", JobState::Ended, &None));
        if row.launch.is_some() {
            bindings += 1;
            assert_eq!((row.launch, desk.launch("l-2").bound_job), (id("l-2"), Some(key(1))), "{order:?}");
            assert!(desk.conclude("l-2", &End::JobDone("done".into()), secs(60)));
            lost_its_launch(&desk);
        }
        assert_eq!(desk.job(1).due.next_check_at, None, "{order:?}: something is left to do");
    }
    assert!(bindings > 0);
}

/// Job 2 lost its launch to job 1: it waits, or has got the launch of job 1 in exchange.
fn lost_its_launch(desk: &Desk) {
    let row = desk.job(2);
    match row.charge {
        None => assert_eq!(row.state, JobState::Waiting),
        Some(launch) => {
            assert_eq!((row.state, launch.as_str()), (JobState::Charged, "l-1"));
            assert_eq!(desk.launch("l-1").charged_to, Some(key(2)));
        }
    }
}
