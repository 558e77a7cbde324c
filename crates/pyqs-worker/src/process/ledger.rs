//! What has started and what has finished, in memory that the manager and its task processes share.
//!
//! Each task process has one slot for each task that it can run at once, which is a lane. It writes there
//! before and after each task, which costs no system call, so that results can be sent in batches and yet a crash neither re-runs a finished task nor
//! charges one that had not begun. The manager takes tasks back through the same word by which
//! the process begins them, so that each is either begun or taken back, never both.
//!
//! Tasks of one slot are numbered by [`Sequence`], from 1, in the order in which they were sent; they begin
//! and end in that order. Beside, a slot says when its present task is to be killed, if it is, and what becomes of
//! its message if it ends with its process.
//!
//! The supervisor makes a ledger before it forks its first manager, and a [successor](Ledger::successor) for each
//! manager after it: task processes of an earlier one may still write to theirs, and the successor knows of these. What
//! all ledgers of a supervisor have in common are the messages that have succeeded.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::adoption::LeftRunning;
use super::claim::Claims;
use super::job::Job;
use super::outcome::{AfterDeath, TaskOutcome, pack_outcome, unpack_outcome};
use super::shared::SharedWords;
use super::successes::Successes;

/// A task's number among those sent to one lane; the first is 1, 0 stands for none.
pub type Sequence = u32;

/// How many outcomes a slot remembers: those of the last this many sequences.
pub const OUTCOMES_KEPT: usize = 64;

/// The ledgers of so many earlier managers are kept for what may still run by them.
const PREDECESSORS_MAX: usize = 8;

/// The shared memory. Cheap to clone; inherited through fork.
#[derive(Clone, Debug)]
pub struct Ledger {
    slots: Arc<SharedWords>,
    /// What each slot's present task runs for.
    claims: Claims,
    successes: Successes,
    /// The deliveries of stored bodies whose delete SQS has confirmed, by their receipts: their bodies may go.
    deleted: Successes,
    is_first: bool,
    /// That of the manager before, and those of earlier ones by which something ran; the latest first.
    predecessors: Vec<Ledger>,
}

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last task that was begun.
    pub begun: Sequence,
    /// The last task that ended.
    pub finished: Sequence,
}

/// How long a task may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Its time limit.
    pub(crate) length: Duration,
    /// When its process is killed, in nanoseconds of the machine's lease clock; above zero.
    pub(crate) kill_at_nanos: u64,
}

