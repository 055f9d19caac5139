//! Segments: the files that hold pages. The format stands in the module above.
//!
//! Nothing here trusts a byte that it has read: lengths are checked before they are used, and a page is decompressed only
//! after its digest has been found right.

use super::{JournalError, Lane, PageId, StoredPage, StoredRecord};
use crate::spare;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zstd::bulk::{Compressor, Decompressor};

/// SHA-256 of a page.
pub(super) type Digest = [u8; 32];

/// Marks the skippable frame (any of `0x184D2A50..=5F` is one).
const SKIPPABLE: u32 = 0x184D_2A5D;
const MARK: &[u8; 4] = b"tdg1";
/// Where the digested part of the skippable frame begins: mark and digest stand before it.
const DIGESTED: usize = 36;
/// Beside the lane.
const REREAD: u8 = 0x80;
const REVISION: u8 = 1;
const OCCURRENCE: u8 = 2;

/// Bytes of records that a page may have. A body is 64 MiB at most.
const LARGEST: usize = 1 << 30;

/// A record on its way into a page.
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) revision: Option<u64>,
    pub(super) occurrence: u32,
}

/// What `encode` needs to know of a page.
pub(super) struct Parts<'a> {
    pub(super) id: PageId,
    pub(super) source: &'a str,
    pub(super) stream: &'a str,
    pub(super) lane: Lane,
    pub(super) reread: bool,
    pub(super) at: DateTime<Utc>,
    pub(super) previous: Digest,
    pub(super) records: &'a [Line<'a>],
}

/// Encoders that are kept for the next page, of whichever tenant: a zstd context and its buffers are a megabyte, which
/// hundreds of tenants would each keep for a page now and then. More pages than this are seldom written at the same time.
const ENCODERS: usize = 4;

static SPARE: Mutex<Vec<Encoder>> = Mutex::new(Vec::new());

/// Writes pages; keeps its zstd context and buffers.
pub(super) struct Encoder {
    zstd: Compressor<'static>,
    frame: Vec<u8>,
}

impl Encoder {
    /// Lends an encoder.
    pub(super) fn with<T>(encode: impl FnOnce(&mut Self) -> std::io::Result<T>) -> std::io::Result<T> {
        let spare = || SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = spare().pop();
        let mut encoder = taken.map_or_else(Self::new, Ok)?;
        let encoded = encode(&mut encoder)?;
        let mut spare = spare();
        if spare.len() < ENCODERS {
            spare.push(encoder);
        }
        Ok(encoded)
    }

    pub(super) fn new() -> std::io::Result<Self> {
        let mut zstd = Compressor::new(1)?;
        zstd.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        Ok(Self { zstd, frame: Vec::new() })
    }

    /// Appends a page to `out` and gives its digest, and its records as slices of one buffer of their own (those that
    /// came may be slices of a much larger body).
    pub(super) fn encode(
        &mut self,
        page: &Parts<'_>,
        out: &mut Vec<u8>,
    ) -> std::io::Result<(Digest, Vec<StoredRecord>)> {
        let raw: usize = page.records.iter().map(|r| r.bytes.len().saturating_add(1)).sum();
        let count = u32::try_from(page.records.len()).map_err(|_| too_large())?;
        if raw > LARGEST {
            return Err(too_large());
        }
        let mut lines = spare::take(raw);
        for record in page.records {
            lines.extend_from_slice(record.bytes);
            lines.push(b'\n');
        }
        self.frame.clear();
        self.frame.reserve(zstd::zstd_safe::compress_bound(lines.len()));
        self.zstd.compress_to_buffer(&lines, &mut self.frame)?;

        let start = out.len();
        out.extend_from_slice(&SKIPPABLE.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(MARK);
        out.extend_from_slice(&[0; 32]);
        out.extend_from_slice(&page.previous);
        out.extend_from_slice(&page.id.to_le_bytes());
        out.extend_from_slice(&page.at.timestamp_micros().to_le_bytes());
        let lane = match page.lane {
            Lane::Live => 0,
            Lane::Sweep => 1,
            Lane::Backfill => 2,
        };
        out.push(lane | if page.reread { REREAD } else { 0 });
        out.extend_from_slice(&u32::try_from(self.frame.len()).map_err(|_| too_large())?.to_le_bytes());
        for name in [page.source, page.stream] {
            out.extend_from_slice(&u16::try_from(name.len()).map_err(|_| too_large())?.to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(&count.to_le_bytes());
        for record in page.records {
            out.extend_from_slice(&u32::try_from(record.bytes.len()).map_err(|_| too_large())?.to_le_bytes());
            let occurrence = (record.occurrence != 0).then_some(record.occurrence);
            out.push(
                if record.revision.is_some() { REVISION } else { 0 }
                    | if occurrence.is_some() { OCCURRENCE } else { 0 },
            );
            if let Some(revision) = record.revision {
                out.extend_from_slice(&revision.to_le_bytes());
            }
            if let Some(occurrence) = occurrence {
                out.extend_from_slice(&occurrence.to_le_bytes());
            }
        }
        let content = start + 8;
        let size = u32::try_from(out.len() - content).map_err(|_| too_large())?;
        out.extend_from_slice(&self.frame);
        let mut sha = Sha256::new();
        sha.update(out.get(content + DIGESTED..).unwrap_or_default());
        let digest: Digest = sha.finalize().into();
        if let Some(place) = out.get_mut(start + 4..content) {
            place.copy_from_slice(&size.to_le_bytes());
        }
        if let Some(place) = out.get_mut(content + 4..content + DIGESTED) {
            place.copy_from_slice(&digest);
        }

        let lines = spare::lend(lines);
        let mut at = 0;
        let kept = page
            .records
            .iter()
            .map(|r| {
                let bytes = lines.slice(at..at + r.bytes.len());
                at += r.bytes.len() + 1;
                StoredRecord { bytes, revision: r.revision, occurrence: r.occurrence }
            })
            .collect();
        Ok((digest, kept))
    }
}

fn too_large() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, "the page is too large")
}

/// Reads bounded little-endian numbers.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn text(&mut self) -> Option<&'a str> {
        let n = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(n))?).ok()
    }
}

