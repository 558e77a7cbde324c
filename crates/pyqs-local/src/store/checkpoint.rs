//! Brings SQLite's log back into the data file, beside the thread that commits.
//!
//! Left alone, SQLite does it in whichever commit finds the log long, and everybody who waits for
//! that commit waits for two syncs of the disk too. Here a thread of its own does it, which holds
//! up no commit. Only the end is the writer's: a log is begun anew when all of it is in the file,
//! and while others write there is always a little that isn't.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::StoreError;

/// The log's length, in pages of 4 KiB, at which its contents are brought into the file: 64 MiB.
const LOG_PAGES: u32 = 16_384;
/// The length at which commits wait for that, so that the log doesn't grow without end on a disk
/// that is slower than they are.
const LOG_PAGES_MAX: u32 = 4 * LOG_PAGES;
/// So few pages are left to the writer.
const REST_PAGES: i64 = 128;
/// How often the thread tries to get there.
const PASSES_MAX: usize = 5;

/// The writer's end of the thread.
pub(super) struct Checkpoints {
    /// What the log had at the last commit, in pages.
    log_pages: Arc<AtomicU32>,
    /// `None` only while this is dropped.
    thread: Option<(Sender<()>, JoinHandle<()>)>,
    done: Receiver<()>,
    is_running: bool,
}

impl Checkpoints {
    /// Takes over from `writer`, on a connection of its own to the same file. The thread ends with
    /// this.
    pub(super) fn start(writer: &mut Connection, path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        let log_pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&log_pages);
        // Takes the place of SQLite's own hook, which would checkpoint.
        writer.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
            seen.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let (begin, asked) = channel();
        let (finished, done) = channel();
        let thread = std::thread::spawn(move || {
            while asked.recv().is_ok() {
                pass_until_little_is_left(&connection);
                if finished.send(()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            log_pages,
            thread: Some((begin, thread)),
            done,
            is_running: false,
        })
    }

    /// To be called after each commit.
    pub(super) fn committed(&mut self, writer: &Connection) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if self.is_running {
            let is_done = if pages >= LOG_PAGES_MAX {
                self.done.recv().is_ok()
            } else {
                self.done.try_recv().is_ok()
            };
            if is_done {
                self.is_running = false;
                pass(writer);
            }
        } else if let Some((begin, _)) = &self.thread
            && pages >= LOG_PAGES
        {
            // Without its thread, which only a panic ends, the log grows until the next start.
            self.is_running = begin.send(()).is_ok();
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

fn pass_until_little_is_left(connection: &Connection) {
    for _ in 0..PASSES_MAX {
        match pass(connection) {
            Some(left) if left > REST_PAGES => {}
            _ => return,
        }
    }
}

/// Brings what the log has into the file; how many pages it could not. `None` where it failed, as
/// on a full disk: then the log keeps everything, and the next time will do.
fn pass(connection: &Connection) -> Option<i64> {
    let query = "PRAGMA wal_checkpoint(PASSIVE)";
    let counts = connection.query_row(query, [], |row| {
        Ok((
            row.get::<_, i64>("log")?,
            row.get::<_, i64>("checkpointed")?,
        ))
    });
    counts.ok().map(|(log, checkpointed)| log - checkpointed)
}
