//! The crates' manifests, as far as the rules look: lines below section headers.

use std::collections::BTreeSet;

use crate::{list, read};

/// One crate's manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The crate's folder below the root.
    pub folder: String,
    /// The package's name.
    pub name: String,
    /// Section, key and the rest of each line.
    lines: Vec<(String, String, String)>,
}

/// All crates of the workspace.
#[must_use]
pub fn all() -> Vec<Manifest> {
    let groups = ["crates/lib", "crates/bin", "crates/dev"];
    let folders = groups.iter().flat_map(|group| list(group).into_iter().map(move |name| format!("{group}/{name}")));
    folders.map(|folder| Manifest::of(&folder, &read(&format!("{folder}/Cargo.toml")))).collect()
}

impl Manifest {
    fn of(folder: &str, text: &str) -> Self {
        let mut section = String::new();
        let mut lines = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, rest)) = line.split_once('=') {
                lines.push((section.clone(), key.trim().to_owned(), rest.trim().to_owned()));
            }
        }
        let mut manifest = Self { folder: folder.to_owned(), name: String::new(), lines };
        manifest.name = manifest.get("package", "name").unwrap_or_default().trim_matches('"').to_owned();
        manifest
    }

    /// What a section says of a key, as it is written.
    #[must_use]
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let found = self.lines.iter().find(|(of, name, _)| of == section && name == key);
        found.map(|(_, _, rest)| rest.as_str())
    }

    /// The names of all its binaries that it gives itself.
    #[must_use]
    pub fn binaries(&self) -> BTreeSet<String> {
        self.lines
            .iter()
            .filter(|(section, key, _)| section == "bin" && key == "name")
            .map(|(_, _, name)| name.trim_matches('"').to_owned())
            .collect()
    }

    /// The sources of the binaries of which it says that they have no tests.
    #[must_use]
    pub fn binaries_without_tests(&self) -> Vec<String> {
        let of_binaries: Vec<_> = self.lines.iter().filter(|(section, ..)| section == "bin").collect();
        let is_without =
            |binary: &[&(String, String, String)]| binary.iter().any(|line| line.1 == "test" && line.2 == "false");
        let path = |binary: &[&(String, String, String)]| {
            let path = binary.iter().find(|line| line.1 == "path")?;
            Some(format!("{}/{}", self.folder, path.2.trim_matches('"')))
        };
        let binaries = of_binaries.chunk_by(|_, next| next.1 != "name");
        binaries.filter(|binary| is_without(binary)).filter_map(path).collect()
    }

    /// The crates that a section of dependencies names, as lines (`a = ..`, `a.workspace = ..`) or as its subsections.
    #[must_use]
    pub fn dependencies(&self, section: &str) -> BTreeSet<String> {
        let by_table = format!("{section}.");
        let name = |(of, key, _): &(String, String, String)| {
            let name = if of == section { Some(key.as_str()) } else { of.strip_prefix(&by_table) };
            name.map(|name| name.split('.').next().unwrap_or(name).to_owned())
        };
        self.lines.iter().filter_map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_write_a_dependency_are_seen() {
        let text = "[package]\nname = \"x\"\n[[bin]]\nname = \"y\"\n[dependencies]\na = \"1\"\nb.workspace = true\n\
                    c = { workspace = true }\n[dependencies.d]\nversion = \"1\"\n[dev-dependencies]\ne = \"1\"\n";
        let manifest = Manifest::of("crates/lib/x", text);
        assert_eq!(manifest.name, "x");
        assert_eq!(manifest.binaries(), BTreeSet::from(["y".to_owned()]));
        assert_eq!(manifest.dependencies("dependencies"), ["a", "b", "c", "d"].map(str::to_owned).into());
        assert_eq!(manifest.dependencies("dev-dependencies"), ["e".to_owned()].into());
    }
}
