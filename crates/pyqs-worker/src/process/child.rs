//! The task process's end: a blocking channel that brings tasks and takes results away.
//!
//! It starts no threads and needs nothing but a socket and the ledger, so it works in a process that
//! was forked from any other. Every wait ends when a signal comes (`ErrorKind::Interrupted`), so that
//! the caller can run its signal handlers, and asks again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, fstat};

use super::ledger::{Ledger, OUTCOMES_KEPT, Sequence, TaskOutcome};
use super::successes::Mark;
use super::wire::{DeadLetter, FrameBuffer, FromProcess, JobFrame, TaskResult, ToProcess, encode};
use crate::clock;

/// How old a result may become while further tasks are run, before it is sent.
pub const RESULT_AGE_MAX: Duration = Duration::from_millis(2);

/// A task to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// SQS's id of the message.
    pub message_id: String,
    /// SQS's receipt handle of this delivery.
    pub receipt: String,
    /// The queue that it came from.
    pub queue_url: String,
    /// The message as it came; its arguments are decoded by who runs it.
    pub body: String,
    /// The task's name, as the message gives it.
    pub task: String,
    /// When it was received, in seconds since 1970.
    pub fetch_time: f64,
    /// The queue's visibility timeout, in seconds.
    pub timeout: u32,
    /// How often the message was received, this time included.
    pub receive_count: u32,
    /// Which run of it this is, 1 for the first, as far as is known: never too low.
    pub attempt: u32,
    /// When its lease ends unless extended, in nanoseconds of the machine's lease clock.
    pub lease_until_nanos: u64,
    sequence: Sequence,
    mark: Mark,
}

impl From<JobFrame<'_>> for Job {
    fn from(frame: JobFrame<'_>) -> Self {
        Self {
            message_id: frame.message_id.to_owned(),
            receipt: frame.receipt.to_owned(),
            queue_url: frame.queue_url.to_owned(),
            body: frame.body.to_owned(),
            task: frame.task.to_owned(),
            fetch_time: frame.fetch_time,
            timeout: frame.visibility_secs,
            receive_count: frame.receive_count,
            attempt: frame.attempt,
            lease_until_nanos: frame.lease_until_nanos,
            sequence: frame.sequence,
            mark: frame.mark,
        }
    }
}

/// Tasks in, results out.
///
/// The loop of a task process: [`next`](Self::next), run it, [`record`](Self::record) as soon as the
/// function has returned, then the hooks, then [`finish`](Self::finish); again, until `next` gives
/// `None`.
#[derive(Debug)]
pub struct TaskChannel {
    socket: UnixStream,
    /// Which socket that is: a task may close it, and open a file of its own under the same number.
    identity: Identity,
    ledger: Ledger,
    slot: u32,
    /// Bytes from the manager that are no whole frame yet.
    inbox: FrameBuffer,
    /// Received and not begun.
    jobs: VecDeque<Job>,
    running: Option<Running>,
    /// Ended and not sent.
    results: Vec<TaskResult>,
    /// When the first of `results` ended.
    results_since_nanos: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The manager does not know yet that we are up.
    New,
    Working,
    /// The manager wants us to end, or is gone.
    Leaving,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    sequence: Sequence,
    mark: Mark,
    began_nanos: u64,
    result: Option<TaskResult>,
}

