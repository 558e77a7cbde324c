//! The loop around [`pyqs_core::Consumer`], in the steps that its crate doc numbers.
//!
//! Everything else runs beside it (requests to SQS, the sockets of task processes, discovery, the control
//! channel) and sends an [`Inbound`] here. The loop owns all state and decides nothing: what a message
//! needs is said by the core, how many processes there are by the pool.

mod deaths;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::time::Duration;

use pyqs_core::limits::TICK;
use pyqs_core::{
    Action, Arrival, BatchReply, Consumer, EntryReply, Event, Instant, MessageKey, Onward, PollId,
    ProcessId, QueueAttributes, QueueId, Report, RequestId,
};
use pyqs_sqs::{QueueUrl, ReceiveRequest};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::arrivals::{Arrivals, Letter};
use crate::clock::{self, Clocks};
use crate::declared::Declared;
use crate::forwards::{Answers, Forward};
use crate::inbound::{Inbound, PollFailure};
use crate::observe::{Log, Observer};
use crate::process::TaskProcessId;
use crate::process::control::FromSupervisor;
use crate::process::pool::Pool;
use crate::process::task_process::Exit;
use crate::process::wire::{AttributeFrame, Declaration, FromProcess, JobFrame};
use crate::queues::Queues;
use crate::requests::Requests;
use crate::status::{Board, Status};

/// News that is taken in before the core is asked, at most.
const NEWS_MAX: usize = 4096;

/// Tokio's timers are no finer; with it, no mistake in a wake-up can make a hot loop.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How the loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it was told to.
    Stopped,
    /// The worker can't start; one line says why.
    Fatal(String),
}

/// All that the loop owns.
pub(crate) struct Driver {
    consumer: Consumer,
    requests: Requests,
    pool: Pool,
    arrivals: Arrivals,
    queues: Queues,
    declared: Declared,
    /// Which queue an open receive is for.
    polls: HashMap<PollId, QueueId>,
    log: Log,
    observer: Observer,
    /// Where somebody looks.
    board: Option<Board>,
    /// For the core's next step.
    events: Vec<Event>,
    is_stopping: bool,
    last_tick: Instant,
    /// Makes the names of this manager's receives its own.
    run_id: String,
}

/// The loop goes on, or it ends.
type Flow = std::ops::ControlFlow<End>;

const GO_ON: Flow = Flow::Continue(());

impl Driver {
    pub(crate) fn new(
        consumer: Consumer,
        requests: Requests,
        pool: Pool,
        log: Log,
        board: Option<Board>,
    ) -> Self {
        Self {
            consumer,
            requests,
            pool,
            arrivals: Arrivals::default(),
            queues: Queues::default(),
            declared: Declared::default(),
            polls: HashMap::new(),
            observer: Observer::new(log.clone()),
            board,
            log,
            events: Vec::new(),
            is_stopping: false,
            last_tick: Instant::ORIGIN,
            run_id: format!("pyqs-{}-{}", std::process::id(), clock::now_nanos()),
        }
    }

    /// Runs until the core is done after a stop.
    pub(crate) async fn run(mut self, mut inbound: UnboundedReceiver<Inbound>) -> End {
        let mut news = Vec::with_capacity(NEWS_MAX);
        loop {
            let now = clock::now();
            for item in news.drain(..) {
                if let Flow::Break(end) = self.take_in(item, now) {
                    return end;
                }
            }
            if now.saturating_since(self.last_tick) >= TICK || self.pool.wants_tick(now) {
                self.tick(now);
            }
            self.pool.keep_up(now, &mut self.events);
            let actions = self.consumer.handle(now, std::mem::take(&mut self.events));
            if let Flow::Break(end) = self.carry_out(actions, now) {
                return end;
            }
            let wait = self.wait(now);
            // What ends the wait, news or time, needs no telling apart: the core may be called at any time.
            let _ = tokio::time::timeout(wait, inbound.recv_many(&mut news, NEWS_MAX)).await;
        }
    }

    fn tick(&mut self, now: Instant) {
        self.last_tick = now;
        for overtime in self.pool.tick(now, &mut self.events) {
            self.observer
                .overtime(&overtime, &self.arrivals, &self.queues);
        }
        for crash in self.pool.look_for_dead(now, &mut self.events) {
            self.bury(Some(crash));
        }
        self.observer.tick(now);
        if let Some(board) = &self.board {
            board.write(Status {
                snapshot: self.consumer.snapshot(),
                names: self.queues.names(),
                now,
            });
        }
        self.events.push(Event::Timer);
    }

