//! After the script: what a later job may find.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use runnerless_core::cache::CacheUse;
use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{CacheEntry, Secret, StorageError};
use tokio::task::spawn_blocking;

use super::{ARCHIVE, Caches, Done, REPEATS, again, aloud};
use crate::config::{CachePlace, Host};
use crate::files::{Format, Pack, Says, Wishes, is_due, pipe};
use crate::job::Stages;
use crate::verdict::Verdict;

/// Formats that the official runner writes beside zip.
const NOT_WRITTEN: &[&str] = &["tarzstd", "zipzstd"];

/// Where an archive goes.
enum Shelf {
    /// Into this file.
    Here(PathBuf),
    /// To this signed URL.
    Away(Secret),
}

/// Why the archive is not there.
enum Failure {
    /// It may go better.
    Again(String),
    Final(String),
}

impl<H: Host> Caches<'_, H> {
    /// Stores what is due after this end of the script. What cannot be stored is said, and fails nothing.
    pub(crate) async fn save(&mut self, stages: &mut Stages, verdict: &Verdict) -> Result<(), Verdict> {
        let succeeded = *verdict == Verdict::Success;
        let due: Vec<&CacheEntry> = self.names().entries().filter(|entry| is_due(&entry.when, succeeded)).collect();
        if due.is_empty() {
            return Ok(());
        }
        stages.heed_cancel_no_more();
        let (stage, end) =
            if succeeded { ("archive_cache", "successful") } else { ("archive_cache_on_failure", "failed") };
        let section = stages.open(stage, &format!("Saving cache for {end} job"));
        let mut result = Ok(());
        for entry in due {
            match self.save_one(stages, entry, verdict.job_status()).await {
                Ok(Done::Yes) => stages.log().announce("Created cache"),
                Ok(Done::No) => {}
                Ok(Done::Nowhere(sentence)) => {
                    stages.log().warn(&sentence);
                    break;
                }
                Err(stopped) => {
                    result = Err(stopped);
                    break;
                }
            }
        }
        section.close();
        stages.explain(&result, stage);
        result
    }

    async fn save_one(&mut self, stages: &mut Stages, entry: &CacheEntry, status: &str) -> Result<Done, Verdict> {
        let Ok(key) = aloud(stages, self.names().key(&entry.key), "archiving") else { return Ok(Done::No) };
        if !self.names().policy(entry, &key)?.pushes {
            stages.log().announce(&format!("Not uploading cache {key} due to policy"));
            return Ok(Done::No);
        }
        stages.log().announce(&format!("Creating cache {key}..."));
        let shelf = match stages.within(stages.upload_limit(), self.place(&key, CacheUse::Save)).await? {
            Ok(CachePlace::Nowhere(sentence)) => return Ok(Done::Nowhere(sentence)),
            Ok(CachePlace::File(path)) => Ok(Shelf::Here(path)),
            Ok(CachePlace::Url(url)) => Ok(Shelf::Away(url)),
            Err(unknown) => Err(format!("Unable to generate cache upload environment: {unknown}")),
        };
        let saved = match shelf {
            Ok(shelf) => self.put(stages, entry, &key, shelf, status).await?,
            Err(sentence) => {
                stages.log().caution(&sentence);
                false
            }
        };
        if saved {
            return Ok(Done::Yes);
        }
        stages.log().caution("Failed to create cache");
        Ok(Done::No)
    }

    /// Whether all went well; a cache that needs no change did.
    async fn put(
        &mut self,
        stages: &mut Stages,
        entry: &CacheEntry,
        key: &str,
        shelf: Shelf,
        status: &str,
    ) -> Result<bool, Verdict> {
        let says = Says(stages.log().clone());
        let wishes = Wishes { paths: &entry.paths, exclude: &[], untracked: entry.untracked };
        let selection = self.courier.select(stages, wishes, status, &says).await?;
        if selection.files().is_empty() {
            says.warn("No files to cache.", &[]);
            return Ok(true);
        }
        let stored_at = match &shelf {
            Shelf::Here(path) => fs::symlink_metadata(path).and_then(|file| file.modified()).ok(),
            Shelf::Away(_) => self.stored.get(key).copied(),
        };
        let newer = |at: SystemTime| selection.files().values().any(|file| file.modified().is_ok_and(|time| time > at));
        if stored_at.is_some_and(|at| !newer(at)) {
            says.info("Archive is up to date!", &[]);
            return Ok(true);
        }
        self.tell_of_format(&says);
        let level = self.courier.level("CACHE_COMPRESSION_LEVEL", &says);
        let (root, files) = selection.into_files();
        let pack = Pack { root, files, format: Format::Zip, level, says: says.clone() };
        match shelf {
            Shelf::Here(path) => keep_here(stages, pack, path, &says).await,
            Shelf::Away(url) => {
                let saved = self.send(stages, pack, &url, &says).await?;
                if saved {
                    self.stored.insert(key.to_owned(), SystemTime::now());
                }
                Ok(saved)
            }
        }
    }

    fn tell_of_format(&self, says: &Says) {
        let asked = self.courier.setup.variables.get("CACHE_COMPRESSION_FORMAT").unwrap_or_default();
        if NOT_WRITTEN.contains(&asked.to_ascii_lowercase().as_str()) {
            says.warn(&format!("CACHE_COMPRESSION_FORMAT is {asked}, and this runner writes zip"), &[]);
        }
    }

    /// Packs first: a storage wants to know the size before the first byte.
    async fn send(&self, stages: &Stages, pack: Pack, url: &Secret, says: &Says) -> Result<bool, Verdict> {
        let packed = match self.courier.nameless(ARCHIVE) {
            Ok(file) => {
                let packing = move |given_up: &AtomicBool| {
                    write_archive(&pack, &file, given_up)?;
                    Ok((file.metadata()?.len(), file))
                };
                stages.on_thread(stages.upload_limit(), packing).await?
            }
            Err(error) => Err(error),
        };
        let (length, archive): (u64, File) = match packed {
            Ok(packed) => packed,
            Err(error) => {
                says.fatal(&chain(&error));
                return Ok(false);
            }
        };
        let host = self.courier.client.storage_host(url).unwrap_or_default();
        let mut repeat = 0;
        loop {
            says.info("Using presigned URL for cache upload", &[]);
            says.info(&format!("Uploading cache.zip to {host}"), &[]);
            let upload = self.upload(url, length, &archive);
            let why = match stages.within(stages.upload_limit(), upload).await? {
                Ok(()) => return Ok(true),
                Err(Failure::Again(why)) if repeat < REPEATS => {
                    again(stages, &why, says).await?;
                    repeat += 1;
                    continue;
                }
                Err(Failure::Again(why) | Failure::Final(why)) => why,
            };
            says.fatal(&why);
            return Ok(false);
        }
    }

    async fn upload(&self, url: &Secret, length: u64, archive: &File) -> Result<(), Failure> {
        let unreadable = |error: io::Error| Failure::Final(chain(&error));
        let mut archive = archive.try_clone().map_err(unreadable)?;
        archive.rewind().map_err(unreadable)?;
        let (mut writer, parts) = pipe();
        let reading = spawn_blocking(move || {
            if let Err(error) = io::copy(&mut archive, &mut writer).and_then(|_| writer.flush()) {
                writer.fail(error);
            }
        });
        let answer = self.courier.client.store(url, length, parts, self.request_limit()).await;
        // Who reads for nobody ends with the next part; the next attempt begins the file anew.
        let _ = reading.await;
        let answer = answer.map_err(|error| match error {
            StorageError::NoAnswer(_) | StorageError::Silent => Failure::Again(chain(&error)),
            StorageError::Url | StorageError::Client(_) => Failure::Final(chain(&error)),
        })?;
        let why = format!("received: {}", answer.said);
        match answer.status {
            200..=299 => Ok(()),
            500..=599 => Err(Failure::Again(why)),
            _ => Err(Failure::Final(why)),
        }
    }
}