/// A page as its bytes tell it.
pub(super) struct Decoded {
    pub(super) page: StoredPage,
    pub(super) previous: Digest,
    pub(super) digest: Digest,
}

/// Reads one page; `bytes` are the whole page and nothing more. The error says what is wrong with them.
pub(super) fn decode(bytes: &[u8], zstd: &mut Decompressor<'_>) -> Result<Decoded, &'static str> {
    let mut cut = Cut(bytes);
    if cut.u32() != Some(SKIPPABLE) {
        return Err("no page begins here");
    }
    let size = cut.u32().and_then(|n| usize::try_from(n).ok()).ok_or("the page is cut off")?;
    if size > cut.0.len() {
        return Err("the page is cut off");
    }
    if cut.array() != Some(*MARK) {
        return Err("not a page of ours");
    }
    let digest: Digest = cut.array().ok_or("the page's head is cut off")?;
    if digest != Digest::from(Sha256::digest(cut.0)) {
        return Err("the digest does not fit the page");
    }
    let (head, frame) =
        cut.0.split_at_checked(size.saturating_sub(DIGESTED)).ok_or("the page's head is cut off")?;
    parse(head, frame, digest, zstd).ok_or("the page's head contradicts itself")?
}

fn parse(
    head: &[u8],
    frame: &[u8],
    digest: Digest,
    zstd: &mut Decompressor<'_>,
) -> Option<Result<Decoded, &'static str>> {
    let mut cut = Cut(head);
    let previous: Digest = cut.array()?;
    let id = u64::from_le_bytes(cut.array()?);
    let at = DateTime::from_timestamp_micros(i64::from_le_bytes(cut.array()?))?;
    let [lane] = cut.array()?;
    let reread = lane & REREAD != 0;
    let lane = match lane & !REREAD {
        0 => Lane::Live,
        1 => Lane::Sweep,
        2 => Lane::Backfill,
        _ => return None,
    };
    if usize::try_from(cut.u32()?) != Ok(frame.len()) {
        return None;
    }
    let source = Arc::from(cut.text()?);
    let stream = Arc::from(cut.text()?);
    let count = usize::try_from(cut.u32()?).ok()?;
    let mut heads = Vec::new();
    let mut raw = 0usize;
    for _ in 0..count {
        let length = usize::try_from(cut.u32()?).ok()?;
        let [flags] = cut.array()?;
        let revision = if flags & REVISION == 0 { None } else { Some(u64::from_le_bytes(cut.array()?)) };
        let occurrence = if flags & OCCURRENCE == 0 { 0 } else { cut.u32()? };
        raw = raw.checked_add(length)?.checked_add(1)?;
        heads.push((length, revision, occurrence));
    }
    if !cut.0.is_empty() || raw > LARGEST {
        return None;
    }
    let mut lines = spare::take(raw);
    // The buffer may have more room than the page says that it takes.
    if zstd.decompress_to_buffer(frame, &mut lines).is_err() || lines.len() > raw {
        return Some(Err("the zstd frame does not decompress"));
    }
    if lines.len() != raw {
        return None;
    }
    let lines = spare::lend(lines);
    let mut records = Vec::with_capacity(heads.len());
    let mut from = 0;
    for (length, revision, occurrence) in heads {
        // The sum was checked against `raw`, which is the buffer's length.
        records.push(StoredRecord { bytes: lines.slice(from..from + length), revision, occurrence });
        from += length + 1;
    }
    let page = StoredPage { id, source, stream, lane, at, records, reread };
    Some(Ok(Decoded { page, previous, digest }))
}

/// The file of a segment.
pub(super) fn path(dir: &Path, seg: u64) -> PathBuf {
    dir.join("pages").join(format!("{seg}.zst"))
}

