//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pyqs_core::limits::{BATCH_MAX, HEARTBEAT_NEEDS_MIN, PIPELINE_MAX, POLLS_MAX, UNCONFIRMED_MAX};
use pyqs_core::{Action, EntryReply, Event, Instant, MessageKey, Onward, Outcome, ProcessId};
use pyqs_core::{Report, RequestId, Snapshot};

use crate::faults::{Plan, Poison};
use crate::paces::PaceRecord;
use crate::sends::Sends;
use crate::sqs::{Sqs, timestamp};

/// What is known of each job, and of what the core was told and asked for.
pub(crate) struct Checkers {
    jobs: Vec<JobRecord>,
    unsent: usize,
    groups: BTreeMap<(u32, u32), GroupRecord>,
    /// Deliveries that the driver keeps.
    pub(crate) held: BTreeSet<MessageKey>,
    given: BTreeMap<MessageKey, ProcessId>,
    processes: BTreeMap<ProcessId, ProcessRecord>,
    running_by_queue: BTreeMap<u32, u32>,
    paces: BTreeMap<u32, PaceRecord>,
    /// A change of its visibility is under way.
    changing: BTreeSet<MessageKey>,
    pub(crate) sends: Sends,
    requests: BTreeMap<RequestId, Vec<MessageKey>>,
    pub(crate) polls: BTreeMap<u32, usize>,
    pub(crate) is_done: bool,
    pub(crate) duplicates: u32,
    pub(crate) begun: u64,
    /// Nothing ever goes wrong.
    is_calm: bool,
}

#[derive(Clone, Debug, Default)]
struct JobRecord {
    /// Its queue and message group.
    group: Option<(u32, u32)>,
    can_succeed: bool,
    is_sent: bool,
    /// When it first began and when it last ended.
    began: Option<Instant>,
    ended: Option<Instant>,
    is_running: bool,
    runs: u32,
    successes: u32,
    over: Option<Over>,
    callbacks: Callbacks,
    /// It asked to run again no earlier.
    retry_at: Option<Instant>,
}

impl JobRecord {
    fn is_done(&self) -> bool {
        self.successes > 0 || self.over.is_some()
    }
}

/// What is to follow a job that has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Callbacks {
    #[default]
    None,
    Wanted,
    /// SQS has them.
    Sent,
}

/// How a job that does not succeed can be done.
#[derive(Clone, Copy, Debug)]
enum Over {
    Discarded,
    /// SQS has it in the dead-letter queue.
    Dead,
    Expired,
    /// It failed for good, and others are to hear of it.
    Failed,
}

/// The jobs of a message group.
#[derive(Debug, Default)]
struct GroupRecord {
    /// In the order in which they were sent.
    sent: Vec<usize>,
    /// So many of them, from the first on, have succeeded or are on the dead-letter queue.
    done: usize,
    running: Option<usize>,
}

#[derive(Debug, Default)]
struct ProcessRecord {
    tasks_max: Option<u32>,
    given_ever: u32,
    given_now: usize,
}

impl Checkers {
    pub(crate) fn new(plan: &Plan) -> Self {
        let jobs = plan.jobs.iter().map(|job| JobRecord {
            group: job.group.map(|group| (job.queue, group)),
            can_succeed: job.poison == Poison::No,
            ..JobRecord::default()
        });
        let jobs: Vec<JobRecord> = jobs.collect();
        Self {
            unsent: jobs.len(),
            jobs,
            groups: BTreeMap::new(),
            held: BTreeSet::new(),
            given: BTreeMap::new(),
            processes: BTreeMap::new(),
            running_by_queue: BTreeMap::new(),
            paces: BTreeMap::new(),
            changing: BTreeSet::new(),
            sends: Sends::default(),
            requests: BTreeMap::new(),
            polls: BTreeMap::new(),
            is_done: false,
            duplicates: 0,
            begun: 0,
            is_calm: plan.is_calm(),
        }
    }

