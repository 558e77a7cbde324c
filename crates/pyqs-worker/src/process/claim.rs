//! What a task process says of the messages whose task it begins, so that another manager can take them on.
//!
//! A task may run on when its manager dies. Nobody else knows its messages' receipts then, without which their leases
//! would end, and the messages be delivered again while the task runs. So a process leaves them in shared memory before
//! it begins a task, and the next manager reads them there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::ledger::Sequence;
use super::shared::SharedWords;

/// All slots together have about this much; it is taken from the system as it is first used.
const BYTES_FOR_ALL: usize = 16 << 20;
/// One has at most this: a thousand messages, with SQS's receipts of some 400 characters.
const SLOT_BYTES_MAX: usize = 512 << 10;
/// And at least this, as many as ten of them have.
const SLOT_BYTES_MIN: usize = 4 << 10;

const WORD_BYTES: usize = size_of::<u64>();

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// Of the process that runs it.
    pub(crate) pid: u32,
    pub(crate) sequence: Sequence,
    pub(crate) queue_url: String,
    /// Its name, or the handler's; empty where its message's body is stored elsewhere.
    pub(crate) task: String,
    /// What it runs for, in their order; never none.
    pub(crate) messages: Vec<ClaimedMessage>,
}

/// A message whose task runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClaimedMessage {
    /// The logical one.
    pub(crate) id: String,
    pub(crate) receipt: String,
    /// Where that orders.
    pub(crate) group: Option<String>,
    pub(crate) receive_count: u32,
    /// Seconds since 1970.
    pub(crate) fetch_time: f64,
}

/// The same as it is written, once for each task: nothing is copied.
#[derive(Serialize)]
struct Written<'a> {
    pid: u32,
    sequence: Sequence,
    queue_url: &'a str,
    task: &'a str,
    messages: Vec<WrittenMessage<'a>>,
}

#[derive(Serialize)]
struct WrittenMessage<'a> {
    id: &'a str,
    receipt: &'a str,
    group: Option<&'a str>,
    receive_count: u32,
    fetch_time: f64,
}

impl<'a> Written<'a> {
    /// Of the job's messages as many as surely fit.
    fn of(job: &'a Job, bytes_max: usize) -> Self {
        let mut bytes = NUMBERS_BYTES + job.queue_url.len() + job.task.len();
        let messages = std::iter::once(job).chain(&job.others);
        let messages = messages.map(|job| WrittenMessage {
            id: &job.message_id,
            receipt: &job.receipt,
            group: job.group.as_deref(),
            receive_count: job.receive_count,
            fetch_time: job.fetch_time,
        });
        let fitting = messages.take_while(|message| {
            let texts = message.id.len() + message.receipt.len();
            bytes += NUMBERS_BYTES + texts + message.group.map_or(0, str::len);
            bytes <= bytes_max
        });
        Self {
            pid: std::process::id(),
            sequence: job.sequence,
            queue_url: &job.queue_url,
            task: &job.task,
            messages: fitting.collect(),
        }
    }
}

/// More than all lengths and numbers of a message, or of what is beside the messages, take.
const NUMBERS_BYTES: usize = 40;

/// The shared memory, a part of it for each slot of a ledger. Cheap to clone; inherited through fork.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    words: Arc<SharedWords>,
    words_each: usize,
}

impl Claims {
    /// For so many slots, all empty.
    pub(super) fn new(slots: u32) -> io::Result<Self> {
        let slots = slots as usize;
        let bytes_each = (BYTES_FOR_ALL / slots).clamp(SLOT_BYTES_MIN, SLOT_BYTES_MAX);
        let words_each = bytes_each / WORD_BYTES;
        Ok(Self {
            words: Arc::new(SharedWords::new(words_each * slots)?),
            words_each,
        })
    }

