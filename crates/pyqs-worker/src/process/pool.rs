//! The pool: as many task processes as are wanted, each with its replacement ready before it leaves.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use pyqs_core::{Event, Instant, MessageKey, ProcessId as LaneId};
use pyqs_sqs::Receipt;
use tokio::sync::mpsc::UnboundedSender;

use super::TaskProcessId;
use super::adoption::LeftRunning;
use super::control::Supervisor;
use super::crash_loop::CrashLoop;
use super::ledger::{Ledger, Sequence};
use super::link::Link;
use super::memory::resident_bytes;
use super::outcome::AfterDeath;
use super::overtime::Overtime;
use super::successes::{Mark, Successes};
use super::task_crash::TaskCrash;
use super::task_process::{Exit, Lane, Role, TaskProcess, Up, Victim};
use super::wire::{DeadLetter, FromProcess, JobFrame, MessageEnd, ToProcess, encode};
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
    /// Tasks that each of them runs at once, at least 1.
    pub(crate) lanes: u32,
    /// Tasks that one of them runs in all; with several lanes, about.
    pub(crate) tasks_max: Option<u32>,
    /// Bytes of memory above which one of them is replaced.
    pub(crate) memory_max: Option<u64>,
    /// How long others may run on in a process in which a task has overrun its limit.
    pub(crate) drain_timeout: Duration,
}

/// The task processes of one manager.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) settings: PoolSettings,
    pub(super) ledger: Ledger,
    supervisor: Supervisor,
    log: Log,
    inbound: UnboundedSender<Inbound>,
    pub(super) processes: BTreeMap<TaskProcessId, TaskProcess>,
    /// What processes of earlier managers run of queues that are not found yet.
    pub(super) left_running: Vec<LeftRunning>,
    /// The first slots of the parts of the ledger that no process has.
    slots_free: Vec<u32>,
    last_process: u32,
    /// The longest that a process took from the request to its first word.
    start_took_max: Duration,
    crash_loop: CrashLoop,
    /// Processes that could not start, while none could.
    failed_starts: usize,
    /// Why none can.
    fatal: Option<String>,
    /// When a limit of what runs is reached, as far as was known at the last look.
    pub(super) overtime_at: Option<Instant>,
    /// Nothing is started any more.
    stopping: bool,
    /// The supervisor is gone: nobody will say `died`.
    pub(super) orphaned: bool,
}

/// A process that ended without having been told to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Its pid, where it got that far.
    pub(crate) pid: Option<i32>,
    pub(crate) exit: Exit,
    /// What it was running and is charged for.
    pub(crate) victims: Vec<Victim>,
    /// It was killed for a task at its limit, which was told when it was seen.
    pub(crate) is_told: bool,
}

impl Pool {
    /// A pool without processes; [`keep_up`](Self::keep_up) starts them.
    pub(crate) fn new(
        mut settings: PoolSettings,
        ledger: Ledger,
        supervisor: Supervisor,
        log: Log,
        inbound: UnboundedSender<Inbound>,
    ) -> Self {
        settings.lanes = settings.lanes.max(1);
        let lanes = settings.lanes;
        let slots_free = (0..ledger.slots() / lanes)
            .rev()
            .map(|part| part * lanes)
            .collect();
        Self {
            settings,
            ledger,
            supervisor,
            log,
            inbound,
            processes: BTreeMap::new(),
            left_running: Vec::new(),
            slots_free,
            last_process: 0,
            start_took_max: Duration::ZERO,
            crash_loop: CrashLoop::default(),
            failed_starts: 0,
            fatal: None,
            overtime_at: None,
            stopping: false,
            orphaned: false,
        }
    }

    /// The messages that have succeeded, under this manager and those before it.
    pub(crate) fn successes(&self) -> &Successes {
        self.ledger.successes()
    }

    /// SQS has confirmed the delete of a delivery whose body is stored elsewhere.
    pub(crate) fn deleted(&self, receipt: &Receipt) {
        self.ledger.deleted().add(Mark::of(receipt.as_str()));
    }

