//! What is remembered over a restart of this program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use runnerless_core::pool::leaving::{MEMORY_VERSION, Memory};

/// A file with the memory.
#[derive(Debug)]
pub(crate) struct Notes {
    path: PathBuf,
    /// What the file holds.
    written: Option<Memory>,
}

/// The notes cannot be read. Without them the runner manager may be told twice, which does it no harm.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadNotes {
    #[error("{0}: cannot be read")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0}: holds no notes of this version")]
    Unreadable(PathBuf),
}

impl Notes {
    /// What was noted; a fresh memory where nothing was, or it cannot be read.
    pub(crate) fn open(path: &Path) -> (Self, Memory, Option<BadNotes>) {
        let (written, bad) = match read(path) {
            Ok(memory) => (memory, None),
            Err(bad) => (None, Some(bad)),
        };
        let memory = written.clone().unwrap_or_default();
        (Self { path: path.to_owned(), written }, memory, bad)
    }

    /// Writes it down where it is another than before. A reader sees all of it or what was there before.
    pub(crate) fn write(&mut self, memory: &Memory) -> io::Result<()> {
        if self.written.as_ref() == Some(memory) {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec(memory)?)?;
        fs::rename(&new, &self.path)?;
        self.written = Some(memory.clone());
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Memory>, BadNotes> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BadNotes::Read(path.to_owned(), error)),
    };
    let memory = serde_json::from_slice(&bytes).ok().filter(|memory: &Memory| memory.v == MEMORY_VERSION);
    memory.map(Some).ok_or_else(|| BadNotes::Unreadable(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use runnerless_core::time::Timestamp;

    use super::*;

    #[test]
    fn notes_are_read_again_and_bad_ones_are_told_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.json");
        let (mut notes, memory, bad) = Notes::open(&path);
        assert!(memory == Memory::default() && bad.is_none());
        let leaving = Memory { leaving_since: Some(Timestamp(5)), ..Memory::default() };
        notes.write(&leaving).unwrap();
        assert_eq!(Notes::open(&path).1, leaving);
        notes.write(&Memory { v: MEMORY_VERSION + 1, ..leaving }).unwrap();
        let (_, memory, bad) = Notes::open(&path);
        assert!(memory == Memory::default() && matches!(bad, Some(BadNotes::Unreadable(_))));
        fs::write(&path, "{").unwrap();
        assert!(matches!(Notes::open(&path).2, Some(BadNotes::Unreadable(_))));
    }

    #[test]
    fn the_user_data_sees_in_them_that_a_member_is_to_leave() {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../pool/template.yaml");
        let template = fs::read_to_string(template).unwrap();
        let from = template.find("grep -qs ").unwrap();
        let look = template[from..].split(" ||").next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.json");
        let look = look.replace("/run/runnerless-member.json", &path.display().to_string());
        let leaves = || Command::new("bash").args(["-c", &look]).status().unwrap().success();
        assert!(!leaves(), "there are none yet");
        let (mut notes, memory, _) = Notes::open(&path);
        notes.write(&Memory { beaten_at: Some(Timestamp(7)), ..memory.clone() }).unwrap();
        assert!(!leaves(), "{look}");
        notes.write(&Memory { leaving_since: Some(Timestamp(5)), ..memory }).unwrap();
        assert!(leaves(), "{look}");
    }
}
