//! Metrics of runner managers, and answers that are none.

use proptest::prelude::*;
use runnerless_core::pool::exposition::{BadMetrics, LONGEST_BODY, read};
use runnerless_core::pool::{Process, Reading};
use runnerless_core::time::{Millis, Timestamp};

const AT: Timestamp = Timestamp(1_900_000_000_000);

/// What version 19.3.0 told with the shell executor, `concurrent = 4` and two runners, of which one has a limit of 3: the first
/// and the last without the metrics that nobody reads, the one between as it came.
const RECORDED_IDLE: &str = include_str!("recorded/idle.txt");
const RECORDED_BUSY: &str = include_str!("recorded/busy.txt");
const RECORDED_DRAINING: &str = include_str!("recorded/draining.txt");

/// A runner manager with two jobs, in the form in which version 19.3 writes it.
const BODY: &str = r#"# HELP gitlab_runner_concurrent The current value of concurrent setting
# TYPE gitlab_runner_concurrent gauge
gitlab_runner_concurrent 4
# HELP gitlab_runner_job_queue_duration_seconds A histogram representing job queue duration.
# TYPE gitlab_runner_job_queue_duration_seconds histogram
gitlab_runner_job_queue_duration_seconds_bucket{project_jobs_running="0",runner="aBcDeFgHi",system_id="s_1",le="+Inf"} 9
gitlab_runner_job_queue_duration_seconds_sum{project_jobs_running="0",runner="aBcDeFgHi",system_id="s_1"} 21.4
# TYPE gitlab_runner_jobs gauge
gitlab_runner_jobs{executor_stage="docker_run",runner="aBcDeFgHi",runner_name="pool",stage="step_script",state="running",system_id="s_1"} 2
gitlab_runner_jobs{executor_stage="idle",runner="aBcDeFgHi",runner_name="pool",stage="idle",state="idle",system_id="s_1"} 0
# TYPE gitlab_runner_jobs_total counter
gitlab_runner_jobs_total{runner="aBcDeFgHi",runner_name="pool",system_id="s_1"} 9
# TYPE gitlab_runner_limit gauge
gitlab_runner_limit{runner="aBcDeFgHi",runner_name="pool",system_id="s_1"} 0
# TYPE gitlab_runner_process_state_info gauge
gitlab_runner_process_state_info{state="running"} 1
go_memstats_last_gc_time_seconds 1.7e+09
process_max_fds NaN
"#;

const IDLE: &str = "gitlab_runner_concurrent 4\ngitlab_runner_process_state_info{state=\"running\"} 1\n";

fn with(lines: &str) -> Result<Reading, BadMetrics> {
    read(&format!("{IDLE}{lines}"), AT)
}

#[test]
fn a_runner_managers_metrics_are_read() {
    let reading = Reading { taken_at: AT, jobs: 2, capacity: Some(4), process: Process::Running, jobs_total: Some(9) };
    assert_eq!(read(BODY, AT), Ok(reading));
}

#[test]
fn what_an_official_runner_told_is_read() {
    let reading = |jobs, process, jobs_total| Reading {
        taken_at: AT,
        jobs,
        capacity: Some(4),
        process,
        jobs_total: Some(jobs_total),
    };
    assert_eq!(read(RECORDED_IDLE, AT), Ok(reading(0, Process::Running, 0)));
    assert_eq!(read(RECORDED_BUSY, AT), Ok(reading(3, Process::Running, 5)));
    assert_eq!(read(RECORDED_DRAINING, AT), Ok(reading(3, Process::Draining, 5)));
}

#[test]
fn all_series_are_summed_whatever_their_labels_are() {
    let reading = with(concat!(
        "gitlab_runner_jobs{runner=\"a\",state=\"running\"} 2\n",
        "gitlab_runner_jobs{a_label_of_tomorrow=\"}, \\\" \\\\\",runner=\"b\",} 3\n",
        "gitlab_runner_jobs 1 \n",
        "gitlab_runner_jobs_total{runner=\"a\"} 7\ngitlab_runner_jobs_total{runner=\"b\"} 1e+06\n",
    ))
    .unwrap();
    assert_eq!((reading.jobs, reading.jobs_total), (6, Some(1_000_007)));
}

#[test]
fn capacity_is_the_smaller_of_concurrent_and_all_limits_and_one_runner_without_a_limit_has_none() {
    for (limits, capacity) in [
        ("", 4),
        ("gitlab_runner_limit{runner=\"a\"} 0\n", 4),
        ("gitlab_runner_limit{runner=\"a\"} 3\n", 3),
        ("gitlab_runner_limit{runner=\"a\"} 1\ngitlab_runner_limit{runner=\"b\"} 2\n", 3),
        ("gitlab_runner_limit{runner=\"a\"} 9\ngitlab_runner_limit{runner=\"b\"} 2\n", 4),
        ("gitlab_runner_limit{runner=\"a\"} 1\ngitlab_runner_limit{runner=\"b\"} 0\n", 4),
        ("gitlab_runner_limit{runner=\"a\"} 0\ngitlab_runner_limit{runner=\"b\"} 1\n", 4),
    ] {
        assert_eq!(with(limits).unwrap().capacity, Some(capacity), "{limits}");
    }
}

