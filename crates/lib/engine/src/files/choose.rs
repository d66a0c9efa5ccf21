//! Which files of the job are meant: its patterns with its variables filled in, and what git does not know.

use super::pack::Level;
use super::select::Selection;
use super::{Courier, Says, expand};
use crate::job::Stages;
use crate::verdict::Verdict;

/// What the shell prints right before git's list: a login shell may have said other things.
const LIST: &[u8] = b"runnerless-untracked\0";

/// What the job wants kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    /// Patterns, with variables unexpanded.
    pub(crate) paths: &'a [String],
    /// Patterns of what is left out.
    pub(crate) exclude: &'a [String],
    /// Whether files that git does not know belong to it.
    pub(crate) untracked: bool,
}

impl Courier<'_> {
    /// Finds the files, and says what was found.
    pub(crate) async fn select(
        &self,
        stages: &mut Stages,
        wishes: Wishes<'_>,
        job_status: &str,
        says: &Says,
    ) -> Result<Selection, Verdict> {
        let (paths, exclude) = (self.patterns(wishes.paths, job_status, says), wishes.exclude);
        let exclude = self.patterns(exclude, job_status, says);
        let mut selection = Selection::new(&self.setup.places.project, &exclude, says.clone());
        let limit = stages.upload_limit();
        selection = stages
            .on_thread(limit, move |given_up| {
                paths.iter().for_each(|path| selection.add_path(path, given_up));
                selection
            })
            .await?;
        if wishes.untracked {
            selection = self.add_untracked(stages, selection, job_status, says).await?;
        }
        selection.tell_excluded();
        Ok(selection)
    }

    /// Patterns with the job's variables filled in. What cannot be filled in stays as it is.
    fn patterns(&self, patterns: &[String], job_status: &str, says: &Says) -> Vec<String> {
        let environment = self.environment(job_status);
        let value_of = |key: &str| environment.get(key).cloned().unwrap_or_default();
        let pattern = |path: &String| match expand(path, &value_of) {
            Ok(path) => path,
            Err(error) => {
                says.warn(&format!("invalid path {path:?}: {error}"), &[]);
                path.clone()
            }
        };
        patterns.iter().map(pattern).collect()
    }

    /// Has git list what it does not know.
    async fn add_untracked(
        &self,
        stages: &mut Stages,
        mut selection: Selection,
        job_status: &str,
        says: &Says,
    ) -> Result<Selection, Verdict> {
        let mut script = self.setup.script(job_status);
        script.line(&self.setup.enter_project());
        script.line("printf 'runnerless-untracked\\0'");
        script.line("git ls-files -o -z");
        let limit = stages.upload_limit();
        let folder = self.setup.places.builds.as_path();
        let printed = match stages.capture(&script, folder, limit.clone()).await {
            Ok(printed) => printed,
            Err(failed @ (Verdict::Exit(_) | Verdict::Signal(_))) => {
                let how = match failed {
                    Verdict::Exit(code) => format!("exit status {code}"),
                    _ => "ended by a signal".to_owned(),
                };
                says.warn(&format!("untracked: git ls-files: {how}"), &[]);
                return Ok(selection);
            }
            Err(stopped) => return Err(stopped),
        };
        let start =
            printed.windows(LIST.len()).position(|window| window == LIST).map_or(printed.len(), |at| at + LIST.len());
        stages
            .on_thread(limit, move |given_up| {
                selection.add_untracked(&printed[start..], given_up);
                selection
            })
            .await
    }

    /// How a zip is compressed, by the variable of that name: the official runner heeds it with its fast zip alone.
    pub(crate) fn level(&self, variable: &str, says: &Says) -> Level {
        let word = self.setup.variables.get(variable).unwrap_or_default();
        let word = if self.setup.flag("FF_USE_FASTZIP", false) { word } else { "" };
        Level::new(word).unwrap_or_else(|| {
            says.warn(&format!("compression level {word:?} is invalid, falling back to default"), &[]);
            Level::Deflated(6)
        })
    }
}