    pub(crate) fn sent(&mut self, number: usize) {
        let record = &mut self.jobs[number];
        record.is_sent = true;
        self.unsent -= 1;
        if let Some(group) = record.group {
            self.groups.entry(group).or_default().sent.push(number);
        }
    }

    pub(crate) fn runs(&self, job: usize) -> u32 {
        self.jobs[job].runs
    }

    /// When a job first began.
    pub(crate) fn began(&self, job: usize) -> Instant {
        self.jobs[job].began.expect("it has begun")
    }

    /// When a job last ended.
    pub(crate) fn ended_at(&self, job: usize) -> Instant {
        self.jobs[job].ended.expect("it has ended")
    }

    /// A process begins a task.
    pub(crate) fn begun(&mut self, now: Instant, plan: &Plan, sqs: &mut Sqs, message: MessageKey) {
        let delivery = sqs.deliveries.get_mut(&message).expect("a known delivery");
        assert!(
            !delivery.is_superseded,
            "{message:?} began after it was delivered again"
        );
        assert!(
            timestamp(now) < delivery.visible_at,
            "{message:?} began on a lapsed lease at {now}"
        );
        delivery.was_begun = true;
        let number = delivery.body.job;
        let record = &mut self.jobs[number];
        let due = plan.jobs[number].due.map(|due| Instant::ORIGIN + due);
        assert!(
            due.is_none_or(|due| due <= now),
            "job {number} began before it was due"
        );
        // SQS counts milliseconds.
        let retry_at = record.retry_at.filter(|_| self.is_calm);
        assert!(
            retry_at.is_none_or(|at| at <= now + Duration::from_millis(1)),
            "job {number} began before its back-off was over"
        );
        assert!(!record.is_running, "job {number} runs twice at once");
        record.is_running = true;
        record.runs += 1;
        self.begun += u64::from(plan.jobs[number].poison == Poison::No);
        record.began.get_or_insert(now);
        if let Some(group) = record.group {
            self.check_order(sqs, group, number);
        }
    }

    /// All that was sent before it in its group must have succeeded, or be on the dead-letter
    /// queue, and none may be running.
    fn check_order(&mut self, sqs: &Sqs, group: (u32, u32), number: usize) {
        let group = self.groups.get_mut(&group).expect("it was sent");
        let is_done = |job: usize| self.jobs[job].is_done();
        while group.sent.get(group.done).is_some_and(|&job| is_done(job)) {
            group.done += 1;
        }
        let mut dead = None;
        while let Some(&first) = group.sent.get(group.done)
            && first != number
            && !is_done(number)
        {
            let is_dead = dead.get_or_insert_with(|| sqs.dead_jobs()).contains(&first);
            assert!(
                is_dead || is_done(first),
                "job {number} began before job {first} was done"
            );
            group.done += 1;
        }
        let running = group.running.replace(number);
        assert!(
            running.is_none(),
            "job {number} began while job {running:?} of its group ran"
        );
    }

    /// Another worker ran a job.
    pub(crate) fn ran_elsewhere(&mut self, job: usize) {
        self.jobs[job].runs += 1;
        self.jobs[job].callbacks = Callbacks::None;
        self.succeeded(job);
    }

    fn succeeded(&mut self, job: usize) {
        let record = &mut self.jobs[job];
        record.successes += 1;
        self.duplicates += u32::from(record.successes > 1);
    }

    /// A process ended a task, or died of it, and this is what becomes of it.
    pub(crate) fn ended(&mut self, now: Instant, sqs: &Sqs, message: MessageKey, outcome: Outcome) {
        let job = sqs.deliveries[&message].body.job;
        let record = &mut self.jobs[job];
        record.ended = Some(now);
        record.is_running = false;
        record.retry_at = None;
        if let Some(group) = record.group {
            self.groups.get_mut(&group).expect("it began").running = None;
        }
        match outcome {
            Outcome::Succeeded => self.succeeded(job),
            Outcome::SucceededWithCallbacks => {
                record.callbacks = Callbacks::Wanted;
                self.succeeded(job);
            }
            Outcome::FailedWithErrbacks => {
                record.callbacks = Callbacks::Wanted;
                record.over = Some(Over::Failed);
            }
            Outcome::Discarded => record.over = Some(Over::Discarded),
            Outcome::Retry { delay } => record.retry_at = Some(now + delay),
            _ => {}
        }
    }

