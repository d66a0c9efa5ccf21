//! Readers for the tests beside this file, which compare files that must agree and that no compiler compares: the
//! template, the state machines, the manifests, the documents and the sources. A test that fails names the file and the
//! cure.

pub mod manifest;
pub mod rights;
pub mod source;
pub mod template;
pub mod why;
pub mod words;
pub mod yaml;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root. Cargo tells it to each test that it runs: what is compiled in would be that of another checkout
/// when two share a folder of builds, or when one was copied with it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "Cargo's own variable, and no binary reads it")]
pub fn root() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&here).ancestors().nth(3).map_or_else(|| PathBuf::from(&here), Path::to_path_buf)
}

/// A file of the repository, by its path below the root.
///
/// # Panics
/// When it cannot be read: the test that asked for it fails with the file's name.
#[must_use]
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// The names in a folder of the repository, sorted; none when there is no such folder.
#[must_use]
pub fn list(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// All files below a folder of the repository whose names end in `ending`, by their paths below the root, sorted.
#[must_use]
pub fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in list(folder) {
        let path = format!("{folder}/{name}");
        if root().join(&path).is_dir() {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}
