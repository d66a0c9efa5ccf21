//! Where things are: the checkout, and the state of one local stack below it.

use std::io;
use std::path::{Path, PathBuf};

/// The folders and files of one local stack. Everything that it writes is below [`Layout::state`], but for the Python
/// environment, which all stacks of a checkout share, and the builds below `target/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    state: PathBuf,
}

/// A checkout or state folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It holds no template.
    #[error("{0} is no checkout of Runnerless: it has no template.yaml; run from the checkout or give --root")]
    NoCheckout(PathBuf),
    /// It cannot be made or resolved.
    #[error("the folder {path} cannot be used")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Layout {
    /// Takes the checkout at `root` and the state folder (below `root` when it is relative), and makes the latter.
    ///
    /// # Errors
    /// When `root` is no checkout, or the state folder cannot be made.
    pub fn new(root: &Path, state: &Path) -> Result<Self, LayoutError> {
        let root = resolve(root)?;
        if !root.join("template.yaml").is_file() {
            return Err(LayoutError::NoCheckout(root));
        }
        let state = root.join(state);
        std::fs::create_dir_all(&state).map_err(|source| LayoutError::Folder { path: state.clone(), source })?;
        Ok(Self { state: resolve(&state)?, root })
    }

    /// The checkout.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A path below the checkout.
    #[must_use]
    pub fn source(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A path below the state folder.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.state.join(path)
    }

    /// The Python environment of the checkout.
    #[must_use]
    pub fn venv(&self) -> PathBuf {
        self.root.join(".local/venv")
    }

    /// The interpreter of that environment.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.venv().join("bin/python")
    }

    /// A command that `cargo build --release` makes.
    #[must_use]
    pub fn command(&self, name: &str) -> PathBuf {
        self.root.join("target/release").join(name)
    }

    /// Who runs here: see [`crate::supervise::Record`].
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.at("stack.json")
    }

    /// Which commands work here: see [`crate::supervise::Driver`].
    #[must_use]
    pub fn drivers(&self) -> PathBuf {
        self.at("drivers")
    }

    /// What shells read, see `docs/configuration.md`.
    #[must_use]
    pub fn stack_env(&self) -> PathBuf {
        self.at("stack.env")
    }

    /// What the witness writes.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        self.at("aws-calls.jsonl")
    }

    /// What happened to instances: JSON lines {t, instance, what: begun | off | terminated}.
    #[must_use]
    pub fn instances(&self) -> PathBuf {
        self.at("log/instances.jsonl")
    }

    /// Programs that the image of the stack's instances brings beside the runner; a suite that wants some puts them there.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.at("image")
    }

    /// Temporary files of everything that runs in the stack.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.at("tmp")
    }

    /// The supervisor's words.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.at("supervisor.log")
    }

    /// The words of the programs below it.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.at("log").join(format!("{name}.log"))
    }
}

fn resolve(path: &Path) -> Result<PathBuf, LayoutError> {
    path.canonicalize().map_err(|source| LayoutError::Folder { path: path.to_owned(), source })
}