/// Keeps it on this machine.
async fn keep_here(stages: &Stages, pack: Pack, path: PathBuf, says: &Says) -> Result<bool, Verdict> {
    let work = move |given_up: &AtomicBool| replace(&pack, &path, given_up);
    Ok(match stages.on_thread(stages.upload_limit(), work).await? {
        Ok(()) => {
            says.info(
                "No URL provided, cache will not be uploaded to shared cache server. Cache will be stored only locally.",
                &[],
            );
            true
        }
        Err(error) => {
            says.fatal(&chain(&error));
            false
        }
    })
}

/// Writes beside the file and takes its place when all is written: who reads it meanwhile has the one before.
fn replace(pack: &Pack, path: &Path, given_up: &AtomicBool) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = folder.join(format!("archive_{}", std::process::id()));
    // Of a process that was killed.
    remove(&beside)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|file| write_archive(pack, &file, given_up))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is to be said is why it was not written.
        let _ = remove(&beside);
    }
    written
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_archive(pack: &Pack, file: &File, given_up: &AtomicBool) -> io::Result<()> {
    let mut out = BufWriter::new(Unless { given_up, file });
    pack.write(&mut out)?;
    out.flush()
}

/// Writes until it is given up.
struct Unless<'a> {
    given_up: &'a AtomicBool,
    file: &'a File,
}

impl Write for Unless<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("given up"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
