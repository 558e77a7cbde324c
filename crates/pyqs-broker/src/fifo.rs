//! FIFO queues: message groups, each in order and one batch at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::MessageKey;

/// The groups of a FIFO queue that have messages.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<Arc<str>, Group>,
    /// Groups from which something can be received, by their oldest message: the queue's order.
    available: BTreeMap<MessageKey, Arc<str>>,
}

#[derive(Debug, Default)]
struct Group {
    ready: BTreeSet<MessageKey>,
    delayed: BTreeSet<MessageKey>,
    in_flight: BTreeSet<MessageKey>,
    /// Under which key the group stands in `Groups::available`.
    listed: Option<MessageKey>,
}

/// Where in its group a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ready,
    Delayed,
    InFlight,
}

impl Groups {
    pub(crate) fn enter(&mut self, group: &Arc<str>, key: MessageKey, place: Place) {
        let members = self.groups.entry(Arc::clone(group)).or_default();
        match place {
            Place::Ready => drop(members.ready.insert(key)),
            Place::Delayed => drop(members.delayed.insert(key)),
            Place::InFlight => drop(members.in_flight.insert(key)),
        }
        self.list(group);
    }

    pub(crate) fn leave(&mut self, group: &Arc<str>, key: MessageKey, place: Place) {
        let Some(members) = self.groups.get_mut(group) else {
            return;
        };
        match place {
            Place::Ready => drop(members.ready.remove(&key)),
            Place::Delayed => drop(members.delayed.remove(&key)),
            Place::InFlight => drop(members.in_flight.remove(&key)),
        }
        self.list(group);
    }

    pub(crate) fn has_available(&self) -> bool {
        !self.available.is_empty()
    }

    /// The oldest message that may be received.
    pub(crate) fn oldest(&self) -> Option<MessageKey> {
        self.available.first_key_value().map(|(key, _)| *key)
    }

    /// Up to `max` messages that may be received together: as many as possible of the group whose
    /// turn it is, then of the next (`ReceiveMessage`: "as many messages with the same message
    /// group ID as possible").
    pub(crate) fn next_batch(&self, max: usize) -> Vec<MessageKey> {
        self.available
            .values()
            .filter_map(|group| self.groups.get(group))
            .flat_map(Group::head)
            .take(max)
            .collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Brings `available` up to date for one group, and forgets an empty one.
    fn list(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let head = group.head().next();
        if head != group.listed {
            if let Some(old) = group.listed {
                self.available.remove(&old);
            }
            if let Some(new) = head {
                self.available.insert(new, Arc::clone(name));
            }
            group.listed = head;
        }
        if group.in_flight.is_empty() && group.ready.is_empty() && group.delayed.is_empty() {
            self.groups.remove(name);
        }
    }
}

impl Group {
    /// The ready messages up to the first one that is hidden, which holds up all behind it. One
    /// that is given back while later ones are in flight can so be received again at once, as on
    /// AWS.
    fn head(&self) -> impl Iterator<Item = MessageKey> {
        let hidden = [self.delayed.first(), self.in_flight.first()];
        let barrier = hidden.into_iter().flatten().min().copied();
        self.ready
            .iter()
            .copied()
            .take_while(move |key| barrier.is_none_or(|barrier| *key < barrier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[u64]) -> Vec<MessageKey> {
        keys.iter().copied().map(MessageKey).collect()
    }

    #[test]
    fn a_group_with_a_message_in_flight_is_locked_and_others_are_not() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut groups = Groups::default();
        groups.enter(&a, MessageKey(1), Place::Ready);
        groups.enter(&b, MessageKey(2), Place::Ready);
        groups.enter(&a, MessageKey(3), Place::Ready);
        assert_eq!(groups.next_batch(10), keys(&[1, 3, 2]));

        groups.leave(&a, MessageKey(1), Place::Ready);
        groups.enter(&a, MessageKey(1), Place::InFlight);
        assert_eq!(groups.next_batch(10), keys(&[2]));

        groups.leave(&a, MessageKey(1), Place::InFlight);
        assert_eq!(groups.next_batch(10), keys(&[2, 3]));
    }

    #[test]
    fn a_delayed_message_holds_up_those_behind_it() {
        let a: Arc<str> = "a".into();
        let mut groups = Groups::default();
        groups.enter(&a, MessageKey(2), Place::Ready);
        groups.enter(&a, MessageKey(1), Place::Delayed);
        assert!(!groups.has_available());
        groups.leave(&a, MessageKey(1), Place::Delayed);
        assert_eq!(groups.next_batch(1), keys(&[2]));
        groups.leave(&a, MessageKey(2), Place::Ready);
        assert!(groups.groups.is_empty());
    }
}
