//! A scripted driver: the loop of the crate's doc on a clock that the test moves.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pyqs_core::limits::TICK;
use pyqs_core::{
    Action, Arrival, BatchReply, Consumer, EntryReply, Event, GroupId, Instant, MessageId,
    MessageKey, Onward, Outcome, PollId, ProcessId, QueueAttributes, QueueId, Report, Settings,
    Share, TaskKind, Trouble, Work,
};

pub(crate) const Q: QueueId = QueueId(0);

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How the scene answers deletes and changes of visibility.
#[derive(Clone, Copy)]
pub(crate) enum Replies {
    Each(EntryReply),
    Trouble(Trouble),
    Never,
}

pub(crate) struct Scene {
    pub(crate) consumer: Consumer,
    pub(crate) now: Instant,
    /// All actions so far, each with its time.
    pub(crate) log: Vec<(Instant, Action)>,
    pub(crate) replies: Replies,
    /// How it answers messages that are sent on.
    pub(crate) sends: Replies,
    pub(crate) polls: BTreeMap<QueueId, VecDeque<(PollId, u8, Instant)>>,
    /// Polls do not come back by themselves.
    pub(crate) keeps_polls: bool,
    due: VecDeque<(Instant, Event)>,
    keys: u64,
    processes: u32,
}