    /// How long nothing needs to be done unless there is news. Never longer than a tick: that bounds how
    /// late a deadline is seen on a machine that slept, which stops tokio's timers but not leases.
    fn wait(&self, now: Instant) -> Duration {
        if !self.events.is_empty() {
            return Duration::ZERO;
        }
        let wakeups = [self.consumer.next_wakeup(), self.pool.next_wakeup()];
        let earliest = wakeups.into_iter().flatten().min();
        earliest.map_or(TICK, |at| at.saturating_since(now).clamp(WAIT_MIN, TICK))
    }

    /// Step 1: news becomes events.
    fn take_in(&mut self, news: Inbound, now: Instant) -> Flow {
        match news {
            Inbound::Polled { poll, reply } => self.polled(poll, reply, now),
            Inbound::Deleted { request, reply } => {
                self.note_deleted(&reply);
                self.events.push(Event::Deleted { request, reply });
            }
            Inbound::VisibilityChanged { request, reply } => {
                self.events
                    .push(Event::VisibilityChanged { request, reply });
            }
            Inbound::Forwarded {
                request,
                reply,
                reasons,
                sent,
            } => {
                for part in sent {
                    self.arrivals.sent(part);
                }
                for (message, reason) in reasons {
                    self.arrivals.refused(message, reason);
                }
                self.events.push(Event::Forwarded { request, reply });
            }
            Inbound::QueueFound {
                url,
                attributes,
                share,
            } => {
                let attributes = core_attributes(&attributes);
                if let Some(queue) = self.queues.add(url, attributes) {
                    self.events.push(Event::QueueAdded {
                        queue,
                        attributes,
                        share,
                    });
                    self.adopt(queue, now);
                }
            }
            Inbound::QueuesListed => self.events.push(Event::QueuesListed),
            Inbound::QueueRead { url, attributes } => self.queue_read(&url, &attributes),
            Inbound::Fatal(reason) => return Flow::Break(End::Fatal(reason)),
            Inbound::Process { process, frame } => return self.heard(process, frame, now),
            Inbound::ProcessClosed { process, fault } => {
                if let Some(fault) = fault {
                    self.log
                        .error(|| format!("lost touch with a task process: {fault}"));
                }
                let crash = self.pool.closed(process, now, &mut self.events);
                self.bury(crash);
            }
            Inbound::Control(line, socket) => self.control(&line, socket, now),
            Inbound::ControlClosed(fault) => self.supervisor_is_gone(fault),
        }
        GO_ON
    }

    /// A task process has said something.
    fn heard(&mut self, process: TaskProcessId, frame: FromProcess, now: Instant) -> Flow {
        match frame {
            FromProcess::DeadLetter(lane, sequence, letter) => {
                if let Some(message) = self.pool.announced(process, lane, sequence) {
                    self.arrivals.dead_letter(message, letter);
                }
            }
            FromProcess::Callbacks(lane, sequence, callbacks, letter) => {
                if let Some(message) = self.pool.announced(process, lane, sequence) {
                    self.arrivals.callbacks(message, callbacks, letter);
                }
            }
            FromProcess::Each(lane, sequence, ends) => {
                for (message, letter) in self.pool.each(process, lane, sequence, ends) {
                    self.arrivals.dead_letter(message, letter);
                }
            }
            FromProcess::EachAfterDeath(lane, sequence, after_death) => {
                self.pool
                    .each_after_death(process, lane, sequence, after_death);
            }
            FromProcess::WarnOnce(line) => self.observer.warn_once(now, line),
            FromProcess::Declares(declarations) => self.declared(declarations),
            frame => {
                self.pool.frame(process, frame, now, &mut self.events);
                if let Some(reason) = self.pool.take_fatal() {
                    return Flow::Break(End::Fatal(reason));
                }
            }
        }
        GO_ON
    }

    fn queue_read(&mut self, url: &QueueUrl, attributes: &pyqs_sqs::QueueAttributes) {
        let attributes = core_attributes(attributes);
        if let Some(queue) = self.queues.change(url, attributes) {
            self.events.push(Event::QueueChanged { queue, attributes });
        }
    }

    fn declared(&mut self, declarations: Vec<Declaration>) {
        for declaration in &declarations {
            self.arrivals.declared(declaration);
        }
        self.events.append(&mut self.arrivals.take_news());
        self.declared.take_in(declarations);
    }

