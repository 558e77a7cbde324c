//! A queue's messages that wait to be started, and the locks of its message groups.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{GroupId, MessageKey};

/// The waiting messages of one queue, in order of arrival: keys grow, so a message that comes back
/// from a process finds its old place.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// What may start: all without a group, and the first of each group that is not locked.
    ready: BTreeSet<MessageKey>,
    groups: BTreeMap<GroupId, Group>,
    len: usize,
}

#[derive(Debug, Default)]
struct Group {
    waiting: BTreeSet<MessageKey>,
    /// The one that was started and has not ended.
    started: Option<MessageKey>,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, message: MessageKey, group: Option<&GroupId>) {
        self.len += 1;
        let Some(group) = group else {
            self.ready.insert(message);
            return;
        };
        if !self.groups.contains_key(group) {
            self.groups.insert(group.clone(), Group::default());
        }
        if let Some(group) = self.groups.get_mut(group) {
            if let Some(first) = group.waiting.first() {
                self.ready.remove(first);
            }
            group.waiting.insert(message);
            self.ready.extend(group.head());
        }
    }

    /// The first message that may start.
    pub(crate) fn first(&self) -> Option<MessageKey> {
        self.ready.first().copied()
    }

    /// Takes out a message that waits: it starts, and locks its group until [`ended`](Self::ended).
    pub(crate) fn start(&mut self, message: MessageKey, group: Option<&GroupId>) {
        self.remove(message, group);
        if let Some(group) = group {
            let locked = self.groups.entry(group.clone()).or_default();
            locked.started = Some(message);
            if let Some(next) = locked.waiting.first() {
                self.ready.remove(next);
            }
        }
    }

    /// A message that was started is no longer: its group goes on.
    pub(crate) fn ended(&mut self, message: MessageKey, group: Option<&GroupId>) {
        let Some(group_id) = group else { return };
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if group.started == Some(message) {
            group.started = None;
            self.ready.extend(group.head());
        }
        self.drop_if_empty(group_id);
    }

    /// Takes out a message that waits, if it does.
    pub(crate) fn remove(&mut self, message: MessageKey, group: Option<&GroupId>) {
        let Some(group_id) = group else {
            self.len -= usize::from(self.ready.remove(&message));
            return;
        };
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if group.waiting.remove(&message) {
            self.len -= 1;
            self.ready.remove(&message);
            self.ready.extend(group.head());
        }
        self.drop_if_empty(group_id);
    }

    /// What waits of a group, in order.
    pub(crate) fn waiting_of(&self, group: &GroupId) -> Vec<MessageKey> {
        self.groups
            .get(group)
            .map(|group| group.waiting.iter().copied().collect())
            .unwrap_or_default()
    }

    /// All that waits.
    pub(crate) fn waiting(&self) -> BTreeSet<MessageKey> {
        let grouped = self.groups.values().flat_map(|group| &group.waiting);
        self.ready.iter().chain(grouped).copied().collect()
    }

    fn drop_if_empty(&mut self, group_id: &GroupId) {
        if self
            .groups
            .get(group_id)
            .is_some_and(|group| group.started.is_none() && group.waiting.is_empty())
        {
            self.groups.remove(group_id);
        }
    }
}

impl Group {
    /// Its message that may start.
    fn head(&self) -> Option<MessageKey> {
        if self.started.is_some() {
            None
        } else {
            self.waiting.first().copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_runs_one_at_a_time_and_in_order() {
        let (a, b) = (GroupId::from("a"), GroupId::from("b"));
        let mut line = Line::default();
        for (key, group) in [(1, &a), (2, &a), (3, &b)] {
            line.push(MessageKey(key), Some(group));
        }
        line.start(MessageKey(1), Some(&a));
        assert_eq!(line.first(), Some(MessageKey(3)));
        line.start(MessageKey(3), Some(&b));
        assert_eq!((line.first(), line.len()), (None, 1));
        line.ended(MessageKey(1), Some(&a));
        assert_eq!(line.first(), Some(MessageKey(2)));
        line.ended(MessageKey(3), Some(&b));
        assert_eq!(line.groups.len(), 1);
    }

    #[test]
    fn what_comes_back_finds_its_old_place() {
        let group = GroupId::from("a");
        for group in [None, Some(&group)] {
            let mut line = Line::default();
            (1..4).for_each(|key| line.push(MessageKey(key), group));
            line.start(MessageKey(1), group);
            line.ended(MessageKey(1), group);
            line.push(MessageKey(1), group);
            assert_eq!((line.first(), line.len()), (Some(MessageKey(1)), 3));
        }
    }

    #[test]
    fn all_that_waits_is_seen_behind_locks_too() {
        let group = GroupId::from("a");
        let mut line = Line::default();
        (1..4).for_each(|key| line.push(MessageKey(key), Some(&group)));
        line.push(MessageKey(9), None);
        line.start(MessageKey(1), Some(&group));
        assert_eq!(line.first(), Some(MessageKey(9)));
        assert_eq!(line.waiting_of(&group), [MessageKey(2), MessageKey(3)]);
        assert_eq!(
            line.waiting(),
            [MessageKey(2), MessageKey(3), MessageKey(9)].into()
        );
        line.remove(MessageKey(2), Some(&group));
        line.remove(MessageKey(3), Some(&group));
        line.ended(MessageKey(1), Some(&group));
        assert_eq!((line.len(), line.groups.len()), (1, 0));
    }
}
