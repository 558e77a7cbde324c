//! The pool: as many task processes as are wanted, each with its replacement ready before it leaves.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use pyqs_core::{Event, Instant, MessageKey, ProcessId};
use tokio::sync::mpsc::UnboundedSender;

use super::control::Supervisor;
use super::crash_loop::CrashLoop;
use super::ledger::{Ledger, Sequence};
use super::link::Link;
use super::successes::Successes;
use super::tasks::TasksSent;
use super::wire::{FromProcess, JobFrame, ToProcess, encode, encode_jobs};
use crate::inbound::Inbound;
use crate::observe::Log;

/// A process that was told to leave has at least this long: threads that its tasks have started may
/// still be at work. After that it is killed, but only when its slot is needed.
pub(crate) const LEAVE_MIN: Duration = Duration::from_secs(30);

/// A process whose socket is closed, but which has not died after this long, is killed: it can't get
/// tasks any more, and what it runs must not run in two places.
pub(crate) const CLOSED_MAX: Duration = Duration::from_secs(2);

/// What the pool is made with.
#[derive(Debug)]
pub(crate) struct PoolSettings {
    /// Processes that take tasks.
    pub(crate) concurrency: usize,
    /// Tasks that one of them runs.
    pub(crate) tasks_max: Option<u32>,
}

/// The task processes of one manager.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: PoolSettings,
    ledger: Ledger,
    supervisor: Supervisor,
    log: Log,
    inbound: UnboundedSender<Inbound>,
    processes: BTreeMap<ProcessId, Process>,
    /// Slots of the ledger that no process has.
    slots_free: Vec<u32>,
    last_process: u32,
    /// The longest that a process took from the request to its first word.
    start_took_max: Duration,
    crash_loop: CrashLoop,
    /// Processes that could not start, while none could.
    failed_starts: usize,
    /// Why none can.
    fatal: Option<String>,
    /// Nothing is started any more.
    stopping: bool,
    /// The supervisor is gone: nobody will say `died`.
    orphaned: bool,
}

/// How a process ended, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) signal: Option<i32>,
    pub(crate) code: Option<i32>,
}

/// A process that ended without having been told to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Its pid, where it got that far.
    pub(crate) pid: Option<i32>,
    pub(crate) exit: Exit,
    /// What it was running.
    pub(crate) culprit: Option<MessageKey>,
}

#[derive(Debug)]
struct Process {
    slot: u32,
    asked_at: Instant,
    /// Since the supervisor has said `forked`.
    up: Option<Up>,
    role: Role,
    /// It was made known to the core, which has not heard of its end.
    is_known: bool,
    tasks: TasksSent,
    died: Option<Exit>,
}

#[derive(Debug)]
struct Up {
    pid: i32,
    link: Link,
    /// Its end of the socket is closed, since then.
    closed_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Asked for, or importing.
    Starting,
    /// Ready, and held back until it is needed.
    Spare,
    /// Takes tasks.
    Active,
    /// Was told to leave.
    Leaving { since: Instant },
    /// Is being killed by us, for the reason that was logged.
    Killed,
}

impl Pool {
    /// A pool without processes; [`keep_up`](Self::keep_up) starts them.
    pub(crate) fn new(
        settings: PoolSettings,
        ledger: Ledger,
        supervisor: Supervisor,
        log: Log,
        inbound: UnboundedSender<Inbound>,
    ) -> Self {
        let slots_free = (0..ledger.slots()).rev().collect();
        Self {
            settings,
            ledger,
            supervisor,
            log,
            inbound,
            processes: BTreeMap::new(),
            slots_free,
            last_process: 0,
            start_took_max: Duration::ZERO,
            crash_loop: CrashLoop::default(),
            failed_starts: 0,
            fatal: None,
            stopping: false,
            orphaned: false,
        }
    }

    /// The messages that have succeeded, under this manager and those before it.
    pub(crate) fn successes(&self) -> &Successes {
        self.ledger.successes()
    }

    /// Brings the number of processes to what is wanted: spares take the places of those that
    /// left, and what is missing is asked for. To be called after each step; needless calls are harmless.
    pub(crate) fn keep_up(&mut self, now: Instant, events: &mut Vec<Event>) {
        if self.stopping {
            return;
        }
        self.activate_spares(events);
        let ahead = self.start_took_max * 2 + Duration::from_secs(1);
        let mut present = 0;
        let mut wanted = self.settings.concurrency;
        for process in self.processes.values() {
            match process.role {
                Role::Starting | Role::Spare => present += 1,
                Role::Active => {
                    present += 1;
                    wanted += usize::from(process.tasks.is_near_its_end(ahead));
                }
                Role::Leaving { .. } | Role::Killed => {}
            }
        }
        while present < wanted && self.crash_loop.lets_start(now) {
            let Some(slot) = self.slots_free.pop() else {
                self.make_room(now);
                break;
            };
            self.ask_for_process(slot, now);
            present += 1;
        }
    }

