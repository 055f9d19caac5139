//! Who holds a tenant: an flock on `lock`, whose text says who, since when, and when it was last alive.
//!
//! The lock ends with its process, however that ends. The text is for people and for the exit code of `sync` (held by a
//! run that lives, or by one that hangs); it decides nothing.

use super::{Holder, JournalError};
use chrono::{DateTime, TimeDelta, Utc};
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The text's length: always the same, so that one write replaces it.
const TEXT: usize = 512;

/// A sign of life is written at least this often. People and the exit code of `sync` count in minutes.
const BEAT: TimeDelta = TimeDelta::seconds(30);

/// How far a knock moves the time of the lock's file: further than any file system rounds it.
const KNOCK: Duration = Duration::from_secs(2);

/// A reader that asks whether the lock is held holds it for an instant; it is not a holder.
const PATIENCE: (u32, Duration) = (20, Duration::from_millis(5));

/// The held lock.
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    holder: Mutex<Holder>,
}

impl Lock {
    /// Takes the lock or says who has it.
    pub(super) fn take(dir: &Path, verb: &str, now: DateTime<Utc>) -> Result<Self, JournalError> {
        let path = dir.join("lock");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(JournalError::io(&path, "cannot open the lock"))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < PATIENCE.0 => {
                    tries += 1;
                    std::thread::sleep(PATIENCE.1);
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = text(&file).unwrap_or_else(|| Holder {
                        pid: 0,
                        verb: "unknown".to_owned(),
                        since: now,
                        heartbeat: now,
                    });
                    return Err(JournalError::Held { path: dir.display().to_string(), holder });
                }
                Err(TryLockError::Error(e)) => return Err(JournalError::io(&path, "cannot lock")(e)),
            }
        }
        let holder = Holder { pid: std::process::id(), verb: verb.to_owned(), since: now, heartbeat: now };
        let lock = Self { path, file, holder: Mutex::new(holder) };
        lock.beat(now)?;
        Ok(lock)
    }

    /// Whether the last sign of life is old, or in the future of a clock that was set back.
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        let last = self.holder.lock().unwrap_or_else(PoisonError::into_inner).heartbeat;
        !(TimeDelta::zero()..BEAT).contains(&now.signed_duration_since(last))
    }

    /// The time of the lock's file: that of the last sign of life, unless somebody knocked since.
    pub(super) fn written(&self) -> Option<SystemTime> {
        self.file.metadata().and_then(|meta| meta.modified()).ok()
    }

    /// Writes a sign of life. It need not survive a power cut, so it is not synced.
    pub(super) fn beat(&self, now: DateTime<Utc>) -> Result<(), JournalError> {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        holder.heartbeat = now;
        let mut bytes = serde_json::to_vec(&*holder)
            .map_err(|e| JournalError::io(&self.path, "cannot write the holder")(e.into()))?;
        bytes.resize(TEXT.max(bytes.len()), b' ');
        self.file.write_all_at(&bytes, 0).map_err(JournalError::io(&self.path, "cannot write the holder"))
    }

    /// Us.
    pub(super) fn holder(&self) -> Holder {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Tells whoever holds the directory to look for requests: the time of the lock's file becomes another one, which the
/// holder sees without looking a file up. A sign of life in the same instant may hide that; but then it comes after the
/// request, and the look after it finds the request.
pub(super) fn knock(dir: &Path) -> std::io::Result<()> {
    let file = File::options().write(true).open(dir.join("lock"))?;
    let written = file.metadata()?.modified()?;
    file.set_modified(written + KNOCK)
}

/// Who holds the directory, if anybody does.
pub(super) fn holder(dir: &Path) -> Option<Holder> {
    let file = File::open(dir.join("lock")).ok()?;
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(_) => text(&file),
    }
}

fn text(file: &File) -> Option<Holder> {
    for _ in 0..PATIENCE.0 {
        let mut bytes = vec![0; TEXT * 2];
        let n = file.read_at(&mut bytes, 0).ok()?;
        bytes.truncate(n);
        if let Ok(holder) = serde_json::from_slice(bytes.trim_ascii()) {
            return Some(holder);
        }
        // Locked an instant ago and not signed yet.
        std::thread::sleep(PATIENCE.1);
    }
    None
}

/// Why a directory cannot keep our promises: sync and locks of network file systems are not what they seem.
pub(super) fn fit(dir: &Path) -> Result<(), JournalError> {
    #[cfg(target_os = "linux")]
    {
        let stat = rustix::fs::statfs(dir)
            .map_err(|e| JournalError::io(dir, "cannot tell the file system")(e.into()))?;
        // The kernel keeps 32 bits of magic whatever the word's width.
        let magic = u64::try_from(stat.f_type).unwrap_or_default() & 0xFFFF_FFFF;
        if let Some(name) = network(magic, || mount_type(dir)) {
            return Err(JournalError::Unfit {
                path: dir.display().to_string(),
                why: format!(
                    "lies on a network file system ({name}), where neither locks nor sync can be relied on: put \
                     journal.dir on a local disk"
                ),
            });
        }
    }
    Ok(())
}

/// The name of a network file system. Magic numbers: Linux `include/uapi/linux/magic.h` and statfs(2), read 2026.
fn network(magic: u64, mount: impl FnOnce() -> Option<String>) -> Option<String> {
    let name = match magic {
        0x6969 => "nfs",
        0x517B => "smb",
        0xFF53_4D42 => "cifs",
        0xFE53_4D42 => "smb2",
        0x0102_1997 => "9p",
        0x5346_414F | 0x6B41_4653 => "afs",
        0x00C3_6400 => "ceph",
        0x7375_7245 => "coda",
        0x564C => "ncp",
        0x0BD0_0BD0 => "lustre",
        0x4750_4653 => "gpfs",
        0x0116_1970 => "gfs2",
        0x7461_636F => "ocfs2",
        0xAAD7_AAEA => "panfs",
        0x2003_0528 => "orangefs",
        // sshfs, s3fs, gluster… look the same here; virtiofs is a virtual machine's local disk.
        0x6573_5546 => {
            let kind = mount().unwrap_or_else(|| "fuse".to_owned());
            return (kind != "virtiofs").then_some(kind);
        }
        _ => return None,
    };
    Some(name.to_owned())
}

/// The type in /proc of the mount that holds `dir`.
fn mount_type(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    mount_of(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, &dir)
}

fn mount_of(table: &str, dir: &Path) -> Option<String> {
    table
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let point = Path::new(left.split(' ').nth(4)?);
            dir.starts_with(point).then_some((point.components().count(), right.split(' ').next()?))
        })
        // A later mount on the same point covers the earlier one.
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_network_file_systems() {
        assert_eq!(network(0x6969, || None).as_deref(), Some("nfs"));
        assert_eq!(network(0xFE53_4D42, || None).as_deref(), Some("smb2"));
        assert_eq!(network(0x6573_5546, || Some("fuse.sshfs".to_owned())).as_deref(), Some("fuse.sshfs"));
        assert_eq!(network(0x6573_5546, || Some("virtiofs".to_owned())), None);
        assert_eq!(network(0xEF53, || None), None, "ext4");
    }

    #[test]
    fn finds_the_mount_of_a_directory() {
        let table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / /data rw shared:1 - fuse.s3fs s3 rw\n";
        assert_eq!(mount_of(table, Path::new("/data/x")).as_deref(), Some("fuse.s3fs"));
        assert_eq!(mount_of(table, Path::new("/var/x")).as_deref(), Some("ext4"));
    }
}
