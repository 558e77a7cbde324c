//! Messages as they are held here while the core knows them: body and receipt, by their key.

use std::collections::{BTreeMap, HashMap};

use pyqs_core::{
    Arrival, Event, Instant, MessageKey, QueueId, RateLimit, TaskKind, TaskLimits, Work,
};
use pyqs_formats::{Head, Moment, Pointer, Reader};
use pyqs_sqs::carried::Carried;
use pyqs_sqs::{AttributeValue, Receipt, Received};

use crate::clock::{self, Clocks};
use crate::declared::DECLARED_MAX;
use crate::declared::Handler;
use crate::forwards::Part;
use crate::process::claim::{Claim, ClaimedMessage};
use crate::process::job::SystemAttributes;
use crate::process::successes::Mark;
use crate::process::wire::{Callback, DeadLetter, Declaration, JOBS_BYTES_MAX, TimeLimits};

/// Pairs of queue and task name that are told apart; all further ones count as one kind. It bounds
/// what a sender can make a worker remember.
pub(crate) const TASK_KINDS_MAX: usize = 10_000;

/// The kind of all further ones.
pub(crate) const KINDS_BEYOND: TaskKind = TaskKind(0);

/// A received message whose head has been read, unless its queue has a handler.
#[derive(Debug)]
pub(crate) struct Letter {
    received: Received,
    /// What its head says, or why it can't be read.
    head: Result<Brief, String>,
    fetched_unix_secs: f64,
}

impl Letter {
    /// Reads the head.
    pub(crate) fn open(received: Received, reader: Reader<'_>) -> Self {
        let head = read_brief(&received, reader);
        Self::with(received, head)
    }

    /// For a handler, which takes it whatever it is.
    pub(crate) fn unread(received: Received) -> Self {
        let head = Err("it was not read".to_owned());
        Self::with(received, head)
    }

    fn with(received: Received, head: Result<Brief, String>) -> Self {
        Self {
            head,
            received,
            fetched_unix_secs: clock::unix_secs(),
        }
    }
}

/// Of a message's head what the worker goes by. Times are in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Brief {
    pub(crate) task: String,
    pub(crate) retries: u32,
    pub(crate) limits: TimeLimits,
    eta: Option<i64>,
    pub(crate) expires: Option<i64>,
    /// The body is stored elsewhere. What it says, its task's name too, is known to who runs it alone, and so
    /// is what becomes of it where it has expired: it must go with its message.
    is_pointer: bool,
}

impl Brief {
    fn of_pointer() -> Self {
        Self {
            task: String::new(),
            retries: 0,
            limits: TimeLimits::default(),
            eta: None,
            expires: None,
            is_pointer: true,
        }
    }
}

impl From<Head> for Brief {
    fn from(head: Head) -> Self {
        let millis = |moment: Option<Moment>| moment.as_ref().map(Moment::unix_millis);
        Self {
            limits: TimeLimits::of(&head),
            task: head.task,
            retries: head.retries,
            eta: millis(head.eta),
            expires: millis(head.expires),
            is_pointer: false,
        }
    }
}

/// What a job's frame needs beside the body: receipt, URL, name.
const ROOM: usize = 64 * 1024;

fn check_length(received: &Received) -> Result<(), String> {
    let length = received.body.len();
    if length > JOBS_BYTES_MAX - ROOM {
        return Err(format!("its body of {length} bytes is too large"));
    }
    Ok(())
}

/// Reads a message's head; the error says why it can't be read.
pub(crate) fn read_brief(received: &Received, reader: Reader<'_>) -> Result<Brief, String> {
    check_length(received)?;
    if Pointer::read(&received.body).is_some() {
        return Ok(Brief::of_pointer());
    }
    match reader.read_head(&received.body) {
        Ok(head) if head.task.len() > ROOM / 2 => Err("its task's name is too long".to_owned()),
        Ok(head) => Ok(head.into()),
        Err(undecodable) => Err(undecodable.to_string()),
    }
}

