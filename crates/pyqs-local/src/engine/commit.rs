//! Group commit: one thread writes all changes that have gathered, in one transaction.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyqs_broker::Change;
use tokio::sync::oneshot;

use super::Engine;
use crate::content::Body;
use crate::error::ApiError;
use crate::store::Store;

/// Changes after which a transaction is closed even if more are there, so that the first to come
/// doesn't wait for a flood.
const GROUP_CHANGES_MAX: usize = 10_000;
/// A transaction that takes longer than this waits for the disk.
const SLOW: Duration = Duration::from_millis(1);
/// A slow transaction is held back for this part of what the last one took, where that one had company: those who wait
/// for an answer ask again when they have it, a moment after one another, and so share a sync instead of each second
/// one being the first asker's own.
const COMPANY: u32 = 10;
/// So many entries in a quick transaction mean that more come all the time.
const CROWD: u64 = 3;
/// Then the next one is held back for this long: each costs the processor as much as several of its entries, and on a
/// busy one that is what the others wait for.
const CROWD_HOLD: Duration = Duration::from_micros(900);
/// How often a store that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// The engine's end of the commit thread.
pub(super) struct Committer {
    /// `None` where nothing is stored.
    thread: Option<(Sender<Entry>, JoinHandle<()>)>,
    progress: Arc<Progress>,
    submitted: u64,
}

/// How it went with an entry. An error means: not known to be kept.
type Outcome = Result<(), ApiError>;

/// What an action changed, and who waits for it to be kept.
struct Entry {
    changes: Vec<Change<Body>>,
    waiter: Option<oneshot::Sender<Outcome>>,
}

#[derive(Default)]
struct Progress {
    /// Entries that are kept for good.
    durable: AtomicU64,
    /// Whether the last try failed. The changes stay, and are tried again; meanwhile the engine
    /// takes no new ones, so that what waits stays small.
    is_failing: AtomicBool,
}

/// The promise that a change is being kept.
pub(super) enum Ticket {
    Kept,
    Waiting(oneshot::Receiver<Outcome>),
}

impl Ticket {
    /// Waits for the transaction. An error means: not known to be kept.
    pub(super) async fn kept(self) -> Result<(), ApiError> {
        match self {
            Self::Kept => Ok(()),
            Self::Waiting(answer) => answer.await.unwrap_or(Err(ApiError::StoreUnavailable)),
        }
    }
}

impl Committer {
    /// For an engine that stores nothing.
    pub(super) fn none() -> Self {
        Self {
            thread: None,
            progress: Arc::default(),
            submitted: 0,
        }
    }

    /// For the engine that this will be a part of.
    pub(super) fn start(store: Box<dyn Store>, engine: Weak<Engine>) -> Self {
        let (sender, entries) = channel();
        let progress = Arc::<Progress>::default();
        let writer = Writer {
            store,
            entries,
            engine,
            progress: Arc::clone(&progress),
            unkept: Vec::new(),
            unkept_entries: 0,
            hold_back: Duration::ZERO,
            waiters: Vec::new(),
            is_full: false,
        };
        let thread = std::thread::spawn(|| writer.run());
        Self {
            thread: Some((sender, thread)),
            progress,
            submitted: 0,
        }
    }

    /// Sends changes on their way. Without changes it still waits for those that came before,
    /// since an answer may rest on them.
    pub(super) fn submit(&mut self, changes: Vec<Change<Body>>, is_awaited: bool) -> Ticket {
        let Some((sender, _)) = &self.thread else {
            return Ticket::Kept;
        };
        if changes.is_empty() && (!is_awaited || self.submitted == self.durable()) {
            return Ticket::Kept;
        }
        self.submitted += 1;
        let (waiter, answer) = is_awaited.then(oneshot::channel).unzip();
        // If the thread is gone, the waiter goes with the entry and its ticket says so.
        let _ = sender.send(Entry { changes, waiter });
        answer.map_or(Ticket::Kept, Ticket::Waiting)
    }

