//! Random texts: tokens and UUIDs.

use std::fmt::Write;

/// Random bytes. Without a source of randomness nothing here makes sense, so a broken one yields zeros, which the first
/// duplicate token shows.
fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0_u8; N];
    if getrandom::fill(&mut buffer).is_err() {
        buffer = [0; N];
    }
    buffer
}

/// `length` characters of `[0-9A-Za-z]`.
pub(crate) fn word(length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..length).map(|_| char::from(ALPHABET[usize::from(bytes::<1>()[0]) % ALPHABET.len()])).collect()
}

/// A version 4 UUID.
pub(crate) fn uuid() -> String {
    let mut raw = bytes::<16>();
    raw[6] = (raw[6] & 0x0f) | 0x40;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in raw.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A number below `bound`, for shuffling.
pub(crate) fn below(bound: u64) -> u64 {
    if bound == 0 { 0 } else { u64::from_le_bytes(bytes::<8>()) % bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_version_4() {
        let text = uuid();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(text, uuid());
    }
}
