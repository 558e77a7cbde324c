//! `CeleryQueues`: where a Celery application sends its tasks, and what SQS calls its queues.

use std::collections::BTreeMap;

use pyqs_sqs::names::kombu_name;
use serde::{Deserialize, Serialize};

/// What is known of a Celery application's queues. Default: no application, whose queues have no prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CeleryQueues {
    /// What stands before each name in SQS (`queue_name_prefix`).
    pub prefix: String,
    /// SQS's names of queues that have one of their own (`predefined_queues`), by Celery's.
    pub predefined: BTreeMap<String, String>,
    /// Where a task goes that has no route, by Celery's name; `None` where there is no application.
    pub default_queue: Option<String>,
    /// Where tasks go, by their names: Celery's name of the queue.
    pub routes: BTreeMap<String, String>,
}

impl CeleryQueues {
    /// Celery's name of the queue to which it would send a task that names none itself; `None` where no
    /// application says it.
    pub fn queue_of(&self, task: &str) -> Option<&str> {
        let route = self.routes.get(task).or(self.default_queue.as_ref());
        route.map(String::as_str)
    }

    /// SQS's name of a queue of Celery's, as kombu makes it (`kombu.transport.SQS`, `entity_name`).
    pub fn sqs_name(&self, queue: &str) -> String {
        let name = format!("{}{queue}", self.prefix);
        let predefined = self.predefined.get(queue).or(self.predefined.get(&name));
        if let Some(predefined) = predefined {
            return predefined.clone();
        }
        kombu_name(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::CeleryQueues;

    #[test]
    fn queues_are_named_as_kombu_does() {
        let plain = CeleryQueues::default();
        assert_eq!(plain.sqs_name("shop.orders@eu"), "shop-orders_eu");
        assert_eq!(plain.sqs_name("a.b.fifo"), "a-b.fifo");
        assert_eq!(plain.sqs_name("A-b_c ö"), "A-b_c ö");
        let queues = CeleryQueues {
            prefix: "live.".to_owned(),
            predefined: [("hot".to_owned(), "Hot_1".to_owned())].into(),
            ..CeleryQueues::default()
        };
        assert_eq!(queues.sqs_name("orders"), "live-orders");
        assert_eq!(queues.sqs_name("hot"), "Hot_1");
    }

    #[test]
    fn a_task_goes_by_its_route_else_to_the_default_queue() {
        let mut queues = CeleryQueues::default();
        assert_eq!(queues.queue_of("mail.send"), None);
        queues.default_queue = Some("celery".to_owned());
        queues
            .routes
            .insert("mail.send".to_owned(), "mail".to_owned());
        assert_eq!(queues.queue_of("mail.send"), Some("mail"));
        assert_eq!(queues.queue_of("other"), Some("celery"));
    }
}