    /// Brings the number of processes to what is wanted: spares take the places of those that
    /// left, and what is missing is asked for. To be called after each step; needless calls are harmless.
    pub(crate) fn keep_up(&mut self, now: Instant, events: &mut Vec<Event>) {
        if self.stopping {
            return;
        }
        self.replace_large(now, events);
        self.activate_spares(events);
        let ahead = self.start_took_max * 2 + Duration::from_secs(1);
        let mut present = 0;
        let mut wanted = self.settings.concurrency;
        for process in self.processes.values() {
            match process.role {
                Role::Starting | Role::Spare => present += 1,
                Role::Active => {
                    present += 1;
                    wanted += usize::from(self.is_near_its_end(process, ahead));
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

    /// When to call [`keep_up`](Self::keep_up), and [`tick`](Self::tick) if it wants that, although nothing
    /// happened.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        let starts_at = self.crash_loop.not_before().filter(|_| !self.stopping);
        starts_at.into_iter().chain(self.overtime_at).min()
    }

    /// Whether [`tick`](Self::tick) is to be called before its time.
    pub(crate) fn wants_tick(&self, now: Instant) -> bool {
        self.overtime_at.is_some_and(|at| at <= now)
    }

    /// Looks after what no event tells of: results that wait in the ledger behind a long task,
    /// processes that do not end, tasks that run for too long. To be called about twice a second.
    pub(crate) fn tick(&mut self, now: Instant, events: &mut Vec<Event>) -> Vec<Overtime> {
        let mut overdue = Vec::new();
        for (&id, process) in &mut self.processes {
            process.harvest(events);
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
        self.look_for_large();
        self.end_overtime(now, events)
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
    pub(crate) fn forked(&mut self, id: TaskProcessId, pid: i32, socket: OwnedFd) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        match Link::open(id, socket, self.inbound.clone()) {
            Ok(link) => {
                process.up = Some(Up {
                    pid,
                    link: Some(link),
                    closed_at: None,
                });
            }
            Err(error) => {
                self.log.error(|| {
                    format!("can't use the socket of task process {pid}, killing it: {error}")
                });
                self.kill_process(id);
            }
        }
    }

    /// A process has said something.
    pub(crate) fn frame(
        &mut self,
        id: TaskProcessId,
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
            // The driver has taken the others.
            FromProcess::Ready
            | FromProcess::DeadLetter(..)
            | FromProcess::Callbacks(..)
            | FromProcess::WarnOnce(_)
            | FromProcess::Each(..)
            | FromProcess::EachAfterDeath(..)
            | FromProcess::Declares(_) => {}
            FromProcess::CantStart(reason) => self.cannot_start(reason),
            FromProcess::Results(results) => {
                if let Some(told) = self.crash_loop.a_task_ended() {
                    self.log.warning(|| told);
                }
                process.take_results(&results, events);
                let tasks_max = self.settings.tasks_max;
                let is_used_up = tasks_max.is_some_and(|max| process.wear().is_used_up(max));
                if process.role == Role::Active && is_used_up {
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

    /// A process has said what is to be sent after a task, or where its message is to go; which message that is.
    pub(crate) fn announced(
        &mut self,
        id: TaskProcessId,
        lane: u32,
        sequence: Sequence,
    ) -> Option<MessageKey> {
        self.lane_mut(id, lane)?.tasks.announced(sequence)
    }

    /// Has the supervisor tell of a task that has ended with its process.
    pub(crate) fn tell_crash(&self, crash: TaskCrash) {
        self.supervisor.crashed(crash);
    }

    /// A process has said what becomes of each message of a task; which of them are to go to a dead-letter queue.
    pub(crate) fn each(
        &mut self,
        id: TaskProcessId,
        lane: u32,
        sequence: Sequence,
        ends: Vec<MessageEnd>,
    ) -> Vec<(MessageKey, DeadLetter)> {
        self.lane_mut(id, lane)
            .map(|lane| lane.tasks.each(sequence, ends))
            .unwrap_or_default()
    }

    /// A process has said what becomes of each message of a task if it dies.
    pub(crate) fn each_after_death(
        &mut self,
        id: TaskProcessId,
        lane: u32,
        sequence: Sequence,
        after_death: Vec<AfterDeath>,
    ) {
        if let Some(lane) = self.lane_mut(id, lane) {
            lane.tasks.each_after_death(sequence, after_death);
        }
    }

    /// The lane of which a process speaks, if it has it.
    fn lane_mut(&mut self, id: TaskProcessId, lane: u32) -> Option<&mut Lane> {
        self.processes.get_mut(&id)?.lanes.get_mut(lane as usize)
    }

    /// Gives tasks to a lane, in this order. Each job's lane and sequence are filled in here.
    pub(crate) fn send<'a>(
        &mut self,
        lane: LaneId,
        jobs: impl Iterator<Item = (MessageKey, JobFrame<'a>)>,
    ) {
        let (id, lane) = self.place(lane);
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let bytes = process.give(lane, jobs);
        if let Some(link) = process.link() {
            link.send(bytes);
        }
    }

    /// Takes back what a lane has not begun.
    pub(crate) fn take_back(&mut self, lane: LaneId, events: &mut Vec<Event>) {
        let (id, number) = self.place(lane);
        let messages = match self.processes.get_mut(&id) {
            Some(process) => process.take_back(number, events),
            None => Vec::new(),
        };
        events.push(Event::TakenBack {
            process: lane,
            messages,
        });
    }

    /// Tells the process that the lease of a task could not be kept.
    pub(crate) fn lose_lease(&self, message: MessageKey) {
        for process in self.processes.values() {
            for lane in &process.lanes {
                if let Some(sequence) = lane.tasks.sequence(message) {
                    return process.ledger.lose_lease(lane.slot, sequence);
                }
            }
        }
    }

    /// Ends a lane by force, and so all of its process; its death is reported as any other.
    pub(crate) fn kill(&mut self, lane: LaneId) {
        self.kill_process(self.place(lane).0);
    }

    /// Ends a process by force.
    pub(super) fn kill_process(&mut self, id: TaskProcessId) {
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
            Some(up) if process.is_left_behind() => self.supervisor.kill_left(up.pid),
            _ => self.supervisor.kill(id),
        }
    }

    /// A process's socket has come to its end.
    pub(crate) fn closed(
        &mut self,
        id: TaskProcessId,
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
        id: TaskProcessId,
        exit: Exit,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Option<Crash> {
        let process = self.processes.get_mut(&id)?;
        process.died = Some(exit);
        if let Some(link) = process.link() {
            // What it sent before it died is still to be read; then `closed` comes.
            link.end_reading();
        }
        self.end_if_gone(id, now, events)
    }

    /// Each lane that is missing is taken from a process that has some left.
    fn activate_spares(&mut self, events: &mut Vec<Event>) {
        // One that is being killed may still run its tasks, so it keeps its places until it is gone.
        let known: usize = self.processes.values().map(TaskProcess::known).sum();
        let lanes = self.settings.concurrency * self.settings.lanes as usize;
        let mut missing = lanes.saturating_sub(known);
        for process in self.processes.values_mut() {
            if missing > 0 && matches!(process.role, Role::Active | Role::Spare) {
                process.role = Role::Active;
                missing -= process.introduce(missing, self.settings.tasks_max, events);
            }
        }
    }

    fn ask_for_process(&mut self, slot: u32, now: Instant) {
        let id = self.new_process();
        for lane in 0..self.settings.lanes {
            self.ledger.reset(slot + lane);
        }
        self.supervisor.fork(id, slot);
        let lanes = (0..self.settings.lanes).map(|lane| self.lane_id(id, lane));
        let process = TaskProcess::new(self.ledger.clone(), slot, lanes, now);
        self.processes.insert(id, process);
    }

    /// The name of another process.
    pub(super) fn new_process(&mut self) -> TaskProcessId {
        self.last_process += 1;
        TaskProcessId(self.last_process)
    }

    fn lane_id(&self, process: TaskProcessId, lane: u32) -> LaneId {
        LaneId(process.0 * self.settings.lanes + lane)
    }

    /// Whose lane it is, and which of its.
    fn place(&self, lane: LaneId) -> (TaskProcessId, usize) {
        let lanes = self.settings.lanes;
        (TaskProcessId(lane.0 / lanes), (lane.0 % lanes) as usize)
    }

    /// Sends a process home that is to take no more tasks. It ends when what it runs has ended.
    pub(super) fn leave(&mut self, id: TaskProcessId, now: Instant, events: &mut Vec<Event>) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.role = Role::Leaving { since: now };
        process.retire(events);
        if let Some(link) = process.link() {
            let mut bytes = Vec::new();
            encode(&ToProcess::Leave, &mut bytes);
            link.send(bytes);
        }
    }

    fn is_near_its_end(&self, process: &TaskProcess, within: Duration) -> bool {
        let tasks_max = self.settings.tasks_max;
        process.is_too_large
            || tasks_max.is_some_and(|max| process.wear().is_near_its_end(max, within))
    }

    fn look_for_large(&mut self) {
        let Some(memory_max) = self.settings.memory_max else {
            return;
        };
        for process in self.processes.values_mut() {
            let Some(up) = process.up.as_ref().filter(|_| process.role == Role::Active) else {
                continue;
            };
            let bytes = resident_bytes(up.pid).unwrap_or(0);
            if bytes > memory_max && !process.is_too_large {
                process.is_too_large = true;
                self.log.info(|| {
                    let mebibytes = bytes / (1024 * 1024);
                    format!(
                        "task process {} uses {mebibytes} MiB of memory, more than it may; replacing it",
                        up.pid
                    )
                });
            }
        }
    }

    /// Sends as many home of those that are too large as there are others to take their places.
    fn replace_large(&mut self, now: Instant, events: &mut Vec<Event>) {
        let of_role = |role| move |(_, process): &(_, &TaskProcess)| process.role == role;
        let spares = self.processes.iter().filter(of_role(Role::Spare)).count();
        let large = self.processes.iter().filter(of_role(Role::Active));
        let large = large.filter(|(_, process)| process.is_too_large);
        let large: Vec<_> = large.map(|(&id, _)| id).take(spares).collect();
        for id in large {
            self.leave(id, now, events);
        }
    }

    /// A process is gone when it can't touch anything any more and all that it sent has been read.
    fn end_if_gone(
        &mut self,
        id: TaskProcessId,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Option<Crash> {
        let process = self.processes.get(&id)?;
        let is_read = process.up.as_ref().is_none_or(|up| up.closed_at.is_some());
        if !is_read || (process.died.is_none() && !self.orphaned) {
            return None;
        }
        let mut process = self.processes.remove(&id)?;
        self.slots_free.extend(process.slot);
        process.harvest(events);
        if matches!(process.role, Role::Leaving { .. }) && process.known() == 0 {
            return None;
        }
        let victims = process.end(events);
        let is_told = process.was_killed_for_limit();
        if process.wear().ended == 0
            && !is_told
            && !self.stopping
            && !process.is_left_behind()
            && let Some(told) = self.crash_loop.died_idle(now)
        {
            self.log.error(|| told);
        }
        Some(Crash {
            pid: process.up.map(|up| up.pid),
            exit: process.died.unwrap_or_default(),
            victims,
            is_told,
        })
    }

    /// All slots are taken: who was told to leave longest ago has to go.
    fn make_room(&mut self, now: Instant) {
        let leaving = self.processes.iter().filter_map(|(&id, process)| {
            let Role::Leaving { since } = process.role else {
                return None;
            };
            let has_slots = !process.is_left_behind() && process.known() == 0;
            let is_long_gone = has_slots && now.saturating_since(since) >= LEAVE_MIN;
            is_long_gone.then_some((since, id))
        });
        if let Some((_, id)) = leaving.min() {
            self.kill_overdue(id);
        }
    }

    fn kill_overdue(&mut self, id: TaskProcessId) {
        self.log
            .warning(|| format!("{} does not end by itself, killing it", self.describe(id)));
        self.kill_process(id);
    }

    fn describe(&self, id: TaskProcessId) -> String {
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