    fn polled(&mut self, poll: PollId, reply: Result<Vec<Letter>, PollFailure>, now: Instant) {
        self.requests.polled(poll);
        let Some(queue) = self.polls.remove(&poll) else {
            return;
        };
        let event = match reply {
            Ok(letters) => {
                if !letters.is_empty() {
                    self.log.debug(|| {
                        let count = letters.len();
                        let url = self.queues.url(queue).map_or("", QueueUrl::as_str);
                        format!("Successfully got {count} messages from SQS queue {url}")
                    });
                }
                let is_fifo = self.queues.is_fifo(queue);
                let handler = self.declared.handler(self.queues.name(queue));
                let clocks = Clocks::at(now);
                let arrivals = &mut self.arrivals;
                let messages: Vec<_> = letters
                    .into_iter()
                    .map(|letter| {
                        let arrival = arrivals.take_in(queue, is_fifo, handler, letter, clocks);
                        let task = arrivals.held(arrival.key).map_or("", |held| &held.task);
                        let gather = self.declared.gather(handler, arrival.work, task);
                        Arrival { gather, ..arrival }
                    })
                    .collect();
                self.events.append(&mut self.arrivals.take_news());
                self.recall(&messages);
                Event::Received { poll, messages }
            }
            Err(PollFailure { trouble, reason }) => {
                self.queues.failed(queue, reason);
                Event::ReceiveFailed { poll, trouble }
            }
        };
        self.events.push(event);
    }

    /// Lets the bodies go that were stored elsewhere.
    fn note_deleted(&self, reply: &BatchReply) {
        for &(message, reply) in reply.iter().flatten() {
            let held = self.arrivals.held(message).filter(|held| held.is_pointer);
            if let (Some(held), EntryReply::Done) = (held, reply) {
                self.pool.deleted(&held.receipt);
            }
        }
    }

    fn control(&mut self, line: &FromSupervisor, socket: Option<OwnedFd>, now: Instant) {
        match *line {
            FromSupervisor::Forked { process, pid } => {
                if let Some(socket) = socket {
                    self.pool.forked(TaskProcessId(process), pid, socket);
                }
            }
            FromSupervisor::Died {
                process,
                signal,
                code,
            } => {
                let process = TaskProcessId(process);
                let exit = Exit { signal, code };
                let crash = self.pool.died(process, exit, now, &mut self.events);
                self.bury(crash);
            }
            FromSupervisor::Left { ref pids } => self.left_behind(pids, now),
            FromSupervisor::LeftDied { pid, signal, code } => {
                let exit = Exit { signal, code };
                let crash = self.pool.left_died(pid, exit, now, &mut self.events);
                self.bury(crash);
            }
            FromSupervisor::Stop { now, .. } => self.stop(now),
        }
    }

    /// A second stop does not wait, whether it says so or not.
    fn stop(&mut self, now: bool) {
        let now = now || self.is_stopping;
        self.is_stopping = true;
        self.pool.stop();
        self.events.push(Event::Stop { now });
    }

    fn supervisor_is_gone(&mut self, fault: Option<std::io::Error>) {
        if let Some(fault) = fault {
            self.log
                .error(|| format!("lost touch with the supervisor, stopping: {fault}"));
        }
        self.pool.orphan();
        if !self.is_stopping {
            self.is_stopping = true;
            self.events.push(Event::Stop { now: false });
        }
    }

    /// Step 4.
    fn carry_out(&mut self, actions: Vec<Action>, now: Instant) -> Flow {
        let mut dispatches = Dispatches::default();
        for action in actions {
            match action {
                Action::Dispatch {
                    process,
                    message,
                    lease_until,
                    attempt,
                } => dispatches.add(process, (message, lease_until, attempt), 0),
                Action::DispatchTogether {
                    process,
                    messages,
                    lease_until,
                } => {
                    let behind = (0..u32::MAX).take(messages.len()).rev();
                    for ((message, attempt), behind) in messages.into_iter().zip(behind) {
                        dispatches.add(process, (message, lease_until, attempt), behind);
                    }
                }
                Action::TakeBack { process } => {
                    self.dispatch(&mut dispatches);
                    self.pool.take_back(process, &mut self.events);
                }
                Action::Kill { process } => {
                    self.dispatch(&mut dispatches);
                    self.pool.kill(process);
                }
                Action::Receive {
                    poll,
                    queue,
                    max,
                    wait,
                    visibility,
                    attempt,
                } => {
                    let request = ReceiveRequest {
                        max,
                        wait,
                        visibility,
                        poll: Some(format!("{}-{}", self.run_id, poll.0)),
                        attempt_id: attempt.map(|number| format!("{}-{number}", self.run_id)),
                    };
                    self.receive(poll, queue, request);
                }
                Action::AbandonReceive { poll } => self.requests.abandon(poll),
                Action::Delete {
                    request,
                    queue,
                    messages,
                } => self.delete(request, queue, &messages),
                Action::ChangeVisibility {
                    request,
                    queue,
                    messages,
                } => self.change_visibility(request, queue, &messages),
                Action::Forward {
                    request,
                    queue,
                    messages,
                } => self.forward(request, queue, messages),
                Action::Forget { message } => self.arrivals.forget(message),
                Action::Report(report) => {
                    self.heed(report);
                    self.observer
                        .report(report, now, &self.arrivals, &self.queues);
                }
                Action::Done => {
                    self.observer.summary(&self.consumer.snapshot().counters);
                    return Flow::Break(End::Stopped);
                }
            }
        }
        self.dispatch(&mut dispatches);
        GO_ON
    }

