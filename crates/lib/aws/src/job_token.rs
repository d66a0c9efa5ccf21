//! Tokens in the ledger: sealed under a key that only functions with the lane's token can make.
//!
//! Who reads the table cannot use the tokens in it, and nobody has another secret to create, to pay for or to rotate. A
//! lane's token that is replaced while a job runs makes that job's token unreadable; GitLab then ends a lost job by its own
//! rule for silent jobs ([decision 7](../../../../docs/decisions/0007-sealed-job-tokens.md)).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::sealed::SealedToken;
use zeroize::Zeroizing;

/// What the key of job tokens is for, so that no other use of the runner token ever meets it.
const JOB: &[u8] = b"runnerless job token 1";
/// What the key of a launch's own runner token is for.
const RUNNER: &[u8] = b"runnerless runner token 1";
/// Bytes of the authentication tag at the end (AES-GCM).
const TAG_LEN: usize = 16;

/// A token that cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system has no randomness, or the cipher refused.
    #[error("the token could not be sealed")]
    Sealing,
    /// It was sealed under another token, for another job or launch, or it is damaged.
    #[error("the stored token cannot be opened: the lane's runner token was replaced meanwhile, or the row is damaged")]
    Opening,
}

/// Seals and opens the token of one launch's job.
#[derive(Debug)]
pub struct TokenSeal(Key);

impl TokenSeal {
    /// The key of a launch, from the token of its runner.
    ///
    /// # Errors
    /// The cipher refuses the key.
    pub fn new(runner_token: &str, launch: &LaunchId) -> Result<Self, SealError> {
        Key::new(JOB, runner_token, launch).map(Self)
    }

    /// Seals.
    ///
    /// # Errors
    /// [`SealError::Sealing`].
    pub fn seal(&self, job: JobKey, token: &str) -> Result<SealedToken, SealError> {
        self.0.seal(&job.to_string(), token)
    }

    /// Opens. The job's key is bound to the text: a token moved to another row is not opened.
    ///
    /// # Errors
    /// [`SealError::Opening`].
    pub fn open(&self, job: JobKey, sealed: &SealedToken) -> Result<Zeroizing<String>, SealError> {
        self.0.open(&job.to_string(), sealed)
    }
}

/// Seals and opens the token of the runner that was made for one launch, under whatever its lane's parameter holds.
#[derive(Debug)]
pub struct RunnerSeal(Key);

impl RunnerSeal {
    /// The key of a launch, from its lane's token.
    ///
    /// # Errors
    /// The cipher refuses the key.
    pub fn new(lane_token: &str, launch: &LaunchId) -> Result<Self, SealError> {
        Key::new(RUNNER, lane_token, launch).map(Self)
    }

    /// Seals.
    ///
    /// # Errors
    /// [`SealError::Sealing`].
    pub fn seal(&self, token: &str) -> Result<SealedToken, SealError> {
        self.0.seal("", token)
    }

    /// Opens.
    ///
    /// # Errors
    /// [`SealError::Opening`].
    pub fn open(&self, sealed: &SealedToken) -> Result<Zeroizing<String>, SealError> {
        self.0.open("", sealed)
    }
}

/// A key of one launch for one purpose.
#[derive(Debug)]
struct Key(LessSafeKey);

impl Key {
    fn new(purpose: &[u8], secret: &str, launch: &LaunchId) -> Result<Self, SealError> {
        let prk = Salt::new(HKDF_SHA256, launch.as_str().as_bytes()).extract(secret.as_bytes());
        let purpose = [purpose];
        let key = prk.expand(&purpose, &AES_256_GCM).map_err(|_| SealError::Sealing)?;
        Ok(Self(LessSafeKey::new(UnboundKey::from(key))))
    }

    fn seal(&self, bound_to: &str, token: &str) -> Result<SealedToken, SealError> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Sealing)?;
        let mut text = Zeroizing::new(token.as_bytes().to_vec());
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to.as_bytes()), &mut text)
            .map_err(|_| SealError::Sealing)?;
        let whole = [&nonce[..], &text[..], tag.as_ref()].concat();
        Ok(SealedToken::new(URL_SAFE_NO_PAD.encode(whole)))
    }

    fn open(&self, bound_to: &str, sealed: &SealedToken) -> Result<Zeroizing<String>, SealError> {
        let whole = URL_SAFE_NO_PAD.decode(sealed.as_str()).map_err(|_| SealError::Opening)?;
        let (nonce, text) = whole.split_at_checked(NONCE_LEN).ok_or(SealError::Opening)?;
        if text.len() < TAG_LEN {
            return Err(SealError::Opening);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Opening)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened =
            self.0.open_in_place(nonce, Aad::from(bound_to.as_bytes()), &mut text).map_err(|_| SealError::Opening)?;
        let token = std::str::from_utf8(opened).map_err(|_| SealError::Opening)?;
        Ok(Zeroizing::new(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobKey = JobKey { project: 1, job: 2 };

    fn seal(runner_token: &str, launch: &str) -> TokenSeal {
        TokenSeal::new(runner_token, &LaunchId::new(launch)).unwrap()
    }

    #[test]
    fn only_the_same_lane_launch_and_job_open_a_token() {
        let long = format!("glcbt-{}", "x".repeat(1500));
        for token in ["glcbt-66_short", long.as_str()] {
            let sealed = seal("glrt-a", "l-1").seal(JOB, token).unwrap();
            assert!(!sealed.as_str().contains("glcbt") && format!("{sealed:?}") == "[sealed]");
            assert_eq!(seal("glrt-a", "l-1").open(JOB, &sealed).unwrap().as_str(), token);
            for other in [seal("glrt-b", "l-1"), seal("glrt-a", "l-2")] {
                assert_eq!(other.open(JOB, &sealed), Err(SealError::Opening));
            }
            assert_eq!(seal("glrt-a", "l-1").open(JobKey { job: 3, ..JOB }, &sealed), Err(SealError::Opening));
        }
    }

    #[test]
    fn no_two_seals_are_alike_and_damage_is_noticed() {
        let key = seal("glrt-a", "l-1");
        let (one, two) = (key.seal(JOB, "t").unwrap(), key.seal(JOB, "t").unwrap());
        assert_ne!(one, two);
        for damaged in ["", "AAAA", "!", &one.as_str()[1..], &format!("{}A", one.as_str())] {
            assert_eq!(key.open(JOB, &SealedToken::new(damaged)), Err(SealError::Opening), "{damaged}");
        }
    }

    #[test]
    fn a_launchs_own_runner_token_is_opened_by_its_lane_alone_and_is_no_job_token() {
        let seal = |token: &str, launch: &str| RunnerSeal::new(token, &LaunchId::new(launch)).unwrap();
        let sealed = seal("GR1348941x", "l-1").seal("glrt-made").unwrap();
        assert_eq!(seal("GR1348941x", "l-1").open(&sealed).unwrap().as_str(), "glrt-made");
        for other in [seal("GR1348941y", "l-1"), seal("GR1348941x", "l-2")] {
            assert_eq!(other.open(&sealed), Err(SealError::Opening));
        }
        assert_eq!(
            TokenSeal::new("GR1348941x", &LaunchId::new("l-1")).unwrap().open(JOB, &sealed),
            Err(SealError::Opening)
        );
    }
}