impl Ledger {
    /// Maps a ledger of this many slots, all empty.
    pub fn new(slots: u32) -> io::Result<Self> {
        if slots == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a ledger needs a slot",
            ));
        }
        Ok(Self {
            slots: Arc::new(SharedWords::new(SLOT_WORDS * slots as usize)?),
            claims: Claims::new(slots)?,
            successes: Successes::new()?,
            deleted: Successes::new()?,
            is_first: true,
            predecessors: Vec::new(),
        })
    }

    /// The ledger of the next manager: as many slots, all empty, and the same successes.
    pub fn successor(&self) -> io::Result<Self> {
        let earlier = self.predecessors.iter();
        let earlier = earlier.filter(|ledger| ledger.running().next().is_some());
        let mut predecessors = vec![Self {
            predecessors: Vec::new(),
            ..self.clone()
        }];
        predecessors.extend(earlier.take(PREDECESSORS_MAX - 1).cloned());
        Ok(Self {
            slots: Arc::new(SharedWords::new(self.slots.words().len())?),
            claims: Claims::new(self.slots())?,
            successes: self.successes.clone(),
            deleted: self.deleted.clone(),
            is_first: false,
            predecessors,
        })
    }

    /// What may still run by the ledgers of earlier managers.
    pub(crate) fn left_running(&self) -> Vec<LeftRunning> {
        let ledgers = self.predecessors.iter();
        ledgers.flat_map(Self::running).collect()
    }

    /// What was begun and has not ended, as far as its process has left word.
    fn running(&self) -> impl Iterator<Item = LeftRunning> + '_ {
        (0..self.slots()).filter_map(|slot| {
            let Progress { begun, finished } = self.progress(slot);
            if begun <= finished {
                return None;
            }
            let claim = self.claims.read(slot)?;
            // The same task before and after: the claim between is its own.
            let is_its_own = claim.sequence == begun && self.progress(slot).begun == begun;
            is_its_own.then(|| LeftRunning {
                claim,
                ledger: self.clone(),
                slot,
            })
        })
    }

    /// The process is about to begin this.
    pub(super) fn claim(&self, slot: u32, job: &Job) {
        self.claims.write(slot, job);
    }

    /// Whether no manager came before this one's.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }

    /// The messages that have succeeded, under whichever manager.
    pub(crate) fn successes(&self) -> &Successes {
        &self.successes
    }

    /// The deliveries of stored bodies whose delete was confirmed, under whichever manager, by their receipts.
    pub(crate) fn deleted(&self) -> &Successes {
        &self.deleted
    }

    /// Slots needed for so many task processes of so many lanes: beside each process its spare, and some that are
    /// leaving.
    pub fn slots_for(concurrency: u32, lanes: u32) -> u32 {
        let processes = concurrency.max(1).saturating_mul(3).saturating_add(4);
        processes.saturating_mul(lanes.max(1))
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.slots.words().len() / SLOT_WORDS).expect("`new` was given a u32")
    }

    /// Empties a slot for a new process. The manager calls it before that process is forked.
    pub(crate) fn reset(&self, slot: u32) {
        self.claims.clear(slot);
        let slot = self.slot(slot);
        slot.finished.store(0, Ordering::Relaxed);
        slot.kill_at.store(0, Ordering::Relaxed);
        slot.lease_lost.store(0, Ordering::Relaxed);
        slot.after_death.store(0, Ordering::Relaxed);
        slot.cursor.store(0, Ordering::Release);
    }

    /// The process begins a task. `false`: the manager has taken it back; it must not run.
    pub(crate) fn begin(&self, slot: u32, sequence: Sequence) -> bool {
        let slot = self.slot(slot);
        // Before the cursor moves: who sees the new task must not see what was said of the one before.
        slot.kill_at.store(0, Ordering::Release);
        slot.after_death.store(0, Ordering::Release);
        slot.cursor
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let cursor = Cursor::unpack(word);
                (sequence > cursor.revoked_upto).then(|| {
                    Cursor {
                        begun: sequence,
                        ..cursor
                    }
                    .pack()
                })
            })
            .is_ok()
    }

    /// The process says how long the task that it has begun may run.
    pub(crate) fn limit(&self, slot: u32, limit: Limit) {
        let slot = self.slot(slot);
        let nanos = u64::try_from(limit.length.as_nanos()).unwrap_or(u64::MAX);
        slot.limit.store(nanos, Ordering::Relaxed);
        slot.kill_at.store(limit.kill_at_nanos, Ordering::Release);
    }

    /// The process says what becomes of the task that it has begun if it dies meanwhile.
    pub(crate) fn foresee(&self, slot: u32, after_death: &AfterDeath) {
        let slot = self.slot(slot);
        let outcome = match after_death {
            // No queue has such a name, so its message could go nowhere.
            AfterDeath::DeadLetter { queue } if queue.len() > QUEUE_NAME_BYTES_MAX => {
                TaskOutcome::Exhausted
            }
            AfterDeath::DeadLetter { queue } => {
                for (place, word) in slot.queue.iter().enumerate() {
                    let rest = queue.as_bytes().iter().skip(place * WORD_BYTES);
                    let mut bytes = [0; WORD_BYTES];
                    bytes
                        .iter_mut()
                        .zip(rest)
                        .for_each(|(to, from)| *to = *from);
                    word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
                }
                TaskOutcome::DeadLetter
            }
            other => other.outcome(),
        };
        let (code, delay_secs) = pack_outcome(outcome);
        let word = u64::from(delay_secs) << 8 | code;
        slot.after_death.store(word, Ordering::Release);
    }

    /// What becomes of the last task that the process had begun, if that has not ended.
    pub(crate) fn after_death(&self, slot: u32) -> AfterDeath {
        let slot = self.slot(slot);
        let word = slot.after_death.load(Ordering::Acquire);
        match unpack_outcome(word & 0xff, low_half(word >> 8)) {
            Some(TaskOutcome::Retry { delay_secs }) => AfterDeath::Retry { delay_secs },
            Some(TaskOutcome::Exhausted) => AfterDeath::Exhausted,
            Some(TaskOutcome::DeadLetter) => {
                let words = slot.queue.iter().map(|word| word.load(Ordering::Relaxed));
                let bytes = words.flat_map(u64::to_le_bytes);
                let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
                let queue = String::from_utf8_lossy(&bytes).into_owned();
                AfterDeath::DeadLetter { queue }
            }
            _ => AfterDeath::Failed,
        }
    }

    /// The task that runs, if it has a limit.
    pub(crate) fn limited(&self, slot: u32) -> Option<(Sequence, Limit)> {
        let before = self.progress(slot);
        let words = self.slot(slot);
        let kill_at_nanos = words.kill_at.load(Ordering::Acquire);
        if kill_at_nanos == 0 || before.finished >= before.begun {
            return None;
        }
        let length = Duration::from_nanos(words.limit.load(Ordering::Relaxed));
        // The same task before and after: the limit between is its own.
        let is_its_own = self.progress(slot) == before;
        let limit = Limit {
            length,
            kill_at_nanos,
        };
        is_its_own.then_some((before.begun, limit))
    }

    /// The manager says that the lease of a task could not be kept.
    pub(crate) fn lose_lease(&self, slot: u32, sequence: Sequence) {
        let lease_lost = self.slot(slot).lease_lost;
        lease_lost.store(sequence.into(), Ordering::Release);
    }

    /// Whether the manager has said so of this task.
    pub(crate) fn is_lease_lost(&self, slot: u32, sequence: Sequence) -> bool {
        self.slot(slot).lease_lost.load(Ordering::Acquire) == u64::from(sequence)
    }

    /// The process has ended a task that it had begun.
    pub(crate) fn finish(
        &self,
        slot: u32,
        sequence: Sequence,
        outcome: TaskOutcome,
        took: Duration,
    ) {
        let slot = self.slot(slot);
        let place = 2 * ring_index(sequence);
        let (ended, delay) = pack_ended(outcome, took);
        slot.outcomes[place].store(ended, Ordering::Release);
        slot.outcomes[place + 1].store(delay, Ordering::Release);
        slot.finished.store(sequence.into(), Ordering::Release);
    }

    /// The manager takes back all tasks up to `upto` that were not begun; the answer is the last
    /// one that was.
    pub(crate) fn revoke(&self, slot: u32, upto: Sequence) -> Sequence {
        let cursor = &self.slot(slot).cursor;
        let revoked = cursor.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let cursor = Cursor::unpack(word);
            Some(
                Cursor {
                    revoked_upto: cursor.revoked_upto.max(upto),
                    ..cursor
                }
                .pack(),
            )
        });
        match revoked {
            Ok(word) | Err(word) => Cursor::unpack(word).begun,
        }
    }

    /// How far the process has come.
    pub(crate) fn progress(&self, slot: u32) -> Progress {
        let slot = self.slot(slot);
        // `finished` first: read the other way round, a task could seem to have ended unbegun.
        let finished = low_half(slot.finished.load(Ordering::Acquire));
        let begun = Cursor::unpack(slot.cursor.load(Ordering::Acquire)).begun;
        Progress { begun, finished }
    }

    /// How a task ended, given that [`Progress::finished`] has reached it and that it is one of the last
    /// [`OUTCOMES_KEPT`]. `None` for what no process of ours can have written.
    pub(crate) fn ended(&self, slot: u32, sequence: Sequence) -> Option<(TaskOutcome, Duration)> {
        let place = 2 * ring_index(sequence);
        let word = |place: usize| self.slot(slot).outcomes[place].load(Ordering::Acquire);
        unpack_ended(word(place), word(place + 1))
    }
}

