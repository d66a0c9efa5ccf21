//! Programs and tests are built of the same builds of every crate: where tests ask for a feature more of a crate that programs use
//! too, nearly all of ours are compiled twice.

use std::collections::BTreeMap;
use std::process::Command;

use runnerless_tidy::root;

/// The features of each crate that programs are built of, where these edges of the dependency graph count.
fn features(edges: &str) -> BTreeMap<String, String> {
    let output = Command::new("cargo")
        .args(["tree", "--offline", "--locked", "--workspace", "--prefix", "none"])
        .args(["--edges", edges, "--format", "{p}|{f}"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // What was shown above has a star behind it.
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)")).filter_map(|line| line.split_once('|'));
    lines.map(|(package, features)| (package.to_owned(), features.to_owned())).collect()
}

#[test]
fn tests_ask_for_no_feature_that_programs_do_not_ask_for() {
    let programs = features("normal,build");
    let tests = features("normal,build,dev");
    assert!(programs.len() > 100, "cargo tree named {} crates", programs.len());
    for (package, asked) in &programs {
        assert_eq!(
            Some(asked),
            tests.get(package),
            "{package}: tests ask for other features than programs; have the workspace's Cargo.toml ask for them"
        );
    }
}