    /// What a report means to what is kept here.
    fn heed(&mut self, report: Report) {
        match report {
            Report::LeaseLost { message, .. } => self.pool.lose_lease(message),
            Report::Ends(_) => self.pool.stop(),
            Report::Redelivered { message, earlier } => self.arrivals.redelivered(message, earlier),
            // From now on it must not run again, whoever manages.
            Report::SentOn {
                message,
                onward: Onward::Callbacks,
                ..
            } => {
                if let Some(held) = self.arrivals.held(message) {
                    self.pool.successes().add(held.mark);
                }
            }
            _ => {}
        }
    }

    /// All that a process gets in this step goes to it in as few frames as hold it.
    fn dispatch(&mut self, dispatches: &mut Dispatches) {
        for (process, tasks) in std::mem::take(&mut dispatches.0) {
            let jobs = tasks
                .into_iter()
                .filter_map(|((message, lease_until, attempt), behind)| {
                    let held = self.arrivals.held(message)?;
                    let url = self.queues.url(held.queue)?;
                    let timeout = self.queues.visibility_timeout(held.queue).as_secs();
                    let job = JobFrame {
                        lane: 0,
                        sequence: 0,
                        message_id: &held.message_id,
                        receipt: held.receipt.as_str(),
                        queue_url: url.as_str(),
                        task: &held.task,
                        body: &held.body,
                        fetch_time: held.fetched_unix_secs,
                        visibility_secs: u32::try_from(timeout).unwrap_or(u32::MAX),
                        receive_count: held.receive_count,
                        attempt,
                        lease_until_nanos: lease_until.as_nanos(),
                        mark: held.mark,
                        limits: held.limits,
                        retries_before: held.retries_before,
                        attributes: AttributeFrame::all(&held.attributes),
                        system: held.system.clone(),
                        behind,
                        group: held
                            .group
                            .as_deref()
                            .filter(|_| self.queues.is_fifo(held.queue)),
                    };
                    Some((message, job))
                });
            self.pool.send(process, jobs);
        }
    }

    fn receive(&mut self, poll: PollId, queue: QueueId, request: ReceiveRequest) {
        if let Some(url) = self.queues.url(queue) {
            self.polls.insert(poll, queue);
            let has_handler = self.declared.handler(url.name()).is_some();
            self.requests
                .receive(poll, url.clone(), request, has_handler);
        }
    }

    fn delete(&mut self, request: RequestId, queue: QueueId, messages: &[MessageKey]) {
        if let Some(url) = self.queues.url(queue) {
            let messages = messages.iter().filter_map(|&message| {
                let held = self.arrivals.held(message)?;
                Some((message, held.receipt.clone()))
            });
            self.requests
                .delete(request, url.clone(), messages.collect());
        }
    }

    fn forward(&mut self, request: RequestId, queue: QueueId, messages: Vec<(MessageKey, Onward)>) {
        let Some(url) = self.queues.url(queue) else {
            return;
        };
        let clocks = Clocks::at(clock::now());
        let (mut forwards, mut answers) = (Vec::new(), Answers::default());
        for (message, onward) in messages {
            let Some(held) = self.arrivals.held(message) else {
                continue;
            };
            match Forward::all(message, held, url, onward, clocks) {
                Ok(of_it) if of_it.is_empty() => answers.nothing_to_send(message),
                Ok(of_it) => forwards.extend(of_it),
                Err(reason) => answers.refuse(message, reason),
            }
        }
        self.requests.forward(request, forwards, answers);
    }

    fn change_visibility(
        &mut self,
        request: RequestId,
        queue: QueueId,
        messages: &[(MessageKey, Duration)],
    ) {
        if let Some(url) = self.queues.url(queue) {
            let messages = messages.iter().filter_map(|&(message, hidden_for)| {
                let held = self.arrivals.held(message)?;
                Some((message, (held.receipt.clone(), hidden_for)))
            });
            self.requests
                .change_visibility(request, url.clone(), messages.collect());
        }
    }
}

/// What one step gives to each process.
#[derive(Default)]
struct Dispatches(BTreeMap<ProcessId, Vec<(Given, u32)>>);

/// A message, until when it may begin, and which run of it this is.
type Given = (MessageKey, Instant, u32);

impl Dispatches {
    /// So many of those that are added next are run with it.
    fn add(&mut self, process: ProcessId, task: Given, behind: u32) {
        self.0.entry(process).or_default().push((task, behind));
    }
}

fn core_attributes(attributes: &pyqs_sqs::QueueAttributes) -> QueueAttributes {
    QueueAttributes {
        visibility_timeout: attributes.visibility_timeout,
        is_fifo: attributes.is_fifo,
        receives_max: attributes.receives_max,
    }
}