#[test]
fn before_its_first_request_a_runner_manager_has_no_jobs() {
    let reading = read(IDLE, AT).unwrap();
    assert_eq!((reading.jobs, reading.jobs_total, reading.process), (0, None, Process::Running));
    let silent = "gitlab_runner_concurrent 4\n";
    assert_eq!(read(silent, AT), Err(BadMetrics::Missing("gitlab_runner_jobs")), "it may be of any version");
    let other = "node_cpu_seconds_total{cpu=\"0\"} 1\n";
    assert_eq!(read(other, AT), Err(BadMetrics::Missing("gitlab_runner_concurrent")));
    assert_eq!(read("\n", AT), Err(BadMetrics::Missing("gitlab_runner_concurrent")));
}

#[test]
fn the_process_is_as_it_says() {
    for (states, process) in [
        ("{state=\"starting\"} 1", Process::Starting),
        ("{state=\"running\"} 1", Process::Running),
        ("{state=\"graceful-shutdown\"} 1", Process::Draining),
        ("{state=\"forceful-shutdown\"} 1", Process::Draining),
        ("{state=\"of tomorrow\"} 1", Process::Unknown),
        ("{state=\"running\"} 0", Process::Unknown),
        (" 1", Process::Unknown),
    ] {
        let body =
            format!("gitlab_runner_concurrent 1\ngitlab_runner_jobs 0\ngitlab_runner_process_state_info{states}\n");
        assert_eq!(read(&body, AT).unwrap().process, process, "{states}");
    }
    let both = with("gitlab_runner_jobs 0\ngitlab_runner_process_state_info{state=\"graceful-shutdown\"} 1\n");
    assert_eq!(both.unwrap().process, Process::Draining);
}

#[test]
fn a_body_that_was_cut_off_is_none() {
    for end in 1..BODY.len() {
        if let Ok(reading) = read(&BODY[..end], AT) {
            assert!(BODY[..end].ends_with('\n') && reading.jobs == 2, "cut at {end}: {reading:?}");
        }
    }
}

#[test]
fn numbers_that_no_gauge_of_a_runner_has_are_refused() {
    for value in ["NaN", "-1", "1.5", "+Inf", "-Inf", "1e300"] {
        for metric in ["gitlab_runner_jobs", "gitlab_runner_jobs_total", "gitlab_runner_limit"] {
            assert!(matches!(with(&format!("{metric} {value}\n")), Err(BadMetrics::Value { .. })), "{metric} {value}");
        }
    }
}

#[test]
fn lines_that_are_none_are_refused_with_their_number() {
    for line in [
        "<html>",
        "gitlab_runner_jobs",
        "gitlab_runner_jobs ",
        "gitlab_runner_jobs two",
        "gitlab_runner_jobs{runner=\"a\" 2",
        "gitlab_runner_jobs{runner=\"a} 2",
        "gitlab_runner_jobs{runner=a} 2",
        "gitlab_runner_jobs{=\"a\"} 2",
        "gitlab_runner_jobs{runner=\"a\"x=\"b\"} 2",
        "gitlab_runner_jobs 2 now",
        "gitlab_runner_jobs 2 1 1",
        "2 2",
    ] {
        assert!(matches!(with(&format!("{line}\n")), Err(BadMetrics::Line { line: 3, .. })), "{line}");
    }
}

#[test]
fn a_body_that_is_too_long_is_not_read() {
    let body = format!("{IDLE}{}\n", "#".repeat(LONGEST_BODY));
    assert_eq!(read(&body, AT), Err(BadMetrics::TooLong(body.len())));
}

#[test]
fn a_sample_with_a_time_of_its_own_is_of_that_time() {
    let at = |millis| with(&format!("gitlab_runner_jobs 1 {millis}\n")).unwrap().taken_at;
    assert_eq!(at(AT.0 - 500_000), AT - Millis::secs(500));
    assert_eq!(at(AT.0 + 500_000), AT + Millis::secs(500));
    let both = with(&format!("gitlab_runner_jobs 1 {}\ngitlab_runner_jobs_total 1 {}\n", AT.0, AT.0 - 9_000));
    assert_eq!(both.unwrap().taken_at, AT - Millis::secs(9), "the one that is furthest off");
}

/// Proptest's cases from one seed, so that a run is the same each time.
fn fixed() -> ProptestConfig {
    ProptestConfig { cases: 2_000, rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed_0008), ..<_>::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn no_text_makes_it_panic(text in "(gitlab_runner_(jobs|limit|concurrent)|[a-z{}\"=, \\\\]|[0-9+-]|\n|\\PC){0,60}") {
        let _ = read(&text, AT);
        let _ = read(&format!("{IDLE}{text}\n"), AT);
    }

    #[test]
    fn a_labels_text_never_changes_the_sum(label in "\\PC{0,20}", jobs in 0..1000_u32, more in 0..1000_u32) {
        let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let lines = format!("gitlab_runner_jobs{{runner=\"{escaped}\"}} {jobs}\ngitlab_runner_jobs{{x=\"\",y=\"{escaped}\"}} {more}\n");
        prop_assert_eq!(with(&lines).unwrap().jobs, jobs + more);
    }
}
