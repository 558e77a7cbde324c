//! Room on the disk that is kept for a full one.
//!
//! Deleting a message and receiving it are writes too. So that they go on when the disk is full, a file
//! beside the database takes up what they will need: it is made smaller when SQLite finds no room, and
//! filled up again when there is. It covers as much as SQLite's log has, by which the database may
//! grow when the log is brought into it, and some more for the log itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The file's name in the data folder.
pub(super) const NAME: &str = "pyqs.reserve";
/// What is kept while the log is short: 8 MiB.
pub(super) const BYTES_MIN: u64 = 8 * 1024 * 1024;
/// It grows in such steps; half of [`BYTES_MIN`] is always there beyond the log's length.
const STEP: u64 = BYTES_MIN / 2;
/// The least that is worth keeping.
const BYTES_LEFT_MIN: u64 = 512 * 1024;
/// How long after the disk was full it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

pub(super) struct Reserve {
    file: File,
    bytes: u64,
    failed: Option<Instant>,
}

impl Reserve {
    /// Empty at first: what an earlier run kept is free for this one's start.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(true);
        Ok(Self {
            file: file.open(folder.join(NAME))?,
            bytes: 0,
            failed: None,
        })
    }

    /// Whether there is as much as a log of that length asks for.
    pub(super) fn covers(&mut self, log_bytes: u64) -> bool {
        let needed = needed(log_bytes);
        self.bytes >= needed || (self.failed.is_none() && self.extend_to(needed))
    }

    /// Whether the last failure is long enough ago to try again.
    pub(super) fn may_try(&self) -> bool {
        self.failed.is_none_or(|at| at.elapsed() >= RETRY_AFTER)
    }

    /// Takes, or gives back, what makes it as large as a log of that length asks for.
    pub(super) fn fit(&mut self, log_bytes: u64) {
        let needed = needed(log_bytes);
        if self.bytes > needed {
            self.shrink(needed);
        }
        self.extend_to(needed);
    }

    /// Gives half of it to the disk, at last all. False when there is nothing left then.
    pub(super) fn release(&mut self) -> bool {
        let half = self.bytes / 2;
        self.shrink(if half < BYTES_LEFT_MIN { 0 } else { half });
        self.failed = Some(Instant::now());
        self.bytes > 0
    }

    fn extend_to(&mut self, needed: u64) -> bool {
        let is_there = self.bytes >= needed || self.allocate(needed).is_ok();
        if is_there {
            self.bytes = self.bytes.max(needed);
        } else {
            // What the attempt has taken goes back.
            self.shrink(self.bytes);
        }
        self.failed = (!is_there).then(Instant::now);
        is_there
    }

    fn allocate(&mut self, to: u64) -> io::Result<()> {
        let more = to - self.bytes;
        match fallocate(&self.file, FallocateFlags::empty(), self.bytes, more) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.file.seek(SeekFrom::Start(self.bytes))?;
                io::copy(&mut io::repeat(0).take(more), &mut self.file)?;
                self.file.flush()
            }
            done => Ok(done?),
        }
    }

    fn shrink(&mut self, to: u64) {
        // What can't be cut off stays reserved, which is the worse for nobody but this server.
        if self.file.set_len(to).is_ok() {
            self.bytes = to;
        }
    }
}

fn needed(log_bytes: u64) -> u64 {
    (BYTES_MIN + log_bytes) / STEP * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_the_log_and_is_given_back_in_halves() {
        let folder = tempfile::tempdir().unwrap();
        let length = || folder.path().join(NAME).metadata().unwrap().len();
        let mut reserve = Reserve::open(folder.path()).unwrap();
        for (log_bytes, bytes) in [(0, 8), (3, 8), (4, 12), (64, 72), (0, 72)] {
            assert!(reserve.covers(log_bytes << 20));
            assert_eq!(length(), bytes << 20, "a log of {log_bytes} MiB");
        }
        assert!(reserve.release());
        assert_eq!(length(), 36 << 20);
        assert!(!reserve.covers(64 << 20) && !reserve.may_try(), "so soon");
        reserve.fit(8 << 20);
        assert_eq!(length(), 16 << 20);
        assert!(reserve.covers(0));
        while reserve.release() {}
        assert_eq!(length(), 0);
    }
}
