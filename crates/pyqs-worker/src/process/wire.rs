//! What goes over the socket between the manager and a task process.
//!
//! A frame is four bytes of length, little endian, and that many bytes of postcard. Both ends are of
//! one build and one machine, so the format carries no version.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use pyqs_formats::Head;
use pyqs_sqs::AttributeValue;
use serde::de::Deserialize;
use serde::{Deserialize as DeserializeDerive, Serialize};

use super::job::SystemAttributes;
use super::ledger::Sequence;
use super::outcome::{AfterDeath, TaskOutcome};
use super::successes::Mark;

/// The largest frame: ten messages of SQS's 1 MiB each, and their receipts and URLs.
pub const FRAME_BYTES_MAX: usize = 12 * 1024 * 1024;

/// The most bytes of jobs in one frame, and so the largest job; a message above it is poison.
pub const JOBS_BYTES_MAX: usize = 11 * 1024 * 1024;

/// Frames from the manager to a task process.
#[derive(Debug, PartialEq, Serialize, DeserializeDerive)]
pub(crate) enum ToProcess<'a> {
    /// Run these, those of each lane in this order.
    #[serde(borrow)]
    Jobs(Vec<JobFrame<'a>>),
    /// Leave once all that was sent has ended.
    Leave,
}

/// One task on its way; [`super::job::Job`] is what arrives.
#[derive(Clone, Debug, PartialEq, Serialize, DeserializeDerive)]
pub(crate) struct JobFrame<'a> {
    /// Which of the process's lanes is to run it.
    pub(crate) lane: u32,
    pub(crate) sequence: Sequence,
    pub(crate) message_id: &'a str,
    pub(crate) receipt: &'a str,
    pub(crate) queue_url: &'a str,
    pub(crate) task: &'a str,
    pub(crate) body: &'a str,
    /// Seconds since 1970.
    pub(crate) fetch_time: f64,
    pub(crate) visibility_secs: u32,
    pub(crate) receive_count: u32,
    /// Which run of it this is, 1 for the first.
    pub(crate) attempt: u32,
    pub(crate) lease_until_nanos: u64,
    /// By which its success is remembered.
    pub(crate) mark: Mark,
    /// How long it may run, where the message says so.
    pub(crate) limits: TimeLimits,
    /// How often it was retried before this message was sent, as Celery's say.
    pub(crate) retries_before: u32,
    /// The message's own attributes.
    #[serde(borrow)]
    pub(crate) attributes: Vec<AttributeFrame<'a>>,
    /// Its queue has a handler for whatever comes; of others it is not known.
    pub(crate) system: Option<SystemAttributes>,
    /// So many of the jobs that follow are run with it. Those have its sequence.
    pub(crate) behind: u32,
    /// Of one that is run with others: its message group, where that orders.
    pub(crate) group: Option<&'a str>,
}

/// One of a message's attributes.
#[derive(Clone, Debug, PartialEq, Serialize, DeserializeDerive)]
pub(crate) struct AttributeFrame<'a> {
    pub(crate) name: &'a str,
    pub(crate) data_type: &'a str,
    pub(crate) value: &'a [u8],
}

impl<'a> AttributeFrame<'a> {
    /// All of them.
    pub(crate) fn all(attributes: &'a BTreeMap<String, AttributeValue>) -> Vec<Self> {
        let frames = attributes.iter().map(|(name, value)| match value {
            AttributeValue::Text { data_type, value } => Self {
                name,
                data_type,
                value: value.as_bytes(),
            },
            AttributeValue::Binary { data_type, value } => Self {
                name,
                data_type,
                value,
            },
        });
        frames.collect()
    }

    /// By its name.
    pub(crate) fn into_attribute(self) -> (String, AttributeValue) {
        let data_type = self.data_type.to_owned();
        let value = match str::from_utf8(self.value) {
            Ok(text) if !data_type.starts_with("Binary") => AttributeValue::Text {
                data_type,
                value: text.to_owned(),
            },
            _ => AttributeValue::Binary {
                data_type,
                value: self.value.to_vec(),
            },
        };
        (self.name.to_owned(), value)
    }

    fn size(&self) -> usize {
        // Three lengths beside.
        self.name.len() + self.data_type.len() + self.value.len() + 30
    }
}

/// Time limits; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct TimeLimits {
    /// After this long the task is ended by force.
    pub hard: Option<Duration>,
    /// After this long an exception is raised in it.
    pub soft: Option<Duration>,
}

impl TimeLimits {
    /// Those that a message asks for.
    pub fn of(head: &Head) -> Self {
        Self {
            hard: positive(head.time_limit.hard_secs),
            soft: positive(head.time_limit.soft_secs),
        }
    }
}

/// A limit that makes sense; others are none.
fn positive(secs: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(secs?)
        .ok()
        .filter(|limit| !limit.is_zero())
}

