//! A patch of `tests/mutants`: a unified diff below a header of two lines, or three.

use std::fs;
use std::path::{Path, PathBuf};

/// One deliberate bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// The file's name without `.patch`.
    pub(crate) id: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// `What:`, the bug.
    pub(crate) what: String,
    /// `Falls:`, the promise that it breaks.
    pub(crate) falls: String,
    /// `Seed:`, that of worlds in which it shows soon, where the usual ones take long.
    pub(crate) seed: Option<String>,
    /// The files that it changes.
    touches: Vec<String>,
}

/// A folder of mutants that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadPatch {
    /// It cannot be read.
    #[error("{0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// A line of the header is missing.
    #[error("{0} does not begin with a line of \"{1} ...\"")]
    Header(PathBuf, &'static str),
}

impl Patch {
    /// Those of a folder, in the order that rebuilds least: those of one file one after the other, and those of libraries
    /// behind those of functions.
    ///
    /// # Errors
    /// One cannot be read, or has no header.
    pub(crate) fn all(folder: &Path) -> Result<Vec<Self>, BadPatch> {
        let unreadable = |error| BadPatch::Read(folder.to_owned(), error);
        let mut patches = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "patch") {
                let text = fs::read_to_string(&path).map_err(|error| BadPatch::Read(path.clone(), error))?;
                patches.push(Self::read(path, &text)?);
            }
        }
        patches.sort_by(|one, other| (&one.touches, &one.id).cmp(&(&other.touches, &other.id)));
        Ok(patches)
    }

    fn read(path: PathBuf, text: &str) -> Result<Self, BadPatch> {
        let head = text.lines().take_while(|line| !line.starts_with("--- "));
        let said = |name: &str| {
            let value = head.clone().find_map(|line| line.strip_prefix(name)).map(str::trim);
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let header = |name: &'static str| said(name).ok_or_else(|| BadPatch::Header(path.clone(), name));
        let (what, falls, seed) = (header("What:")?, header("Falls:")?, said("Seed:"));
        let touches = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(str::to_owned).collect();
        let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { id, path, what, falls, seed, touches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_a_missing_one_is_named() {
        let text = "What: the lease is ignored\nFalls: killed\n\n--- a/x.rs\n+++ b/x.rs\n@@ -1 +1 @@\n-a\n+b\n";
        let patch = Patch::read(PathBuf::from("m/no-lease.patch"), text).unwrap();
        assert_eq!((patch.id.as_str(), patch.what.as_str()), ("no-lease", "the lease is ignored"));
        assert_eq!((patch.falls.as_str(), patch.touches), ("killed", vec!["x.rs".to_owned()]));
        assert_eq!(patch.seed, None);
        let seeded = Patch::read(PathBuf::from("m/x.patch"), &text.replace("\n\n---", "\nSeed: 0x2\n\n---")).unwrap();
        assert_eq!(seeded.seed.as_deref(), Some("0x2"));
        let error = Patch::read(PathBuf::from("m/x.patch"), &text.replace("Falls:", "Breaks:")).unwrap_err();
        assert!(error.to_string().contains("Falls:"), "{error}");
    }
}