/// What is gone by for a handler's message: nothing that its body says, but whether it has one.
pub(crate) fn unread_brief(received: &Received, handler: &Handler) -> Result<Brief, String> {
    check_length(received)?;
    Ok(Brief {
        task: handler.name.clone(),
        is_pointer: Pointer::read(&received.body).is_some(),
        ..Brief::of_pointer()
    })
}

/// A message that the core knows.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) queue: QueueId,
    /// The logical one, which `.delay` returned.
    pub(crate) message_id: String,
    /// SQS's own, where that is another: the message came by a hop.
    pub(crate) hop_id: Option<String>,
    /// By which its success is remembered.
    pub(crate) mark: Mark,
    pub(crate) receipt: Receipt,
    pub(crate) body: String,
    pub(crate) receive_count: u32,
    /// The task's name, or the handler's; empty for poison, and for a task whose body is stored elsewhere.
    pub(crate) task: String,
    /// What SQS says of it; for a handler only.
    pub(crate) system: Option<SystemAttributes>,
    /// Why it can't be read, where that is so.
    pub(crate) poison: Option<String>,
    /// How long the task may run, where the message says so.
    pub(crate) limits: TimeLimits,
    /// How often it was retried before this message was sent, as Celery's say.
    pub(crate) retries_before: u32,
    pub(crate) fetched_unix_secs: f64,
    pub(crate) attributes: BTreeMap<String, AttributeValue>,
    pub(crate) group: Option<String>,
    pub(crate) trace_header: Option<String>,
    /// When it is due: as the core was told, and in milliseconds since 1970 as the message says.
    pub(crate) due: Option<(Instant, i64)>,
    /// The body is stored elsewhere.
    pub(crate) is_pointer: bool,
    /// The body says when it is due.
    pub(crate) is_due_by_body: bool,
    /// Where it is to go, and why, once its task has failed for good.
    pub(crate) dead_letter: Option<DeadLetter>,
    /// What is to be sent after its task; what SQS has is taken out.
    pub(crate) callbacks: Vec<Option<Callback>>,
    /// Why it could not be sent on.
    pub(crate) refusal: Option<String>,
}

impl Held {
    /// SQS's own id of the message.
    pub(crate) fn sqs_id(&self) -> &str {
        self.hop_id.as_deref().unwrap_or(&self.message_id)
    }
}

/// All messages that the core knows, and the numbers by which it knows them.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    held: HashMap<MessageKey, Held>,
    last_key: u64,
    kinds: HashMap<QueueId, HashMap<String, TaskKind>>,
    kinds_count: u32,
    /// What task processes have said of tasks, by name.
    limits: HashMap<String, TaskLimits>,
    /// What the core is to know of kinds of tasks before anything else.
    news: Vec<Event>,
}

