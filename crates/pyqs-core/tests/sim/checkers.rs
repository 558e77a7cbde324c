//! What must hold after every step.

mod starts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pyqs_core::limits::{BATCH_MAX, PIPELINE_MAX, POLLS_MAX, UNCONFIRMED_MAX};
use pyqs_core::{Action, EntryReply, Event, Instant, MessageKey, Onward, Outcome, ProcessId};
use pyqs_core::{Report, RequestId, Snapshot};

use crate::faults::{Plan, Poison};
use crate::jobs::{Callbacks, JobRecord, Over};
use crate::paces::PaceRecord;
use crate::sends::Sends;
use crate::sqs::Sqs;

/// What is known of each job, and of what the core was told and asked for.
pub(crate) struct Checkers {
    jobs: Vec<JobRecord>,
    unsent: usize,
    /// Jobs that were known to be done with when the last consumer was gone.
    known_done: BTreeSet<usize>,
    groups: BTreeMap<(u32, u32), GroupRecord>,
    /// Deliveries that the driver keeps.
    pub(crate) held: BTreeSet<MessageKey>,
    given: BTreeMap<MessageKey, ProcessId>,
    /// Held, and given to no process so far.
    fresh: BTreeSet<MessageKey>,
    /// What they take.
    fresh_bytes: usize,
    /// Of these, the ones that are not the first of their run.
    followers: BTreeSet<MessageKey>,
    /// And the ones whose run is one of several.
    together: BTreeSet<MessageKey>,
    /// Since when each has waited for others, with the delivery that it takes the place of.
    arrived: BTreeMap<MessageKey, Instant>,
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
    /// Nothing but the end of consumers.
    is_only_of_deaths: bool,
}

/// The jobs of a message group.
#[derive(Debug, Default)]
struct GroupRecord {
    /// In the order in which they were sent.
    sent: Vec<usize>,
    /// So many of them, from the first on, have succeeded or are on the dead-letter queue.
    done: usize,
    running: Option<usize>,
    /// Those that the run which begins has besides.
    together: BTreeSet<usize>,
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
            known_done: BTreeSet::new(),
            groups: BTreeMap::new(),
            held: BTreeSet::new(),
            given: BTreeMap::new(),
            fresh: BTreeSet::new(),
            fresh_bytes: 0,
            followers: BTreeSet::new(),
            together: BTreeSet::new(),
            arrived: BTreeMap::new(),
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
            is_only_of_deaths: plan.is_only_of_deaths(),
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

    /// How often a job was not run when it began, but put off.
    pub(crate) fn postponed(&self, job: usize) -> u32 {
        self.jobs[job].postponed
    }

    /// When a job first began.
    pub(crate) fn began(&self, job: usize) -> Instant {
        self.jobs[job].began.expect("it has begun")
    }

