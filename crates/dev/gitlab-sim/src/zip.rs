//! A zip of a few texts, stored without compression: the archive of a case file's dependency.

use std::collections::BTreeMap;

/// The archive. Files and folders beyond what fits the format's 32 bits cannot occur: a case file is smaller.
pub(crate) fn stored(files: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, text) in files {
        let offset = out.len();
        let entry = Entry { name: name.as_bytes(), crc: crc32fast::hash(text.as_bytes()), size: text.len() };
        out.extend_from_slice(&0x0403_4b50_u32.to_le_bytes());
        entry.common(&mut out);
        out.extend_from_slice(entry.name);
        out.extend_from_slice(text.as_bytes());
        directory.extend_from_slice(&0x0201_4b50_u32.to_le_bytes());
        // Made on Unix, by version 2.0 of the format.
        directory.extend_from_slice(&0x0314_u16.to_le_bytes());
        entry.common(&mut directory);
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(0o100_644_u32 << 16).to_le_bytes());
        directory.extend_from_slice(&low(offset));
        directory.extend_from_slice(entry.name);
    }
    let start = out.len();
    out.extend_from_slice(&directory);
    out.extend_from_slice(&0x0605_4b50_u32.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for _ in 0..2 {
        out.extend_from_slice(&short(files.len()));
    }
    out.extend_from_slice(&low(directory.len()));
    out.extend_from_slice(&low(start));
    out.extend_from_slice(&[0; 2]);
    out
}

struct Entry<'a> {
    name: &'a [u8],
    crc: u32,
    size: usize,
}

impl Entry<'_> {
    /// What local header and directory have in common: version, flags (UTF-8), method, time, sum, sizes, lengths.
    fn common(&self, out: &mut Vec<u8>) {
        for field in [20_u16, 0x0800, 0, 0, 0x5c21] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&low(self.size));
        out.extend_from_slice(&low(self.size));
        out.extend_from_slice(&short(self.name.len()));
        out.extend_from_slice(&0_u16.to_le_bytes());
    }
}

fn low(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_where_the_format_wants_them() {
        let zip = stored(&BTreeMap::from([("a/b.txt".to_owned(), "hello\n".to_owned())]));
        assert_eq!(&zip[..4], b"PK\x03\x04");
        assert_eq!(&zip[14..18], &0x363a_3020_u32.to_le_bytes());
        assert_eq!(&zip[30..43], b"a/b.txthello\n");
        assert_eq!(&zip[43..47], b"PK\x01\x02");
        assert_eq!(zip.len(), 43 + 46 + 7 + 22);
        assert_eq!(&zip[zip.len() - 6..zip.len() - 2], &43_u32.to_le_bytes());
    }
}
