//! What task processes have said of the modules that they have imported, which the manager does not import.
//!
//! A process says it before it is given anything, and again when a task that it looks for brings more. What it
//! has said once holds: others import the same modules.

use std::borrow::Cow;
use std::collections::HashMap;

use pyqs_core::{Gather, Work};
use pyqs_sqs::names::sqs_name;

use crate::arrivals::KINDS_BEYOND;
use crate::process::wire::{Batch, Declaration};

/// The most that is remembered of either kind: a process that declares without end costs no more.
pub(crate) const DECLARED_MAX: usize = 10_000;

/// What was declared.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// By the queue's name in SQS, in both spellings of a name with dots.
    handlers: HashMap<String, Handler>,
    /// By the task's name: those that are run for several messages at once.
    batches: HashMap<String, Batch>,
}

/// What takes all messages of a queue, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handler {
    /// For people.
    pub(crate) name: String,
    /// It is called with several messages at once.
    pub(crate) batch: Option<Batch>,
}

impl Declared {
    /// Takes in what a process has said.
    pub(crate) fn take_in(&mut self, declarations: Vec<Declaration>) {
        let declarations = declarations.into_iter();
        for Declaration {
            name, queue, batch, ..
        } in declarations
        {
            let Some(queue) = queue else {
                if let Some(batch) = batch
                    && self.batches.len() < DECLARED_MAX
                {
                    self.batches.insert(name, batch);
                }
                continue;
            };
            let dashed = sqs_name(&queue).map(Cow::into_owned).ok();
            for queue in [Some(queue), dashed].into_iter().flatten() {
                if self.handlers.len() < DECLARED_MAX {
                    let name = name.clone();
                    self.handlers.insert(queue, Handler { name, batch });
                }
            }
        }
    }

    /// How messages of a task are run together, by the handler of their queue or by the task itself.
    pub(crate) fn gather(
        &self,
        handler: Option<&Handler>,
        work: Work,
        task: &str,
    ) -> Option<Gather> {
        let batch = match (work, handler) {
            // Kinds that are not told apart may be anything.
            (Work::Poison | Work::Task(KINDS_BEYOND), _) => None,
            (Work::Task(_), Some(handler)) => handler.batch,
            (Work::Task(_), None) => self.batches.get(task).copied(),
        }?;
        Some(Gather {
            max: batch.max,
            wait: batch.wait,
        })
    }

    /// Who takes all messages of the queue of this name.
    pub(crate) fn handler(&self, queue: &str) -> Option<&Handler> {
        self.handlers.get(queue)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyqs_core::{TaskKind, Work};

    use super::{DECLARED_MAX, Declared};
    use crate::process::wire::{Batch, Declaration};

    fn handler(name: &str, queue: &str) -> Declaration {
        Declaration {
            name: name.to_owned(),
            queue: Some(queue.to_owned()),
            batch: None,
            max_concurrency: None,
            rate: None,
        }
    }

    #[test]
    fn what_is_run_together_is_said_by_the_queues_handler_or_by_the_task() {
        let batch = |max| {
            Some(Batch {
                max,
                wait: Duration::from_secs(1),
            })
        };
        let mut declared = Declared::default();
        let task = Declaration {
            max_concurrency: None,
            rate: None,
            name: "app.insert".to_owned(),
            queue: None,
            batch: batch(100),
        };
        let handler = Declaration {
            batch: batch(5),
            ..handler("app.paid", "orders")
        };
        declared.take_in(vec![task, handler]);
        let max = |handler, kind, task| {
            let work = Work::Task(TaskKind(kind));
            let gather = declared.gather(handler, work, task);
            gather.map(|gather| gather.max)
        };
        assert_eq!(max(None, 1, "app.insert"), Some(100));
        assert_eq!(max(None, 1, "app.other"), None);
        assert_eq!(max(declared.handler("orders"), 2, "app.insert"), Some(5));
        assert_eq!(max(None, 0, "app.insert"), None, "of no kind of its own");
        assert_eq!(declared.gather(None, Work::Poison, "app.insert"), None);
    }

    #[test]
    fn a_handler_is_found_by_either_spelling_of_its_queue() {
        let mut declared = Declared::default();
        declared.take_in(vec![handler("app.paid", "orders.paid.fifo")]);
        for queue in ["orders.paid.fifo", "orders-paid.fifo"] {
            assert_eq!(declared.handler(queue).unwrap().name, "app.paid");
        }
        assert_eq!(declared.handler("orders"), None);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut declared = Declared::default();
        let many = (0..=DECLARED_MAX).map(|number| handler("app.paid", &format!("q{number}")));
        declared.take_in(many.collect());
        assert!(declared.handler("q0").is_some());
        assert_eq!(declared.handlers.len(), DECLARED_MAX);
    }
}
