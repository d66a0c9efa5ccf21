//! The metrics beside those that the official runner told in the same state: version 19.3.0 with two runners and the shell
//! executor, recorded as it was (`lib/core/tests/pool/recorded`).

use std::collections::BTreeMap;

use manager_sim::{Exposition, Phase, Shown};

const IDLE: &str = include_str!("../../../lib/core/tests/pool/recorded/idle.txt");
const BUSY: &str = include_str!("../../../lib/core/tests/pool/recorded/busy.txt");
const DRAINING: &str = include_str!("../../../lib/core/tests/pool/recorded/draining.txt");

/// The lines of a text that are about these metrics.
fn about(text: &str, metrics: &[&str]) -> Vec<String> {
    let name = |line: &str| {
        let words = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        words.split([' ', '{']).next().unwrap_or_default().to_owned()
    };
    text.lines().filter(|line| metrics.contains(&name(line).as_str())).map(str::to_owned).collect()
}

fn told(phase: Phase, [builds, docs]: [(usize, u64); 2]) -> String {
    let failed = BTreeMap::from([("script_failure".to_owned(), 1)]);
    let runner = |short_token: &str, name: &str, limit, (jobs, total)| Shown {
        short_token: short_token.to_owned(),
        name: name.to_owned(),
        limit,
        has_polled: true,
        jobs,
        total,
        failed: BTreeMap::new(),
    };
    let mut builds = runner("n2cG0495Z", "builds", 3, builds);
    if builds.total > 0 {
        builds.failed = failed;
    }
    let runners = vec![builds, runner("7Jel8EvA4", "docs", 0, docs)];
    Exposition { concurrent: 4, phase, system_id: "s_0123456789ab".to_owned(), runners }.text()
}

#[test]
fn each_metric_is_told_as_the_official_runner_does() {
    let busy = [(2, 4), (1, 1)];
    for (recorded, told) in [
        (IDLE, told(Phase::Running, [(0, 0), (0, 0)])),
        (BUSY, told(Phase::Running, busy)),
        (DRAINING, told(Phase::Graceful, busy)),
    ] {
        let metrics: Vec<&str> =
            told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert!(metrics.len() >= 6, "{told}");
        assert_eq!(told.lines().collect::<Vec<_>>(), about(recorded, &metrics));
    }
}
