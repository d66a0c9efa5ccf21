//! Before the script: what an earlier job stored.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use runnerless_core::cache::CacheUse;
use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{CacheEntry, Fetched, Secret, StorageError, StoredFile};

use super::names::Fallback;
use super::{ARCHIVE, Caches, Done, REPEATS, again, aloud};
use crate::config::{CachePlace, Host};
use crate::files::{Broken, Links, Says, open_file, unpack, write_down};
use crate::job::Stages;
use crate::verdict::Verdict;

/// An archive, and when it was stored.
type Found = (File, Option<SystemTime>);

/// Why there is none.
enum Missing {
    /// It may come with another attempt.
    Perhaps(String),
    Never(String),
}

impl From<StorageError> for Missing {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NoAnswer(_) | StorageError::Silent => Self::Perhaps(chain(&error)),
            StorageError::Url | StorageError::Client(_) => Self::Never(chain(&error)),
        }
    }
}

impl<H: Host> Caches<'_, H> {
    /// Brings what there is. Only a policy that is none fails the job.
    pub(crate) async fn restore(&mut self, stages: &Stages) -> Result<(), Verdict> {
        if self.names().entries().next().is_none() {
            return Ok(());
        }
        for entry in self.names().entries() {
            if let Ok(key) = self.names().key(&entry.key).key {
                self.names().policy(entry, &key)?;
            }
        }
        let section = stages.open("restore_cache", "Restoring cache");
        let mut result = Ok(());
        for entry in self.names().entries() {
            match self.restore_one(stages, entry).await {
                Ok(Done::Yes | Done::No) => continue,
                Ok(Done::Nowhere(sentence)) => stages.log().warn(&sentence),
                Err(stopped) => result = Err(stopped),
            }
            break;
        }
        section.close();
        stages.explain(&result, "restore_cache");
        result
    }

    async fn restore_one(&mut self, stages: &Stages, entry: &CacheEntry) -> Result<Done, Verdict> {
        let Ok(key) = aloud(stages, self.names().key(&entry.key), "extraction") else { return Ok(Done::No) };
        if !self.names().policy(entry, &key)?.pulls {
            stages.log().announce(&format!("Not downloading cache {key} due to policy"));
            return Ok(Done::No);
        }
        for key in self.keys(stages, key, entry) {
            stages.log().announce(&format!("Checking cache for {key}..."));
            match self.bring(stages, &key).await? {
                Done::Yes => {
                    stages.log().announce("Successfully extracted cache");
                    return Ok(Done::Yes);
                }
                Done::No => stages.log().caution("Failed to extract cache"),
                nowhere @ Done::Nowhere(_) => return Ok(nowhere),
            }
        }
        Ok(Done::No)
    }

    /// The keys in the order in which they are looked for.
    fn keys(&self, stages: &Stages, first: String, entry: &CacheEntry) -> Vec<String> {
        let fallbacks = self.names().fallbacks(entry).into_iter().filter_map(|fallback| match fallback {
            Fallback::Key(made) => aloud(stages, made, "extraction").ok(),
            Fallback::Protected(key) => {
                let said = format!("CACHE_FALLBACK_KEY {key:?} not allowed to end in \"-protected\"");
                stages.log().caution(&said);
                None
            }
        });
        [first].into_iter().chain(fallbacks).collect()
    }

    async fn bring(&mut self, stages: &Stages, key: &str) -> Result<Done, Verdict> {
        let says = Says(stages.log().clone());
        let asked = stages.within(stages.preparation_limit(), self.place(key, CacheUse::Restore)).await?;
        let found = match asked {
            Ok(CachePlace::Nowhere(sentence)) => return Ok(Done::Nowhere(sentence)),
            Ok(CachePlace::File(path)) => open_kept(stages, path, &says).await?,
            Ok(CachePlace::Url(url)) => self.fetch(stages, &url, &says).await?,
            Err(unknown) => {
                stages.log().caution(&format!("Failed to obtain environment for cache {key}: {unknown}"));
                None
            }
        };
        let Some((archive, stored_at)) = found else { return Ok(Done::No) };
        let (root, told) = (self.courier.setup.places.project.clone(), says.clone());
        let limit = stages.preparation_limit();
        match stages.on_thread(limit, move |given_up| unpack(archive, &root, &told, given_up)).await? {
            Ok(()) => {
                self.stored.extend(stored_at.map(|at| (key.to_owned(), at)));
                Ok(Done::Yes)
            }
            Err(error) => {
                says.fatal(&chain(&error));
                Ok(Done::No)
            }
        }
    }

    async fn fetch(&self, stages: &Stages, url: &Secret, says: &Says) -> Result<Option<Found>, Verdict> {
        let mut archive = match self.courier.nameless(ARCHIVE) {
            Ok(archive) => archive,
            Err(error) => {
                says.fatal(&chain(&Broken::Store(error)));
                return Ok(None);
            }
        };
        let mut repeat = 0;
        loop {
            says.info("Using presigned URL for cache download", &[]);
            let limit = stages.preparation_limit();
            let why = match stages.within(limit, self.download(url, &mut archive, says)).await? {
                Ok(stored_at) => return Ok(Some((archive, stored_at))),
                Err(Missing::Perhaps(why)) if repeat < REPEATS => {
                    again(stages, &why, says).await?;
                    repeat += 1;
                    continue;
                }
                Err(Missing::Perhaps(why) | Missing::Never(why)) => why,
            };
            says.warn(&why, &[]);
            return Ok(None);
        }
    }

    async fn download(&self, url: &Secret, archive: &mut File, says: &Says) -> Result<Option<SystemTime>, Missing> {
        let mut file: StoredFile = match self.courier.client.fetch_stored(url, self.request_limit()).await? {
            Fetched::File(file) => file,
            Fetched::Refused(answer) => {
                let why = format!("received: {}", answer.said);
                return Err(match answer.status {
                    404 => Missing::Never("file does not exist".to_owned()),
                    500..=599 => Missing::Perhaps(why),
                    _ => Missing::Never(why),
                });
            }
        };
        says.info(&format!("Downloading cache from {}", file.host), &[]);
        match write_down(&mut file.content, archive).await {
            Ok(()) => Ok(file.stored_at),
            Err(error @ Broken::Way(_)) => Err(Missing::Perhaps(chain(&error))),
            Err(error @ Broken::Store(_)) => Err(Missing::Never(chain(&error))),
        }
    }
}

/// Opens what is kept on this machine.
async fn open_kept(stages: &Stages, path: PathBuf, says: &Says) -> Result<Option<Found>, Verdict> {
    says.info(
        "No URL provided, cache will not be downloaded from shared cache server. Instead a local version of cache will be \
         extracted.",
        &[],
    );
    let open = move |_: &_| {
        let (file, _) = open_file(&path, Links::Refused)?;
        let stored_at = file.metadata()?.modified()?;
        Ok((file, Some(stored_at)))
    };
    let opened: io::Result<Found> = stages.on_thread(stages.preparation_limit(), open).await?;
    Ok(match opened {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            says.warn("Cache file does not exist", &[]);
            None
        }
        Err(error) => {
            says.fatal(&chain(&error));
            None
        }
    })
}