impl JobFrame<'_> {
    /// Bytes that it takes in a frame, at most.
    pub(crate) fn size(&self) -> usize {
        let strings = self.message_id.len()
            + self.receipt.len()
            + self.queue_url.len()
            + self.task.len()
            + self.body.len();
        let attributes: usize = self.attributes.iter().map(AttributeFrame::size).sum();
        let system = self.system.as_ref().map_or(0, SystemAttributes::size);
        let group = self.group.map_or(0, str::len);
        // Seven lengths and twenty numbers, each at most 10 bytes as a varint.
        strings + attributes + system + group + 270
    }
}

/// Frames from a task process to the manager.
#[derive(Debug, PartialEq, Serialize, DeserializeDerive)]
pub(crate) enum FromProcess {
    /// The process is up and wants tasks.
    Ready,
    /// It can't start, and ends; the line says why.
    CantStart(String),
    /// The message of a lane's running task is to go to a dead-letter queue: said before the ledger has
    /// its outcome.
    DeadLetter(u32, Sequence, DeadLetter),
    /// These messages are to be sent after a lane's running task, and its own may be to go to a dead-letter
    /// queue: said before the ledger has its outcome.
    Callbacks(u32, Sequence, Vec<Callback>, Option<DeadLetter>),
    /// What becomes of each message of a lane's running task, in their order: said before the ledger has the
    /// outcome.
    Each(u32, Sequence, Vec<MessageEnd>),
    /// What becomes of each message of a lane's running task if this process dies.
    EachAfterDeath(u32, Sequence, Vec<AfterDeath>),
    /// To be logged as a warning, but not more than once.
    WarnOnce(String),
    /// What it has found in the modules that it has imported.
    Declares(Vec<Declaration>),
    /// These have ended, post hooks included.
    Results(Vec<TaskResult>),
}

/// What the manager must know of a task before it can give out its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct Declaration {
    /// The name of the task, or of the handler.
    pub name: String,
    /// It is a handler: it takes all messages of this queue, whatever they are.
    pub queue: Option<String>,
    /// It is run for several messages at once.
    pub batch: Option<Batch>,
    /// So many of it run at once, in one worker.
    pub max_concurrency: Option<u32>,
    /// So many of it start in so long, in one worker.
    pub rate: Option<(u32, Duration)>,
}

/// How many messages a task is run for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct Batch {
    /// At most.
    pub max: u32,
    /// After a message has waited so long for others, it is run with fewer.
    pub wait: Duration,
}

/// What becomes of one message of several that were run together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct MessageEnd {
    /// How its part of the task ended; not [`TaskOutcome::Each`].
    pub outcome: TaskOutcome,
    /// Where it is to go, with [`TaskOutcome::DeadLetter`].
    pub letter: Option<DeadLetter>,
}

/// Where a message that failed for good is to go, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct DeadLetter {
    /// The queue's name.
    pub queue: String,
    /// For people, and for who reads the message there.
    pub reason: String,
}

/// A message that is to be sent after a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct Callback {
    /// SQS's name of its queue.
    pub queue: String,
    /// The whole body.
    pub body: String,
    /// Its logical id: the same when it is sent again.
    pub id: String,
    /// Its message group, where the sender wants one.
    pub group: Option<String>,
    /// When its task is due, if that is said; the body says so too.
    pub due_unix_millis: Option<i64>,
}

/// How one task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, DeserializeDerive)]
pub(crate) struct TaskResult {
    pub(crate) lane: u32,
    pub(crate) sequence: Sequence,
    pub(crate) outcome: TaskOutcome,
    pub(crate) took_nanos: u64,
}

/// Appends a frame to `out`.
pub(crate) fn encode(frame: &impl Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    let taken = std::mem::take(out);
    *out = postcard::to_extend(frame, taken).expect("strings and numbers always encode");
    let length = out.len() - start - LENGTH_BYTES;
    let length = u32::try_from(length).expect("callers keep frames below FRAME_BYTES_MAX");
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends jobs to `out`, in as many frames as their sizes need.
pub(crate) fn encode_jobs<'a>(jobs: impl IntoIterator<Item = JobFrame<'a>>, out: &mut Vec<u8>) {
    let mut frame = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        let size = job.size();
        if bytes + size > JOBS_BYTES_MAX && !frame.is_empty() {
            encode(&ToProcess::Jobs(std::mem::take(&mut frame)), out);
            bytes = 0;
        }
        bytes += size;
        frame.push(job);
    }
    if !frame.is_empty() {
        encode(&ToProcess::Jobs(frame), out);
    }
}

/// Bytes as they came from a socket, cut into frames.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    /// Everything before is used up.
    start: usize,
}