impl Arrivals {
    /// Takes in a message; what comes back is for the core. Groups order only FIFO queues. A handler takes it
    /// whatever it is, also when it was read before the handler was known.
    pub(crate) fn take_in(
        &mut self,
        queue: QueueId,
        is_fifo: bool,
        handler: Option<&Handler>,
        letter: Letter,
        clocks: Clocks,
    ) -> Arrival {
        self.last_key += 1;
        let key = MessageKey(self.last_key);
        let Letter {
            received,
            head,
            fetched_unix_secs,
        } = letter;
        let brief = handler.map_or(head, |handler| unread_brief(&received, handler));
        let system = handler.map(|_| SystemAttributes::of(&received));
        let carried = Carried::read(&received.attributes);
        let (mut due, mut expires) = (carried.due_unix_millis, None);
        let retries_before = brief.as_ref().map_or(0, |brief| brief.retries);
        let is_pointer = brief.as_ref().is_ok_and(|brief| brief.is_pointer);
        let is_due_by_body = brief.as_ref().is_ok_and(|brief| brief.eta.is_some());
        let (task, limits, poison, work) = match brief {
            Ok(brief) => {
                // What a hop or a retry says is later than what the sender wanted.
                due = due.or(brief.eta);
                expires = carried.expires_unix_millis.or(brief.expires);
                expires = expires.filter(|_| !brief.is_pointer);
                let kind = self.kind(queue, &brief.task);
                (brief.task, brief.limits, None, Work::Task(kind))
            }
            Err(reason) => (
                String::new(),
                TimeLimits::default(),
                Some(reason),
                Work::Poison,
            ),
        };
        let (message_id, hop_id) = match carried.id {
            Some(id) if id != received.message_id => (id, Some(received.message_id)),
            _ => (received.message_id, None),
        };
        let mark = Mark::of(&message_id);
        let due = due.map(|millis| (clocks.instant(millis), millis));
        let group = received.group.as_deref().filter(|_| is_fifo);
        let attributes = received.attributes.iter();
        let attributes = attributes.map(|(name, value)| name.len() + value.size());
        let arrival = Arrival {
            bytes: received.body.len() + attributes.sum::<usize>(),
            hop_id: hop_id.as_deref().map(Into::into),
            receive_count: received.receive_count,
            attempts_before: carried.attempts,
            group: group.map(Into::into),
            due: due.map(|(at, _)| at),
            expires: expires.map(|millis| clocks.instant(millis)),
            ..Arrival::new(key, message_id.as_str().into(), work)
        };
        let held = Held {
            queue,
            mark,
            message_id,
            hop_id,
            receipt: received.receipt,
            body: received.body,
            receive_count: received.receive_count,
            task,
            system,
            poison,
            limits,
            retries_before,
            fetched_unix_secs,
            attributes: received.attributes,
            group: received.group,
            trace_header: received.trace_header,
            due,
            is_pointer,
            is_due_by_body,
            dead_letter: None,
            callbacks: Vec::new(),
            refusal: None,
        };
        self.held.insert(key, held);
        arrival
    }

    /// Takes on a message whose task another manager has left running; what comes back is for the core.
    pub(crate) fn adopt(
        &mut self,
        queue: QueueId,
        is_fifo: bool,
        claim: &Claim,
        message: &ClaimedMessage,
        clocks: Clocks,
    ) -> Arrival {
        // It can't be started from here, so its body is not needed.
        let body = String::new();
        let received = Received {
            receive_count: message.receive_count,
            group: message.group.clone(),
            ..Received::new(message.id.clone(), message.receipt.clone(), body)
        };
        let letter = Letter {
            received,
            head: Ok(Brief {
                task: claim.task.clone(),
                // If it is stored elsewhere, it is to go with its message; if not, nobody asks.
                ..Brief::of_pointer()
            }),
            fetched_unix_secs: message.fetch_time,
        };
        self.take_in(queue, is_fifo, None, letter, clocks)
    }

    /// A message that the core has not forgotten.
    pub(crate) fn held(&self, message: MessageKey) -> Option<&Held> {
        self.held.get(&message)
    }

    /// Takes out a message, for tests of what is made of it.
    #[cfg(test)]
    pub(crate) fn take(&mut self, message: MessageKey) -> Held {
        self.held
            .remove(&message)
            .expect("the test has just taken it in")
    }

    /// Its task has failed for good.
    pub(crate) fn dead_letter(&mut self, message: MessageKey, letter: DeadLetter) {
        if let Some(held) = self.held.get_mut(&message) {
            held.dead_letter = Some(letter);
        }
    }

    /// These messages are to be sent after its task, and its own perhaps to a dead-letter queue.
    pub(crate) fn callbacks(
        &mut self,
        message: MessageKey,
        callbacks: Vec<Callback>,
        letter: Option<DeadLetter>,
    ) {
        if let Some(held) = self.held.get_mut(&message) {
            held.callbacks = callbacks.into_iter().map(Some).collect();
            held.dead_letter = letter;
        }
    }

    /// SQS has a part of what is to be sent after a task.
    pub(crate) fn sent(&mut self, part: Part) {
        let Some(held) = self.held.get_mut(&part.message) else {
            return;
        };
        match part.callback {
            Some(number) => {
                held.callbacks.get_mut(number).and_then(Option::take);
            }
            None => held.dead_letter = None,
        }
    }