    /// How many entries have been submitted.
    pub(super) fn submitted(&self) -> u64 {
        self.submitted
    }

    /// How many of them are kept for good.
    pub(super) fn durable(&self) -> u64 {
        self.progress.durable.load(Ordering::Acquire)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.progress.is_failing.load(Ordering::Acquire)
    }

    /// Waits until everything submitted is written, or has failed once more.
    pub(super) fn close(self) {
        if let Some((sender, thread)) = self.thread {
            drop(sender);
            // A panic of the thread has been seen by every ticket it left behind.
            let _ = thread.join();
        }
    }
}

pub(super) struct Writer {
    pub(super) store: Box<dyn Store>,
    entries: Receiver<Entry>,
    /// Gone when nobody asks any more.
    pub(super) engine: Weak<Engine>,
    progress: Arc<Progress>,
    /// Changes that are not kept yet, oldest first; also those of earlier entries whose transaction
    /// failed.
    pub(super) unkept: Vec<Change<Body>>,
    unkept_entries: u64,
    /// How long the first entry waits for others.
    hold_back: Duration,
    /// Those who wait for some of them.
    pub(super) waiters: Vec<Waiter>,
    /// As the engine's state has it.
    pub(super) is_full: bool,
}

pub(super) struct Waiter {
    answer: oneshot::Sender<Outcome>,
    /// Which of the changes are its own.
    pub(super) changes: Range<usize>,
}

impl Waiter {
    pub(super) fn answer(self, outcome: Outcome) {
        // A client that has gone doesn't wait any more.
        let _ = self.answer.send(outcome);
    }
}

impl Writer {
    fn run(mut self) {
        let mut is_open = true;
        while is_open {
            is_open = self.gather();
            let is_kept = self.commit();
            for waiter in self.waiters.drain(..) {
                waiter.answer(if is_kept {
                    Ok(())
                } else {
                    Err(ApiError::StoreUnavailable)
                });
            }
        }
    }

    /// Waits for the first entry, then takes what is there. False when no more will come.
    fn gather(&mut self) -> bool {
        let first = if self.unkept.is_empty() && !self.is_full {
            self.entries
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.entries.recv_timeout(RETRY_EVERY)
        };
        let mut next = match first {
            Ok(entry) => Some(entry),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        let until = (!self.hold_back.is_zero()).then(|| Instant::now() + self.hold_back);
        while let Some(entry) = next {
            self.take(entry);
            if self.unkept.len() >= GROUP_CHANGES_MAX {
                break;
            }
            next = self.entries.try_recv().ok().or_else(|| {
                let left = until?.saturating_duration_since(Instant::now());
                self.entries.recv_timeout(left).ok()
            });
        }
        true
    }

    /// Takes all that is there, however much.
    pub(super) fn gather_rest(&mut self) {
        while let Ok(entry) = self.entries.try_recv() {
            self.take(entry);
        }
    }

    fn take(&mut self, entry: Entry) {
        let start = self.unkept.len();
        self.unkept.extend(entry.changes);
        self.unkept_entries += 1;
        let changes = start..self.unkept.len();
        let waiter = entry.waiter.map(|answer| Waiter { answer, changes });
        self.waiters.extend(waiter);
    }

    fn commit(&mut self) -> bool {
        let began = Instant::now();
        let is_kept = self.unkept.is_empty()
            || match self.store.commit(&self.unkept) {
                Ok(()) => true,
                Err(error) => error.is_full() && self.commit_without_sends(),
            };
        if is_kept {
            self.unkept.clear();
            let entries = std::mem::take(&mut self.unkept_entries);
            let took = began.elapsed();
            self.hold_back = match entries {
                2.. if took > SLOW => took / COMPANY,
                CROWD.. => CROWD_HOLD,
                _ => Duration::ZERO,
            };
            self.progress.durable.fetch_add(entries, Ordering::AcqRel);
            self.look_for_room();
        }
        self.progress.is_failing.store(!is_kept, Ordering::Release);
        is_kept
    }
}