/// A cursor, the last that finished, two of the time limit, the lost lease, what follows a death, with a queue's name,
/// and the outcomes; filled up so that two processes never write to the same cache line.
const SLOT_WORDS: usize = (WORDS_BEFORE_OUTCOMES + 2 * OUTCOMES_KEPT).next_multiple_of(16);
const WORDS_BEFORE_OUTCOMES: usize = 6 + QUEUE_NAME_BYTES_MAX / WORD_BYTES;

/// The longest name of a queue (AWS: `CreateQueue`).
const QUEUE_NAME_BYTES_MAX: usize = 80;
const WORD_BYTES: usize = size_of::<u64>();

/// One lane's part.
struct Slot<'a> {
    /// A packed [`Cursor`]: one word, so that "begin" and "take back" can't both succeed.
    cursor: &'a AtomicU64,
    finished: &'a AtomicU64,
    /// When the process of the present task is killed, by [`Limit`]; 0 is never.
    kill_at: &'a AtomicU64,
    /// The present task's limit in nanoseconds; it means nothing where `kill_at` is 0.
    limit: &'a AtomicU64,
    /// The last task whose lease could not be kept while it ran.
    lease_lost: &'a AtomicU64,
    /// What becomes of the present task if its process dies: an outcome's code, and from the ninth bit on its delay.
    after_death: &'a AtomicU64,
    /// The dead-letter queue's name where `after_death` wants one, filled up with zeros.
    queue: &'a [AtomicU64],
    /// Each as [`pack_ended`] makes it, in two words.
    outcomes: &'a [AtomicU64],
}