    /// What was said of the earlier delivery's task holds for this one too.
    pub(crate) fn redelivered(&mut self, message: MessageKey, earlier: MessageKey) {
        let Some(earlier) = self.held.get(&earlier) else {
            return;
        };
        let said = (earlier.dead_letter.clone(), earlier.callbacks.clone());
        if let Some(held) = self.held.get_mut(&message) {
            (held.dead_letter, held.callbacks) = said;
        }
    }

    /// It could not be sent on.
    pub(crate) fn refused(&mut self, message: MessageKey, reason: String) {
        if let Some(held) = self.held.get_mut(&message) {
            held.refusal = Some(reason);
        }
    }

    /// The core is done with it.
    pub(crate) fn forget(&mut self, message: MessageKey) {
        self.held.remove(&message);
    }

    fn kind(&mut self, queue: QueueId, task: &str) -> TaskKind {
        let of_queue = self.kinds.entry(queue).or_default();
        if let Some(kind) = of_queue.get(task) {
            return *kind;
        }
        if self.kinds_count as usize >= TASK_KINDS_MAX {
            return KINDS_BEYOND;
        }
        self.kinds_count += 1;
        let kind = TaskKind(self.kinds_count);
        of_queue.insert(task.to_owned(), kind);
        match self.limits.get(task) {
            // A body that is stored elsewhere: no process declares a task without a name.
            None if task.is_empty() => {}
            None => {
                let kinds = self.kinds_of(task);
                self.news.push(Event::TaskUndeclared { kinds });
            }
            Some(&limits) if limits == TaskLimits::default() => {}
            Some(&limits) => self.tell_limits(task, limits),
        }
        kind
    }

    /// A task process has said what limits a task.
    pub(crate) fn declared(&mut self, declaration: &Declaration) {
        let rate = declaration
            .rate
            .map(|(tasks, per)| RateLimit { tasks, per });
        let limits = TaskLimits {
            tasks_max: declaration.max_concurrency,
            rate,
        };
        let is_known = self.limits.contains_key(&declaration.name);
        if (!is_known && self.limits.len() >= DECLARED_MAX)
            || self.limits.insert(declaration.name.clone(), limits) == Some(limits)
        {
            return;
        }
        self.tell_limits(&declaration.name, limits);
    }

    fn tell_limits(&mut self, task: &str, limits: TaskLimits) {
        let kinds = self.kinds_of(task);
        if !kinds.is_empty() {
            self.news.push(Event::TaskDeclared { kinds, limits });
        }
    }

    /// Of a task, one for each queue on which it was met.
    fn kinds_of(&self, task: &str) -> Vec<TaskKind> {
        let queues = self.kinds.values();
        let mut kinds: Vec<TaskKind> = queues
            .filter_map(|of_queue| of_queue.get(task))
            .copied()
            .collect();
        kinds.sort_unstable();
        kinds
    }

