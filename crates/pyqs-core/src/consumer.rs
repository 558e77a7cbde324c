//! The consumer: events in, actions out.

mod adopting;
mod dispatching;
mod ending;
mod fetching;
mod forwarding;
mod intake;
mod limiting;
mod liveness;
mod outcomes;
mod replies;
mod stopping;
mod upkeep;

use std::collections::BTreeMap;

use crate::action::{Action, Report};
use crate::deadlines::{Deadline, Deadlines};
use crate::event::Event;
use crate::lease::Ticks;
use crate::limiter::Limiters;
use crate::memory::Memory;
use crate::message::{
    Held, MessageId, MessageKey, PollId, QueueAttributes, QueueId, RequestId, Share, TaskKind,
};
use crate::pool::Pool;
use crate::queue::Queue;
use crate::retry::Jitter;
use crate::schedule::{FairShare, Pace};
use crate::settings::Settings;
use crate::snapshot::{Counters, Snapshot};
use crate::stop::{Quota, Stop};
use crate::time::Instant;

use replies::Request;

pub use dispatching::KINDS_MAX;
pub use forwarding::HOP_MAX;
pub use liveness::OVERDUE_AFTER;
pub use outcomes::{
    DELETE_GATHERED_MAX, FAILED_HIDDEN_MIN, POISON_GATHERED_MAX, POISON_HIDDEN_MAX,
    POISON_HIDDEN_MIN,
};
pub use replies::RELEASE_FAILURES_MAX;

/// The consumer of any number of queues. See the crate's doc for the loop that drives it.
#[derive(Debug)]
pub struct Consumer {
    settings: Settings,
    jitter: Jitter,
    now: Instant,
    /// Since then it was called as it should be.
    awake_since: Instant,
    ticks: Ticks,
    queues: BTreeMap<QueueId, Queue>,
    /// Every delivery that the driver has not been told to forget.
    held: BTreeMap<MessageKey, Held>,
    /// The delivery by which a message is held, by its logical id; of several, the one that decides.
    /// Not what is sent on from here.
    by_id: BTreeMap<MessageId, MessageKey>,
    /// What is sent on from here, by SQS's own id, until its delete is confirmed.
    forwarding: BTreeMap<MessageId, MessageKey>,
    /// Logical ids of what is done for good.
    done: Memory,
    /// SQS's own ids of what was sent on.
    sent_on: Memory,
    /// SQS's own ids of messages that were received and not run, once for each time.
    unrun: Memory,
    /// Messages that lately were left to be delivered again: failed, given back, or lapsed.
    left: Memory,
    pool: Pool,
    /// What is run together, by the first of each run.
    runs: BTreeMap<MessageKey, Vec<MessageKey>>,
    paces: BTreeMap<TaskKind, Pace>,
    limiters: Limiters,
    fair_share: FairShare,
    polls: BTreeMap<PollId, QueueId>,
    requests: BTreeMap<RequestId, Request>,
    /// Names given to polls, requests and attempts so far.
    names: u64,
    deadlines: Deadlines,
    /// All queues that there are at the start are known.
    are_queues_listed: bool,
    /// Since then no task has ended, and nothing has become visible that was held here.
    quiet_since: Instant,
    quota: Option<Quota>,
    stop: Stop,
    /// At a stop: the busy processes were killed, so what dies now did nothing wrong.
    has_killed_busy: bool,
    /// At a stop: receives that are open until then do not come back any more.
    polls_until: Instant,
    /// At a stop: no task runs any more.
    is_waiting_for_replies: bool,
    counters: Counters,
    actions: Vec<Action>,
}

