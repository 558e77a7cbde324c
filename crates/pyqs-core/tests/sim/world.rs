//! The simulated world: a clock, an agenda, and the driver's loop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use pyqs_core::limits::TICK;
use pyqs_core::{
    Action, Consumer, Event, Instant, MessageKey, PollId, ProcessId, QueueAttributes, QueueId,
    TaskKind, TaskLimits,
};

use crate::checkers::Checkers;
use crate::faults::{Faults, Plan, Poison};
use crate::network::Request;
use crate::processes::{Processes, Step};
use crate::rng::Rng;
use crate::sqs::{Sqs, Waiting};

/// What lies ahead.
#[derive(Debug)]
pub(crate) enum Happening {
    Send(usize),
    Ask(Request),
    WaitEnds(PollId),
    Inbox(Event),
    Give {
        process: ProcessId,
        /// Those of one run.
        messages: Vec<MessageKey>,
        lease_until: Instant,
    },
    TakeBack(ProcessId),
    Kill(ProcessId),
    KillSome,
    ConsumerDies,
    Rival,
    Look(ProcessId),
    StartProcess,
    Pause(Duration),
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    agenda: BTreeMap<(Instant, u64), Happening>,
    agenda_length: u64,
    pub(crate) sqs: Sqs,
    processes: Processes,
    processes_made: u32,
    pub(crate) checkers: Checkers,
    pub(crate) consumer: Consumer,
    /// So many were there before it.
    deaths: u64,
    inbox: VecDeque<Event>,
    polls: BTreeMap<PollId, u32>,
    wake_at: Instant,
    pub(crate) paused_until: Instant,
    is_healed: bool,
    /// Nothing is to go wrong but what the jobs do themselves.
    pub(crate) is_calm: bool,
    pub(crate) lost_replies: BTreeSet<PollId>,
    pub(crate) steps: u64,
    steps_here: u32,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut world = Self {
            now: Instant::ORIGIN,
            rng: Rng::new(plan.seed ^ 0xFA17),
            agenda: BTreeMap::new(),
            agenda_length: 0,
            sqs: Sqs::new(plan.seed, &plan.queues),
            processes: Processes::default(),
            processes_made: 0,
            checkers: Checkers::new(&plan),
            consumer: Consumer::new(plan.settings, plan.seed),
            deaths: 0,
            inbox: VecDeque::new(),
            polls: BTreeMap::new(),
            wake_at: Instant::ORIGIN,
            paused_until: Instant::ORIGIN,
            is_healed: false,
            is_calm: false,
            lost_replies: BTreeSet::new(),
            steps: 0,
            steps_here: 0,
            plan,
        };
        world.prepare();
        world
    }

    /// What a consumer is told at first.
    fn introduce(&mut self) {
        for (number, queue) in (0..).zip(&self.plan.queues) {
            let attributes = QueueAttributes {
                visibility_timeout: Duration::from_secs(queue.visibility_secs.into()),
                is_fifo: queue.is_fifo,
                receives_max: queue.receives_max,
            };
            self.inbox.push_back(Event::QueueAdded {
                queue: QueueId(number),
                attributes,
                share: queue.share,
            });
        }
        self.inbox.push_back(Event::QueuesListed);
        if let Some((kind, max)) = self.plan.kind_max {
            let limits = TaskLimits {
                tasks_max: Some(max),
                rate: None,
            };
            let queues = 0..u32::try_from(self.plan.queues.len()).expect("a few");
            let kinds = queues.map(|queue| TaskKind(queue * 10 + kind)).collect();
            self.inbox.push_back(Event::TaskDeclared { kinds, limits });
        }
    }

    fn prepare(&mut self) {
        self.introduce();
        for number in 0..self.plan.jobs.len() {
            self.plan(self.plan.jobs[number].sent_at, Happening::Send(number));
        }
        for _ in 0..self.plan.processes {
            let delay = self.rng.micros(0, 100_000);
            self.plan(delay, Happening::StartProcess);
        }
        for (at, length) in self.plan.faults.pauses.clone() {
            self.plan(at, Happening::Pause(length));
        }
        for at in self.plan.faults.rivals.clone() {
            self.plan(at, Happening::Rival);
        }
        for at in self.plan.faults.kills.clone() {
            self.plan(at, Happening::KillSome);
        }
        for at in self.plan.faults.deaths.clone() {
            self.plan(at, Happening::ConsumerDies);
        }
        if let Some(stop) = self.plan.stop {
            self.plan(stop.at, Happening::Inbox(Event::Stop { now: false }));
            if let Some(after) = stop.now_after {
                self.plan(stop.at + after, Happening::Inbox(Event::Stop { now: true }));
            }
        }
    }

    /// Calls of the core, and all that ever was on the agenda.
    pub(crate) fn steps_in_all(&self) -> u64 {
        self.steps + self.agenda_length
    }

    /// Puts something on the agenda, so long from now.
    pub(crate) fn plan(&mut self, delay: Duration, happening: Happening) {
        self.agenda_length += 1;
        self.agenda
            .insert((self.now + delay, self.agenda_length), happening);
    }

    /// Lets the world go on until then, or until `is_over`.
    pub(crate) fn run(&mut self, until: Instant, is_over: impl Fn(&World) -> bool) {
        while self.now <= until && !is_over(self) && !self.checkers.is_done {
            self.step();
        }
    }

    pub(crate) fn heal(&mut self) {
        self.is_healed = true;
        self.plan.faults = Faults::none();
    }

    fn step(&mut self) {
        let driver = if self.inbox.is_empty() {
            self.wake_at
        } else {
            self.now
        }
        .max(self.paused_until);
        let agenda = self.agenda.first_key_value().map(|(&(at, _), _)| at);
        let next = [Some(driver), agenda, self.sqs.next_wakeup()]
            .into_iter()
            .flatten()
            .min();
        let next = next
            .expect("the driver always has a next moment")
            .max(self.now);
        if next > self.now {
            self.steps_here = 0;
        }
        self.now = next;
        if !self.is_healed && self.now >= Instant::ORIGIN + self.plan.heal_at {
            self.heal();
        }
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= self.now
        {
            let happening = entry.remove();
            self.happen(happening);
        }
        for (ask, keys) in self.sqs.woken(self.now) {
            self.answer_receive(ask, keys);
        }
        if driver <= self.now {
            self.drive();
        }
    }

    /// The driver's loop, as the crate's doc numbers it.
    fn drive(&mut self) {
        self.steps += 1;
        self.steps_here += 1;
        assert!(
            self.steps_here < 100,
            "the core wants to be called all the time"
        );
        let events = self.take_inbox();
        for event in &events {
            self.checkers.event(self.now, &self.sqs, event);
            if let Event::Received { poll, .. } | Event::ReceiveFailed { poll, .. } = event {
                let queue = self.polls.remove(poll).expect("a poll comes back once");
                *self.checkers.polls.get_mut(&queue).expect("it was opened") -= 1;
            }
        }
        let actions = self.consumer.handle(self.now, events);
        for action in actions {
            self.checkers
                .action(self.now, &self.plan, &self.sqs, &action);
            self.carry_out(action);
        }
        self.checkers
            .snapshot(&self.plan, &self.consumer.snapshot());
        let tick = (!self.polls.is_empty()).then_some(self.now + TICK);
        let wake_at = self.consumer.next_wakeup().into_iter().chain(tick).min();
        self.wake_at = wake_at.unwrap_or(Instant::from_nanos(u64::MAX));
    }

    /// With what is known of messages that were done with under another consumer.
    fn take_inbox(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for event in self.inbox.drain(..) {
            if let Event::Received { messages, .. } = &event {
                let done = messages.iter().filter(|message| {
                    let job = self.sqs.deliveries[&message.key].body.job;
                    self.checkers.was_known_done(job)
                });
                events.extend(done.map(|message| Event::KnownToHaveSucceeded {
                    message: message.id.clone(),
                }));
            }
            events.push(event);
        }
        events
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Receive {
                poll,
                queue,
                max,
                wait,
                visibility,
                attempt,
            } => {
                self.polls.insert(poll, queue.0);
                let ask = Waiting {
                    poll,
                    queue: queue.0,
                    max,
                    visibility,
                    // Each consumer has names of its own.
                    attempt: attempt.map(|attempt| self.deaths << 32 | attempt),
                };
                self.ask(Request::Receive(ask, wait));
            }
            Action::Delete {
                request, messages, ..
            } => self.ask(Request::Delete(request, messages)),
            Action::ChangeVisibility {
                request, messages, ..
            } => self.ask(Request::Change(request, messages)),
            Action::Forward {
                request, messages, ..
            } => self.ask(Request::Forward(request, messages)),
            Action::Dispatch {
                process,
                message,
                lease_until,
                ..
            } => {
                self.give(process, vec![message], lease_until);
            }
            Action::DispatchTogether {
                process,
                messages,
                lease_until,
            } => {
                let messages = messages.into_iter().map(|(message, _)| message).collect();
                self.give(process, messages, lease_until);
            }
            Action::TakeBack { process } => {
                self.plan(Duration::from_micros(50), Happening::TakeBack(process));
            }
            Action::Kill { process } => {
                self.plan(Duration::from_micros(50), Happening::Kill(process));
            }
            Action::AbandonReceive { poll } => self.abandon(poll),
            Action::Forget { .. } | Action::Report(_) | Action::Done => {}
        }
    }

    fn give(&mut self, process: ProcessId, messages: Vec<MessageKey>, lease_until: Instant) {
        let give = Happening::Give {
            process,
            messages,
            lease_until,
        };
        self.plan(Duration::from_micros(50), give);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Send(number) => {
                let job = &self.plan.jobs[number];
                self.sqs.send(self.now, number, job.queue, job.group);
                self.checkers.sent(number);
            }
            Happening::Ask(request) => self.answer(request),
            Happening::WaitEnds(poll) => {
                if let Some(place) = self.sqs.waiting.iter().position(|ask| ask.poll == poll) {
                    let ask = self.sqs.waiting.remove(place);
                    self.answer_receive(ask, Vec::new());
                }
            }
            Happening::Inbox(event) => self.inbox.push_back(event),
            Happening::Give {
                process,
                messages,
                lease_until,
            } => {
                self.processes.give(process, messages, lease_until);
                self.look(process);
            }
            Happening::TakeBack(process) => {
                if let Some(event) = self.processes.take_back(process) {
                    self.plan(Duration::from_micros(100), Happening::Inbox(event));
                }
            }
            Happening::Kill(process) => self.kill(process),
            Happening::Rival => self.rival(),
            Happening::ConsumerDies => self.consumer_dies(),
            Happening::KillSome => match self.processes.running()[..] {
                [culprit, neighbour, ..] if self.rng.permille(300) => {
                    self.end_at_limit(culprit, neighbour);
                }
                [process, ..] => self.kill(process),
                [] => {}
            },
            Happening::Look(process) => self.look(process),
            Happening::StartProcess => {
                self.processes_made += 1;
                let process = ProcessId(self.processes_made);
                let tasks_max = self.plan.tasks_max;
                self.processes.start(process, tasks_max);
                self.inbox
                    .push_back(Event::ProcessReady { process, tasks_max });
            }
            Happening::Pause(length) => self.pause(length),
        }
    }

    /// The driver stands still; what came meanwhile is read within moments after it goes on.
    fn pause(&mut self, length: Duration) {
        if self.is_healed {
            return;
        }
        self.paused_until = self.paused_until.max(self.now + length);
        let end = self.paused_until;
        let coming: Vec<_> = self
            .agenda
            .iter()
            .filter(|((at, _), _)| *at < end)
            .map(|(&key, _)| key)
            .collect();
        for key in coming {
            if matches!(self.agenda[&key], Happening::Inbox(_)) {
                self.delay_inbox(key);
            }
        }
    }

    fn delay_inbox(&mut self, key: (Instant, u64)) {
        if let Some(happening) = self.agenda.remove(&key) {
            let late = self.paused_until + Duration::from_micros(key.1 % 1000 * 50);
            self.agenda_length += 1;
            self.agenda.insert((late, self.agenda_length), happening);
        }
    }

    /// Tells the driver after so long, or when it has gone on and read it.
    pub(crate) fn tell(&mut self, after: Duration, event: Event) {
        let at = self.now + after;
        if at < self.paused_until {
            let late = self.paused_until.saturating_since(self.now) + self.rng.micros(0, 50_000);
            self.plan(late, Happening::Inbox(event));
        } else {
            self.plan(after, Happening::Inbox(event));
        }
    }

    /// Another consumer takes its place at once. What was asked of SQS is not done, or its reply is not read; what runs
    /// goes on, and is taken on.
    fn consumer_dies(&mut self) {
        if self.is_healed {
            return;
        }
        self.agenda.retain(|_, happening| {
            matches!(
                happening,
                Happening::Send(_)
                    | Happening::KillSome
                    | Happening::Rival
                    | Happening::ConsumerDies
                    | Happening::Look(_)
                    | Happening::StartProcess
                    | Happening::Pause(_)
            )
        });
        self.paused_until = self.now;
        self.inbox.clear();
        self.polls.clear();
        self.lost_replies.clear();
        self.sqs.waiting.clear();
        self.deaths += 1;
        let before = self.processes.count();
        let running = self.processes.leave_behind();
        self.checkers.consumer_died(&self.sqs, &running);
        self.consumer = Consumer::new(self.plan.settings, self.plan.seed ^ self.deaths);
        self.introduce();
        for _ in running.len()..before {
            let start = self.rng.micros(1_000, 200_000);
            self.plan(start, Happening::StartProcess);
        }
        for (process, run) in running {
            let received = run.iter().map(|key| self.sqs.deliveries[key].received_at);
            self.inbox.push_back(Event::Adopted {
                process,
                queue: QueueId(self.sqs.deliveries[&run[0]].queue),
                received: received.min().expect("a run has a message"),
                messages: run.iter().map(|&key| self.arrival(key)).collect(),
            });
        }
    }

    /// Another worker takes a batch: it runs some of it in no time, and then dies.
    fn rival(&mut self) {
        let queues = u32::try_from(self.plan.queues.len()).expect("a few");
        let queue = self.rng.range32(0, queues - 1);
        let visibility =
            Duration::from_secs(self.plan.queues[queue as usize].visibility_secs.into());
        let ask = Waiting {
            poll: PollId(0),
            queue,
            max: 5,
            visibility,
            attempt: None,
        };
        for key in self.sqs.receive(self.now, ask) {
            let body = self.sqs.deliveries[&key].body;
            let job = &self.plan.jobs[body.job];
            let due = body.due.or(job.due.map(|due| Instant::ORIGIN + due));
            let is_due = due.is_none_or(|due| due <= self.now);
            if job.poison != Poison::No || !is_due || self.rng.permille(300) {
                return;
            }
            self.checkers.ran_elsewhere(body.job);
            if self.rng.permille(200) {
                return;
            }
            self.sqs.delete(self.now, key);
        }
    }

    fn kill(&mut self, id: ProcessId) {
        if let Some(step) = self.kill_process(id) {
            self.take_step(id, step);
        }
    }

    fn kill_process(&mut self, id: ProcessId) -> Option<Step> {
        let (now, plan, sqs) = (self.now, &self.plan, &self.sqs);
        self.processes.kill(id, now, plan, &mut self.checkers, sqs)
    }

    /// Two lanes of one process, which is killed since the task of one is at its time limit.
    fn end_at_limit(&mut self, culprit: ProcessId, neighbour: ProcessId) {
        for id in [culprit, neighbour] {
            let Some(Step::Gone { culprits: running }) = self.kill_process(id) else {
                continue;
            };
            if id == neighbour {
                // It is interrupted, and begins anew.
                let jobs = running
                    .iter()
                    .map(|(message, _)| self.sqs.deliveries[message].body.job);
                let counted = jobs.filter(|&job| !self.plan.is_poison(job)).count();
                self.checkers.begun -= counted as u64;
            }
            if id == culprit {
                let took = Duration::from_secs(1);
                self.take_step(id, Step::ended(running, took));
            }
            let culprits = Vec::new();
            self.take_step(id, Step::Gone { culprits });
        }
    }

    fn look(&mut self, id: ProcessId) {
        let steps =
            self.processes
                .look(self.now, id, &self.plan, &mut self.sqs, &mut self.checkers);
        for step in steps {
            self.take_step(id, step);
        }
    }

    fn take_step(&mut self, id: ProcessId, step: Step) {
        // Always the same delay, so that what a process tells keeps its order.
        let delay = Duration::from_micros(100);
        match step {
            // All of a run in one step, as the core's doc wants it.
            Step::Tell(events) => {
                for event in events {
                    self.plan(delay, Happening::Inbox(event));
                }
            }
            Step::Wait(length) => self.plan(length, Happening::Look(id)),
            Step::Gone { culprits } => {
                self.plan(
                    delay,
                    Happening::Inbox(Event::ProcessGone {
                        process: id,
                        culprits,
                    }),
                );
                let start = self.rng.micros(1_000, 200_000);
                self.plan(start, Happening::StartProcess);
            }
        }
    }
}
