//! How a member begins and leaves: with real processes, a metadata service, and an Auto Scaling that answers by a script.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "a test's support module has no outside")]

mod support;

use std::fs;
use std::time::SystemTime;

use support::{Answer, Member, until};

const BEAT: &str = "RecordLifecycleActionHeartbeat";
const COMPLETE: &str = "CompleteLifecycleAction";

/// Waits until so many heartbeats came in all.
fn beats(member: &Member, at_least: usize) {
    until("heartbeats come", || member.cloud.count(BEAT) >= at_least);
}

#[test]
fn a_member_finishes_its_builds_before_its_hook_is_answered() {
    let mut member = Member::new();
    let mut watch = member.watch();
    member.cloud.is_looked_at();
    assert_eq!((member.quits(), member.cloud.count(BEAT)), (0, 0), "it stays");
    member.cloud.heads_for(Some("Terminated"));
    beats(&member, 3);
    assert_eq!((member.quits(), member.cloud.count(COMPLETE)), (1, 0), "{}", watch.said());
    assert!(watch.runs());
    let beat = member.cloud.last();
    let of = |key: &str| beat.get(key).map(String::as_str);
    assert_eq!(of("AutoScalingGroupName"), Some("acme-pool"));
    assert_eq!(of("LifecycleHookName"), Some("runnerless-drain"));
    assert_eq!(of("InstanceId"), Some("i-0123456789abcdef0"));

    member.finish_build();
    assert_eq!(watch.ends(), Some(0));
    assert_eq!((member.cloud.count(COMPLETE), member.quits()), (1, 1));
    assert_eq!(member.cloud.last()["LifecycleActionResult"], "CONTINUE");
    assert_eq!(member.cloud.unknown(), Vec::<String>::new());
}

#[test]
fn a_runner_manager_that_crashes_in_service_moves_nothing() {
    let mut member = Member::new();
    let mut watch = member.watch();
    member.cloud.is_looked_at();
    member.kill_manager();
    for target in [Some("InService"), None, Some("Standby"), Some("Detached")] {
        member.cloud.heads_for(target);
        member.cloud.is_looked_at();
    }
    assert!(watch.runs());
    assert_eq!((member.cloud.count(BEAT), member.cloud.count(COMPLETE)), (0, 0), "{}", watch.said());
}

#[test]
fn one_that_is_dead_already_holds_nothing_up() {
    let mut member = Member::new();
    member.kill_manager();
    member.cloud.heads_for(Some("Terminated"));
    assert_eq!(member.watch().ends(), Some(0));
    assert_eq!((member.cloud.count(BEAT), member.cloud.count(COMPLETE)), (0, 1));
}

#[test]
fn a_restart_in_the_middle_tells_nobody_twice_and_forgets_nothing() {
    let mut member = Member::new();
    member.cloud.heads_for(Some("Terminated"));
    let watch = member.watch();
    let notes = || fs::read_to_string(member.path("notes.json")).unwrap_or_default();
    until("both are noted", || notes().contains("\"told\":{") && !notes().contains("\"beaten_at\":null"));
    drop(watch);
    // The second one learns nothing from the metadata service.
    member.cloud.switch_metadata(false);
    let watch = member.watch();
    watch.says("there are no keys to call AWS with");
    member.cloud.switch_metadata(true);
    beats(&member, 2);
    member.finish_build();
    assert_eq!(watch.ends(), Some(0));
    assert_eq!((member.quits(), member.cloud.count(COMPLETE)), (1, 1));
}

#[test]
fn a_metadata_service_that_goes_away_ends_no_build_and_stops_no_heartbeat() {
    let mut member = Member::new();
    member.cloud.switch_metadata(false);
    let mut watch = member.watch();
    watch.says("whether this member is to leave is not known");
    assert!(watch.runs() && member.quits() == 0);
    member.cloud.switch_metadata(true);
    member.cloud.heads_for(Some("Terminated"));
    beats(&member, 1);
    member.cloud.switch_metadata(false);
    beats(&member, member.cloud.count(BEAT) + 2);
    assert_eq!((member.quits(), member.cloud.count(COMPLETE)), (1, 0));
    member.finish_build();
    assert_eq!(watch.ends(), Some(0));
    assert_eq!(member.cloud.count(COMPLETE), 1);
}

#[test]
fn throttles_troubles_and_refusals_are_waited_out() {
    let mut member = Member::new();
    // An instance is told of its target a moment before it waits at the hook.
    member.cloud.answer([Answer::NothingWaits, Answer::Throttled, Answer::Throttled, Answer::Broken, Answer::Refused]);
    member.cloud.heads_for(Some("Terminated"));
    let watch = member.watch();
    beats(&member, 1);
    assert_eq!((member.cloud.answers_left(), member.quits()), (0, 1));
    member.cloud.answer([Answer::Throttled, Answer::Throttled, Answer::Refused, Answer::NothingWaits]);
    member.finish_build();
    assert_eq!(watch.ends(), Some(0));
    assert_eq!((member.cloud.answers_left(), member.cloud.count(COMPLETE)), (0, 1));
}

#[test]
fn a_process_that_only_has_the_number_is_left_alone_and_waited_for() {
    let mut member = Member::new();
    let pid_file = fs::File::options().append(true).open(member.path("pid")).unwrap();
    pid_file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    member.cloud.heads_for(Some("Terminated"));
    let watch = member.watch();
    watch.says("younger than the file that names it");
    beats(&member, 2);
    assert_eq!((member.quits(), member.cloud.count(COMPLETE)), (0, 0));
    member.kill_manager();
    assert_eq!(watch.ends(), Some(0));
}

#[test]
fn one_that_is_started_after_its_member_was_to_leave_is_told_too() {
    let mut member = Member::without_manager();
    member.cloud.heads_for(Some("Terminated"));
    let watch = member.watch();
    watch.says("one may be starting");
    beats(&member, 1);
    member.start_manager();
    until("it is told", || member.quits() == 1);
    member.finish_build();
    assert_eq!(watch.ends(), Some(0));
    assert_eq!(member.cloud.count(COMPLETE), 1);
}

#[test]
fn the_token_is_read_with_the_instances_role_and_only_a_whole_one_is_printed() {
    let member = Member::without_manager();
    let token = || {
        let output = member.command().args(["token", "--parameter", "/a/token"]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, printed, said) = token();
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert!(said.contains("/a/token: is not there; put the runner's token into it"), "{said}");
    member.cloud.store(" \n");
    assert_eq!(token().0, Some(1));
    member.cloud.store("glrt-t3_example\n");
    assert_eq!(token(), (Some(0), "glrt-t3_example\n".to_owned(), String::new()));
    member.cloud.switch_metadata(false);
    let (code, printed, said) = token();
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert!(said.contains("there are no keys") && !said.contains("glrt"), "{said}");
}
