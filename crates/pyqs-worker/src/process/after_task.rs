//! `AfterTask`: what a message of Celery's asks to be sent after its task, as messages.
//!
//! It is made before the task runs, so that what can't be done is refused then: afterwards only the task's return
//! value can be at fault.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pyqs_formats::calendar::DateTime;
use pyqs_formats::message::Canvas;
use pyqs_formats::signature::Sender;
use pyqs_formats::write::Unwritable;
use pyqs_formats::{CeleryCall, Message, Undecodable, Value};
use pyqs_sqs::{QueueAttributes, names};

use super::job::Job;
use super::wire::Callback;
use crate::celery_queues::CeleryQueues;
use crate::clock;

/// The most bytes of all messages that follow one task: a frame holds them, and the manager until they are sent.
pub const CALLBACKS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why what is to follow a task can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// A signature that is none, or a chord.
    #[error("{}", .0.reason)]
    Signature(#[from] Undecodable),
    /// A value that JSON can't carry.
    #[error(transparent)]
    Value(#[from] Unwritable),
    /// More than SQS takes, or than is kept here.
    #[error("the message of {bytes} bytes for {task}, which is to follow, is too large")]
    TooLarge {
        /// The task that was to follow.
        task: String,
        /// So many bytes, with all that goes with it.
        bytes: usize,
    },
}

/// What is to be sent after a task, with all that its messages take over from the present one.
#[derive(Debug, Clone)]
pub struct AfterTask {
    canvas: Canvas,
    task_id: String,
    root_id: String,
    group: Option<String>,
    message_id: String,
    queue: Queue,
    queues: Arc<CeleryQueues>,
}

/// The queue of the present message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Queue {
    /// Celery's name of it.
    name: String,
    /// SQS's.
    sqs_name: String,
    /// What kombu puts before each name (`queue_name_prefix`).
    prefix: String,
}

