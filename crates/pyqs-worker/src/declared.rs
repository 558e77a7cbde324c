//! What task processes have said of the modules that they have imported, which the manager does not import.
//!
//! A process says it before it is given anything, and again when a task that it looks for brings more. What it
//! has said once holds: others import the same modules.

use std::borrow::Cow;
use std::collections::HashMap;

use pyqs_sqs::names::sqs_name;

use crate::process::wire::Declaration;

/// The most that is remembered of either kind: a process that declares without end costs no more.
pub(crate) const DECLARED_MAX: usize = 10_000;

/// What was declared.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// By the queue's name in SQS, in both spellings of a name with dots.
    handlers: HashMap<String, Handler>,
}

/// What takes all messages of a queue, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handler {
    /// For people.
    pub(crate) name: String,
}

impl Declared {
    /// Takes in what a process has said.
    pub(crate) fn take_in(&mut self, declarations: Vec<Declaration>) {
        for Declaration { name, queue } in declarations {
            let Some(queue) = queue else { continue };
            let dashed = sqs_name(&queue).map(Cow::into_owned).ok();
            for queue in [Some(queue), dashed].into_iter().flatten() {
                if self.handlers.len() < DECLARED_MAX {
                    let name = name.clone();
                    self.handlers.insert(queue, Handler { name });
                }
            }
        }
    }

    /// Who takes all messages of the queue of this name.
    pub(crate) fn handler(&self, queue: &str) -> Option<&Handler> {
        self.handlers.get(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::{DECLARED_MAX, Declared};
    use crate::process::wire::Declaration;

    fn handler(name: &str, queue: &str) -> Declaration {
        Declaration {
            name: name.to_owned(),
            queue: Some(queue.to_owned()),
        }
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