    /// The process is about to begin this. Of a run of so many messages that they do not fit, the last ones are not
    /// left: if its manager dies while it runs, they are delivered again after their visibility timeout.
    pub(super) fn write(&self, slot: u32, job: &Job) {
        let (length, words) = self.slot(slot);
        let claim = Written::of(job, words.len() * WORD_BYTES);
        if claim.messages.is_empty() {
            return length.store(0, Ordering::Release);
        }
        let bytes = postcard::to_allocvec(&claim).expect("strings and numbers always encode");
        for (word, bytes) in words.iter().zip(bytes.chunks(WORD_BYTES)) {
            let mut padded = [0; WORD_BYTES];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        length.store(bytes.len() as u64, Ordering::Release);
    }

    /// What was left there last.
    pub(super) fn read(&self, slot: u32) -> Option<Claim> {
        let (length, words) = self.slot(slot);
        let length = usize::try_from(length.load(Ordering::Acquire)).ok()?;
        let words = words.iter().take(length.div_ceil(WORD_BYTES));
        let bytes = words.flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        let bytes: Vec<u8> = bytes.take(length).collect();
        postcard::from_bytes(&bytes).ok()
    }

    /// Nothing is left there any more.
    pub(super) fn clear(&self, slot: u32) {
        self.slot(slot).0.store(0, Ordering::Release);
    }

    /// The length in bytes, and the bytes.
    fn slot(&self, slot: u32) -> (&AtomicU64, &[AtomicU64]) {
        let start = slot as usize * self.words_each;
        let words = &self.words.words()[start..start + self.words_each];
        words
            .split_first()
            .expect("SLOT_BYTES_MIN is more than a word")
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, SLOT_BYTES_MIN};
    use crate::process::job::Job;
    use crate::process::ledger::Ledger;

    fn job(receipt_length: usize, others: usize) -> Job {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/email";
        let one = |number: usize| Job {
            receipt: "r".repeat(receipt_length),
            task: "email.tasks.send".to_owned(),
            sequence: 3,
            group: number.is_multiple_of(2).then(|| "g".to_owned()),
            fetch_time: 1.7e9,
            receive_count: u32::MAX,
            ..Job::for_tests(&format!("5fea7756-0ea4-451a-a703-{number:012}"), url, "{}")
        };
        Job {
            others: (1..=others).map(one).collect(),
            ..one(0)
        }
    }

    #[test]
    fn what_was_left_is_read_in_its_slot() {
        let claims = Claims::new(2).unwrap();
        for length in [0, 1, 7, 8, 9, 400, 1024] {
            let job = job(length, 2);
            claims.write(1, &job);
            let read = claims.read(1).unwrap();
            assert_eq!((read.pid, read.sequence), (std::process::id(), 3));
            assert_eq!(
                (read.queue_url, read.task),
                (job.queue_url.clone(), job.task.clone())
            );
            for (message, job) in read
                .messages
                .iter()
                .zip(std::iter::once(&job).chain(&job.others))
            {
                assert_eq!(
                    (&message.id, &message.receipt),
                    (&job.message_id, &job.receipt)
                );
                assert_eq!(message.group, job.group);
                assert_eq!(message.receive_count, u32::MAX);
            }
            assert_eq!(read.messages.len(), 3);
        }
        assert_eq!(claims.read(0), None, "slots are apart");
        claims.clear(1);
        assert_eq!(claims.read(1), None);
    }

    #[test]
    fn a_thousand_messages_fit_unless_there_are_very_many_slots() {
        let run = job(400, 999);
        let claims = Claims::new(Ledger::slots_for(10, 1)).unwrap();
        claims.write(33, &run);
        assert_eq!(claims.read(33).unwrap().messages.len(), 1000);

        let claims = Claims::new(10_000).unwrap();
        claims.write(9_999, &run);
        let fit = claims.read(9_999).unwrap().messages.len();
        assert!((8..10).contains(&fit), "{fit}");
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_nothing() {
        let claims = Claims::new(10_000).unwrap();
        claims.write(0, &job(1, 0));
        claims.write(0, &job(SLOT_BYTES_MIN, 0));
        assert_eq!(claims.read(0), None);
    }
}
