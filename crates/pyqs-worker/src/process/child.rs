//! The task process's end: a channel that brings tasks and takes results away.
//!
//! It starts no threads and needs nothing but a socket and the ledger, so it works in a process that
//! was forked from any other. A process runs one task at a time in each of its lanes. With one lane, one
//! thread does all, by [`TaskChannel::next`]. With several, one thread waits for tasks and says in which
//! lanes there are some; whoever runs a lane's tasks begins them, records them and finishes them.
//!
//! Every wait ends when a signal comes (`ErrorKind::Interrupted`), so that the caller can run its signal
//! handlers, and asks again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::identity::Identity;
use super::job::Job;
use super::ledger::{Ledger, Limit, OUTCOMES_KEPT, Sequence};
use super::outcome::{AfterDeath, TaskOutcome};
use super::successes::Mark;
use super::wire::{
    Callback, DeadLetter, Declaration, FrameBuffer, FromProcess, JobFrame, TaskResult, ToProcess,
    encode,
};
use crate::clock;

/// How old a result may become while further tasks are run, before it is sent.
pub const RESULT_AGE_MAX: Duration = Duration::from_millis(2);

/// Tasks in, results out.
///
/// With one lane, the loop of a task process: [`next`](Self::next), run it, [`record`](Self::record) as soon
/// as the function has returned, then the hooks, then [`finish`](Self::finish); again, until `next` gives
/// `None`. With several: [`wait`](Self::wait) until it gives `None`, then
/// [`wait_until_idle`](Self::wait_until_idle); in each lane that it names, [`begin`](Self::begin), run,
/// `record`, again, until `begin` gives `None`.
#[derive(Debug)]
pub struct TaskChannel {
    socket: UnixStream,
    /// Which socket that is: a task may close it, and open a file of its own under the same number.
    identity: Identity,
    ledger: Ledger,
    /// The slot of the first lane; those of the others follow.
    slot: u32,
    /// How long any task may run.
    time_limit: Option<Duration>,
    /// Bytes from the manager that are no whole frame yet.
    inbox: Mutex<FrameBuffer>,
    /// Never held while waiting for the manager to say something.
    desk: Mutex<Desk>,
    idle: Condvar,
}

/// What is known of all lanes.
#[derive(Debug)]
struct Desk {
    lanes: Vec<Lane>,
    /// Ended and not sent.
    results: Vec<TaskResult>,
    /// When the first of `results` ended.
    results_since_nanos: u64,
    state: State,
}

#[derive(Debug, Default)]
struct Lane {
    /// Received and not begun.
    jobs: VecDeque<Job>,
    /// So many messages of the last of these are still to come.
    missing: u32,
    /// The messages of what runs, its own first.
    members: Vec<each::Member>,
    running: Option<Running>,
    /// Somebody runs its tasks, and asks for the next one.
    is_attended: bool,
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
    began_nanos: u64,
    limit: Option<Limit>,
    result: Option<TaskResult>,
}

