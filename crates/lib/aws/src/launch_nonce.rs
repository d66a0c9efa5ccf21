//! The nonce of an instance's launch: made from the lane's runner token, so that an answer that was lost can be given again.
//!
//! A nonce drawn anew for each call would leave a runner with a dead one whenever two of its calls overtake each other.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use runnerless_core::id::LaunchId;
use zeroize::Zeroizing;

/// What the key is for, so that no other use of the runner token ever meets it.
const PURPOSE: &[u8] = b"runnerless launch nonce 1";
/// Bytes before they are written as hex.
const LENGTH: usize = 32;

/// The library made none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the launch's nonce could not be made")]
pub struct NoNonce;

struct Bytes;

impl KeyType for Bytes {
    fn len(&self) -> usize {
        LENGTH
    }
}

/// The nonce of a launch that began under `claim`. Nobody makes it without the lane's runner token.
///
/// # Errors
/// The library refuses.
pub fn launch_nonce(runner_token: &str, launch: &LaunchId, claim: &str) -> Result<Zeroizing<String>, NoNonce> {
    let prk = Salt::new(HKDF_SHA256, launch.as_str().as_bytes()).extract(runner_token.as_bytes());
    let mut bytes = Zeroizing::new([0; LENGTH]);
    let info = [PURPOSE, claim.as_bytes()];
    prk.expand(&info, Bytes).and_then(|key| key.fill(&mut bytes[..])).map_err(|_| NoNonce)?;
    Ok(Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_for_the_same_begin_and_no_other() {
        let nonce =
            |token: &str, launch: &str, claim: &str| launch_nonce(token, &LaunchId::new(launch), claim).unwrap();
        let one = nonce("glrt-a", "l-1", "c");
        assert_eq!(one, nonce("glrt-a", "l-1", "c"));
        assert_eq!(one.len(), 2 * LENGTH);
        for other in [nonce("glrt-b", "l-1", "c"), nonce("glrt-a", "l-2", "c"), nonce("glrt-a", "l-1", "d")] {
            assert_ne!(one, other);
        }
    }
}
