//! The share of a processor that Lambda gives: by memory, one whole processor at 1,769 MB.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>. A control group limits the process
//! to the share in every period, as Lambda does; processes enter it before they become the function.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use runnerless_local::processes::own_pid;

/// The memory that comes with one processor, in MB.
const WHOLE_MB: u64 = 1769;
/// The length of a period in microseconds. The kernel's default of 100 ms would let a call of 10 ms run as if there were
/// no limit; 20 ms is what was observed of Lambda.
const PERIOD_US: u64 = 20_000;
/// The kernel takes no smaller quota, in microseconds.
const LEAST_US: u64 = 1000;
/// Joins the group that `$0` names and becomes the program.
const JOIN: &str = r#"echo $$ > "$0" && exec "$@""#;

/// A control group with the limit. Dropping it removes the group, which must be empty by then.
#[derive(Debug)]
pub(crate) struct CpuShare {
    folder: PathBuf,
    members: &'static str,
}

impl CpuShare {
    /// The share of so much memory.
    ///
    /// # Errors
    /// No control group can be made here.
    pub(crate) fn of(memory_mb: u32) -> io::Result<Self> {
        let quota = (u64::from(memory_mb) * PERIOD_US / WHOLE_MB).max(LEAST_US);
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        match parent(&mounts, &groups) {
            Some(Parent { folder, version: 1 }) => Self::make(
                &folder,
                "tasks",
                &[("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())],
            ),
            Some(Parent { folder, .. }) => {
                Self::make(&folder, "cgroup.procs", &[("cpu.max", format!("{quota} {PERIOD_US}"))])
            }
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no control group of the processor is mounted")),
        }
    }

    fn make(parent: &Path, members: &'static str, settings: &[(&str, String)]) -> io::Result<Self> {
        let folder = parent.join(format!("runnerless-bench-{}", own_pid()));
        fs::create_dir(&folder)?;
        let made = Self { folder, members };
        for (file, value) in settings {
            fs::write(made.folder.join(file), value)?;
        }
        Ok(made)
    }

    /// The command that a program is started by to get this share.
    pub(crate) fn prefix(&self) -> [OsString; 4] {
        ["/bin/sh".into(), "-c".into(), JOIN.into(), self.folder.join(self.members).into()]
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        // A group that is not empty stays: nothing can be done about it here.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where a group can be made.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    folder: PathBuf,
    version: u8,
}

/// The group that we are in, below the mount that has the processor's controller: that of version 1 where there is one.
fn parent(mounts: &str, groups: &str) -> Option<Parent> {
    let mount = |kind: &str, option: Option<&str>| {
        mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, at, found, options, ..] = fields[..] else { return None };
            let fits = found == kind && option.is_none_or(|wanted| options.split(',').any(|option| option == wanted));
            fits.then(|| at.to_owned())
        })
    };
    let own = |controller: &str| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let named = parts.next()?.split(',').any(|name| name == controller);
            named.then(|| parts.next().unwrap_or("/").trim_start_matches('/').to_owned())
        })
    };
    let below = |mount: String, own: Option<String>| {
        let whole = Path::new(&mount).join(own.unwrap_or_default());
        // In a container the own path may be one of the host's.
        if whole.is_dir() { whole } else { PathBuf::from(mount) }
    };
    if let Some(at) = mount("cgroup", Some("cpu")) {
        return Some(Parent { folder: below(at, own("cpu")), version: 1 });
    }
    mount("cgroup2", None).map(|at| Parent { folder: below(at, own("")), version: 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_of_the_processor_is_found_in_both_versions() {
        let one = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                   cgroup /nowhere/memory cgroup rw,memory 0 0\ncgroup /nowhere/cpu cgroup rw,cpu 0 0\n";
        let found = parent(one, "3:cpu,cpuacct:/a/b\n0::/\n");
        assert_eq!(found, Some(Parent { folder: "/nowhere/cpu".into(), version: 1 }));
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("user/session")).unwrap();
        let two = format!("cgroup2 {} cgroup2 rw,nosuid 0 0\n", folder.path().display());
        let found = parent(&two, "0::/user/session\n");
        assert_eq!(found, Some(Parent { folder: folder.path().join("user/session"), version: 2 }));
        assert_eq!(parent("proc /proc proc rw 0 0\n", "0::/\n"), None);
    }
}