impl Ledger {
    fn slot(&self, slot: u32) -> Slot<'_> {
        let start = slot as usize * SLOT_WORDS;
        let words = &self.slots.words()[start..start + WORDS_BEFORE_OUTCOMES + 2 * OUTCOMES_KEPT];
        let (before, outcomes) = words.split_at(WORDS_BEFORE_OUTCOMES);
        match before {
            [
                cursor,
                finished,
                kill_at,
                limit,
                lease_lost,
                after_death,
                queue @ ..,
            ] => Slot {
                cursor,
                finished,
                kill_at,
                limit,
                lease_lost,
                after_death,
                queue,
                outcomes,
            },
            _ => unreachable!("there are more words than are named"),
        }
    }
}

#[derive(Clone, Copy)]
struct Cursor {
    begun: Sequence,
    revoked_upto: Sequence,
}

impl Cursor {
    fn pack(self) -> u64 {
        u64::from(self.begun) << 32 | u64::from(self.revoked_upto)
    }

    fn unpack(word: u64) -> Self {
        Self {
            begun: low_half(word >> 32),
            revoked_upto: low_half(word),
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // The lower half is meant.
fn low_half(word: u64) -> u32 {
    word as u32
}

fn ring_index(sequence: Sequence) -> usize {
    sequence as usize % OUTCOMES_KEPT
}

/// The outcome with its duration, and the delay where it has one.
fn pack_ended(outcome: TaskOutcome, took: Duration) -> (u64, u64) {
    // 56 bits of nanoseconds are two years.
    let nanos = u64::try_from(took.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX >> 8);
    let (code, delay_secs) = pack_outcome(outcome);
    (nanos << 8 | code, delay_secs.into())
}

fn unpack_ended(ended: u64, delay: u64) -> Option<(TaskOutcome, Duration)> {
    let outcome = unpack_outcome(ended & 0xff, low_half(delay))?;
    Some((outcome, Duration::from_nanos(ended >> 8)))
}

#[cfg(test)]
mod tests;