impl Scene {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            consumer: Consumer::new(settings, 1),
            now: Instant::ORIGIN,
            log: Vec::new(),
            replies: Replies::Each(EntryReply::Done),
            sends: Replies::Each(EntryReply::Done),
            polls: BTreeMap::new(),
            keeps_polls: false,
            due: VecDeque::new(),
            keys: 0,
            processes: 0,
        }
    }

    /// The usual: one queue with that visibility timeout, and so many processes.
    pub(crate) fn with(visibility_secs: u64, processes: u32) -> Self {
        let mut scene = Self::new(Settings::default());
        scene.queue(Q, visibility_secs, false, Share::default());
        scene.processes(processes, None);
        scene
    }

    pub(crate) fn queue(&mut self, queue: QueueId, visibility: u64, is_fifo: bool, share: Share) {
        let visibility_timeout = secs(visibility);
        let attributes = QueueAttributes {
            visibility_timeout,
            is_fifo,
            receives_max: None,
        };
        self.tell(Event::QueueAdded {
            queue,
            attributes,
            share,
        });
    }

    pub(crate) fn processes(&mut self, count: u32, tasks_max: Option<u32>) {
        let first = self.processes;
        self.processes += count;
        let ready = (first..self.processes).map(|process| Event::ProcessReady {
            process: ProcessId(process),
            tasks_max,
        });
        self.tell_all(ready.collect());
    }

    /// Hands events to the core; returns what it asked for.
    pub(crate) fn tell_all(&mut self, events: Vec<Event>) -> Vec<Action> {
        let actions = self.consumer.handle(self.now, events);
        for action in &actions {
            self.log.push((self.now, action.clone()));
            self.note(action);
        }
        actions
    }

    pub(crate) fn tell(&mut self, event: Event) -> Vec<Action> {
        self.tell_all(vec![event])
    }

    fn note(&mut self, action: &Action) {
        match action {
            Action::Receive {
                poll, queue, max, ..
            } => {
                self.polls
                    .entry(*queue)
                    .or_default()
                    .push_back((*poll, *max, self.now));
            }
            Action::Delete {
                request, messages, ..
            } => {
                let request = *request;
                self.answer(self.replies, messages.iter().copied(), |reply| {
                    Event::Deleted { request, reply }
                });
            }
            Action::ChangeVisibility {
                request, messages, ..
            } => {
                let request = *request;
                self.answer(
                    self.replies,
                    messages.iter().map(|&(key, _)| key),
                    |reply| Event::VisibilityChanged { request, reply },
                );
            }
            Action::Forward {
                request, messages, ..
            } => {
                let request = *request;
                self.answer(self.sends, messages.iter().map(|&(key, _)| key), |reply| {
                    Event::Forwarded { request, reply }
                });
            }
            _ => {}
        }
    }

    fn answer(
        &mut self,
        replies: Replies,
        messages: impl Iterator<Item = MessageKey>,
        event: impl Fn(BatchReply) -> Event,
    ) {
        let reply = match replies {
            Replies::Each(reply) => Ok(messages.map(|key| (key, reply)).collect()),
            Replies::Trouble(trouble) => Err(trouble),
            Replies::Never => return,
        };
        self.due.push_back((self.now + ms(1), event(reply)));
    }

    /// Lets time pass: replies come, the core is called at its wake-ups and at ticks, polls come
    /// back empty after their 20 seconds.
    pub(crate) fn wait(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let reply = self.due.front().map(|&(at, _)| at);
            let wakeup = self.consumer.next_wakeup();
            let tick = Some(self.now + TICK);
            let next = [reply, wakeup, tick]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(end);
            if next > end {
                break;
            }
            self.now = next.max(self.now);
            let mut events = vec![Event::Timer];
            while self.due.front().is_some_and(|&(at, _)| at <= self.now) {
                events.extend(self.due.pop_front().map(|(_, event)| event));
            }
            events.extend(self.empty_polls());
            self.tell_all(events);
        }
        self.now = end;
    }

    /// The machine sleeps: time passes, nobody is called.
    pub(crate) fn sleep(&mut self, length: Duration) {
        self.now = self.now + length;
    }

    fn empty_polls(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.keeps_polls {
            return events;
        }
        for polls in self.polls.values_mut() {
            polls.retain(|&(poll, _, sent)| {
                let is_over = self.now >= sent + secs(20);
                if is_over {
                    events.push(Event::Received {
                        poll,
                        messages: Vec::new(),
                    });
                }
                !is_over
            });
        }
        events
    }

    /// The queue's oldest open poll.
    pub(crate) fn take_poll(&mut self, queue: QueueId) -> PollId {
        let polls = self.polls.get_mut(&queue).expect("the queue was polled");
        polls.pop_front().expect("a poll is open").0
    }

    pub(crate) fn arrival(&mut self) -> Arrival {
        self.keys += 1;
        let id = MessageId::from(self.keys.to_string());
        Arrival::new(MessageKey(self.keys), id, Work::Task(TaskKind(0)))
    }

    /// A poll of the queue brings these.
    pub(crate) fn bring(&mut self, queue: QueueId, messages: Vec<Arrival>) -> Vec<Action> {
        let poll = self.take_poll(queue);
        self.tell(Event::Received { poll, messages })
    }

    /// A poll of the queue brings so many plain messages.
    pub(crate) fn receive(&mut self, queue: QueueId, count: usize) -> Vec<MessageKey> {
        let messages: Vec<Arrival> = (0..count).map(|_| self.arrival()).collect();
        let keys = messages.iter().map(|arrival| arrival.key).collect();
        self.bring(queue, messages);
        keys
    }

    /// Messages of a group, or of several, one letter each.
    pub(crate) fn receive_groups(&mut self, groups: &str) -> Vec<MessageKey> {
        let messages: Vec<Arrival> = groups
            .chars()
            .map(|group| Arrival {
                group: Some(GroupId::from(group.to_string())),
                work: Work::Task(TaskKind(1)),
                ..self.arrival()
            })
            .collect();
        let keys = messages.iter().map(|arrival| arrival.key).collect();
        self.bring(Q, messages);
        keys
    }

    pub(crate) fn end(
        &mut self,
        message: MessageKey,
        outcome: Outcome,
        took: Duration,
    ) -> Vec<Action> {
        self.tell(Event::TaskEnded {
            message,
            outcome,
            took,
        })
    }

    pub(crate) fn succeed(&mut self, message: MessageKey) -> Vec<Action> {
        self.end(message, Outcome::Succeeded, ms(1))
    }

    /// What was dispatched so far, in order.
    pub(crate) fn dispatched(&self) -> Vec<MessageKey> {
        let keys = self.log.iter().filter_map(|(_, action)| match action {
            Action::Dispatch { message, .. } => Some(*message),
            _ => None,
        });
        keys.collect()
    }

    /// What was to be deleted so far, a list a request.
    pub(crate) fn deletes(&self) -> Vec<Vec<MessageKey>> {
        let batches = self.log.iter().filter_map(|(_, action)| match action {
            Action::Delete { messages, .. } => Some(messages.clone()),
            _ => None,
        });
        batches.collect()
    }

    /// The changes of visibility asked for so far: when, of which, to what.
    pub(crate) fn changes(&self) -> Vec<(Instant, MessageKey, u64)> {
        let changes = self.log.iter().flat_map(|(at, action)| match action {
            Action::ChangeVisibility { messages, .. } => messages
                .iter()
                .map(|&(key, length)| (*at, key, length.as_secs()))
                .collect(),
            _ => Vec::new(),
        });
        changes.collect()
    }

    /// What was to be sent on so far, a list a request.
    pub(crate) fn forwards(&self) -> Vec<Vec<(MessageKey, Onward)>> {
        let batches = self.log.iter().filter_map(|(_, action)| match action {
            Action::Forward { messages, .. } => Some(messages.clone()),
            _ => None,
        });
        batches.collect()
    }

    /// As which run of its message each dispatch was given, in order.
    pub(crate) fn attempts(&self) -> Vec<u32> {
        let attempts = self.log.iter().filter_map(|(_, action)| match action {
            Action::Dispatch { attempt, .. } => Some(*attempt),
            _ => None,
        });
        attempts.collect()
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        let reports = self.log.iter().filter_map(|(_, action)| match action {
            Action::Report(report) => Some(*report),
            _ => None,
        });
        reports.collect()
    }

    pub(crate) fn count(&self, is_wanted: impl Fn(&Action) -> bool) -> usize {
        self.log
            .iter()
            .filter(|(_, action)| is_wanted(action))
            .count()
    }

    pub(crate) fn is_forgotten(&self, key: MessageKey) -> bool {
        self.count(|action| *action == Action::Forget { message: key }) == 1
    }

    pub(crate) fn is_done(&self) -> bool {
        self.count(|action| *action == Action::Done) == 1
    }
}