impl Consumer {
    /// A consumer without queues or processes. `seed` is all its randomness, which spreads retries.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let settings = settings.in_range();
        Self {
            settings,
            jitter: Jitter::new(seed),
            now: Instant::ORIGIN,
            awake_since: Instant::ORIGIN,
            ticks: Ticks::default(),
            queues: BTreeMap::new(),
            held: BTreeMap::new(),
            by_id: BTreeMap::new(),
            forwarding: BTreeMap::new(),
            done: Memory::default(),
            sent_on: Memory::default(),
            unrun: Memory::default(),
            left: Memory::default(),
            pool: Pool::new(settings.interval),
            runs: BTreeMap::new(),
            paces: BTreeMap::new(),
            limiters: Limiters::default(),
            fair_share: FairShare::default(),
            polls: BTreeMap::new(),
            requests: BTreeMap::new(),
            names: 0,
            deadlines: Deadlines::default(),
            are_queues_listed: false,
            quiet_since: Instant::ORIGIN,
            quota: settings.tasks_max.map(Quota::new),
            stop: Stop::No,
            has_killed_busy: false,
            polls_until: Instant::ORIGIN,
            is_waiting_for_replies: false,
            counters: Counters::default(),
            actions: Vec::new(),
        }
    }

    /// Takes in all events, in order, then acts on all of them at once, which is where batches
    /// come from. A call without events is harmless, and acts on what time has brought.
    ///
    /// `now` must not be earlier than at the last call; an earlier one is read as the same.
    #[must_use = "the actions must be carried out"]
    pub fn handle(&mut self, now: Instant, events: impl IntoIterator<Item = Event>) -> Vec<Action> {
        let before = self.now;
        self.now = before.max(now);
        self.note_sleep(before);
        self.ticks.record(self.now);
        for event in events {
            self.take_in(event);
        }
        if self.stop != Stop::Done {
            self.act();
        }
        std::mem::take(&mut self.actions)
    }

    /// When to call [`handle`](Self::handle) at the latest, if nothing happens before. Calling it
    /// earlier or needlessly is harmless.
    pub fn next_wakeup(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    /// How things stand, for people and metrics.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            queues: self
                .queues
                .iter()
                .map(|(&id, queue)| (id, queue.snapshot()))
                .collect(),
            processes: self.pool.slots(),
            processes_busy: self.pool.busy(),
            is_stopping: self.stop != Stop::No,
            counters: self.counters,
        }
    }

    fn take_in(&mut self, event: Event) {
        if self.stop == Stop::Done {
            return;
        }
        match event {
            Event::Timer => self.look_for_overdue(),
            Event::QueueAdded {
                queue,
                attributes,
                share,
            } => self.add_queue(queue, attributes, share),
            Event::TaskUndeclared { kinds } => self.task_undeclared(&kinds),
            Event::TaskDeclared { kinds, limits } => self.task_declared(&kinds, limits),
            Event::QueuesListed => self.are_queues_listed = true,
            Event::QueueChanged { queue, attributes } => self.change_queue(queue, attributes),
            Event::Received { poll, messages } => self.received(poll, messages),
            Event::KnownToHaveSucceeded { message } => self.done.remember(message),
            Event::ReceiveFailed { poll, trouble } => self.receive_failed(poll, trouble),
            Event::Deleted { request, reply } => self.deleted(request, reply),
            Event::VisibilityChanged { request, reply } => self.visibility_changed(request, reply),
            Event::Forwarded { request, reply } => self.forwarded(request, reply),
            Event::Adopted {
                process,
                queue,
                messages,
                received,
            } => self.adopt(process, queue, messages, received),
            Event::ProcessReady { process, tasks_max } => {
                self.pool.add(process, tasks_max, self.now);
            }
            Event::TaskEnded {
                message,
                outcome,
                took,
            } => self.task_ended(message, outcome, took),
            Event::TakenBack { process, messages } => self.taken_back(process, &messages),
            Event::ProcessRetiring { process } => self.pool.retire(process),
            Event::ProcessGone { process, culprits } => self.process_gone(process, &culprits),
            Event::Stop { now } => self.stop(now),
        }
    }

    fn add_queue(&mut self, id: QueueId, attributes: QueueAttributes, share: Share) {
        self.queues
            .entry(id)
            .or_insert_with(|| Queue::new(attributes, share));
        self.fair_share.add(id, share);
    }

    fn change_queue(&mut self, id: QueueId, attributes: QueueAttributes) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.attributes = attributes;
        }
    }

    /// Acts on all that was taken in and on what time has brought.
    fn act(&mut self) {
        while let Some(deadline) = self.deadlines.pop_due(self.now) {
            match deadline {
                Deadline::Upkeep(queue) => self.keep_up(queue),
                Deadline::Rested(process) => self.pool.rested(process),
                Deadline::Ripe(queue) => self.note_turns(queue),
                Deadline::Stuck(process) => self.look_for_stuck(process),
                Deadline::ShutdownTimeout => self.kill_busy(),
                Deadline::Patience => return self.give_up_waiting(),
                // What follows looks at these in any case.
                Deadline::Poll(_)
                | Deadline::LastPoll
                | Deadline::Forwards(_)
                | Deadline::Deletes(_)
                | Deadline::Releases(_)
                | Deadline::Paced(_)
                | Deadline::TaskRates
                | Deadline::Reserve => {}
            }
        }
        self.dispatch();
        self.give_back_beyond_quota();
        self.send_acknowledgements();
        self.end_by_itself();
        self.fetch();
        self.advance_stop();
        self.set_queue_deadlines();
    }

    fn set_queue_deadlines(&mut self) {
        let is_stopping = self.stop != Stop::No;
        let next_start = self.limiters.next_start(self.now).filter(|_| !is_stopping);
        self.deadlines.set(Deadline::TaskRates, next_start);
        for (&id, queue) in &self.queues {
            self.deadlines.set(
                Deadline::Upkeep(id),
                queue.upkeep.first().map(|&(at, _)| at),
            );
            self.deadlines
                .set(Deadline::Forwards(id), queue.forwards.wakeup(self.now));
            self.deadlines
                .set(Deadline::Deletes(id), queue.deletes.wakeup(self.now));
            self.deadlines
                .set(Deadline::Releases(id), queue.releases.wakeup(self.now));
            let resume_at = queue
                .poller
                .resume_at()
                .filter(|&at| at > self.now && self.stop == Stop::No);
            self.deadlines.set(Deadline::Poll(id), resume_at);
            let paced_until = queue
                .paced_until(self.now)
                .filter(|_| self.stop == Stop::No);
            self.deadlines.set(Deadline::Paced(id), paced_until);
            let ripens_at = queue.line.ripens_at(self.now);
            self.deadlines.set(Deadline::Ripe(id), ripens_at);
        }
    }

    fn report(&mut self, report: Report) {
        self.actions.push(Action::Report(report));
    }

    /// A number that was not given before.
    fn new_name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// The queue of a held message.
    fn queue_mut(&mut self, id: QueueId) -> &mut Queue {
        self.queues
            .get_mut(&id)
            .expect("queues are never removed, and messages come from known ones")
    }
}