impl TaskChannel {
    /// Takes over the socket that leads to the manager, and the slot that it gave this process.
    pub fn open(socket: OwnedFd, ledger: Ledger, slot: u32) -> io::Result<Self> {
        if slot >= ledger.slots() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("slot {slot} of a ledger of {}", ledger.slots()),
            ));
        }
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(false)?;
        Ok(Self {
            identity: Identity::of(&socket)?,
            socket,
            ledger,
            slot,
            inbox: FrameBuffer::default(),
            jobs: VecDeque::new(),
            running: None,
            results: Vec::new(),
            results_since_nanos: 0,
            state: State::New,
        })
    }

    /// Waits for the next task. `None`: this process is to end, because it has run as many tasks as it
    /// may, or because the manager is gone.
    ///
    /// The first call tells the manager that this process is up. A task that was neither
    /// recorded nor finished counts as failed. [`ErrorKind::Interrupted`] says that a signal came: call again.
    #[allow(clippy::should_implement_trait)] // It can fail, and an iterator would end there.
    pub fn next(&mut self) -> io::Result<Option<Job>> {
        match self.wait_for_job() {
            Err(error) if is_gone(&error) => {
                self.manager_is_gone();
                Ok(None)
            }
            other => other,
        }
    }

    /// Tells the manager, instead of asking for a task, why this process can't run any.
    pub fn cannot_start(&mut self, reason: &str) -> io::Result<()> {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        self.send(&FromProcess::CantStart(reason))
    }

    /// Says how the running task ended: at once, in the ledger, so that nothing that happens
    /// afterwards in this process, a crash included, changes it. The first call counts.
    pub fn record(&mut self, outcome: TaskOutcome) {
        let Some(running) = &mut self.running else {
            return;
        };
        if running.result.is_some() {
            return;
        }
        if matches!(outcome, TaskOutcome::Succeeded | TaskOutcome::Discarded) {
            self.ledger.successes().add(running.mark);
        }
        let took = clock::now_nanos().saturating_sub(running.began_nanos);
        self.ledger.finish(
            self.slot,
            running.sequence,
            outcome,
            Duration::from_nanos(took),
        );
        running.result = Some(TaskResult {
            sequence: running.sequence,
            outcome,
            took_nanos: took,
        });
    }

    /// Says that the running task failed for good, and where its message is to go. The manager has that before the
    /// ledger has the outcome, so that neither is known without the other.
    pub fn record_dead_letter(&mut self, letter: DeadLetter) {
        let Some(running) = &self.running else {
            return;
        };
        if running.result.is_some() {
            return;
        }
        let said = self.send(&FromProcess::DeadLetter(running.sequence, letter));
        // A manager that is gone sends nothing; `finish` finds that out.
        self.record(match said {
            Ok(()) => TaskOutcome::DeadLetter,
            Err(_) => TaskOutcome::Failed,
        });
    }

    /// Ends the running task, its hooks included. Its result is sent with others: at once where no
    /// further task is here, else when the oldest has waited for [`RESULT_AGE_MAX`].
    pub fn finish(&mut self) -> io::Result<()> {
        match self.end_running() {
            Err(error) if is_gone(&error) => {
                self.manager_is_gone();
                Ok(())
            }
            other => other,
        }
    }

    /// Nobody would acknowledge what is still here, so none of it is run.
    fn manager_is_gone(&mut self) {
        self.state = State::Leaving;
        self.jobs.clear();
        self.results.clear();
    }

    fn wait_for_job(&mut self) -> io::Result<Option<Job>> {
        self.end_running()?;
        if self.state == State::New {
            self.send(&FromProcess::Ready)?;
            self.state = State::Working;
        }
        loop {
            if let Some(job) = self.begin_job()? {
                return Ok(Some(job));
            }
            self.flush()?;
            if self.state == State::Leaving {
                return Ok(None);
            }
            self.read_frame()?;
        }
    }

    /// Begins the first of the tasks at hand that may be begun.
    fn begin_job(&mut self) -> io::Result<Option<Job>> {
        while let Some(job) = self.jobs.pop_front() {
            self.fail_without_manager()?;
            self.flush_before_the_ring_wraps(job.sequence)?;
            if !self.ledger.begin(self.slot, job.sequence) {
                continue;
            }
            let began_nanos = clock::now_nanos();
            self.running = Some(Running {
                sequence: job.sequence,
                mark: job.mark,
                began_nanos,
                result: None,
            });
            if began_nanos < job.lease_until_nanos {
                return Ok(Some(job));
            }
            self.record(TaskOutcome::NotStarted);
            self.end_running()?;
        }
        Ok(None)
    }

    /// Looks whether the manager's end of the socket is still there: half a microsecond before each task,
    /// which then does not run twice.
    fn fail_without_manager(&self) -> io::Result<()> {
        let mut ends = [PollFd::new(&self.socket, PollFlags::empty())];
        // A poll that fails tells nothing; reads and writes will.
        let _ = rustix::event::poll(&mut ends, Some(&Timespec::default()));
        if ends[0].revents().contains(PollFlags::HUP) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn end_running(&mut self) -> io::Result<()> {
        self.record(TaskOutcome::Failed);
        let Some(result) = self.running.take().and_then(|running| running.result) else {
            return Ok(());
        };
        let now = clock::now_nanos();
        if self.results.is_empty() {
            self.results_since_nanos = now;
        }
        self.results.push(result);
        let age = Duration::from_nanos(now.saturating_sub(self.results_since_nanos));
        if self.jobs.is_empty() || age >= RESULT_AGE_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// The ledger keeps a limited number of outcomes: none may be written over before it was sent.
    fn flush_before_the_ring_wraps(&mut self, sequence: Sequence) -> io::Result<()> {
        match self.results.first() {
            Some(oldest) if (sequence - oldest.sequence) as usize >= OUTCOMES_KEPT => self.flush(),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.results.is_empty() {
            return Ok(());
        }
        let results = std::mem::take(&mut self.results);
        self.send(&FromProcess::Results(results))
    }

    /// Frames to the manager are small and it always reads, so this does not wait noticeably; a frame that
    /// was begun is ended even when a signal comes.
    fn send(&mut self, frame: &FromProcess) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode(frame, &mut bytes);
        self.identity.check(&self.socket)?;
        self.socket.write_all(&bytes)
    }

    /// Takes in the next frame; a wait ends early when a signal comes.
    fn read_frame(&mut self) -> io::Result<()> {
        loop {
            match self.inbox.next::<ToProcess<'_>>()? {
                Some(ToProcess::Jobs(jobs)) => {
                    self.jobs.extend(jobs.into_iter().map(Job::from));
                    self.inbox.shrink();
                    return Ok(());
                }
                Some(ToProcess::Leave) => {
                    self.state = State::Leaving;
                    return Ok(());
                }
                None => {}
            }
            let mut bytes = [0; READ_BYTES];
            self.identity.check(&self.socket)?;
            match self.socket.read(&mut bytes)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.inbox.extend(&bytes[..count]),
            }
        }
    }
}