    /// What the core is to know before the messages that were taken in.
    pub(crate) fn take_news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Letter, TASK_KINDS_MAX};
    use crate::clock::{self, Clocks};
    use pyqs_core::{Arrival, QueueId, TaskKind, Work};
    use pyqs_formats::Reader;
    use pyqs_sqs::carried::EXPIRES;
    use pyqs_sqs::{AttributeValue, Received};
    use std::time::Duration;

    fn take_in(arrivals: &mut Arrivals, queue: u32, body: &str) -> Arrival {
        let letter = Letter::open(Received::new("id", "receipt", body), Reader::default());
        arrivals.take_in(
            QueueId(queue),
            false,
            None,
            letter,
            Clocks::at(clock::now()),
        )
    }

    fn body(task: &str) -> String {
        format!(r#"{{"task": "{task}", "args": [], "kwargs": {{}}}}"#)
    }

    #[test]
    fn kinds_are_pairs_of_queue_and_task() {
        let mut arrivals = Arrivals::default();
        let mut kind = |queue, task| match take_in(&mut arrivals, queue, &body(task)).work {
            Work::Task(kind) => kind,
            Work::Poison => panic!("{task} is readable"),
        };
        let first = kind(1, "a.b");
        assert_eq!(kind(1, "a.b"), first);
        assert_ne!(kind(1, "a.c"), first);
        assert_ne!(kind(2, "a.b"), first);
    }

    #[test]
    fn kinds_beyond_the_limit_are_one() {
        let mut arrivals = Arrivals::default();
        for number in 0..TASK_KINDS_MAX {
            let arrival = take_in(&mut arrivals, 1, &body(&format!("m.f{number}")));
            assert_ne!(arrival.work, Work::Task(TaskKind(0)), "{number}");
            arrivals.forget(arrival.key);
        }
        let beyond = take_in(&mut arrivals, 1, &body("m.beyond"));
        assert_eq!(beyond.work, Work::Task(TaskKind(0)));
    }

    #[test]
    fn when_it_expires_is_said_by_an_attribute_or_by_celerys_body() {
        let clocks = Clocks::at(clock::now());
        let in_a_second = clocks.unix_millis + 1000;
        let expires = |body: &str| {
            let mut received = Received::new("id", "receipt", body);
            let value = AttributeValue::number(in_a_second);
            received.attributes.insert(EXPIRES.to_owned(), value);
            let letter = Letter::open(received, Reader::default());
            let arrival = Arrivals::default().take_in(QueueId(1), false, None, letter, clocks);
            arrival.expires
        };
        let expected = Some(clocks.now + Duration::from_secs(1));
        assert_eq!(expires(&body("a.b")), expected);
        assert_eq!(expires("not json"), None, "what can't be read is kept");
    }

    #[test]
    fn a_body_that_is_elsewhere_is_a_task_without_a_name_and_expires_there() {
        let body = r#"["pyqs.PayloadPointer", {"store": "file:///x", "key": "k"}]"#;
        let mut received = Received::new("id", "receipt", body);
        let value = AttributeValue::number(1);
        received.attributes.insert(EXPIRES.to_owned(), value);
        let letter = Letter::open(received, Reader::default());
        let mut arrivals = Arrivals::default();
        let clocks = Clocks::at(clock::now());
        let arrival = arrivals.take_in(QueueId(1), false, None, letter, clocks);
        assert!(matches!(arrival.work, Work::Task(_)));
        assert_eq!(arrival.expires, None);
        let held = arrivals.held(arrival.key).unwrap();
        assert!(held.is_pointer && held.task.is_empty());
    }

    #[test]
    fn nobody_is_asked_for_the_limits_of_a_task_without_a_name() {
        let mut arrivals = Arrivals::default();
        let pointer = r#"["pyqs.PayloadPointer", {"store": "file:///x", "key": "k"}]"#;
        take_in(&mut arrivals, 1, pointer);
        assert_eq!(arrivals.take_news(), []);
        take_in(&mut arrivals, 1, &body("a.b"));
        assert_eq!(
            arrivals.take_news().len(),
            1,
            "of a name they are asked for"
        );
    }

    #[test]
    fn what_cant_be_read_is_poison_with_its_reason() {
        let mut arrivals = Arrivals::default();
        let arrival = take_in(&mut arrivals, 1, "not json");
        assert_eq!(arrival.work, Work::Poison);
        assert!(arrivals.held(arrival.key).unwrap().poison.is_some());
        arrivals.forget(arrival.key);
        assert!(arrivals.held(arrival.key).is_none());

        let large = "x".repeat(crate::process::wire::JOBS_BYTES_MAX);
        assert_eq!(take_in(&mut arrivals, 1, &large).work, Work::Poison);
    }

    #[test]
    fn groups_are_the_cores_business_on_fifo_queues_only() {
        let mut arrivals = Arrivals::default();
        for is_fifo in [false, true] {
            let mut received = Received::new("id", "receipt", body("a.b"));
            received.group = Some("tenant".to_owned());
            let arrival = arrivals.take_in(
                QueueId(1),
                is_fifo,
                None,
                Letter::open(received, Reader::default()),
                Clocks::at(clock::now()),
            );
            assert_eq!(arrival.group.is_some(), is_fifo);
        }
    }
}
