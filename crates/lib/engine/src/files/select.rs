//! Which files an artifact is made of.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::glob::{BadPattern, Glob, clean, split};
use super::says::Says;

/// Files by their paths below the project's folder.
#[derive(Debug)]
pub(crate) struct Selection {
    root: PathBuf,
    /// The rules of `exclude`, with what each means; a pattern that cannot be read excludes nothing.
    exclude: Vec<(String, Result<Option<Glob>, OutsideProject>)>,
    files: BTreeMap<String, Metadata>,
    excluded: BTreeMap<String, u64>,
    says: Says,
}

/// The path leads out of the project's folder.
#[derive(Debug, thiserror::Error)]
#[error("artifact path is not a subpath of project directory: {0}")]
struct OutsideProject(String);

impl Selection {
    /// Nothing yet, of what is below `root`.
    pub(crate) fn new(root: &Path, exclude: &[String], says: Says) -> Self {
        let root = root.to_owned();
        let rule = |text: &String| {
            let meant = below(&root, text).map(|pattern| Glob::new(&pattern).ok());
            (text.clone(), meant)
        };
        let exclude = exclude.iter().map(rule).collect();
        Self { root, exclude, files: BTreeMap::new(), excluded: BTreeMap::new(), says }
    }

    /// The files in the order of their paths.
    pub(crate) fn files(&self) -> &BTreeMap<String, Metadata> {
        &self.files
    }

    /// The folder, and the files below it.
    pub(crate) fn into_files(self) -> (PathBuf, BTreeMap<String, Metadata>) {
        (self.root, self.files)
    }

    /// Takes what a pattern means, folders with all below them, and says how much that was.
    pub(crate) fn add_path(&mut self, path: &str, given_up: &AtomicBool) {
        if path.is_empty() {
            return self.says.warn("No matching files. Path is empty.", &[]);
        }
        let pattern = match below(&self.root, path) {
            Ok(pattern) => pattern,
            Err(error) => return self.says.warn(&format!("processPath: {error}"), &[]),
        };
        let matches = match Glob::new(&pattern) {
            Ok(glob) => glob.find(&self.root),
            Err(BadPattern) => return self.says.warn(&format!("{path}: {BadPattern}"), &[]),
        };
        let mut found = 0;
        for start in matches {
            self.walk(&start, &mut found, given_up);
        }
        if found == 0 {
            let root = self.root.display();
            let hint = "Ensure that the artifact path is relative to the working directory";
            self.says.warn(&format!("{path}: no matching files. {hint} ({root})"), &[]);
        } else {
            self.says.info(&format!("{path}: found {found} matching artifact files and directories"), &[]);
        }
    }