/// What tells a socket from other open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    is_socket: bool,
    inode: u64,
}

impl Identity {
    fn of(socket: &UnixStream) -> io::Result<Self> {
        let stat = fstat(socket)?;
        Ok(Self {
            is_socket: FileType::from_raw_mode(stat.st_mode).is_socket(),
            inode: stat.st_ino,
        })
    }

    /// An error where the number stands for something else by now: nothing of ours is to be written there.
    fn check(self, socket: &UnixStream) -> io::Result<()> {
        if Self::of(socket)? == self {
            Ok(())
        } else {
            Err(io::Error::other("its number stands for another file now"))
        }
    }
}

const READ_BYTES: usize = 16 * 1024;
const REASON_CHARS_MAX: usize = 1000;

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::TaskChannel;
    use crate::process::ledger::{Ledger, TaskOutcome};
    use crate::process::successes::Mark;
    use crate::process::wire::{
        FrameBuffer, FromProcess, JobFrame, TaskResult, ToProcess, encode, encode_jobs,
    };

    struct Manager {
        socket: UnixStream,
        inbox: FrameBuffer,
        ledger: Ledger,
    }

    fn pair() -> (Manager, TaskChannel) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ledger = Ledger::new(1).unwrap();
        let channel = TaskChannel::open(theirs.into(), ledger.clone(), 0).unwrap();
        let manager = Manager {
            socket: ours,
            inbox: FrameBuffer::default(),
            ledger,
        };
        (manager, channel)
    }

    impl Manager {
        fn send(&mut self, sequences: impl IntoIterator<Item = u32>, lease_until_nanos: u64) {
            let jobs = sequences.into_iter().map(|sequence| JobFrame {
                sequence,
                message_id: "id",
                receipt: "receipt",
                queue_url: "url",
                task: "task",
                body: "{}",
                fetch_time: 0.0,
                visibility_secs: 30,
                receive_count: 1,
                attempt: 1,
                lease_until_nanos,
                mark: Mark::of(&sequence.to_string()),
            });
            let mut bytes = Vec::new();
            encode_jobs(jobs, &mut bytes);
            self.socket.write_all(&bytes).unwrap();
        }

        fn leave(&mut self) {
            let mut bytes = Vec::new();
            encode(&ToProcess::Leave, &mut bytes);
            self.socket.write_all(&bytes).unwrap();
        }

        fn frame(&mut self) -> FromProcess {
            loop {
                if let Some(frame) = self.inbox.next().unwrap() {
                    return frame;
                }
                let mut bytes = [0; 1024];
                let count = self.socket.read(&mut bytes).unwrap();
                assert_ne!(count, 0, "the channel closed");
                self.inbox.extend(&bytes[..count]);
            }
        }

        fn results(&mut self) -> Vec<(u32, TaskOutcome)> {
            match self.frame() {
                FromProcess::Results(results) => results.iter().map(brief).collect(),
                other => panic!("{other:?} is not expected here"),
            }
        }
    }

    fn brief(result: &TaskResult) -> (u32, TaskOutcome) {
        (result.sequence, result.outcome)
    }

    #[test]
    fn tasks_come_in_order_and_results_go_back_together() {
        let (mut manager, mut channel) = pair();
        manager.send([1, 2], u64::MAX);
        manager.leave();
        for _ in 0..2 {
            assert_eq!(channel.next().unwrap().unwrap().task, "task");
            channel.record(TaskOutcome::Succeeded);
            channel.record(TaskOutcome::Failed);
            channel.finish().unwrap();
        }
        assert_eq!(channel.next().unwrap(), None);
        assert_eq!(manager.frame(), FromProcess::Ready);
        let mut results = manager.results();
        if results.len() == 1 {
            // The first task took longer than results may wait.
            results.extend(manager.results());
        }
        let done = TaskOutcome::Succeeded;
        assert_eq!(results, [(1, done), (2, done)]);
    }

    #[test]
    fn a_task_that_was_taken_back_is_passed_over() {
        let (mut manager, mut channel) = pair();
        manager.send([1, 2, 3], u64::MAX);
        assert_eq!(channel.next().unwrap().unwrap().sequence, 1);
        assert_eq!(manager.ledger.revoke(0, 3), 1);
        manager.send([4], u64::MAX);
        channel.record(TaskOutcome::Succeeded);
        channel.finish().unwrap();
        assert_eq!(channel.next().unwrap().unwrap().sequence, 4);
    }

    #[test]
    fn a_lapsed_lease_is_answered_without_running() {
        let (mut manager, mut channel) = pair();
        manager.send([1], 0);
        manager.leave();
        assert_eq!(channel.next().unwrap(), None);
        assert_eq!(manager.frame(), FromProcess::Ready);
        assert_eq!(manager.results(), [(1, TaskOutcome::NotStarted)]);
    }

    #[test]
    fn a_task_left_without_a_word_has_failed() {
        let (mut manager, mut channel) = pair();
        manager.send([1], u64::MAX);
        manager.leave();
        assert!(channel.next().unwrap().is_some());
        assert_eq!(channel.next().unwrap(), None);
        assert_eq!(manager.frame(), FromProcess::Ready);
        assert_eq!(manager.results(), [(1, TaskOutcome::Failed)]);
    }

    #[test]
    fn a_manager_that_is_gone_ends_it() {
        let (mut manager, mut channel) = pair();
        manager.send([1, 2], u64::MAX);
        assert!(channel.next().unwrap().is_some());
        let ledger = manager.ledger.clone();
        drop(manager);
        channel.record(TaskOutcome::Succeeded);
        channel.finish().unwrap();
        assert_eq!(ledger.progress(0).finished, 1);
        assert!(
            ledger.successes().contains(Mark::of("1")),
            "for the next manager"
        );
        // The second task is here already, but nobody would acknowledge it.
        assert_eq!(channel.next().unwrap(), None);
        assert_eq!(ledger.progress(0).begun, 1);
    }

    #[test]
    fn a_frame_that_is_none_is_an_error_not_a_panic() {
        let (mut manager, mut channel) = pair();
        manager.socket.write_all(&[2, 0, 0, 0, 9, 9]).unwrap();
        assert!(channel.next().is_err());
    }

    #[test]
    fn a_slot_beyond_the_ledger_is_refused() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let ledger = Ledger::new(1).unwrap();
        assert!(TaskChannel::open(theirs.into(), ledger, 1).is_err());
    }
}