impl Queue {
    /// Between Celery's name in the message and SQS's is the prefix.
    fn of(sqs_name: &str, routing_key: Option<&str>) -> Self {
        let known = routing_key.and_then(|name| {
            let prefix = sqs_name.strip_suffix(names::kombu_name(name).as_str())?;
            Some((name, prefix))
        });
        let (name, prefix) = known.unwrap_or((sqs_name, ""));
        Self {
            name: name.to_owned(),
            sqs_name: sqs_name.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    /// SQS's name of another queue of the same application.
    fn sqs_name_of(&self, name: &str) -> String {
        if name == self.name {
            self.sqs_name.clone()
        } else {
            names::kombu_name(&format!("{}{name}", self.prefix))
        }
    }
}

impl AfterTask {
    /// What a message asks for; none if its task is all. Where a signature names no queue, the application says
    /// it by its routes; without one it is the queue of the message.
    ///
    /// # Errors
    ///
    /// What can't be done however its task ends.
    pub fn of(
        message: &Message,
        job: &Job,
        queues: &Arc<CeleryQueues>,
    ) -> Result<Option<Self>, Unsendable> {
        let canvas = &message.canvas;
        let Some(celery) = &message.head.celery else {
            return Ok(None);
        };
        if *canvas == Canvas::default() {
            return Ok(None);
        }
        let task_id = message.head.id.clone().unwrap_or_default();
        let sqs_name = job.queue_url.rsplit('/').next().unwrap_or_default();
        let after = Self {
            canvas: canvas.clone(),
            root_id: celery.root_id.clone().unwrap_or_else(|| task_id.clone()),
            group: celery.group.clone(),
            task_id,
            message_id: job.message_id.clone(),
            queue: Queue::of(sqs_name, celery.routing_key.as_deref()),
            queues: Arc::clone(queues),
        };
        after.success(Value::Null)?;
        after.failure(&[])?;
        Ok(Some(after))
    }

    /// The messages that follow its success, with its return value where they want it.
    ///
    /// # Errors
    ///
    /// The return value can't be written, or makes them too large.
    pub fn success(&self, result: Value) -> Result<Vec<Callback>, Unsendable> {
        let Canvas {
            callbacks, chain, ..
        } = &self.canvas;
        self.send(result, |sender| {
            let mut calls = Vec::new();
            for signature in callbacks {
                calls.extend(sender.calls(signature)?);
            }
            calls.extend(sender.chain(chain.clone())?);
            Ok(calls)
        })
    }

    /// The messages that follow its failure for good: each gets the id of the task that failed, as the `link_error`
    /// tasks of Celery's that are sent do. Those of these numbers were called already.
    ///
    /// # Errors
    ///
    /// None that [`of`](Self::of) has not found.
    pub fn failure(&self, called: &[usize]) -> Result<Vec<Callback>, Unsendable> {
        self.send(Value::Str(self.task_id.clone()), |sender| {
            let mut calls = Vec::new();
            for (number, signature) in self.canvas.errbacks.iter().enumerate() {
                if !called.contains(&number) {
                    calls.extend(sender.calls(signature)?);
                }
            }
            Ok(calls)
        })
    }

    /// Whether anything follows a success.
    pub fn has_callbacks(&self) -> bool {
        !self.canvas.callbacks.is_empty() || !self.canvas.chain.is_empty()
    }

    /// Whether anything follows a failure.
    pub fn has_errbacks(&self) -> bool {
        !self.canvas.errbacks.is_empty()
    }

    /// Whether what follows a success is given the return value.
    pub fn wants_result(&self) -> bool {
        let is_immutable = |signature: &Value| {
            matches!(signature, Value::Map(members) if members.iter().any(|(name, value)| {
                matches!(name, Value::Str(name) if name == "immutable") && *value == Value::Bool(true)
            }))
        };
        let next = self.canvas.chain.last();
        let mut followers = self.canvas.callbacks.iter().chain(next);
        followers.any(|signature| !is_immutable(signature))
    }

    /// For people: what is left out, because it needs a result store.
    pub fn left_out(&self) -> Option<String> {
        let Some(Value::Map(body)) = &self.canvas.chord else {
            return self.canvas.chord.as_ref().map(|_| self.chord("?"));
        };
        let task = body.iter().find_map(|(name, value)| match (name, value) {
            (Value::Str(name), Value::Str(task)) if name == "task" => Some(task.as_str()),
            _ => None,
        });
        Some(self.chord(task.unwrap_or("?")))
    }

    fn chord(&self, body: &str) -> String {
        let group = self.group.as_deref().unwrap_or("?");
        format!(
            "{body}, the body of chord {group}, will not run: it needs the results of all tasks of the chord's \
             header, and there is no result store here; the header's tasks run. Leave chords to Celery workers"
        )
    }

    fn send(
        &self,
        result: Value,
        calls: impl FnOnce(&mut Sender<'_>) -> Result<Vec<CeleryCall>, Undecodable>,
    ) -> Result<Vec<Callback>, Unsendable> {
        let mut made = 0;
        let mut new_id = || {
            made += 1;
            self.id("task", made)
        };
        let calls = calls(&mut Sender {
            result,
            root_id: self.root_id.clone(),
            parent_id: self.task_id.clone(),
            queue_of: &|task| {
                let routed = self.queues.queue_of(task);
                routed.unwrap_or(&self.queue.name).to_owned()
            },
            now_unix_micros: clock::unix_millis().saturating_mul(1000),
            origin: format!("pyqs{}", std::process::id()),
            new_id: &mut new_id,
        })?;
        let mut bytes = 0;
        let callbacks = (0..).zip(calls).map(|(number, call)| {
            let body = call.to_body()?;
            bytes += body.len();
            if body.len() > MESSAGE_BYTES_MAX || bytes > CALLBACKS_BYTES_MAX {
                return Err(Unsendable::TooLarge {
                    task: call.task,
                    bytes: body.len(),
                });
            }
            Ok(Callback {
                queue: self.sqs_name_of(&call.queue),
                id: self.id("message", number),
                group: call.message_group,
                due_unix_millis: call
                    .eta
                    .map(|at: DateTime| at.unix_micros().div_euclid(1000)),
                body,
            })
        });
        callbacks.collect()
    }

    /// SQS's name of a queue of Celery's.
    fn sqs_name_of(&self, name: &str) -> String {
        if self.queues.default_queue.is_some() && name != self.queue.name {
            self.queues.sqs_name(name)
        } else {
            self.queue.sqs_name_of(name)
        }
    }

    /// An id that is always the same for what follows this message, so that what is sent twice can be told.
    fn id(&self, what: &str, number: u64) -> String {
        let half = |key: u8| {
            // Its keys are fixed, so every process of a worker reckons the same.
            let mut hasher = DefaultHasher::new();
            (key, what, number, &self.message_id, &self.task_id).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        // Version 8 and variant 2 of RFC 9562: a UUID made in a way of one's own.
        let bits = half(0) << 64 | half(1);
        let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
        let hex = format!("{bits:032x}");
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }
}

/// A body leaves room for its attribute.
const MESSAGE_BYTES_MAX: usize = QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT - 1024;

#[cfg(test)]
mod tests {
    use pyqs_formats::{Value, read};
    use serde_json::{Value as Json, json};
    use std::sync::Arc;

    use super::{AfterTask, Queue, Unsendable};
    use crate::celery_queues::CeleryQueues;
    use crate::process::job::Job;

    fn body(embed: &Json) -> String {
        let payload = json!([[1], {}, embed]).to_string();
        let headers = json!({"task": "shop.pay", "id": "parent", "root_id": "root", "group": "g"});
        let properties = json!({"delivery_info": {"routing_key": "shop.orders"}});
        json!({"body": payload, "content-type": "application/json", "headers": headers, "properties": properties})
            .to_string()
    }

    fn after(embed: &Json) -> Result<Option<AfterTask>, Unsendable> {
        after_within(embed, CeleryQueues::default())
    }

    fn after_within(embed: &Json, queues: CeleryQueues) -> Result<Option<AfterTask>, Unsendable> {
        let body = body(embed);
        let message = read(&body).unwrap();
        let url = "http://localhost/000000000000/eu-shop-orders";
        let job = Job::for_tests("m1", url, &body);
        AfterTask::of(&message, &job, &Arc::new(queues))
    }

    /// Queue, task, arguments, parent and root of what follows.
    fn sent(callbacks: Vec<super::Callback>) -> Vec<(String, String, Vec<Value>)> {
        let sent = callbacks.into_iter().map(|callback| {
            let message = read(&callback.body).unwrap();
            let celery = message.head.celery.unwrap();
            assert_eq!(celery.parent_id.as_deref(), Some("parent"));
            assert_eq!(celery.root_id.as_deref(), Some("root"));
            (callback.queue, message.head.task, message.args)
        });
        sent.collect()
    }

    #[test]
    fn links_and_the_chain_follow_a_success_and_errbacks_a_failure() {
        let after = after(&json!({
            "callbacks": [{"task": "a", "options": {"queue": "mail.out"}}, {"task": "b", "immutable": true, "args": [3]}],
            "errbacks": [{"task": "e"}],
            "chain": [{"task": "d"}, {"task": "c"}],
        }))
        .unwrap()
        .unwrap();
        let result = || Value::Int(7);
        assert_eq!(
            sent(after.success(result()).unwrap()),
            [
                ("eu-mail-out".to_owned(), "a".to_owned(), vec![result()]),
                (
                    "eu-shop-orders".to_owned(),
                    "b".to_owned(),
                    vec![Value::Int(3)]
                ),
                ("eu-shop-orders".to_owned(), "c".to_owned(), vec![result()]),
            ]
        );
        let failed = Value::Str("parent".to_owned());
        let expected = ("eu-shop-orders".to_owned(), "e".to_owned(), vec![failed]);
        assert_eq!(sent(after.failure(&[]).unwrap()), [expected]);
        assert_eq!(after.failure(&[0]).unwrap(), []);
        assert!(after.wants_result() && after.has_callbacks() && after.has_errbacks());
    }

    #[test]
    fn an_application_says_where_a_task_goes_and_what_its_queue_is_called() {
        let queues = CeleryQueues {
            prefix: "live-".to_owned(),
            predefined: [("hot".to_owned(), "Hot_1".to_owned())].into(),
            default_queue: Some("celery".to_owned()),
            routes: [("a".to_owned(), "hot".to_owned())].into(),
        };
        let tasks = json!({"callbacks": [
            {"task": "a"},
            {"task": "b"},
            {"task": "c", "options": {"queue": "mail.out"}},
            {"task": "d", "options": {"queue": "shop.orders"}},
        ]});
        let after = after_within(&tasks, queues).unwrap().unwrap();
        let sent = sent(after.success(Value::Null).unwrap());
        let queues: Vec<&str> = sent.iter().map(|(queue, ..)| queue.as_str()).collect();
        assert_eq!(
            queues,
            ["Hot_1", "live-celery", "live-mail-out", "eu-shop-orders"]
        );
    }

    #[test]
    fn what_is_sent_again_has_the_same_ids() {
        let after = after(&json!({"callbacks": [{"task": "a"}, {"task": "b"}]}));
        let after = after.unwrap().unwrap();
        let ids = || -> Vec<(String, Option<String>)> {
            let callbacks = after.success(Value::Null).unwrap().into_iter();
            let ids = callbacks.map(|it| (it.id, read(&it.body).unwrap().head.id));
            ids.collect()
        };
        assert_eq!(ids(), ids());
        let mut all: Vec<String> = ids()
            .into_iter()
            .flat_map(|(one, other)| [one, other.unwrap()])
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4, "each is another");
        assert!(all.iter().all(|id| id.len() == 36));
    }

    #[test]
    fn what_cant_be_done_is_refused_before_the_task_runs() {
        let chord = json!({"chain": [{"task": "celery.chord", "subtask_type": "chord"}]});
        let refusal = after(&chord).unwrap_err().to_string();
        assert!(refusal.starts_with("a chord's body needs"), "{refusal}");
        assert!(after(&json!({"errbacks": [{"args": []}]})).is_err());
        assert!(after(&json!({})).unwrap().is_none());
    }

    #[test]
    fn a_return_value_that_cant_be_written_is_an_error() {
        let after = after(&json!({"chain": [{"task": "c"}]})).unwrap().unwrap();
        let set = after.success(Value::Set(vec![Value::Int(1)])).unwrap_err();
        assert!(set.to_string().starts_with("a set as a value"), "{set}");
        let large = after.success(Value::Str("x".repeat(1 << 20))).unwrap_err();
        assert!(matches!(large, Unsendable::TooLarge { .. }));
    }

    #[test]
    fn an_immutable_follower_needs_no_result() {
        let after = after(&json!({"chain": [{"task": "d"}, {"task": "c", "immutable": true}]}));
        assert!(!after.unwrap().unwrap().wants_result());
    }

    #[test]
    fn a_chords_body_is_left_out_and_named() {
        let after = after(&json!({"chord": {"task": "shop.total"}}))
            .unwrap()
            .unwrap();
        let left_out = after.left_out().unwrap();
        assert!(
            left_out.starts_with("shop.total, the body of chord g,"),
            "{left_out}"
        );
        assert!(!after.has_callbacks());
    }

    #[test]
    fn a_prefix_is_what_stands_before_celerys_name() {
        let check = |sqs_name: &str, key: Option<&str>, prefix: &str, other: &str| {
            let queue = Queue::of(sqs_name, key);
            assert_eq!(
                (queue.prefix.as_str(), queue.sqs_name_of("x.y").as_str()),
                (prefix, other)
            );
        };
        check("orders", Some("orders"), "", "x-y");
        check("eu-orders_1", Some("orders@1"), "eu-", "eu-x-y");
        check("eu-orders.fifo", Some("orders.fifo"), "eu-", "eu-x-y");
        check("orders", Some("celery"), "", "x-y");
        check("orders", None, "", "x-y");
    }
}