    /// When to call [`keep_up`](Self::keep_up) although nothing happened.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        self.crash_loop.not_before().filter(|_| !self.stopping)
    }

    /// Looks after what no event tells of: results that wait in the ledger behind a long task, and
    /// processes that do not end. To be called about twice a second.
    pub(crate) fn tick(&mut self, now: Instant, events: &mut Vec<Event>) {
        let mut overdue = Vec::new();
        for (&id, process) in &mut self.processes {
            process.harvest(&self.ledger, events);
            let closed_at = process.up.as_ref().and_then(|up| up.closed_at);
            let is_closed_too_long =
                closed_at.is_some_and(|since| now.saturating_since(since) >= CLOSED_MAX);
            if is_closed_too_long && !matches!(process.role, Role::Leaving { .. } | Role::Killed) {
                overdue.push(id);
            }
        }
        for id in overdue {
            self.kill_overdue(id);
        }
    }

    /// Nothing is started any more.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    /// The supervisor is gone. A process's closed socket now counts as its death.
    pub(crate) fn orphan(&mut self) {
        self.stopping = true;
        self.orphaned = true;
    }

    /// The supervisor has forked a process.
    pub(crate) fn forked(&mut self, id: ProcessId, pid: i32, socket: OwnedFd) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        match Link::open(id, socket, self.inbound.clone()) {
            Ok(link) => {
                process.up = Some(Up {
                    pid,
                    link,
                    closed_at: None,
                });
            }
            Err(error) => {
                self.log.error(|| {
                    format!("can't use the socket of task process {pid}, killing it: {error}")
                });
                self.kill(id);
            }
        }
    }

    /// A process has said something.
    pub(crate) fn frame(
        &mut self,
        id: ProcessId,
        frame: FromProcess,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        match frame {
            FromProcess::Ready if process.role == Role::Starting => {
                process.role = Role::Spare;
                let took = now.saturating_since(process.asked_at);
                self.start_took_max = self.start_took_max.max(took);
            }
            // The driver has taken the second.
            FromProcess::Ready | FromProcess::DeadLetter(..) => {}
            FromProcess::CantStart(reason) => self.cannot_start(reason),
            FromProcess::Results(results) => {
                if let Some(told) = self.crash_loop.a_task_ended() {
                    self.log.warning(|| told);
                }
                process.tasks.take_results(&results, events);
                if process.role == Role::Active && process.tasks.is_used_up() {
                    self.leave(id, now, events);
                }
            }
        }
    }

    /// Why the worker is to end, if not one process can start from the beginning: whoever starts it must know. What was
    /// well at first, and is not after a while, is tried again for ever.
    pub(crate) fn take_fatal(&mut self) -> Option<String> {
        self.fatal.take()
    }

    fn cannot_start(&mut self, reason: String) {
        let none_ever_did = self.ledger.is_first() && self.start_took_max.is_zero();
        self.failed_starts += 1;
        if none_ever_did && self.failed_starts >= self.settings.concurrency {
            self.fatal = Some(reason);
        } else {
            self.log
                .error(|| format!("a task process can't start: {reason}"));
        }
    }

    /// A process has said where a task's message is to go; which message that is.
    pub(crate) fn dead_letter(&mut self, id: ProcessId, sequence: Sequence) -> Option<MessageKey> {
        self.processes.get_mut(&id)?.tasks.dead_letter(sequence)
    }

    /// Gives tasks to a process, in this order. Each job's sequence is filled in here.
    pub(crate) fn send<'a>(
        &mut self,
        id: ProcessId,
        jobs: impl Iterator<Item = (MessageKey, JobFrame<'a>)>,
    ) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let tasks = &mut process.tasks;
        let mut bytes = Vec::new();
        encode_jobs(
            jobs.map(|(message, job)| JobFrame {
                sequence: tasks.sent(message),
                ..job
            }),
            &mut bytes,
        );
        if let Some(up) = &process.up {
            up.link.send(bytes);
        }
    }

    /// Takes back what a process has not begun.
    pub(crate) fn take_back(&mut self, id: ProcessId, events: &mut Vec<Event>) {
        let messages = match self.processes.get_mut(&id) {
            Some(process) => {
                process.harvest(&self.ledger, events);
                process.tasks.take_back(&self.ledger, process.slot)
            }
            None => Vec::new(),
        };
        events.push(Event::TakenBack {
            process: id,
            messages,
        });
    }

    /// Ends a process by force; its death is reported as any other.
    pub(crate) fn kill(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.role = Role::Killed;
        match &process.up {
            Some(up) if self.orphaned => {
                if let Some(pid) = rustix::process::Pid::from_raw(up.pid) {
                    // It fails only if the process is gone, which is what we want.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            _ => self.supervisor.kill(id),
        }
    }

    /// A process's socket has come to its end.
    pub(crate) fn closed(
        &mut self,
        id: ProcessId,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Option<Crash> {
        let up = self.processes.get_mut(&id)?.up.as_mut()?;
        up.closed_at.get_or_insert(now);
        self.end_if_gone(id, now, events)
    }

    /// The supervisor has reaped a process, or could not fork it.
    pub(crate) fn died(
        &mut self,
        id: ProcessId,
        exit: Exit,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Option<Crash> {
        let process = self.processes.get_mut(&id)?;
        process.died = Some(exit);
        if let Some(up) = &process.up {
            // What it sent before it died is still to be read; then `closed` comes.
            up.link.end_reading();
        }
        self.end_if_gone(id, now, events)
    }

    fn activate_spares(&mut self, events: &mut Vec<Event>) {
        // One that is being killed may still run its task, so it keeps its place until it is gone.
        let known = self.processes.values().filter(|process| process.is_known);
        let taken = known.count();
        let missing = self.settings.concurrency.saturating_sub(taken);
        let spares = self
            .processes
            .iter_mut()
            .filter(|(_, process)| process.role == Role::Spare);
        for (&id, process) in spares.take(missing) {
            process.role = Role::Active;
            process.is_known = true;
            events.push(Event::ProcessReady {
                process: id,
                tasks_max: self.settings.tasks_max,
            });
        }
    }

    fn ask_for_process(&mut self, slot: u32, now: Instant) {
        self.last_process += 1;
        let id = ProcessId(self.last_process);
        self.ledger.reset(slot);
        self.supervisor.fork(id, slot);
        let process = Process {
            slot,
            asked_at: now,
            up: None,
            role: Role::Starting,
            is_known: false,
            tasks: TasksSent::new(self.settings.tasks_max),
            died: None,
        };
        self.processes.insert(id, process);
    }

    /// Sends a process home that has run all that it may. To the core it is gone at once, so that
    /// its spare takes over in the same step.
    fn leave(&mut self, id: ProcessId, now: Instant, events: &mut Vec<Event>) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.role = Role::Leaving { since: now };
        process.is_known = false;
        if let Some(up) = &process.up {
            let mut bytes = Vec::new();
            encode(&ToProcess::Leave, &mut bytes);
            up.link.send(bytes);
        }
        events.push(Event::ProcessGone {
            process: id,
            culprit: None,
        });
    }

    /// A process is gone when it can't touch anything any more and all that it sent has been read.
    fn end_if_gone(
        &mut self,
        id: ProcessId,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Option<Crash> {
        let process = self.processes.get(&id)?;
        let is_read = process.up.as_ref().is_none_or(|up| up.closed_at.is_some());
        if !is_read || (process.died.is_none() && !self.orphaned) {
            return None;
        }
        let mut process = self.processes.remove(&id)?;
        self.slots_free.push(process.slot);
        if matches!(process.role, Role::Leaving { .. }) {
            return None;
        }
        let culprit = process.end(&self.ledger, events);
        if process.is_known {
            events.push(Event::ProcessGone {
                process: id,
                culprit,
            });
        }
        if process.tasks.ended() == 0
            && !self.stopping
            && let Some(told) = self.crash_loop.died_idle(now)
        {
            self.log.error(|| told);
        }
        Some(Crash {
            pid: process.up.map(|up| up.pid),
            exit: process.died.unwrap_or_default(),
            culprit,
        })
    }

    /// All slots are taken: who was told to leave longest ago has to go.
    fn make_room(&mut self, now: Instant) {
        let leaving = self.processes.iter().filter_map(|(&id, process)| {
            let Role::Leaving { since } = process.role else {
                return None;
            };
            (now.saturating_since(since) >= LEAVE_MIN).then_some((since, id))
        });
        if let Some((_, id)) = leaving.min() {
            self.kill_overdue(id);
        }
    }

    fn kill_overdue(&mut self, id: ProcessId) {
        self.log
            .warning(|| format!("{} does not end by itself, killing it", self.describe(id)));
        self.kill(id);
    }

    fn describe(&self, id: ProcessId) -> String {
        match self
            .processes
            .get(&id)
            .and_then(|process| process.up.as_ref())
        {
            Some(up) => format!("task process {}", up.pid),
            None => "a task process".to_owned(),
        }
    }
}

impl Process {
    /// Reports what has ended by the ledger, and not yet by a frame.
    fn harvest(&mut self, ledger: &Ledger, events: &mut Vec<Event>) {
        self.tasks.harvest(ledger, self.slot, events);
    }

    /// The last look: what had ended, and what was running.
    fn end(&mut self, ledger: &Ledger, events: &mut Vec<Event>) -> Option<MessageKey> {
        self.harvest(ledger, events);
        self.tasks.running(ledger, self.slot)
    }
}