    /// SQS has answered a request to send messages on.
    pub(crate) fn sent_on(
        &mut self,
        sqs: &Sqs,
        onwards: &BTreeMap<MessageKey, Onward>,
        reply: &[(MessageKey, EntryReply)],
    ) {
        for (message, entry) in reply {
            if *entry != EntryReply::Done {
                continue;
            }
            let delivery = &sqs.deliveries[message];
            self.sends.taken(delivery);
            let record = &mut self.jobs[delivery.body.job];
            match onwards[message] {
                Onward::Hop { .. } => {}
                Onward::DeadLetter => record.over = Some(Over::Dead),
                Onward::Callbacks => {
                    assert!(
                        record.is_done(),
                        "callbacks of {message:?} are sent, and it has not ended"
                    );
                    record.callbacks = Callbacks::Sent;
                }
            }
        }
    }

    /// The core is about to be told.
    pub(crate) fn event(&mut self, sqs: &Sqs, event: &Event) {
        match event {
            Event::ProcessReady { process, tasks_max } => {
                let record = ProcessRecord {
                    tasks_max: *tasks_max,
                    ..ProcessRecord::default()
                };
                self.processes.insert(*process, record);
            }
            Event::Received { messages, .. } => {
                self.held.extend(messages.iter().map(|arrival| arrival.key));
            }
            Event::TaskEnded {
                message, outcome, ..
            } => {
                self.came_back(sqs, *message);
                if matches!(outcome, Outcome::NotStarted | Outcome::Unrunnable) {
                    self.did_not_run(sqs, *message);
                }
            }
            Event::TakenBack { process, messages } => {
                for &message in messages {
                    self.did_not_run(sqs, message);
                    if self.came_back(sqs, message).is_some()
                        && let Some(record) = self.processes.get_mut(process)
                    {
                        record.given_ever -= 1;
                    }
                }
            }
            Event::ProcessGone { process, culprit } => {
                let lost: Vec<_> = self
                    .given
                    .iter()
                    .filter(|&(_, of)| of == process)
                    .map(|(&key, _)| key)
                    .collect();
                for message in lost {
                    self.came_back(sqs, message);
                    if culprit.is_none_or(|(culprit, _)| culprit != message) {
                        self.did_not_run(sqs, message);
                    }
                }
                self.processes.remove(process);
            }
            Event::Deleted { request, .. } => {
                let messages = self.requests.remove(request);
                assert!(messages.is_some(), "a request comes back once");
            }
            Event::Forwarded { request, reply } => {
                let messages = self.requests.remove(request);
                assert!(messages.is_some(), "a request comes back once");
                let entries = reply.as_deref().unwrap_or_default();
                self.sends.told(sqs, entries);
            }
            Event::VisibilityChanged { request, .. } => {
                for message in self
                    .requests
                    .remove(request)
                    .expect("a request comes back once")
                {
                    self.changing.remove(&message);
                }
            }
            _ => {}
        }
    }

    fn did_not_run(&mut self, sqs: &Sqs, message: MessageKey) {
        let queue = sqs.deliveries[&message].queue;
        if let Some(pace) = self.paces.get_mut(&queue) {
            pace.came_back += 1;
        }
    }

    fn came_back(&mut self, sqs: &Sqs, message: MessageKey) -> Option<ProcessId> {
        let process = self.given.remove(&message)?;
        if let Some(record) = self.processes.get_mut(&process) {
            record.given_now -= 1;
        }
        *self
            .running_by_queue
            .entry(sqs.deliveries[&message].queue)
            .or_default() -= 1;
        Some(process)
    }