    /// When a job last ended.
    pub(crate) fn ended_at(&self, job: usize) -> Instant {
        self.jobs[job].ended.expect("it has ended")
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
        let delivery = &sqs.deliveries[&message];
        assert!(
            !self.is_only_of_deaths || !delivery.is_superseded,
            "{message:?} was delivered again while it ran"
        );
        let job = delivery.body.job;
        let record = &mut self.jobs[job];
        record.ended = Some(now);
        record.is_running = false;
        record.retry_at = None;
        record.postponed_until = None;
        if let Some(group) = record.group {
            self.groups.get_mut(&group).expect("it began").running = None;
        }
        match outcome {
            Outcome::Succeeded => {
                record.is_known_done = true;
                self.succeeded(job);
            }
            Outcome::SucceededWithCallbacks => {
                record.callbacks = Callbacks::Wanted;
                self.succeeded(job);
            }
            Outcome::FailedWithErrbacks => {
                record.callbacks = Callbacks::Wanted;
                record.over = Some(Over::Failed);
            }
            Outcome::Discarded => {
                record.is_known_done = true;
                record.over = Some(Over::Discarded);
            }
            Outcome::Retry { delay } => record.retry_at = Some(now + delay),
            Outcome::Postponed { delay } => {
                // SQS counts whole seconds.
                let secs = u64::try_from(delay.as_nanos().div_ceil(1_000_000_000)).expect("short");
                record.postponed_until = Some(now + Duration::from_secs(secs.max(1)));
                record.postponed += 1;
                record.runs -= 1;
                self.begun -= 1;
            }
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
    pub(crate) fn event(&mut self, now: Instant, sqs: &Sqs, event: &Event) {
        match event {
            Event::ProcessReady { process, tasks_max } => {
                let record = ProcessRecord {
                    tasks_max: *tasks_max,
                    ..ProcessRecord::default()
                };
                self.processes.insert(*process, record);
            }
            Event::Received { messages, .. } => {
                for arrival in messages {
                    self.arrived(now, sqs, arrival.key);
                    self.fresh.insert(arrival.key);
                    self.fresh_bytes += arrival.bytes;
                }
            }
            Event::TaskEnded {
                message, outcome, ..
            } => {
                let is_alone = !self.together.contains(message);
                let is_put_off = matches!(outcome, Outcome::NotStarted | Outcome::Postponed { .. });
                if is_put_off || (*outcome == Outcome::Unrunnable && is_alone) {
                    self.did_not_run(sqs, *message);
                }
                self.together.remove(message);
                self.came_back(sqs, *message);
            }
            Event::TakenBack { process, messages } => {
                for &message in messages {
                    self.did_not_run(sqs, message);
                    let is_run = !self.followers.contains(&message);
                    if self.came_back(sqs, message).is_some()
                        && is_run
                        && let Some(record) = self.processes.get_mut(process)
                    {
                        record.given_ever -= 1;
                    }
                }
            }
            Event::ProcessGone { process, culprits } => {
                let lost: Vec<_> = self
                    .given
                    .iter()
                    .filter(|&(_, of)| of == process)
                    .map(|(&key, _)| key)
                    .collect();
                for message in lost {
                    if !culprits.iter().any(|&(culprit, _)| culprit == message) {
                        self.did_not_run(sqs, message);
                    }
                    self.came_back(sqs, message);
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

    /// The consumer is gone, and another has taken on what runs: these runs, each in its process.
    pub(crate) fn consumer_died(&mut self, sqs: &Sqs, running: &[(ProcessId, Vec<MessageKey>)]) {
        let jobs = self.jobs.iter().enumerate();
        let known_done = jobs.filter(|(_, record)| record.is_known_done);
        self.known_done = known_done.map(|(job, _)| job).collect();
        self.held.clear();
        self.given.clear();
        self.fresh.clear();
        self.fresh_bytes = 0;
        self.followers.clear();
        self.together.clear();
        self.processes.clear();
        self.running_by_queue.clear();
        for (id, run) in running {
            self.held.extend(run);
            self.given.extend(run.iter().map(|&message| (message, *id)));
            self.followers.extend(&run[1..]);
            if run.len() > 1 {
                self.together.extend(run);
            }
            let record = ProcessRecord {
                tasks_max: None,
                given_ever: 1,
                given_now: 1,
            };
            self.processes.insert(*id, record);
            let queue = sqs.deliveries[&run[0]].queue;
            *self.running_by_queue.entry(queue).or_default() += 1;
        }
        self.paces.clear();
        self.changing.clear();
        self.requests.clear();
        self.polls.clear();
        self.sends.consumer_died();
    }

    /// Whether a job was known to have succeeded when the last consumer was gone.
    pub(crate) fn was_known_done(&self, job: usize) -> bool {
        self.known_done.contains(&job)
    }

    pub(super) fn fresh_no_more(&mut self, plan: &Plan, sqs: &Sqs, message: MessageKey) {
        if self.fresh.remove(&message) {
            self.fresh_bytes -= plan.bytes(sqs.deliveries[&message].body.job);
        }
    }

    fn arrived(&mut self, now: Instant, sqs: &Sqs, message: MessageKey) {
        let record = &mut self.jobs[sqs.deliveries[&message].body.job];
        let earlier = record.last_delivery.replace(message);
        let earlier = earlier.filter(|earlier| self.held.contains(earlier));
        let since = earlier.and_then(|earlier| self.arrived.get(&earlier));
        self.arrived.insert(message, since.copied().unwrap_or(now));
        self.held.insert(message);
    }

    fn did_not_run(&mut self, sqs: &Sqs, message: MessageKey) {
        if self.followers.contains(&message) {
            return;
        }
        let queue = sqs.deliveries[&message].queue;
        if let Some(pace) = self.paces.get_mut(&queue) {
            pace.came_back += 1;
        }
    }

    fn came_back(&mut self, sqs: &Sqs, message: MessageKey) -> Option<ProcessId> {
        let process = self.given.remove(&message)?;
        if self.followers.remove(&message) {
            return Some(process);
        }
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
                let job = sqs.deliveries[message].body.job;
                assert_eq!(plan.gather(job), None, "{message:?} starts alone");
                self.dispatched(now, plan, sqs, (*process, *message, *lease_until));
            }
            Action::DispatchTogether {
                process,
                messages,
                lease_until,
            } => self.dispatched_together(now, plan, sqs, (*process, messages, *lease_until)),
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
                self.fresh_no_more(plan, sqs, *message);
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
            // Its driver notes it for those that come after it.
            Action::Report(Report::SentOn {
                message,
                onward: Onward::Callbacks,
                ..
            }) => self.jobs[sqs.deliveries[message].body.job].is_known_done = true,
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
        // What expires before another consumer gets it is deleted without running: what was to follow a run of which
        // that one does not know is lost.
        let has_expired = matches!(record.over, Some(Over::Expired));
        assert!(
            record.callbacks != Callbacks::Wanted || is_confirmed || has_expired,
            "job {number} is deleted, and what is to follow it was not sent"
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
        let gathers = plan.gathers.values().map(|gather| gather.max as usize);
        let gathered = gathers.max().unwrap_or(1);
        let returned = PIPELINE_MAX.max(gathered) * plan.processes as usize;
        let batches = batches + gathered * snapshot.queues.len();
        assert!(
            buffered <= plan.settings.buffer_max + batches + returned,
            "{buffered} messages are buffered"
        );
        // The first receive of a queue brings as many as it asks for, whatever they take; and a lost one of a FIFO
        // queue is asked for again as it was.
        let batch_bytes: usize =
            plan.bytes.iter().sum::<usize>() * usize::from(plan.settings.batch_max);
        assert!(
            self.fresh_bytes <= plan.settings.buffer_bytes_max + batch_bytes,
            "{} bytes are held that no process was given",
            self.fresh_bytes
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
