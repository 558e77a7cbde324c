//! Which messages have succeeded lately, for whoever manages after a manager's death.
//!
//! A task process writes a message here the moment its task has returned, before it tells its manager. If the manager
//! dies with the delete unconfirmed, SQS delivers the message again, and the next manager deletes it without running
//! it. So does a task that still ran when its manager died: its process ends after it, and leaves its word here.
//!
//! The memory is bounded, as a table of buckets in which the oldest entry gives way. Of the last
//! [`SUCCESSES_KEPT`] messages all but about one in a million are found; each is known by 128 bits of a hash of its id,
//! so that none is taken for another.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::shared::SharedWords;

/// As many of the last successes can be relied upon. A queue with more than
/// [`pyqs_core::limits::UNCONFIRMED_MAX`] of them undeleted receives nothing.
pub(crate) const SUCCESSES_KEPT: usize = 4_000;

const _: () = assert!(SUCCESSES_KEPT >= 4 * pyqs_core::limits::UNCONFIRMED_MAX);

const BUCKETS: usize = 8192;
const ENTRIES: usize = 7;
/// A count and the entries, of two words each, on two cache lines.
const BUCKET_WORDS: usize = 16;

/// A message as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark(u64, u64);

impl Mark {
    /// The mark of the message with this logical id.
    pub(crate) fn of(id: &str) -> Self {
        let half = |key: u8| {
            // Its keys are fixed, so every process of a worker reckons the same.
            let mut hasher = DefaultHasher::new();
            (key, id).hash(&mut hasher);
            hasher.finish()
        };
        Self(half(0), half(1))
    }
}

/// The shared memory. Cheap to clone; inherited through fork.
#[derive(Clone, Debug)]
pub(crate) struct Successes(Arc<SharedWords>);

impl Successes {
    pub(crate) fn new() -> io::Result<Self> {
        let words = BUCKETS * BUCKET_WORDS;
        Ok(Self(Arc::new(SharedWords::new(words)?)))
    }

    /// The message's task has succeeded.
    pub(crate) fn add(&self, mark: Mark) {
        let (count, entries) = self.bucket(mark);
        let place = index(count.fetch_add(1, Ordering::Relaxed), ENTRIES);
        // A reader that sees one half of it sees no mark of any message.
        entries[2 * place].store(mark.0, Ordering::Release);
        entries[2 * place + 1].store(mark.1, Ordering::Release);
    }

    /// Whether its task is known to have succeeded.
    pub(crate) fn contains(&self, mark: Mark) -> bool {
        let (_, entries) = self.bucket(mark);
        entries.chunks_exact(2).any(|entry| {
            entry[0].load(Ordering::Acquire) == mark.0 && entry[1].load(Ordering::Acquire) == mark.1
        })
    }

    fn bucket(&self, mark: Mark) -> (&AtomicU64, &[AtomicU64]) {
        let start = index(mark.0, BUCKETS) * BUCKET_WORDS;
        let words = &self.0.words()[start..=start + 2 * ENTRIES];
        (&words[0], &words[1..])
    }
}

#[allow(clippy::cast_possible_truncation)] // Any part of it serves as well.
fn index(number: u64, count: usize) -> usize {
    number as usize % count
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, ENTRIES, Mark, SUCCESSES_KEPT, Successes};

    fn mark(number: usize) -> Mark {
        Mark::of(&format!("5fea7756-0ea4-451a-a703-{number:012}"))
    }

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        let successes = Successes::new().unwrap();
        assert!(!successes.contains(mark(1)));
        successes.add(mark(1));
        successes.add(mark(1));
        assert!(successes.contains(mark(1)));
        assert!(successes.clone().contains(mark(1)));
        assert!(!successes.contains(mark(2)));
    }

    #[test]
    fn the_last_ones_are_found_however_many_there_were() {
        let successes = Successes::new().unwrap();
        let all = 3 * BUCKETS * ENTRIES;
        for number in 0..all {
            successes.add(mark(number));
            if number % 30_000 == 0 {
                let lost = (number.saturating_sub(SUCCESSES_KEPT)..=number)
                    .filter(|&number| !successes.contains(mark(number)))
                    .count();
                assert_eq!(lost, 0, "of the last before {number}");
            }
        }
        assert!(
            (0..all)
                .filter(|&number| successes.contains(mark(number)))
                .count()
                <= BUCKETS * ENTRIES
        );
    }

    #[test]
    fn processes_may_add_at_the_same_time() {
        let successes = Successes::new().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let successes = successes.clone();
                scope.spawn(move || {
                    for number in 0..500 {
                        successes.add(mark(thread * 1000 + number));
                    }
                });
            }
        });
        for thread in 0..4 {
            assert!((0..500).all(|number| successes.contains(mark(thread * 1000 + number))));
        }
    }
}
