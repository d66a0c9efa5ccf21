//! What a function weighs.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// What a zip with the one entry `bootstrap` adds to the compressed bytes: local header, directory entry and end.
const AROUND: usize = 30 + 46 + 22 + 2 * "bootstrap".len();

/// A program's size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// The file, stripped as it is built.
    pub(super) binary: usize,
    /// The zip that is deployed, with the level of compression that `sam build` uses.
    pub(super) zip: usize,
}

impl Size {
    /// Of the program at `path`.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
        deflated.write_all(&bytes)?;
        Ok(Self { binary: bytes.len(), zip: deflated.finish()?.len() + AROUND })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compresses_well_is_small_zipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bootstrap");
        fs::write(&path, vec![7; 100_000]).unwrap();
        let size = Size::of(&path).unwrap();
        assert_eq!(size.binary, 100_000);
        assert!((AROUND..1000).contains(&size.zip), "{size:?}");
    }
}
