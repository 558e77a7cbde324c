//! Brings SQLite's log back into the data file, beside the thread that commits.
//!
//! Left alone, SQLite does it in whichever commit finds the log long, and everybody who waits for
//! that commit waits for two syncs of the disk too. Here a thread of its own does it, which holds
//! up no commit. Only the end is the writer's: a log is begun anew when all of it is in the file,
//! and while others write there is always a little that isn't.
//!
//! SQLite syncs the file only at that end. The thread does it after each of its passes, else the
//! writer would wait for all that they wrote. It passes over the log every few MiB: what gathers
//! until the end would be a burst of writes that keeps the writer's own from the disk.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::StoreError;

/// The log's length, in pages of 4 KiB, at which its contents are brought into the file: 64 MiB.
pub(super) const LOG_PAGES: u32 = 16_384;
/// How much of it gathers between two passes, in pages: 8 MiB.
const PASS_PAGES: u32 = 2048;
/// SQLite's default.
const PAGE_BYTES: u64 = 4096;
/// Added to the thread's niceness, where the system has one for each thread.
#[cfg(target_os = "linux")]
const THREAD_NICENESS: i32 = 10;
/// How many times that length it may have: then commits wait. So the log doesn't grow without end on
/// a disk that is slower than they are.
const LOG_GROWTH_MAX: u32 = 4;
/// So few pages are left to the writer.
const REST_PAGES: i64 = 128;
/// How often the thread tries to get there.
const PASSES_MAX: usize = 5;

/// The writer's end of the thread.
pub(super) struct Checkpoints {
    /// The length at which the log's contents are brought into the file.
    pages_max: u32,
    /// What the log had at the last commit, in pages.
    log_pages: Arc<AtomicU32>,
    /// `None` only while this is dropped.
    thread: Option<(Sender<Pass>, JoinHandle<()>)>,
    done: Receiver<()>,
    running: Option<Pass>,
    /// The log's length when the last pass was asked for.
    passed_pages: u32,
}

/// What the thread is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// To take what there is.
    Over,
    /// To leave so little that the writer can begin the log anew.
    ToTheEnd,
}

impl Checkpoints {
    /// Takes over from `writer`, on a connection of its own to the same file. The thread ends with
    /// this.
    pub(super) fn start(
        writer: &mut Connection,
        path: &Path,
        pages_max: u32,
    ) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        // Not closed before the connections are: a process that closes a file gives back all its
        // locks on it, SQLite's too.
        let file = File::open(path).map_err(|source| StoreError::Folder {
            path: path.display().to_string(),
            source,
        })?;
        let log_pages = Arc::new(AtomicU32::new(0));
        let (seen, length) = (Arc::clone(&log_pages), Arc::clone(&log_pages));
        // Takes the place of SQLite's own hook, which would checkpoint.
        writer.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
            seen.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let (begin, asked) = channel();
        let (finished, done) = channel();
        let thread = std::thread::spawn(move || {
            yield_to_others();
            while let Ok(asked) = asked.recv() {
                match asked {
                    Pass::Over => {
                        pass_and_sync(&connection, &file);
                    }
                    Pass::ToTheEnd => pass_until_little_is_left(&connection, &file, &length),
                }
                if finished.send(()).is_err() {
                    break;
                }
            }
            drop(connection);
            drop(file);
        });
        Ok(Self {
            pages_max,
            log_pages,
            thread: Some((begin, thread)),
            done,
            running: None,
            passed_pages: 0,
        })
    }

    /// How long the log was at the last commit.
    pub(super) fn log_bytes(&self) -> u64 {
        u64::from(self.log_pages.load(Ordering::Relaxed)) * PAGE_BYTES
    }

    /// Waits until all of the log is in the file and its room is the disk's again. Where the file finds
    /// no room for it, the log keeps everything.
    pub(super) fn empty_log(&self, writer: &Connection) {
        let query = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = writer.query_row(query, [], |row| row.get::<_, i64>("busy"));
        if busy == Ok(0) {
            self.log_pages.store(0, Ordering::Relaxed);
        }
    }

    /// To be called after each commit.
    pub(super) fn committed(&mut self, writer: &Connection) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if let Some(running) = self.running {
            let is_done = if pages >= LOG_GROWTH_MAX * self.pages_max {
                self.done.recv().is_ok()
            } else {
                self.done.try_recv().is_ok()
            };
            if is_done {
                self.running = None;
                if running == Pass::ToTheEnd {
                    pass(writer);
                }
            }
            return;
        }
        if pages < self.passed_pages {
            // It has been begun anew.
            self.passed_pages = 0;
        }
        let asked = if pages >= self.pages_max {
            Pass::ToTheEnd
        } else if pages - self.passed_pages >= PASS_PAGES {
            Pass::Over
        } else {
            return;
        };
        // Without its thread, which only a panic ends, the log grows until the next start.
        if let Some((thread, _)) = &self.thread
            && thread.send(asked).is_ok()
        {
            self.running = Some(asked);
            self.passed_pages = pages;
        }
    }
}

impl Drop for Checkpoints {
    /// Waits for the thread, so that nobody has the file open when the folder is free again.
    fn drop(&mut self) {
        if let Some((begin, thread)) = self.thread.take() {
            drop(begin);
            // A panic there has ended nothing but this.
            let _ = thread.join();
        }
    }
}

/// Each pass takes the log as it finds it, and `length` grows meanwhile.
fn pass_until_little_is_left(connection: &Connection, file: &File, length: &AtomicU32) {
    for _ in 0..PASSES_MAX {
        let Some(done) = pass_and_sync(connection, file) else {
            return;
        };
        if i64::from(length.load(Ordering::Relaxed)) - done <= REST_PAGES {
            return;
        }
    }
}

fn pass_and_sync(connection: &Connection, file: &File) -> Option<i64> {
    let done = pass(connection)?;
    // What can't be synced here is the writer's, whose pass fails if it can't either.
    file.sync_data().ok().map(|()| done)
}

/// Brings what the log has into the file; how many of its pages are there now. `None` where it
/// failed, as on a full disk: then the log keeps everything, and the next time will do.
fn pass(connection: &Connection) -> Option<i64> {
    let query = "PRAGMA wal_checkpoint(PASSIVE)";
    connection
        .query_row(query, [], |row| row.get("checkpointed"))
        .ok()
}

/// Nobody waits for this thread, but requests wait for the processor that it would take.
fn yield_to_others() {
    // On Linux this is the calling thread's priority, elsewhere the whole process's.
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::setpriority_process(None, THREAD_NICENESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_begun_anew_and_nothing_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("CREATE TABLE t (x)").unwrap();
        let pages_max = 64;
        let mut checkpoints = Checkpoints::start(&mut writer, &path, pages_max).unwrap();
        let (mut rows, mut lengths) = (0, vec![0]);
        // Until it has been begun anew ten times.
        while lengths.windows(2).filter(|two| two[1] < two[0]).count() < 10 {
            writer
                .execute("INSERT INTO t VALUES (zeroblob(8000))", [])
                .unwrap();
            rows += 1;
            lengths.push(checkpoints.log_pages.load(Ordering::Relaxed));
            checkpoints.committed(&writer);
            // One commit's pages beyond the length at which it waits.
            assert!(*lengths.last().unwrap() < LOG_GROWTH_MAX * pages_max + 10);
            assert!(rows < 100_000, "the log is never begun anew");
        }
        drop((checkpoints, writer));
        let reader = Connection::open(&path).unwrap();
        let query = "SELECT count(*), sum(length(x)) FROM t";
        let found: (i64, i64) = reader
            .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(found, (rows, 8000 * rows));
    }
}
