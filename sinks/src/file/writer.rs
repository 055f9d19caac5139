//! The blocking side: one `.part` file at a time, never a name taken from somebody else.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_core::clock::Clock;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::sink::DeliverError;

const ENDING: &str = ".ndjson.part";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// Something about a file did not work.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {source}", path.display())]
pub(super) struct WriteError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl WriteError {
    pub(super) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { doing, path, source }
    }

    /// For a person.
    pub(super) fn fault(&self) -> Fault {
        let (kind, remedy) = match self.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => (
                FaultKind::Server,
                "free space on that disk, or move the directory; everything is kept until then",
            ),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                (FaultKind::Permission, "let this user write into the directory, or configure another one")
            }
            ErrorKind::NotADirectory
            | ErrorKind::NotFound
            | ErrorKind::InvalidFilename
            | ErrorKind::IsADirectory => {
                (FaultKind::Configuration, "configure `dir` as a directory that can be made")
            }
            _ => (FaultKind::Server, "look at the disk and at the system's log"),
        };
        Fault::new(kind, self.to_string()).remedy(remedy)
    }

    /// What happens next: a person must help, or it can pass by itself (somebody frees space).
    pub(super) fn verdict(&self) -> DeliverError {
        let cause = self.fault();
        match cause.kind {
            FaultKind::Permission | FaultKind::Configuration => DeliverError::Halt { cause },
            _ => DeliverError::Retry { after: None, cause },
        }
    }
}

/// What an append did.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// A file was begun, or taken up again: its number here and its age.
    pub(super) new_file: Option<(u64, Duration)>,
    /// For the operator.
    pub(super) warnings: Vec<String>,
}

/// The file in hand.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// Synced bytes, all of whole lines.
    len: u64,
    number: u64,
    born: DateTime<Utc>,
}

/// Appends to the files of one tenant and sink.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    stem: String,
    rotate_bytes: u64,
    clock: Clock,
    open: Option<Open>,
    opened: u64,
}

impl Writer {
    pub(super) fn new(dir: PathBuf, stem: String, rotate_bytes: u64, clock: Clock) -> Self {
        Self { dir, stem, rotate_bytes, clock, open: None, opened: 0 }
    }

    /// The number of the file in hand.
    pub(super) fn number(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.number)
    }

    /// Whether files could be made in the directory. Makes nothing.
    pub(super) fn check(&self) -> Result<String, WriteError> {
        let at = WriteError::at("cannot write into", &self.dir);
        let found = self.dir.ancestors().find(|dir| !dir.as_os_str().is_empty() && dir.exists());
        let existing = found.unwrap_or_else(|| Path::new("."));
        if !existing.is_dir() {
            return Err(at(ErrorKind::NotADirectory.into()));
        }
        rustix::fs::access(existing, rustix::fs::Access::WRITE_OK).map_err(|e| at(e.into()))?;
        Ok(if existing == self.dir {
            format!("{}: can be written", self.dir.display())
        } else {
            format!("{}: will be made", self.dir.display())
        })
    }

    /// Writes whole lines and syncs them. On an error the file holds what it held before, or is opened anew next time.
    pub(super) fn append(&mut self, body: &[u8], age: Duration) -> Result<Written, WriteError> {
        let mut written = Written::default();
        let before = self.number();
        if self.open.is_none() {
            self.resume(&mut written.warnings)?;
        }
        let now = self.clock.now();
        let due = self.open.as_ref().is_some_and(|open| {
            let full = open.len.saturating_add(body.len() as u64) > self.rotate_bytes;
            let old = now - open.born >= TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
            open.len > 0 && (full || old)
        });
        if due {
            self.finish()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.create(now)?,
        };
        let done = open.file.write_all(body).and_then(|()| open.file.sync_data());
        if let Err(error) = done {
            // Take the half batch back. Where that fails too, the file is dropped here and cut when it is opened again.
            let failed = Err(WriteError::at("cannot write", &open.path)(error));
            if open.file.set_len(open.len).and_then(|()| open.file.sync_data()).is_ok() {
                self.open = Some(open);
            }
            return failed;
        }
        open.len = open.len.saturating_add(body.len() as u64);
        let number = open.number;
        let full = open.len >= self.rotate_bytes;
        if before != Some(number) {
            let age = (now - open.born).to_std().unwrap_or_default();
            written.new_file = Some((number, age));
        }
        self.open = Some(open);
        if full && let Err(error) = self.finish() {
            // The documents are safe: this is no failed delivery.
            written.warnings.push(format!("{error}; the next delivery tries again"));
        }
        Ok(written)
    }

    /// Gives the file in hand its final name. An empty one is removed.
    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        let Some(open) = &self.open else { return Ok(()) };
        if open.len == 0 {
            fs::remove_file(&open.path).map_err(WriteError::at("cannot remove", &open.path))?;
        } else {
            finalize(&open.path)?;
        }
        sync_dir(&self.dir)?;
        self.open = None;
        Ok(())
    }

    /// Takes up what an earlier process left: the newest `.part` file goes on, older ones are finished.
    fn resume(&mut self, warnings: &mut Vec<String>) -> Result<(), WriteError> {
        make_dir(&self.dir)?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(WriteError::at("cannot read", &self.dir))? {
            let entry = entry.map_err(WriteError::at("cannot read", &self.dir))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some((born, n)) = self.read_name(&name) {
                parts.push((born, n, entry.path()));
            }
        }
        parts.sort();
        let newest = parts.pop();
        for (_, _, path) in parts {
            let (_file, len) = take_up(&path, warnings)?;
            if len == 0 {
                fs::remove_file(&path).map_err(WriteError::at("cannot remove", &path))?;
            } else {
                finalize(&path)?;
            }
        }
        if let Some((born, _, path)) = newest {
            let (file, len) = take_up(&path, warnings)?;
            self.opened += 1;
            self.open = Some(Open { file, path, len, number: self.opened, born });
        }
        sync_dir(&self.dir)
    }

    /// Time and number in the name of one of our `.part` files.
    fn read_name(&self, name: &str) -> Option<(DateTime<Utc>, u64)> {
        let middle = name.strip_prefix(&self.stem)?.strip_prefix('.')?.strip_suffix(ENDING)?;
        let (time, n) = middle.split_once('.')?;
        Some((NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc(), n.parse().ok()?))
    }

    /// A new file under a name that nobody has.
    fn create(&mut self, now: DateTime<Utc>) -> Result<Open, WriteError> {
        make_dir(&self.dir)?;
        let mut n = 1_u64;
        loop {
            let path = self.dir.join(format!("{}.{}.{n:04}{ENDING}", self.stem, now.format(TIME)));
            n += 1;
            if path.with_extension("").exists() {
                continue;
            }
            let mut options = OpenOptions::new();
            options.append(true).read(true).create_new(true);
            // Identity logs are personal data: nobody outside the group reads them.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
            match options.open(&path) {
                Ok(file) => {
                    lock(&file, &path)?;
                    sync_dir(&self.dir)?;
                    self.opened += 1;
                    return Ok(Open { file, path, len: 0, number: self.opened, born: now });
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(WriteError::at("cannot make", &path)(e)),
            }
        }
    }
}

