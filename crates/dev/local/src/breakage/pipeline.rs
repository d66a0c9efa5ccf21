//! The pipeline of the cases: a manual job for each, with a tag that only its own lane has.

use std::path::Path;

use super::case::Case;

/// How long a script waits until its case lets it go, in tenths of a second. Longer than any case needs.
const PATIENCE: u32 = 3000;

/// The `.gitlab-ci.yml`. Each script notes its run, and waits for its case's leave where that is asked for.
pub(super) fn file(cases: &[Case], folder: &Path) -> String {
    cases.iter().map(|case| job(case, folder)).collect()
}

/// Where a case's script notes its runs, one line each.
pub(super) fn runs(folder: &Path, case: &str) -> std::path::PathBuf {
    folder.join(format!("{case}.runs"))
}

/// The file whose being there lets a case's script go on.
pub(super) fn leave(folder: &Path, case: &str) -> std::path::PathBuf {
    folder.join(format!("{case}.go"))
}

fn job(case: &Case, folder: &Path) -> String {
    let (id, runs, leave) = (&case.id, runs(folder, &case.id), leave(folder, &case.id));
    let (runs, leave) = (runs.display(), leave.display());
    let wait = format!("for i in $(seq {PATIENCE}); do if [ -e '{leave}' ]; then break; fi; sleep 0.1; done");
    let waits = if case.holds { format!("    - \"{wait}\"\n") } else { String::new() };
    format!(
        "{id}:\n  when: manual\n  tags: [{id}]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - \"echo run >> '{runs}'\"\n{waits}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breakage::kind::Kind;

    #[test]
    fn a_job_notes_its_run_and_waits_only_when_it_is_to() {
        let plain = Case::new("a", Kind::Reset, "b");
        let text = file(&[plain.clone(), plain.holding()], Path::new("/x"));
        assert_eq!(text.matches("echo run >> '/x/a-reset-b.runs'").count(), 2);
        assert_eq!(text.matches("/x/a-reset-b.go").count(), 1);
    }
}
