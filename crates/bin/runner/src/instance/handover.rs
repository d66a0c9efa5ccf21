//! What the process that asked hands to the one that runs the job: everything but the runner's token and the role's keys.
//!
//! Both are the same process: it replaces its program by itself. The kernel throws the old memory away then, with whatever
//! copies of the token libraries had made in it, which no wiping by hand would find. The new program reads its standard
//! input, an anonymous file that it empties at once.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use runnerless_gitlab::protocol::Secret;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::stdio::{dup2_stdin, stdin};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The word of the command line that makes this program go on.
pub(crate) const WORD: &str = "instance-job";

/// See the module.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Handover {
    pub(crate) claim_url: String,
    pub(crate) work: PathBuf,
    pub(crate) launch: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) nonce: Secret,
    pub(crate) instance: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) metadata_token: Secret,
    pub(crate) system_id: String,
    pub(crate) gitlab_url: String,
    pub(crate) image_policy: String,
    /// The part of the runner's token that may be shown.
    pub(crate) short_token: String,
    /// The job as GitLab handed it out.
    #[serde(serialize_with = "exposed")]
    pub(crate) job: Secret,
    /// When it did.
    pub(crate) handed_at: Moment,
    /// When the launch is over.
    pub(crate) ends_at: Moment,
}

/// Into the anonymous file, and nowhere else.
fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// A moment by the monotonic clock (ms), which both programs read.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Moment(i64);

impl Moment {
    fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(now.tv_sec * 1000 + now.tv_nsec / 1_000_000)
    }

    /// The same moment, for the other program.
    pub(crate) fn of(instant: Instant) -> Self {
        let (now, at) = (Instant::now(), Self::now());
        let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        match instant.checked_duration_since(now) {
            Some(ahead) => Self(at.0.saturating_add(millis(ahead))),
            None => Self(at.0.saturating_sub(millis(now.duration_since(instant)))),
        }
    }

    /// The same moment, in this program.
    pub(crate) fn instant(self) -> Instant {
        let (now, at) = (Instant::now(), Self::now());
        let length = Duration::from_millis(self.0.abs_diff(at.0));
        // A moment before the clock's beginning is as good as its beginning.
        if self.0 >= at.0 { now + length } else { now.checked_sub(length).unwrap_or(now) }
    }
}

impl Handover {
    /// Replaces this program. Comes back only with why that failed.
    pub(crate) fn go_on(&self) -> io::Error {
        match self.written() {
            Ok(file) => match std::env::current_exe() {
                Ok(program) => Command::new(program).arg(WORD).stdin(file).exec(),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    fn written(&self) -> io::Result<File> {
        let file = memfd_create("runnerless-handover", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(file);
        file.write_all(&Zeroizing::new(serde_json::to_vec(self)?))?;
        file.rewind()?;
        Ok(file)
    }

    /// Reads what this program was started with, and leaves nothing of it on standard input.
    pub(crate) fn take() -> io::Result<Self> {
        let input = stdin();
        let mut file = File::from(input.as_fd().try_clone_to_owned()?);
        let mut text = Zeroizing::new(Vec::new());
        file.read_to_end(&mut text)?;
        ftruncate(&file, 0)?;
        dup2_stdin(File::open("/dev/null")?)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_for_both() {
        let now = Instant::now();
        for secs in [0, 5, 3600] {
            let ahead = now + Duration::from_secs(secs);
            let again = Moment::of(ahead).instant();
            let apart = if again > ahead { again - ahead } else { ahead - again };
            assert!(apart < Duration::from_secs(1), "{secs}: {apart:?}");
        }
        let before = now.checked_sub(Duration::from_secs(7)).unwrap_or(now);
        let again = Moment::of(before).instant();
        assert!(again <= now && now - again >= Duration::from_secs(6) || before == now);
    }

    #[test]
    fn what_is_handed_over_is_not_shown() {
        let handover = Handover {
            claim_url: String::new(),
            work: PathBuf::new(),
            launch: "l-1".to_owned(),
            nonce: Secret::new("s3cret"),
            instance: String::new(),
            metadata_token: Secret::new("s3cret"),
            system_id: String::new(),
            gitlab_url: String::new(),
            image_policy: String::new(),
            short_token: String::new(),
            job: Secret::new("s3cret"),
            handed_at: Moment::now(),
            ends_at: Moment::now(),
        };
        assert!(!format!("{handover:?}").contains("s3cret"));
    }
}
