//! Random texts from the system's generator.

/// So many lower-case hexadecimal characters that nobody can guess; `bytes` random bytes make twice as many.
///
/// # Panics
/// When the system has no random numbers: nothing that must be unguessable may be made then.
#[must_use]
pub fn token(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    if let Err(error) = getrandom::fill(&mut buffer) {
        panic!("the system has no random numbers: {error}");
    }
    hex::encode(buffer)
}

/// A launch's nonce: 32 random bytes, as many as SHA-256 keeps apart.
#[must_use]
pub fn nonce() -> String {
    token(32)
}

/// Random texts as a port: a simulated world draws its own, and repeats them.
pub trait Dice: Sync {
    /// See [`token`].
    fn token(&self, bytes: usize) -> String;

    /// See [`nonce`].
    fn nonce(&self) -> String;
}

/// The system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDice;

impl Dice for SystemDice {
    fn token(&self, bytes: usize) -> String {
        token(bytes)
    }

    fn nonce(&self) -> String {
        nonce()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_length_and_do_not_repeat() {
        assert_eq!(token(10).len(), 20);
        assert_ne!(nonce(), nonce());
    }
}
