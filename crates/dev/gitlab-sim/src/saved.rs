//! The world on disk between two processes: an orderly end writes it below the state directory, and the next start goes on
//! from there.
//!
//! Logs, artifacts and repositories are files already and stay where they are. The file is consumed: a process that is
//! killed leaves none, because what it did since could not be in it.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::log::LogError;
use crate::world::{Place, World};

/// The file's name.
const FILE: &str = "world.json";
/// Grows with every change that an older file does not fit.
const VERSION: u32 = 1;

/// The world could not be kept, or not be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file cannot be written.
    #[error("the world cannot be saved to {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The file cannot be read.
    #[error("{}: the world of an earlier run cannot be read; {CURE}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file makes no sense.
    #[error("{}: this is not the world of an earlier run; {CURE}", .0.display())]
    Shape(PathBuf, #[source] serde_json::Error),
    /// Another version wrote it.
    #[error("{}: another version of gitlab-sim wrote this (format {found}, this one reads {VERSION}); {CURE}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A log does not fit it.
    #[error("{}: the world of an earlier run does not fit its logs; {CURE}", .0.display())]
    Log(PathBuf, #[source] LogError),
}

/// What whoever meets such a file can do.
const CURE: &str = "remove the file, or give another --state, to begin with an empty GitLab";

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    admin_token: &'a str,
    world: &'a World,
}

#[derive(Deserialize)]
struct Format {
    v: u32,
}

/// What an earlier run left.
#[derive(Deserialize)]
pub(crate) struct Saved {
    /// The token for the user API.
    pub admin_token: String,
    world: World,
}

/// Writes the world, readable by its owner only: it holds every token.
///
/// # Errors
/// [`SavedError::Write`].
pub(crate) fn save(world: &World) -> Result<(), SavedError> {
    let path = world.place.dir.join(FILE);
    let failed = |error| SavedError::Write(path.clone(), error);
    let temporary = path.with_extension("json.new");
    let written = Written { v: VERSION, admin_token: &world.place.admin_token, world };
    let bytes = serde_json::to_vec(&written).map_err(|error| failed(error.into()))?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, &path).map_err(failed)
}

/// What an orderly end left in the state directory; nothing when there was none.
///
/// # Errors
/// When there is something that cannot be gone on with.
pub(crate) fn load(dir: &Path) -> Result<Option<Saved>, SavedError> {
    let path = dir.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SavedError::Read(path, error)),
    };
    let shape = |error| SavedError::Shape(path.clone(), error);
    let Format { v: found } = serde_json::from_slice(&bytes).map_err(shape)?;
    if found != VERSION {
        return Err(SavedError::Version { path, found });
    }
    let mut saved: Saved = serde_json::from_slice(&bytes).map_err(shape)?;
    for job in saved.world.jobs.values_mut() {
        job.log.reopen().map_err(|error| SavedError::Log(path.clone(), error))?;
    }
    Ok(Some(saved))
}

impl Saved {
    /// The world at its new place. From here on the file counts no more, and is removed.
    ///
    /// # Errors
    /// [`SavedError::Read`] when it cannot be removed.
    pub(crate) fn go_on(self, place: Arc<Place>) -> Result<World, SavedError> {
        let path = place.dir.join(FILE);
        std::fs::remove_file(&path).map_err(|error| SavedError::Read(path, error))?;
        Ok(World { place, ..self.world })
    }
}
