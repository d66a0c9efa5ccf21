//! What keeps one launch's job from another's: an execution environment for each, or scrubbing between them.
//!
//! With tenant isolation Lambda gives each launch an environment of its own, because the launch's id is the tenant. What
//! is checked here is that it really did. Without it (`shared`, only where all projects trust each other) a process serves
//! one launch after the other, and everything that a job may have left is removed between them. `docs/security.md` says
//! what either mode keeps apart and what not.

mod marks;
mod shared;

use std::sync::OnceLock;

use runnerless_core::id::LaunchId;
use runnerless_engine::{ScrubError, ScrubRoot};

use crate::error::Error;

pub use shared::{NotClean, Shared};

/// `RUNNERLESS_SANDBOX`, as the template's parameter `ExecutorSandbox` sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each launch has an execution environment of its own.
    Tenant,
    /// Launches share environments, which are scrubbed between them.
    Shared,
}

/// `RUNNERLESS_SCRUB`: where a job can leave something for the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrub {
    /// Folders.
    pub roots: Vec<ScrubRoot>,
    /// Whether objects of System V IPC are removed as well. Not where other programs of this user may be at work.
    pub ipc: bool,
}

/// How this process keeps launches apart.
#[derive(Debug)]
pub enum Sandbox {
    /// The tenant that this environment belongs to, once it is known.
    Tenant(OnceLock<String>),
    /// See [`Shared`].
    Shared(Shared),
}

impl Sandbox {
    /// To be made when the process starts: what is in the folders then stays.
    ///
    /// # Errors
    /// In shared mode, a folder that cannot be looked at.
    pub fn new(mode: Mode, scrub: Scrub) -> Result<Self, ScrubError> {
        Ok(match mode {
            Mode::Tenant => Self::Tenant(OnceLock::new()),
            Mode::Shared => Self::Shared(Shared::new(scrub)?),
        })
    }

    /// Whether the environment is thrown away after its launch.
    #[must_use]
    pub fn is_disposable(&self) -> bool {
        matches!(self, Self::Tenant(_))
    }

    /// Whether this process may begin the launch. To be asked before anything is written or asked elsewhere.
    ///
    /// # Errors
    /// Why not, with the cure. The launch counts as never begun.
    pub(crate) async fn admit(&self, tenant: Option<&str>, launch: &LaunchId) -> Result<(), Error> {
        match self {
            Self::Tenant(own) => {
                let tenant = tenant.ok_or(Error::NoTenant)?;
                if tenant != launch.as_str() || own.get_or_init(|| tenant.to_owned()) != tenant {
                    return Err(Error::WrongTenant);
                }
                Ok(())
            }
            Self::Shared(shared) => {
                shared.clean().await?;
                shared.mark();
                Ok(())
            }
        }
    }

    /// Removes what the launch's job may have left. To be called when the launch is over.
    ///
    /// # Errors
    /// Something is left: this process must not serve another launch.
    pub async fn leave(&self) -> Result<(), NotClean> {
        match self {
            // Nobody comes after.
            Self::Tenant(_) => Ok(()),
            Self::Shared(shared) => shared.clean().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use runnerless_lambda_kit::Named as _;

    use super::*;

    fn block<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn an_environment_of_its_own_serves_its_own_launch_and_no_other() {
        let sandbox = Sandbox::new(Mode::Tenant, Scrub::default()).unwrap();
        let name = |tenant: Option<&str>, launch: &str| {
            block(sandbox.admit(tenant, &LaunchId::new(launch))).map_err(|error| error.name())
        };
        assert_eq!(name(None, "l-1"), Err("Executor.NoTenant"));
        assert_eq!(name(Some("everybody"), "l-1"), Err("Executor.WrongTenant"));
        assert_eq!(name(Some("l-1"), "l-1"), Ok(()));
        assert_eq!(name(Some("l-1"), "l-1"), Ok(()), "a second delivery is the ledger's to refuse");
        assert_eq!(name(Some("l-2"), "l-2"), Err("Executor.WrongTenant"), "the environment is another launch's");
        assert_eq!(name(None, "l-1"), Err("Executor.NoTenant"));
        assert!(sandbox.is_disposable());
    }

    #[test]
    fn a_process_that_starts_where_another_died_in_a_launch_trusts_nothing_that_it_finds() {
        let folder = tempfile::tempdir().unwrap();
        let scrub = Scrub { roots: vec![ScrubRoot::new(folder.path()).unwrap()], ipc: false };
        fs::write(folder.path().join("layer"), "x").unwrap();
        let first = Sandbox::new(Mode::Shared, scrub.clone()).unwrap();
        block(first.admit(None, &LaunchId::new("l-1"))).unwrap();
        fs::write(folder.path().join("left"), "x").unwrap();
        drop(first);

        let second = Sandbox::new(Mode::Shared, scrub.clone()).unwrap();
        block(second.admit(None, &LaunchId::new("l-2"))).unwrap();
        assert!(!folder.path().join("left").exists(), "what the first launch left is gone");
        block(second.leave()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        fs::write(folder.path().join("layer"), "x").unwrap();
        let third = Sandbox::new(Mode::Shared, scrub).unwrap();
        block(third.admit(None, &LaunchId::new("l-3"))).unwrap();
        fs::write(folder.path().join("left"), "x").unwrap();
        block(third.leave()).unwrap();
        assert!(folder.path().join("layer").exists() && !folder.path().join("left").exists());
        assert!(!third.is_disposable());
    }
}