    /// Takes files that git listed.
    pub(crate) fn add_untracked(&mut self, listed: &[u8], given_up: &AtomicBool) {
        let mut found = 0_u64;
        for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if given_up.load(Ordering::Relaxed) {
                return;
            }
            match std::str::from_utf8(name) {
                Ok(name) => found += u64::from(self.take(&clean(name))),
                Err(_) => self.nameless(&String::from_utf8_lossy(name)),
            }
        }
        if found == 0 {
            self.says.warn("untracked: no files", &[]);
        } else {
            self.says.info(&format!("untracked: found {found} files"), &[]);
        }
    }

    /// Says what `exclude` left out.
    pub(crate) fn tell_excluded(&self) {
        for (rule, count) in &self.excluded {
            self.says.info(&format!("{rule}: excluded {count} files"), &[]);
        }
    }

    /// A path and all below it, links as links. No name is longer than the system lets a path be, which bounds the depth.
    fn walk(&mut self, path: &str, found: &mut u64, given_up: &AtomicBool) {
        if given_up.load(Ordering::Relaxed) {
            return;
        }
        *found += u64::from(self.take(path));
        let whole = self.root.join(path);
        if !fs::symlink_metadata(&whole).is_ok_and(|entry| entry.is_dir()) {
            return;
        }
        let entries = fs::read_dir(&whole).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            match name.to_str() {
                Some(name) if path == "." => self.walk(name, found, given_up),
                Some(name) => self.walk(&format!("{path}/{name}"), found, given_up),
                None => self.nameless(&whole.join(name).to_string_lossy()),
            }
        }
    }

    /// Whether it is one of the artifact's files now.
    fn take(&mut self, path: &str) -> bool {
        match self.rule_against(path) {
            Ok(None) => {}
            Ok(Some(rule)) => {
                *self.excluded.entry(rule).or_default() += 1;
                return false;
            }
            Err(error) => self.says.warn(&format!("isExcluded: {error}"), &[]),
        }
        match fs::symlink_metadata(self.root.join(path)) {
            Ok(entry) => {
                self.files.insert(path.to_owned(), entry);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                self.says.warn(&format!("{path}: {error}"), &[]);
                false
            }
        }
    }

    /// The first rule that leaves the path out. A rule that leads elsewhere ends the search.
    fn rule_against(&self, path: &str) -> Result<Option<String>, &OutsideProject> {
        for (rule, meant) in &self.exclude {
            match meant {
                Ok(Some(glob)) if glob.matches(path) => return Ok(Some(rule.clone())),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn nameless(&self, name: &str) {
        self.says.warn(&format!("File ignored: {name}: the name is not valid UTF-8"), &[]);
    }
}

/// A path or pattern of the job, absolute or not, relative to the project's folder.
fn below(root: &Path, path: &str) -> Result<String, OutsideProject> {
    let root = clean(&root.to_string_lossy());
    let (base, pattern) = if path.contains(['*', '?', '[', '{']) { split(path) } else { (path.to_owned(), "") };
    let whole = if base.starts_with('/') { clean(&base) } else { clean(&format!("{root}/{base}")) };
    let inner = match whole.strip_prefix(&root) {
        Some("") => ".",
        Some(rest) if root == "/" => rest,
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => return Err(OutsideProject(path.to_owned())),
    };
    let joined = clean(&format!("{}/{pattern}", escaped(inner, !pattern.is_empty())));
    if joined == ".." || joined.starts_with("../") { Err(OutsideProject(path.to_owned())) } else { Ok(joined) }
}

/// Plain text inside a pattern: only where there is a pattern, as the official runner reads a path without one as it is.
fn escaped(text: &str, in_pattern: bool) -> String {
    let special = |c: char| c == '\\' || (in_pattern && matches!(c, '*' | '?' | '[' | ']' | '{' | '}'));
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::log::Log;

    struct Bench {
        folder: tempfile::TempDir,
        log: Log,
    }

    impl Bench {
        fn new(files: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
            let log = Log::plain();
            Self { folder, log }
        }

        fn select(&self, paths: &[&str], exclude: &[&str]) -> Vec<String> {
            let exclude: Vec<String> = exclude.iter().map(|rule| (*rule).to_owned()).collect();
            let mut selection = Selection::new(self.folder.path(), &exclude, Says(self.log.clone()));
            for path in paths {
                selection.add_path(path, &AtomicBool::new(false));
            }
            selection.tell_excluded();
            selection.files().keys().cloned().collect()
        }

        fn said(&self) -> String {
            String::from_utf8(self.log.part(0, 100_000)).unwrap()
        }
    }

    #[test]
    fn the_recorded_job_has_the_recorded_files_and_lines() {
        let bench = Bench::new(&["out/keep/a", "out/drop/b"]);
        symlink("a", bench.folder.path().join("out/keep/link")).unwrap();
        assert_eq!(
            bench.select(&["out/"], &["out/drop/**/*"]),
            ["out", "out/drop", "out/keep", "out/keep/a", "out/keep/link"]
        );
        assert!(bench.said().starts_with("out/: found 5 matching artifact files and directories\u{1b}[0;m \n"));
        assert!(bench.said().contains("out/drop/**/*: excluded 1 files"));
    }

    #[test]
    fn what_is_outside_or_not_there_is_a_line_and_no_failure() {
        let bench = Bench::new(&["a.txt"]);
        let root = bench.folder.path().display().to_string();
        assert_eq!(bench.select(&["/etc/passwd", "../x", "a/../../y", "none", "", "[", "*/../../z"], &[]), [""; 0]);
        let said = bench.said();
        assert_eq!(said.matches("artifact path is not a subpath of project directory").count(), 4, "{said}");
        assert!(said.contains(&format!(
            "none: no matching files. Ensure that the artifact path is relative to the working directory ({root})"
        )));
        assert!(said.contains("Path is empty.") && said.contains("[: syntax error in pattern"), "{said}");
        assert_eq!(bench.select(&[&format!("{root}/a.txt")], &[]), ["a.txt"]);
        assert_eq!(bench.select(&[&format!("{root}/*.txt")], &[]), ["a.txt"]);
        assert_eq!(bench.select(&["."], &[]), [".", "a.txt"]);
    }

    #[test]
    fn a_link_to_a_folder_is_a_link() {
        let bench = Bench::new(&["real/file"]);
        symlink("real", bench.folder.path().join("link")).unwrap();
        assert_eq!(bench.select(&["link"], &[]), ["link"]);
        assert_eq!(bench.select(&["link/file", "l*"], &[]), ["link", "link/file"]);
    }

    #[test]
    fn untracked_files_are_excluded_by_the_same_rules() {
        let bench = Bench::new(&["new.o", "new.c"]);
        let mut selection = Selection::new(bench.folder.path(), &["*.o".to_owned()], Says(bench.log.clone()));
        selection.add_untracked(b"new.o\0new.c\0gone\0", &AtomicBool::new(false));
        assert_eq!(selection.files().keys().collect::<Vec<_>>(), ["new.c"]);
        assert!(bench.said().contains("untracked: found 1 files"), "{}", bench.said());
    }
}
