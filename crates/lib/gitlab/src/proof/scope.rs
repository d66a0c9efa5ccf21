//! Which projects a credential speaks for.

/// Which projects a credential speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the instance.
    Everything,
    /// Projects and groups with these full paths, and everything below them.
    Below(Vec<String>),
}

impl Scope {
    /// Reads a list of full paths, separated by commas or line ends. Slashes around a path do not count.
    #[must_use]
    pub fn below(list: &str) -> Self {
        let paths = list.split([',', '\n']).map(|path| path.trim().trim_matches('/').to_owned());
        Self::Below(paths.filter(|path| !path.is_empty()).collect())
    }

    /// Whether a project's full path is inside. An unknown (empty) path is inside of everything only.
    #[must_use]
    pub fn covers(&self, project_path: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Below(paths) => paths.iter().any(|path| is_below(path, project_path)),
        }
    }
}

/// Segment by segment, so that `acme` does not cover `acme-labs/x`. GitLab's paths differ in more than case.
fn is_below(path: &str, project_path: &str) -> bool {
    let mut segments = project_path.split('/');
    path.split('/').all(|wanted| segments.next().is_some_and(|segment| segment.eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_segments() {
        let scope = Scope::below(" acme/backend/ \n/tools,\n\n");
        for inside in ["acme/backend/widgets", "acme/backend", "tools/x/y", "Acme/Backend/widgets"] {
            assert!(scope.covers(inside), "{inside}");
        }
        for outside in ["acme/backend-2/widgets", "acme/front", "acme", "toolsmith/x", "x/tools", ""] {
            assert!(!scope.covers(outside), "{outside}");
        }
        assert!(Scope::Everything.covers(""));
        assert!(!Scope::below(" , ").covers("acme/widgets"), "an empty list covers nothing");
    }
}
