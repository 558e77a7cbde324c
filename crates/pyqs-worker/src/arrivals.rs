//! Messages as they are held here while the core knows them: body and receipt, by their key.

use std::collections::HashMap;

use pyqs_core::{Arrival, MessageKey, QueueId, TaskKind, Work};
use pyqs_sqs::{Receipt, Received};

use crate::clock;
use crate::process::successes::Mark;
use crate::process::wire::JOBS_BYTES_MAX;

/// Pairs of queue and task name that are told apart; all further ones count as one kind. It bounds
/// what a sender can make a worker remember.
pub(crate) const TASK_KINDS_MAX: usize = 10_000;

/// A received message whose head has been read.
#[derive(Debug)]
pub(crate) struct Letter {
    received: Received,
    /// The task's name, or why it can't be read.
    task: Result<String, String>,
    fetched_unix_secs: f64,
}

impl Letter {
    /// Reads the head.
    pub(crate) fn open(received: Received) -> Self {
        Self {
            task: read_task(&received),
            received,
            fetched_unix_secs: clock::unix_secs(),
        }
    }
}

fn read_task(received: &Received) -> Result<String, String> {
    /// What the frame needs beside the body: receipt, URL, name.
    const ROOM: usize = 64 * 1024;
    let length = received.body.len();
    if length > JOBS_BYTES_MAX - ROOM {
        return Err(format!("its body of {length} bytes is too large"));
    }
    match pyqs_formats::read_head(&received.body) {
        Ok(head) if head.task.len() > ROOM / 2 => Err("its task's name is too long".to_owned()),
        Ok(head) => Ok(head.task),
        Err(undecodable) => Err(undecodable.to_string()),
    }
}

/// A message that the core knows.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) queue: QueueId,
    pub(crate) message_id: String,
    /// By which its success is remembered.
    pub(crate) mark: Mark,
    pub(crate) receipt: Receipt,
    pub(crate) body: String,
    pub(crate) receive_count: u32,
    /// The task's name; for poison, empty.
    pub(crate) task: String,
    /// Why it can't be read, where that is so.
    pub(crate) poison: Option<String>,
    pub(crate) fetched_unix_secs: f64,
}

/// All messages that the core knows, and the numbers by which it knows them.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    held: HashMap<MessageKey, Held>,
    last_key: u64,
    kinds: HashMap<QueueId, HashMap<String, TaskKind>>,
    kinds_count: u32,
}

impl Arrivals {
    /// Takes in a message; what comes back is for the core. Groups order only FIFO queues.
    pub(crate) fn take_in(&mut self, queue: QueueId, is_fifo: bool, letter: Letter) -> Arrival {
        self.last_key += 1;
        let key = MessageKey(self.last_key);
        let Letter {
            received,
            task,
            fetched_unix_secs,
        } = letter;
        let (task, poison, work) = match task {
            Ok(task) => {
                let kind = self.kind(queue, &task);
                (task, None, Work::Task(kind))
            }
            Err(reason) => (String::new(), Some(reason), Work::Poison),
        };
        let id = received.message_id.as_str();
        let mark = Mark::of(id);
        let arrival = Arrival {
            key,
            id: id.into(),
            receive_count: received.receive_count,
            group: received
                .group
                .filter(|_| is_fifo)
                .map(std::convert::Into::into),
            work,
        };
        let held = Held {
            queue,
            mark,
            message_id: received.message_id,
            receipt: received.receipt,
            body: received.body,
            receive_count: received.receive_count,
            task,
            poison,
            fetched_unix_secs,
        };
        self.held.insert(key, held);
        arrival
    }

    /// A message that the core has not forgotten.
    pub(crate) fn held(&self, message: MessageKey) -> Option<&Held> {
        self.held.get(&message)
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
            return TaskKind(0);
        }
        self.kinds_count += 1;
        let kind = TaskKind(self.kinds_count);
        of_queue.insert(task.to_owned(), kind);
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Letter, TASK_KINDS_MAX};
    use pyqs_core::{Arrival, QueueId, TaskKind, Work};
    use pyqs_sqs::Received;

    fn take_in(arrivals: &mut Arrivals, queue: u32, body: &str) -> Arrival {
        let letter = Letter::open(Received::new("id", "receipt", body));
        arrivals.take_in(QueueId(queue), false, letter)
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
            let arrival = arrivals.take_in(QueueId(1), is_fifo, Letter::open(received));
            assert_eq!(arrival.group.is_some(), is_fifo);
        }
    }
}