/// Makes the directory and syncs the one above it.
fn make_dir(dir: &Path) -> Result<(), WriteError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|error| {
        // `mkdir` says "exists" about a file in the way.
        let error =
            if error.kind() == ErrorKind::AlreadyExists { ErrorKind::NotADirectory.into() } else { error };
        WriteError::at("cannot make the directory", dir)(error)
    })?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

fn sync_dir(dir: &Path) -> Result<(), WriteError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(WriteError::at("cannot sync the directory", dir))
}

/// Keeps a second process off the file. File systems without locks are taken as they are.
fn lock(file: &File, path: &Path) -> Result<(), WriteError> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let error = io::Error::new(ErrorKind::WouldBlock, "another process writes to it");
            Err(WriteError::at("cannot lock", path)(error))
        }
        _ => Ok(()),
    }
}

/// Opens what an earlier process left, and cuts the half line at its end.
fn take_up(path: &Path, warnings: &mut Vec<String>) -> Result<(File, u64), WriteError> {
    let mut file =
        OpenOptions::new().append(true).read(true).open(path).map_err(WriteError::at("cannot open", path))?;
    lock(&file, path)?;
    let (whole, len) = whole_lines(&mut file).map_err(WriteError::at("cannot read", path))?;
    if whole < len {
        file.set_len(whole)
            .and_then(|()| file.sync_all())
            .map_err(WriteError::at("cannot cut the half line at the end of", path))?;
        warnings.push(format!(
            "{}: cut a half line of {} bytes that a crash left",
            path.display(),
            len - whole
        ));
    }
    Ok((file, whole))
}

/// How far whole lines reach, and the file's length.
fn whole_lines(file: &mut File) -> io::Result<(u64, u64)> {
    let len = file.seek(SeekFrom::End(0))?;
    let mut end = len;
    let mut chunk = vec![0; 64 << 10];
    while end > 0 {
        let from = end.saturating_sub(chunk.len() as u64);
        let size = usize::try_from(end - from).unwrap_or(chunk.len());
        file.seek(SeekFrom::Start(from))?;
        let part = chunk.get_mut(..size).unwrap_or_default();
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok((from + at as u64 + 1, len));
        }
        end = from;
    }
    Ok((0, len))
}

/// `….ndjson.part` becomes `….ndjson`; where that name is taken, the next free number.
fn finalize(part: &Path) -> Result<(), WriteError> {
    let plain = part.with_extension("");
    let mut target = plain.clone();
    let mut n = 1_u64;
    loop {
        match rename_to_new(part, &target) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                n += 1;
                target = plain.with_extension(format!("{n}.ndjson"));
            }
            Err(e) => return Err(WriteError::at("cannot rename", part)(e)),
        }
    }
}

/// A rename that fails where the new name exists.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot: look first, then rename.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
            done => return done.map_err(io::Error::from),
        }
    }
    if to.exists() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}