impl TaskChannel {
    /// Takes over the socket that leads to the manager, and the slots that it gave this process, one a lane.
    ///
    /// A task that runs for longer than `time_limit` is ended by the manager, with this process.
    pub fn open(
        socket: OwnedFd,
        ledger: Ledger,
        slot: u32,
        lanes: u32,
        time_limit: Option<Duration>,
    ) -> io::Result<Self> {
        let has_slots = slot
            .checked_add(lanes)
            .is_some_and(|end| end <= ledger.slots());
        if lanes == 0 || !has_slots {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{lanes} slots from {slot} of a ledger of {}",
                    ledger.slots()
                ),
            ));
        }
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(false)?;
        Ok(Self {
            identity: Identity::of(&socket)?,
            socket,
            ledger,
            slot,
            time_limit,
            inbox: Mutex::default(),
            desk: Mutex::new(Desk {
                lanes: (0..lanes).map(|_| Lane::default()).collect(),
                results: Vec::new(),
                results_since_nanos: 0,
                state: State::New,
            }),
            idle: Condvar::new(),
        })
    }

    /// Waits for the only lane's next task. `None`: this process is to end, because it has run as many tasks
    /// as it may, or because the manager is gone.
    ///
    /// The first call tells the manager that this process is up. A task that was neither
    /// recorded nor finished counts as failed. [`ErrorKind::Interrupted`] says that a signal came: call again.
    pub fn next(&self) -> io::Result<Option<Job>> {
        self.unless_gone(None, || {
            self.say_ready()?;
            loop {
                if let Some(job) = self.try_begin(&mut self.desk(), 0)? {
                    return Ok(Some(job));
                }
                if self.desk().state == State::Leaving {
                    return Ok(None);
                }
                self.take_in_frame()?;
            }
        })
    }

    /// Tells the manager, instead of asking for a task, why this process can't run any.
    pub fn cannot_start(&self, reason: &str) -> io::Result<()> {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        self.send(&FromProcess::CantStart(reason))
    }

    /// Waits until there are tasks in lanes that nobody attends to, and names these: each wants a
    /// [`begin`](Self::begin). `None`: nothing more comes.
    ///
    /// The first call tells the manager that this process is up. [`ErrorKind::Interrupted`] says that a signal
    /// came: call again.
    pub fn wait(&self) -> io::Result<Option<Vec<u32>>> {
        self.unless_gone(None, || {
            self.say_ready()?;
            loop {
                if self.desk().state == State::Leaving {
                    return Ok(None);
                }
                self.take_in_frame()?;
                let lanes = self.desk().attend();
                if !lanes.is_empty() {
                    return Ok(Some(lanes));
                }
            }
        })
    }

    /// Waits until nobody attends to any lane, but no longer than that; says whether it is so.
    pub fn wait_until_idle(&self, patience: Duration) -> bool {
        let is_busy = |desk: &mut Desk| desk.lanes.iter().any(|lane| lane.is_attended);
        let (mut desk, _) = self
            .idle
            .wait_timeout_while(self.desk(), patience, is_busy)
            .unwrap_or_else(PoisonError::into_inner);
        !is_busy(&mut desk)
    }

    /// Ends the lane's running task, as [`finish`](Self::finish) does, and begins its next. `None`: there is
    /// none, and [`wait`](Self::wait) will say when there is.
    pub fn begin(&self, lane: u32) -> io::Result<Option<Job>> {
        // In one step with the end of attending, lest a task that comes between be left alone.
        let mut desk = self.desk();
        let begun = match self.try_begin(&mut desk, lane) {
            Err(error) if is_gone(&error) => {
                desk.give_up();
                Ok(None)
            }
            other => other,
        };
        if !matches!(begun, Ok(Some(_))) {
            desk.lanes[lane as usize].is_attended = false;
            self.idle.notify_all();
        }
        begun
    }

    /// Says how the lane's running task ended: at once, in the ledger, so that nothing that happens
    /// afterwards in this process, a crash included, changes it. The first call counts.
    pub fn record(&self, lane: u32, outcome: TaskOutcome) {
        self.record_at(&mut self.desk(), lane, outcome);
    }

    /// Says that the lane's running task failed for good, and where its message is to go. The manager has that before
    /// the ledger has the outcome, so that neither is known without the other.
    pub fn record_dead_letter(&self, lane: u32, letter: DeadLetter) {
        self.announce(lane, TaskOutcome::DeadLetter, |sequence| {
            FromProcess::DeadLetter(lane, sequence, letter)
        });
    }

    /// Says how the lane's running task ended, and what is to be sent after it; the same holds.
    pub fn record_callbacks(
        &self,
        lane: u32,
        outcome: TaskOutcome,
        callbacks: Vec<Callback>,
        letter: Option<DeadLetter>,
    ) {
        self.announce(lane, outcome, |sequence| {
            FromProcess::Callbacks(lane, sequence, callbacks, letter)
        });
    }

    /// Has the manager log a warning, unless it has done so before.
    pub fn warn_once(&self, line: &str) -> io::Result<()> {
        let line = line.chars().take(REASON_CHARS_MAX).collect();
        self.unless_gone((), || self.send(&FromProcess::WarnOnce(line)))
    }

    /// Tells the manager what was found in the modules that were imported. Before the first wait for tasks, it knows
    /// that before it receives any message for this process.
    pub fn declare(&self, declarations: Vec<Declaration>) -> io::Result<()> {
        self.unless_gone((), || self.send(&FromProcess::Declares(declarations)))
    }

    fn announce(
        &self,
        lane: u32,
        outcome: TaskOutcome,
        frame: impl FnOnce(Sequence) -> FromProcess,
    ) {
        let mut desk = self.desk();
        let Some(running) = desk.lanes[lane as usize].running else {
            return;
        };
        if running.result.is_some() {
            return;
        }
        // A manager that is gone sends nothing; `finish` finds that out.
        let outcome = match self.send(&frame(running.sequence)) {
            Ok(()) => outcome,
            Err(_) => TaskOutcome::Failed,
        };
        self.record_at(&mut desk, lane, outcome);
    }

    /// Ends the lane's running task, its hooks included. Its result is sent with others: at once where the lane
    /// has no further task, else when the oldest has waited for [`RESULT_AGE_MAX`].
    pub fn finish(&self, lane: u32) -> io::Result<()> {
        self.unless_gone((), || self.end_running(&mut self.desk(), lane))
    }

    /// Bounds how long the lane's running task may run, counted from when it began. A longer one than holds
    /// already changes nothing. The manager ends it with its process, after `grace` more.
    pub fn limit(&self, lane: u32, length: Duration, grace: Duration) {
        if let Some(running) = &mut self.desk().lanes[lane as usize].running {
            self.limit_running(lane, running, length, grace);
        }
    }

    /// Moves the end of the lane's running task, where it has one, so much later.
    pub fn extend(&self, lane: u32, by: Duration) {
        let mut desk = self.desk();
        let running = desk.lanes[lane as usize].running.as_mut();
        if let Some(limit) = running.and_then(|running| running.limit.as_mut()) {
            limit.length = limit.length.saturating_add(by);
            limit.kill_at_nanos = limit.kill_at_nanos.saturating_add(nanos(by));
            self.ledger.limit(self.slot + lane, *limit);
        }
    }

    /// Says what becomes of the lane's running task if this process dies meanwhile, or is killed at the task's
    /// limit. By itself its message is left to its visibility timeout.
    pub fn foresee(&self, lane: u32, after_death: &AfterDeath) {
        if self.is_running(lane) {
            self.ledger.foresee(self.slot + lane, after_death);
        }
    }

    /// Whether SQS has confirmed the delete of the delivery with this receipt, whose body is stored elsewhere.
    pub fn is_deleted(&self, receipt: &str) -> bool {
        self.ledger.deleted().contains(Mark::of(receipt))
    }

    /// Whether the lane runs a task whose outcome is not recorded.
    pub fn is_running(&self, lane: u32) -> bool {
        let running = self.desk().lanes[lane as usize].running;
        running.is_some_and(|running| running.result.is_none())
    }

    /// Whether the manager could not keep the lease of the lane's running task: it may run elsewhere too.
    pub fn is_lease_lost(&self, lane: u32) -> bool {
        let running = self.desk().lanes[lane as usize].running;
        running.is_some_and(|running| {
            self.ledger
                .is_lease_lost(self.slot + lane, running.sequence)
        })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing in here panics with the books half written.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without a manager there is nothing to do.
    fn unless_gone<T>(&self, without: T, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match act() {
            Err(error) if is_gone(&error) => {
                self.desk().give_up();
                Ok(without)
            }
            other => other,
        }
    }

    fn say_ready(&self) -> io::Result<()> {
        let mut desk = self.desk();
        if desk.state == State::New {
            self.send(&FromProcess::Ready)?;
            desk.state = State::Working;
        }
        Ok(())
    }

    fn try_begin(&self, desk: &mut Desk, lane: u32) -> io::Result<Option<Job>> {
        self.end_running(desk, lane)?;
        let begun = self.begin_job(desk, lane)?;
        if begun.is_none() {
            self.flush(desk)?;
        }
        Ok(begun)
    }

    /// Begins the first of the lane's tasks that may be begun.
    fn begin_job(&self, desk: &mut Desk, lane: u32) -> io::Result<Option<Job>> {
        let slot = self.slot + lane;
        while let Some(job) = desk.lanes[lane as usize].next_job() {
            self.fail_without_manager()?;
            self.flush_before_the_ring_wraps(desk, lane, job.sequence)?;
            self.ledger.claim(slot, &job);
            if !self.ledger.begin(slot, job.sequence) {
                continue;
            }
            let mut running = Running {
                sequence: job.sequence,
                began_nanos: clock::now_nanos(),
                limit: None,
                result: None,
            };
            let is_in_time = running.began_nanos < job.lease_until_nanos;
            if is_in_time && let Some(length) = smaller(self.time_limit, job.limits.hard) {
                self.limit_running(lane, &mut running, length, Duration::ZERO);
            }
            desk.lanes[lane as usize].running = Some(running);
            desk.lanes[lane as usize].members = each::members(&job);
            if is_in_time {
                return Ok(Some(job));
            }
            self.record_at(desk, lane, TaskOutcome::NotStarted);
            self.end_running(desk, lane)?;
        }
        Ok(None)
    }

    fn limit_running(&self, lane: u32, running: &mut Running, length: Duration, grace: Duration) {
        let length = smaller(Some(length), running.limit.map(|limit| limit.length));
        let length = length.expect("one of two was given");
        let limit = Limit {
            length,
            kill_at_nanos: running
                .began_nanos
                .saturating_add(nanos(length + grace))
                .max(1),
        };
        running.limit = Some(limit);
        self.ledger.limit(self.slot + lane, limit);
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

    fn record_at(&self, desk: &mut Desk, lane: u32, outcome: TaskOutcome) {
        let Lane {
            running, members, ..
        } = &mut desk.lanes[lane as usize];
        let Some(running) = running.as_mut().filter(|running| running.result.is_none()) else {
            return;
        };
        if matches!(outcome, TaskOutcome::Succeeded | TaskOutcome::Discarded) {
            for member in members {
                self.ledger.successes().add(member.mark);
            }
        }
        let took = clock::now_nanos().saturating_sub(running.began_nanos);
        self.ledger.finish(
            self.slot + lane,
            running.sequence,
            outcome,
            Duration::from_nanos(took),
        );
        running.result = Some(TaskResult {
            lane,
            sequence: running.sequence,
            outcome,
            took_nanos: took,
        });
    }

    fn end_running(&self, desk: &mut Desk, lane: u32) -> io::Result<()> {
        self.record_at(desk, lane, TaskOutcome::Failed);
        let Lane { running, jobs, .. } = &mut desk.lanes[lane as usize];
        let Some(result) = running.take().and_then(|running| running.result) else {
            return Ok(());
        };
        let took_long = result.took_nanos >= nanos(RESULT_AGE_MAX);
        let is_last = jobs.is_empty();
        let now = clock::now_nanos();
        if desk.results.is_empty() {
            desk.results_since_nanos = now;
        }
        desk.results.push(result);
        let age = Duration::from_nanos(now.saturating_sub(desk.results_since_nanos));
        // Behind a long task, the next one is likely to be long: nobody is to wait for that.
        if is_last || took_long || age >= RESULT_AGE_MAX {
            self.flush(desk)?;
        }
        Ok(())
    }

    /// The ledger keeps a limited number of outcomes: none may be written over before it was sent.
    fn flush_before_the_ring_wraps(
        &self,
        desk: &mut Desk,
        lane: u32,
        sequence: Sequence,
    ) -> io::Result<()> {
        let oldest = desk.results.iter().find(|result| result.lane == lane);
        match oldest {
            Some(oldest) if (sequence - oldest.sequence) as usize >= OUTCOMES_KEPT => {
                self.flush(desk)
            }
            _ => Ok(()),
        }
    }

    fn flush(&self, desk: &mut Desk) -> io::Result<()> {
        if desk.results.is_empty() {
            return Ok(());
        }
        let results = std::mem::take(&mut desk.results);
        self.send(&FromProcess::Results(results))
    }

    /// Frames to the manager are small and it always reads, so this does not wait noticeably; a frame that
    /// was begun is ended even when a signal comes.
    fn send(&self, frame: &FromProcess) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode(frame, &mut bytes);
        self.identity.check(&self.socket)?;
        (&self.socket).write_all(&bytes)
    }

    /// Takes in the next frame; a wait ends early when a signal comes.
    fn take_in_frame(&self) -> io::Result<()> {
        // Only the one thread that waits is ever here.
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match inbox.next::<ToProcess<'_>>()? {
                Some(ToProcess::Jobs(jobs)) => {
                    self.desk().take_in(jobs)?;
                    inbox.shrink();
                    return Ok(());
                }
                Some(ToProcess::Leave) => {
                    self.desk().state = State::Leaving;
                    return Ok(());
                }
                None => {}
            }
            let mut bytes = [0; READ_BYTES];
            self.identity.check(&self.socket)?;
            match (&self.socket).read(&mut bytes)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => inbox.extend(&bytes[..count]),
            }
        }
    }
}

impl Desk {
    /// The manager is gone: nobody would acknowledge what is still here, so none of it is run.
    fn give_up(&mut self) {
        self.state = State::Leaving;
        self.results.clear();
        self.lanes.iter_mut().for_each(|lane| lane.jobs.clear());
    }

    fn take_in(&mut self, jobs: Vec<JobFrame<'_>>) -> io::Result<()> {
        for job in jobs {
            let lane = self.lanes.get_mut(job.lane as usize).ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, "a job for a lane that is not there")
            })?;
            lane.take_in(job);
        }
        Ok(())
    }

    /// The lanes that have tasks and that nobody attends to: from now on the caller does.
    fn attend(&mut self) -> Vec<u32> {
        let mut found = Vec::new();
        for (number, lane) in (0..).zip(&mut self.lanes) {
            if !lane.is_attended && lane.has_job() {
                lane.is_attended = true;
                found.push(number);
            }
        }
        found
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn smaller(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

const READ_BYTES: usize = 16 * 1024;
const REASON_CHARS_MAX: usize = 1000;

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

mod each;

#[cfg(test)]
mod tests;