impl FrameBuffer {
    /// Takes in what was read.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= COMPACT_AT {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives back memory beyond what frames usually need, once nothing is left in it.
    pub(crate) fn shrink(&mut self) {
        if self.start == self.bytes.len() && self.bytes.capacity() > COMPACT_AT {
            *self = Self::default();
        }
    }

    /// The next whole frame; `None` when more must be read first. What is no frame of ours is an
    /// error, after which the stream can't be used any more.
    pub(crate) fn next<'a, T: Deserialize<'a>>(&'a mut self) -> io::Result<Option<T>> {
        let rest = &self.bytes[self.start..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(invalid("a frame is longer than FRAME_BYTES_MAX"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + LENGTH_BYTES;
        self.start = from + length;
        postcard::from_bytes(&self.bytes[from..from + length])
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

const LENGTH_BYTES: usize = 4;
const COMPACT_AT: usize = 64 * 1024;

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::{
        AttributeFrame, FRAME_BYTES_MAX, FrameBuffer, FromProcess, JOBS_BYTES_MAX, JobFrame,
        TaskResult, TimeLimits, ToProcess, encode, encode_jobs, positive,
    };
    use crate::process::outcome::TaskOutcome;
    use crate::process::successes::Mark;
    use std::time::Duration;

    fn job(sequence: u32, body: &str) -> JobFrame<'_> {
        JobFrame {
            lane: 0,
            sequence,
            message_id: "id",
            receipt: "receipt",
            queue_url: "http://127.0.0.1/000000000000/email",
            task: "mail.send",
            body,
            fetch_time: 1.5,
            visibility_secs: 30,
            receive_count: 1,
            attempt: 1,
            lease_until_nanos: u64::MAX,
            mark: Mark::of("id"),
            limits: TimeLimits::default(),
            retries_before: 0,
            attributes: vec![AttributeFrame {
                name: "trace",
                data_type: "Binary",
                value: &[0xff],
            }],
            system: None,
            behind: 0,
            group: None,
        }
    }

    #[test]
    fn frames_survive_any_cut() {
        let mut bytes = Vec::new();
        encode_jobs([job(1, "{}"), job(2, "ä")], &mut bytes);
        encode(&ToProcess::Leave, &mut bytes);
        for cut in 1..bytes.len() {
            let mut buffer = FrameBuffer::default();
            let mut frames = 0;
            for part in bytes.chunks(cut) {
                buffer.extend(part);
                while let Some(frame) = buffer.next::<ToProcess<'_>>().unwrap() {
                    match frames {
                        0 => {
                            let jobs = vec![job(1, "{}"), job(2, "ä")];
                            assert_eq!(frame, ToProcess::Jobs(jobs));
                        }
                        _ => assert_eq!(frame, ToProcess::Leave),
                    }
                    frames += 1;
                }
            }
            assert_eq!(frames, 2, "cut at {cut}");
        }
    }

    #[test]
    fn results_go_back() {
        let result = TaskResult {
            lane: 3,
            sequence: 7,
            outcome: TaskOutcome::Unrunnable,
            took_nanos: 12,
        };
        let mut bytes = Vec::new();
        encode(&FromProcess::Results(vec![result]), &mut bytes);
        let mut buffer = FrameBuffer::default();
        buffer.extend(&bytes);
        let frame = buffer.next::<FromProcess>().unwrap();
        assert_eq!(frame, Some(FromProcess::Results(vec![result])));
    }

    #[test]
    fn jobs_are_split_so_that_every_frame_keeps_the_limit() {
        let body = "x".repeat(1024 * 1024);
        let mut bytes = Vec::new();
        encode_jobs((1..=25).map(|sequence| job(sequence, &body)), &mut bytes);
        let mut buffer = FrameBuffer::default();
        buffer.extend(&bytes);
        let mut sizes = Vec::new();
        while let Some(frame) = buffer.next::<ToProcess<'_>>().unwrap() {
            let ToProcess::Jobs(jobs) = frame else {
                panic!("only jobs were sent")
            };
            assert!(jobs.iter().map(JobFrame::size).sum::<usize>() <= JOBS_BYTES_MAX);
            sizes.push(jobs.len());
        }
        assert_eq!(sizes, [10, 10, 5]);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let mut buffer = FrameBuffer::default();
        let length = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
        buffer.extend(&length.to_le_bytes());
        assert!(buffer.next::<FromProcess>().is_err());

        let mut buffer = FrameBuffer::default();
        buffer.extend(&[1, 0, 0, 0, 99]);
        assert!(buffer.next::<FromProcess>().is_err());
    }

    #[test]
    fn limits_are_seconds_above_zero() {
        assert_eq!(positive(Some(1.5)), Some(Duration::from_millis(1500)));
        for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(positive(Some(nonsense)), None, "{nonsense}");
        }
    }
}
