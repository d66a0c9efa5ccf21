//! The keywords that the subset leaves out, and what to do about each.

/// What a job may have.
pub(super) const OF_JOBS: &[&str] = &[
    "stage",
    "script",
    "before_script",
    "after_script",
    "variables",
    "tags",
    "needs",
    "allow_failure",
    "when",
    "start_in",
    "timeout",
    "retry",
    "parallel",
    "image",
    "services",
    "environment",
    "resource_group",
    "id_tokens",
    "artifacts",
    "dependencies",
    "cache",
];

/// What `default` may have.
pub(super) const OF_DEFAULT: &[&str] = &[
    "before_script",
    "after_script",
    "tags",
    "retry",
    "timeout",
    "image",
    "services",
    "id_tokens",
    "artifacts",
    "cache",
];

/// What a file may have beside jobs.
pub(super) const OF_FILES: &[&str] =
    &["stages", "variables", "default", "before_script", "after_script", "image", "services"];

/// Names that GitLab does not take for jobs, or takes for special ones.
pub(super) const NO_JOBS: &[&str] = &["true", "false", "nil", "pages", "pages:deploy", "types"];

/// Keywords of GitLab that no part of the subset has.
const LEFT_OUT: &[&str] = &[
    "coverage",
    "dast_configuration",
    "except",
    "hooks",
    "identity",
    "inherit",
    "inputs",
    "interruptible",
    "manual_confirmation",
    "only",
    "pages",
    "publish",
    "release",
    "rules",
    "run",
    "secrets",
    "spec",
    "trigger",
    "type",
    "workflow",
];

/// Whether it is a keyword of GitLab that the subset leaves out.
pub(super) fn left_out(keyword: &str) -> bool {
    LEFT_OUT.contains(&keyword)
}

/// Why a keyword is refused at a place that knows `known` ones, and the cure.
pub(super) fn refusal(keyword: &str, known: &[&str]) -> String {
    let cure = match keyword {
        "inherit" => "write its keywords out",
        "rules" | "only" | "except" | "workflow" => "remove it: every job of the file is created",
        "cache" => "write it below `default`",
        "type" => "write `stage`",
        _ if left_out(keyword) => "remove it",
        _ => return format!("is not a keyword here; remove it (known: `{}`)", known.join("`, `")),
    };
    format!("is outside the supported subset; {cure}")
}