    /// The core asked for something.
    pub(crate) fn action(&mut self, now: Instant, plan: &Plan, sqs: &Sqs, action: &Action) {
        assert!(!self.is_done, "{action:?} after Done");
        match action {
            Action::Receive { queue, max, .. } => {
                let open = self.polls.entry(queue.0).or_default();
                *open += 1;
                assert!(*open <= POLLS_MAX, "{open} polls of {queue:?}");
                assert!(
                    (1..=plan.settings.batch_max).contains(max),
                    "asked for {max}"
                );
            }
            Action::Dispatch {
                process,
                message,
                lease_until,
                attempt,
            } => {
                let runs = self.jobs[sqs.deliveries[message].body.job].runs;
                assert!(
                    !self.is_calm || *attempt == runs + 1,
                    "{message:?} has run {runs} times, and attempt {attempt} begins"
                );
                self.dispatched(now, plan, sqs, (*process, *message, *lease_until));
            }
            Action::Delete {
                request, messages, ..
            } => {
                for message in messages {
                    self.check_delete(sqs, *message);
                }
                self.requested(*request, messages.clone());
            }
            Action::ChangeVisibility {
                request, messages, ..
            } => {
                for (message, _) in messages {
                    let is_alone = self.changing.insert(*message);
                    assert!(
                        is_alone,
                        "two changes of {message:?} may overtake each other"
                    );
                }
                let messages = messages.iter().map(|&(message, _)| message).collect();
                self.requested(*request, messages);
            }
            Action::Forward {
                request, messages, ..
            } => {
                let messages = messages.iter().map(|&(message, _)| message).collect();
                self.requested(*request, messages);
            }
            Action::Forget { message } => {
                assert!(
                    self.held.remove(message),
                    "{message:?} is forgotten but was not held"
                );
                assert!(
                    !self.given.contains_key(message),
                    "{message:?} is forgotten while it runs"
                );
            }
            Action::Report(Report::Expired { message, .. }) => {
                let number = sqs.deliveries[message].body.job;
                let expires = plan.jobs[number].expires.map(|at| Instant::ORIGIN + at);
                assert!(
                    expires.is_some_and(|at| at <= now),
                    "job {number} has not expired"
                );
                self.jobs[number].over = Some(Over::Expired);
            }
            Action::Done => self.is_done = true,
            _ => {}
        }
    }

    /// Only what is done with, or known to be elsewhere, is deleted.
    fn check_delete(&self, sqs: &Sqs, message: MessageKey) {
        let delivery = &sqs.deliveries[&message];
        let number = delivery.body.job;
        let record = &self.jobs[number];
        let is_confirmed = self.sends.is_confirmed(delivery);
        assert!(
            record.successes > 0
                || matches!(
                    record.over,
                    Some(Over::Discarded | Over::Expired | Over::Failed)
                )
                || is_confirmed,
            "job {number} is deleted, and it is not done"
        );
        assert!(
            record.callbacks != Callbacks::Wanted || is_confirmed,
            "job {number} is deleted, and what is to follow it was not sent"
        );
    }