/// Numbers and lengths of the segment files in a directory, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, u64)>, JournalError> {
    let pages = dir.join("pages");
    let failed = |e| JournalError::io(&pages, "cannot list")(e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&pages).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_suffix(".zst")).and_then(|n| n.parse().ok());
        if let Some(seg) = number {
            found.push((seg, entry.metadata().map_err(failed)?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(JournalError::io(dir, "cannot sync the directory"))
}

/// Reads pages from segments, one file kept open.
pub(super) struct Files {
    dir: PathBuf,
    open: Option<(u64, File)>,
    zstd: Decompressor<'static>,
}

impl Files {
    pub(super) fn new(dir: &Path) -> std::io::Result<Self> {
        Ok(Self { dir: dir.to_owned(), open: None, zstd: Decompressor::new()? })
    }

    /// The tenant's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads and checks the page at a place. `Ok(None)`: the segment's file is not there.
    pub(super) fn page(&mut self, place: &Place) -> Result<Option<Decoded>, JournalError> {
        let path = path(&self.dir, place.seg);
        let file = match &self.open {
            Some((seg, file)) if *seg == place.seg => file,
            _ => match File::open(&path) {
                Ok(file) => &self.open.insert((place.seg, file)).1,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(JournalError::io(&path, "cannot open")(e)),
            },
        };
        let broken = |what: &str| {
            JournalError::damaged(&path, format!("{what} (offset {}, page {})", place.off, place.id))
        };
        let size = file.metadata().map_err(JournalError::io(&path, "cannot read"))?.len();
        if place.off.checked_add(place.len).is_none_or(|end| end > size) {
            return Err(broken("the file ends before the page does"));
        }
        let length = usize::try_from(place.len).map_err(|_| broken("the page's length is absurd"))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, place.off).map_err(JournalError::io(&path, "cannot read"))?;
        let found = decode(&bytes, &mut self.zstd).map_err(broken)?;
        if found.digest != place.digest || found.page.id != place.id {
            return Err(broken("another page stands where state.db expects this one"));
        }
        Ok(Some(found))
    }
}

/// Where a page stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: PageId,
    pub(super) seg: u64,
    pub(super) off: u64,
    pub(super) len: u64,
    pub(super) digest: Digest,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn sample(records: &[&[u8]]) -> Vec<u8> {
        let records: Vec<_> = records
            .iter()
            .enumerate()
            .map(|(i, r)| StoredRecord {
                bytes: Bytes::copy_from_slice(r),
                revision: (i == 1).then_some(9),
                occurrence: u32::from(i == 2) * 4,
            })
            .collect();
        let mut out = Vec::new();
        let lines: Vec<_> = records
            .iter()
            .map(|r| Line { bytes: &r.bytes, revision: r.revision, occurrence: r.occurrence })
            .collect();
        let parts = Parts {
            id: 3,
            source: "okta",
            stream: "system_log",
            lane: Lane::Sweep,
            reread: records.len() == 2,
            at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            previous: [7; 32],
            records: &lines,
        };
        let (digest, kept) = Encoder::new().unwrap().encode(&parts, &mut out).unwrap();
        let back = decode(&out, &mut Decompressor::new().unwrap()).ok().unwrap();
        assert_eq!(back.page.records, records);
        assert_eq!(kept, records);
        assert_eq!((back.page.id, back.page.lane, back.page.at), (3, Lane::Sweep, parts.at));
        assert_eq!(back.page.reread, parts.reread);
        assert_eq!((&*back.page.source, &*back.page.stream), ("okta", "system_log"));
        assert_eq!((back.previous, back.digest), ([7; 32], digest));
        out
    }

    #[test]
    fn a_page_comes_back_byte_for_byte() {
        sample(&[b"{}", b"{\n  \"a\": 1\n}\n", b"\xff\x00\xfe", b"", b"\n\n"]);
        sample(&[]);
    }

    #[test]
    fn the_lane_byte_says_whether_it_was_read_again() {
        // Behind magic, length, mark, two digests, id and time. Before there was the flag, its bit was never set.
        let lane = |page: &[u8]| page[8 + 4 + 32 + 32 + 8 + 8];
        assert_eq!(lane(&sample(&[b"{}"])), 1);
        assert_eq!(lane(&sample(&[b"{}", b"{}"])), 0x81);
    }

    #[test]
    fn every_changed_bit_is_seen() {
        let page = sample(&[b"{\"a\":1}", b"{\"b\":2}"]);
        let mut zstd = Decompressor::new().unwrap();
        for at in 0..page.len() {
            let mut bad = page.clone();
            bad[at] ^= 0x10;
            assert!(decode(&bad, &mut zstd).is_err(), "byte {at}");
            assert!(decode(&page[..at], &mut zstd).is_err(), "cut at {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), fix in any::<bool>()) {
            if fix && bytes.len() > 44 {
                // With a right digest the head itself is read.
                let size = (bytes.len() - 8) as u32;
                bytes[..4].copy_from_slice(&SKIPPABLE.to_le_bytes());
                bytes[4..8].copy_from_slice(&size.to_le_bytes());
                bytes[8..12].copy_from_slice(MARK);
                let digest = Sha256::digest(&bytes[44..]);
                bytes[12..44].copy_from_slice(&digest);
            }
            let _ = decode(&bytes, &mut Decompressor::new().unwrap());
        }
    }
}
