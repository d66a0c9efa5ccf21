//! The documents: their links lead somewhere, and the commands that they name exist.

use std::collections::BTreeSet;

use runnerless_tidy::source::literals;
use runnerless_tidy::words::{Document, documents, leads_somewhere};
use runnerless_tidy::{manifest, read};

/// Documents that must be there.
const PROMISED: [&str; 23] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/semantics.md",
    "docs/limits.md",
    "docs/logging.md",
    "docs/ami.md",
    "docs/network.md",
    "docs/iam.md",
    "docs/pool.md",
    "docs/costs.md",
    "docs/comparison.md",
    "docs/pipelines.md",
    "docs/image.md",
    "docs/tools.md",
    "docs/configuration.md",
    "docs/lambda-event.md",
    "docs/fidelity.md",
    "docs/performance.md",
    "docs/runbook.md",
    "docs/security.md",
    "docs/development.md",
    "docs/decisions/README.md",
];

#[test]
fn every_promised_document_is_there() {
    let all = documents();
    for path in PROMISED {
        assert!(all.iter().any(|document| document == path), "{path} is missing");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for document in documents() {
        for link in Document::load(&document).paths() {
            links += 1;
            assert!(leads_somewhere(&document, &link), "{document}: {link} leads nowhere");
        }
    }
    assert!(links > 10, "only {links} links were found");
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.']))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    assert!(targets.contains("test"), "the Makefile's targets were not found");
    for document in documents() {
        for (target, _) in Document::load(&document).calls("make") {
            assert!(targets.contains(target.as_str()), "{document}: the Makefile has no target {target}");
        }
    }
}

/// The words of a clap enumeration, as the command line takes them.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let body = source
        .split_once(&format!("pub enum {name} {{"))
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .map_or("", |(body, _)| body);
    let is_variant = |line: &&str| line.starts_with("    ") && line[4..].starts_with(|c: char| c.is_ascii_uppercase());
    body.lines()
        .filter(is_variant)
        .map(|line| line.trim().split(['(', ' ', ',']).next().unwrap_or_default().to_lowercase())
        .collect()
}

#[test]
fn every_command_that_is_named_exists() {
    let source = read("crates/bin/cli/src/arguments.rs");
    let commands = variants(&source, "Command");
    assert!(commands.contains("map"), "the commands were not found in their source");
    for document in documents() {
        for (command, second) in Document::load(&document).calls("runnerless") {
            assert!(commands.contains(&command), "{document}: `runnerless {command}` does not exist");
            let (first, rest) = command.split_at(1);
            let below = variants(&source, &format!("{}{rest}", first.to_uppercase()));
            if let Some(second) = second.filter(|_| !below.is_empty()) {
                assert!(below.contains(&second), "{document}: `runnerless {command} {second}` does not exist");
            }
        }
    }
}

#[test]
fn the_code_map_names_every_crate() {
    let map = read("ARCHITECTURE.md");
    for manifest in manifest::all() {
        let place = manifest.folder.trim_start_matches("crates/");
        assert!(map.contains(&format!("`{place}`")), "ARCHITECTURE.md does not name `{place}`");
    }
}

#[test]
fn the_runbook_has_every_alarm_and_the_log_page_every_metric() {
    let (runbook, logging) = (read("docs/runbook.md"), read("docs/logging.md"));
    let templates = runnerless_tidy::template::Template::both();
    for (id, alarm) in templates.iter().flat_map(|template| template.resources("AWS::CloudWatch::Alarm")) {
        assert!(runbook.contains(&format!("`{id}`")), "docs/runbook.md has no line about the alarm {id}");
        if alarm["Namespace"] == "Runnerless" {
            let metric = runnerless_tidy::template::text(&alarm["MetricName"]);
            assert!(logging.contains(&format!("`{metric}`")), "docs/logging.md does not explain {metric}");
        }
    }
    for manifest in manifest::all().into_iter().filter(|manifest| manifest.folder.starts_with("crates/bin/")) {
        let source = runnerless_tidy::source::of_crate(&manifest.folder);
        // The numbers of a pool are measured by one call.
        if source.contains("metrics::measure(") {
            for metric in literals(&source, "Pool").into_iter().filter(|name| !name.contains('.')) {
                assert!(logging.contains(&format!("`{metric}`")), "docs/logging.md does not explain {metric}");
            }
        }
        for call in source.split("metrics::count(").skip(1) {
            let name = call.split(',').nth(1).unwrap_or_default();
            for metric in name.split('"').skip(1).step_by(2) {
                assert!(logging.contains(&format!("`{metric}`")), "docs/logging.md does not explain {metric}");
            }
        }
    }
}

#[test]
fn the_runbook_has_a_row_for_every_trouble() {
    let runbook = read("docs/runbook.md");
    let mut troubles = 0;
    let crates = manifest::all().into_iter().map(|manifest| manifest.folder);
    for folder in crates.filter(|folder| !folder.starts_with("crates/dev/")) {
        let source = runnerless_tidy::source::of_crate(&folder);
        for call in source.split("metrics::trouble(").skip(1) {
            for trouble in call.split(',').nth(1).unwrap_or_default().split('"').skip(1).step_by(2) {
                troubles += 1;
                assert!(runbook.contains(&format!("\n| `{trouble}` |")), "docs/runbook.md has no row about {trouble}");
            }
        }
    }
    assert!(troubles > 10, "only {troubles} were found");
}