    fn dispatched(
        &mut self,
        now: Instant,
        plan: &Plan,
        sqs: &Sqs,
        dispatch: (ProcessId, MessageKey, Instant),
    ) {
        let (process, message, lease_until) = dispatch;
        let delivery = &sqs.deliveries[&message];
        let share = plan.queues[delivery.queue as usize].share;
        assert!(
            self.held.contains(&message),
            "{message:?} is dispatched but not held"
        );
        assert_ne!(
            plan.jobs[delivery.body.job].poison,
            Poison::Unreadable,
            "unreadable, but dispatched"
        );
        assert!(
            lease_until > now,
            "{message:?} is dispatched on a lapsed lease"
        );
        let is_enough = lease_until.saturating_since(now) >= HEARTBEAT_NEEDS_MIN;
        assert!(
            is_enough || !plan.settings.extend_visibility,
            "{message:?} starts too late for a heartbeat"
        );
        let visible_at = delivery.visible_at.as_millis() + 1;
        let claimed = timestamp(lease_until).as_millis();
        assert!(
            claimed <= visible_at,
            "{message:?}: leased until {claimed}, visible at {visible_at}"
        );
        assert_eq!(
            self.given.insert(message, process),
            None,
            "{message:?} is dispatched twice"
        );
        let record = self
            .processes
            .get_mut(&process)
            .expect("dispatched to a process that is there");
        record.given_now += 1;
        record.given_ever += 1;
        assert!(record.given_now <= PIPELINE_MAX);
        assert!(
            record.tasks_max.is_none_or(|max| record.given_ever <= max),
            "{process:?} is over its budget"
        );
        assert!(
            plan.settings.interval.is_zero() || record.given_now == 1,
            "no pipelining with --interval"
        );
        let pace = self.paces.entry(delivery.queue).or_default();
        pace.started(now, message, share.rate);
        let running = self.running_by_queue.entry(delivery.queue).or_default();
        *running += 1;
        let cap = share.tasks_max;
        assert!(
            cap.is_none_or(|cap| *running <= cap),
            "queue {} is over its cap",
            delivery.queue
        );
    }

    fn requested(&mut self, request: RequestId, messages: Vec<MessageKey>) {
        assert!(
            (1..=usize::from(BATCH_MAX)).contains(&messages.len()),
            "{} in a batch",
            messages.len()
        );
        for &message in &messages {
            assert!(
                self.held.contains(&message),
                "{message:?} is in a request but not held"
            );
        }
        assert_eq!(
            self.requests.insert(request, messages),
            None,
            "a request's name came twice"
        );
    }

    /// After each step.
    pub(crate) fn snapshot(&self, plan: &Plan, snapshot: &Snapshot) {
        let buffered: usize = snapshot.queues.values().map(|queue| queue.buffered).sum();
        let running: usize = snapshot.queues.values().map(|queue| queue.running).sum();
        let batches = usize::from(plan.settings.batch_max) * snapshot.queues.len();
        // What processes gave back or lost comes on top.
        let returned = PIPELINE_MAX * plan.processes as usize;
        assert!(
            buffered <= plan.settings.buffer_max + batches + returned,
            "{buffered} messages are buffered"
        );
        // Besides, what waits for SQS, and what open receives brought meanwhile.
        let unconfirmed = snapshot.queues.len()
            * (3 * UNCONFIRMED_MAX + POLLS_MAX * usize::from(BATCH_MAX) + returned);
        let held_max = plan.settings.buffer_max + batches + 2 * returned + unconfirmed;
        assert!(self.held.len() <= held_max, "{} held", self.held.len());
        assert_eq!(running, self.given.len());
        for (queue, state) in &snapshot.queues {
            assert_eq!(
                state.polls,
                self.polls.get(&queue.0).copied().unwrap_or_default()
            );
        }
    }

    /// All was sent, and no process has anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.given.is_empty() && self.unsent == 0
    }

    /// Which jobs have not succeeded.
    pub(crate) fn unfinished(&self) -> Vec<usize> {
        let jobs = self.jobs.iter().enumerate();
        let open = jobs.filter(|(_, record)| !record.is_done() && record.can_succeed);
        open.map(|(number, _)| number).collect()
    }

    /// Nothing was lost: what SQS does not have any more succeeded.
    pub(crate) fn nothing_is_lost(&self, sqs: &Sqs) {
        let mut there = sqs.waiting_jobs();
        there.extend(sqs.dead_jobs());
        for (number, record) in self.jobs.iter().enumerate() {
            assert!(
                !record.is_sent || record.is_done() || there.contains(&number),
                "job {number} is lost"
            );
        }
    }
}
