//! The queues that are worked on, by the core's number for each.

use std::collections::BTreeMap;
use std::time::Duration;

use pyqs_core::{QueueAttributes, QueueId};
use pyqs_sqs::QueueUrl;

/// The queues that the core knows.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_id: BTreeMap<QueueId, Queue>,
    by_url: BTreeMap<QueueUrl, QueueId>,
}

#[derive(Debug)]
struct Queue {
    url: QueueUrl,
    attributes: QueueAttributes,
    /// What the last receive that failed said.
    last_failure: String,
}

impl Queues {
    /// A queue was found; its number, unless it is known already.
    pub(crate) fn add(&mut self, url: QueueUrl, attributes: QueueAttributes) -> Option<QueueId> {
        if self.by_url.contains_key(&url) {
            return None;
        }
        let number = u32::try_from(self.by_id.len() + 1).ok()?;
        let id = QueueId(number);
        self.by_url.insert(url.clone(), id);
        let queue = Queue {
            url,
            attributes,
            last_failure: String::new(),
        };
        self.by_id.insert(id, queue);
        Some(id)
    }

    /// A queue's attributes were read again; its number.
    pub(crate) fn change(
        &mut self,
        url: &QueueUrl,
        attributes: QueueAttributes,
    ) -> Option<QueueId> {
        let id = *self.by_url.get(url)?;
        if let Some(queue) = self.by_id.get_mut(&id) {
            queue.attributes = attributes;
        }
        Some(id)
    }

    /// A receive failed.
    pub(crate) fn failed(&mut self, id: QueueId, reason: String) {
        if let Some(queue) = self.by_id.get_mut(&id) {
            queue.last_failure = reason;
        }
    }

    pub(crate) fn ids(&self) -> Vec<QueueId> {
        self.by_id.keys().copied().collect()
    }

    pub(crate) fn url(&self, id: QueueId) -> Option<&QueueUrl> {
        self.by_id.get(&id).map(|queue| &queue.url)
    }

    pub(crate) fn is_fifo(&self, id: QueueId) -> bool {
        self.by_id
            .get(&id)
            .is_some_and(|queue| queue.attributes.is_fifo)
    }

    pub(crate) fn visibility_timeout(&self, id: QueueId) -> Duration {
        self.by_id
            .get(&id)
            .map_or(Duration::ZERO, |queue| queue.attributes.visibility_timeout)
    }

    /// All names.
    pub(crate) fn names(&self) -> BTreeMap<QueueId, String> {
        let named = self.by_id.iter();
        named
            .map(|(&id, queue)| (id, queue.url.name().to_owned()))
            .collect()
    }

    /// For people.
    pub(crate) fn name(&self, id: QueueId) -> &str {
        self.url(id).map_or("a queue", QueueUrl::name)
    }

    /// For people.
    pub(crate) fn last_failure(&self, id: QueueId) -> &str {
        self.by_id
            .get(&id)
            .map_or("", |queue| queue.last_failure.as_str())
    }
}
