//! Who this runner manager is: a system id that stays with the work folder, and the user's name.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::Path;

/// Beside the work, as the official runner keeps it beside its configuration.
const FILE: &str = ".runner_system_id";
/// Characters after `r_`; GitLab's own format.
const LENGTH: usize = 12;

/// The system id of this work folder, made up at first use.
pub(crate) fn system_id(work: &Path) -> io::Result<String> {
    let path = work.join(FILE);
    match fs::read_to_string(&path) {
        Ok(id) if is_system_id(id.trim()) => Ok(id.trim().to_owned()),
        Ok(_) => fresh(&path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fresh(&path),
        Err(error) => Err(error),
    }
}

fn fresh(path: &Path) -> io::Result<String> {
    let id = format!("r_{}", random_text());
    fs::write(path, &id)?;
    Ok(id)
}

fn is_system_id(text: &str) -> bool {
    text.strip_prefix("r_").is_some_and(|rest| rest.len() == LENGTH && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Twelve characters that two runners hardly share. Not a secret: the standard library's hash keys are random enough.
fn random_text() -> String {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut bits = RandomState::new().build_hasher().finish();
    let mut text = String::new();
    for _ in 0..LENGTH {
        // 36^12 is below 2^63, so the bits last.
        text.push(char::from(ALPHABET[usize::try_from(bits % 36).unwrap_or_default()]));
        bits /= 36;
    }
    text
}

/// The name of the user that this process runs as, from the system's own list; a number where it has none.
pub(crate) fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = |line: &&str| line.split(':').nth(2) == Some(uid.as_str());
    list.lines().find(own).and_then(|line| line.split(':').next()).map_or(uid.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_with_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = system_id(folder.path()).unwrap();
        assert!(is_system_id(&first), "{first}");
        assert_eq!(system_id(folder.path()).unwrap(), first);
        fs::write(folder.path().join(FILE), "garbage").unwrap();
        assert!(is_system_id(&system_id(folder.path()).unwrap()));
    }
}
