//! The mutants: each says what it breaks, and still fits the code.

use std::process::Command;

use runnerless_tidy::{files, read, root};

#[test]
fn there_are_enough_and_each_says_what_it_breaks() {
    let mutants = files("tests/mutants", ".patch");
    assert!(mutants.len() >= 15, "only {} mutants were found below tests/mutants", mutants.len());
    for mutant in mutants {
        let text = read(&mutant);
        for (line, name) in text.lines().zip(["What: ", "Falls: "]) {
            let said = line.strip_prefix(name).unwrap_or_default();
            assert!(said.len() > 10, "{mutant}: its head is a line of \"What: ...\" and one of \"Falls: ...\"");
        }
        let changed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        assert!(!changed.is_empty(), "{mutant} changes nothing");
        for path in changed {
            let of_the_product = path.starts_with("crates/lib/") || path.starts_with("crates/bin/");
            assert!(of_the_product && !path.contains("/tests/"), "{mutant}: {path} is not the product's");
        }
    }
}

#[test]
fn each_still_applies() {
    for mutant in files("tests/mutants", ".patch") {
        let output = Command::new("git").args(["apply", "--check"]).arg(&mutant).current_dir(root()).output();
        let output = output.unwrap_or_else(|error| panic!("git cannot be run: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mutant} no longer applies, write it anew for the code as it is: {said}");
    }
}
