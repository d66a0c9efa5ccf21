//! The crates: what they inherit, and who may depend on whom.

use runnerless_tidy::source::of_crate;
use runnerless_tidy::{files, manifest, read};

/// What the decisions may use: text formats, a hash, patterns. No clock, no runtime, no network.
const OF_CORE: [&str; 6] = ["serde", "serde_json", "sha2", "hex", "thiserror", "wildmatch"];
/// Crates whose dependencies are held back, with the only crates that may have them.
const KEPT: [(&str, &[&str]); 5] = [
    // The floors of the bench are functions without anything of ours.
    ("aws-sdk-", &["runnerless-aws", "runnerless-aws-ec2", "runnerless-aws-admin", "runnerless-bench"]),
    ("aws-smithy-", &["runnerless-aws", "runnerless-aws-ec2", "runnerless-aws-admin", "runnerless-bench"]),
    // The runner signs one call, and needs no client of any service for that.
    ("aws-credential-types", &["runnerless-aws", "runnerless-bench", "runnerless-runner"]),
    ("lambda_runtime", &["runnerless-lambda-kit", "runnerless-bench"]),
    ("reqwest", &["runnerless-gitlab", "runnerless-metadata", "runnerless-runner", "gitlab-sim"]),
];

#[test]
fn every_crate_inherits_the_workspaces_terms_and_says_what_it_is() {
    let crates = manifest::all();
    assert!(crates.len() > 10, "only {} crates were found", crates.len());
    for manifest in crates {
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let inherited = manifest.get("package", &format!("{key}.workspace")) == Some("true");
            assert!(inherited, "{}/Cargo.toml: write {key}.workspace = true", manifest.folder);
        }
        assert_eq!(manifest.get("lints", "workspace"), Some("true"), "{}: the workspace's lints", manifest.folder);
        let description = manifest.get("package", "description").unwrap_or_default();
        assert!(description.len() > 10, "{}/Cargo.toml has no description", manifest.folder);
    }
}

#[test]
fn the_decisions_depend_on_nothing_that_acts() {
    let core =
        manifest::all().into_iter().find(|manifest| manifest.name == "runnerless-core").expect("runnerless-core");
    for name in core.dependencies("dependencies") {
        assert!(OF_CORE.contains(&name.as_str()), "runnerless-core depends on {name}: decisions use data only");
    }
}

#[test]
fn only_its_keepers_depend_on_a_kept_crate() {
    for manifest in manifest::all() {
        for name in manifest.dependencies("dependencies") {
            for (kept, keepers) in KEPT.iter().filter(|(kept, _)| name.starts_with(kept)) {
                assert!(
                    keepers.contains(&manifest.name.as_str()),
                    "{} depends on {kept}*: use {keepers:?}",
                    manifest.name
                );
            }
        }
    }
}

#[test]
fn no_crate_of_a_lower_layer_depends_on_a_higher_one() {
    let crates = manifest::all();
    for manifest in crates.iter().filter(|manifest| manifest.folder.starts_with("crates/lib/")) {
        for name in manifest.dependencies("dependencies") {
            let other = crates.iter().find(|other| other.name == name);
            let higher = other.is_some_and(|other| !other.folder.starts_with("crates/lib/"));
            assert!(!higher, "library {} depends on {name}, which is no library", manifest.name);
        }
    }
    for manifest in crates.iter().filter(|manifest| manifest.folder.starts_with("crates/bin/")) {
        for name in manifest.dependencies("dependencies") {
            let other = crates.iter().find(|other| other.name == name);
            let of_dev = other.is_some_and(|other| other.folder.starts_with("crates/dev/"));
            assert!(!of_dev, "{} ships {name}, which is for development", manifest.name);
        }
    }
}

#[test]
fn the_decisions_know_no_clock_no_chance_and_no_environment() {
    let core = of_crate("crates/lib/core");
    assert!(core.len() > 10_000, "the source of runnerless-core was not found");
    let told: String = core.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for word in
        ["SystemTime", "Instant", "rand::", "getrandom", "std::env", "std::fs", "std::net", "async fn", "println!"]
    {
        assert!(!told.contains(word), "runnerless-core uses {word}: pass it in, or do it in a binary");
    }
}

#[test]
fn every_binarys_main_is_thin() {
    for manifest in manifest::all().into_iter().filter(|manifest| manifest.folder.starts_with("crates/bin/")) {
        let path = format!("{}/src/main.rs", manifest.folder);
        let lines = read(&path).lines().count();
        assert!(lines < 60, "{path} has {lines} lines: what it does belongs into the library, where tests reach it");
    }
}

#[test]
fn what_is_said_to_have_no_tests_has_none() {
    let has_tests = |text: &str| text.contains("#[test]") || text.contains("::test]") || text.contains("#[cfg(test)]");
    let mut seen = 0;
    for manifest in manifest::all() {
        let cure = format!("take the line out of {}/Cargo.toml, or its tests never run", manifest.folder);
        for path in manifest.binaries_without_tests() {
            let text = read(&path);
            let has_modules = text.lines().any(|line| line.starts_with("mod ") || line.starts_with("pub mod "));
            assert!(!has_modules && !has_tests(&text), "{path} has tests or modules, and test = false: {cure}");
            seen += 1;
        }
        let sources = || files(&format!("{}/src", manifest.folder), ".rs").into_iter();
        if manifest.get("lib", "test") == Some("false") {
            let tested = sources().find(|path| has_tests(&read(path)));
            assert_eq!(tested, None, "tests in a library of test = false: {cure}");
        }
        if manifest.get("lib", "doctest") == Some("false") {
            let is_example =
                |line: &str| matches!(line.trim_start(), "/// ```" | "//! ```" | "/// ```rust" | "//! ```rust");
            let is_closed_text = |text: &str| text.matches("```text").count() * 2 == text.matches("```").count();
            let shown = sources().find(|path| {
                let text = read(path);
                text.lines().any(is_example) && !is_closed_text(&text)
            });
            assert_eq!(shown, None, "examples in a library of doctest = false: {cure}");
        }
    }
    assert!(seen > 10, "only {seen} binaries were looked at");
}
