//! A queue's messages that wait to be started, and the locks of its message groups.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{GroupId, MessageKey, TaskKind};
use crate::time::Instant;

/// The waiting messages of one queue, in order of arrival: keys grow, so a message that comes back
/// from a process finds its old place.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// What may start alone: all without a group, and the first of each group that is not locked.
    ready: BTreeSet<MessageKey>,
    /// What may start with others of its kind: all without a group, and those of each group that is not
    /// locked with nothing else before them.
    gathered: BTreeMap<TaskKind, Gathered>,
    /// What might start alone, but is held back: none of it is in `ready`. Of a group its head is.
    aside: BTreeSet<MessageKey>,
    /// Kinds of `gathered` that are held back.
    blocked: BTreeSet<TaskKind>,
    groups: BTreeMap<GroupId, Group>,
    len: usize,
}

/// How a message is to start with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Together {
    pub(crate) kind: TaskKind,
    /// With so many at most, itself included.
    pub(crate) max: usize,
    /// From then on with fewer.
    pub(crate) by: Instant,
}

/// What is to start next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    One(MessageKey),
    /// Those that [`Line::gathered`] names.
    Several(TaskKind),
}

#[derive(Debug, Default)]
struct Gathered {
    max: usize,
    /// Each with when it waits for no others any more.
    waiting: BTreeMap<MessageKey, Instant>,
}

#[derive(Debug, Default)]
struct Group {
    waiting: BTreeMap<MessageKey, Option<Together>>,
    /// Those that were started and have not ended: of one run.
    started: BTreeSet<MessageKey>,
    /// Its first one, where that is held back.
    aside: Option<MessageKey>,
    /// One of these is not done with, and so those behind it are not either.
    is_broken: bool,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(
        &mut self,
        message: MessageKey,
        group: Option<&GroupId>,
        together: Option<Together>,
    ) {
        self.len += 1;
        let Some(group) = group else {
            return offer(&mut self.ready, &mut self.gathered, message, together);
        };
        if !self.groups.contains_key(group) {
            self.groups.insert(group.clone(), Group::default());
        }
        self.change_group(group, |group| {
            group.waiting.insert(message, together);
        });
    }

    /// What may start now, the one that came first.
    pub(crate) fn next(&self, now: Instant) -> Option<Next> {
        let one = self.ready.first().copied();
        let ripe = self.gathered.iter().filter_map(|(&kind, gathered)| {
            let (&first, &by) = gathered.waiting.first_key_value()?;
            if self.blocked.contains(&kind) {
                return None;
            }
            let is_ripe = by <= now || gathered.waiting.len() >= gathered.max;
            is_ripe.then_some((first, kind))
        });
        match (one, ripe.min()) {
            (Some(one), Some((several, _))) if one < several => Some(Next::One(one)),
            (_, Some((_, kind))) => Some(Next::Several(kind)),
            (one, None) => one.map(Next::One),
        }
    }

    /// Holds back a message that might start alone, and with it what is behind it in its group, until
    /// [`recall`](Self::recall).
    pub(crate) fn set_aside(&mut self, message: MessageKey, group: Option<&GroupId>) {
        match group {
            None => {
                if self.ready.remove(&message) {
                    self.aside.insert(message);
                }
            }
            Some(group) => self.change_group(group, |group| group.aside = Some(message)),
        }
    }

    /// A message that was held back may start.
    pub(crate) fn recall(&mut self, message: MessageKey, group: Option<&GroupId>) {
        match group {
            None => {
                if self.aside.remove(&message) {
                    self.ready.insert(message);
                }
            }
            Some(group) => self.change_group(group, |group| {
                group.aside.take_if(|aside| *aside == message);
            }),
        }
    }

    /// Holds back what starts together of a kind, or does so no longer.
    pub(crate) fn set_blocked(&mut self, kind: TaskKind, is_blocked: bool) {
        if is_blocked {
            self.blocked.insert(kind);
        } else {
            self.blocked.remove(&kind);
        }
    }

    /// The messages of that kind that may start together, in order and as many as may.
    pub(crate) fn gathered(&self, kind: TaskKind) -> impl Iterator<Item = MessageKey> + '_ {
        let gathered = self.gathered.get(&kind).into_iter();
        gathered.flat_map(|gathered| gathered.waiting.keys().copied().take(gathered.max))
    }

    /// How many more could start together with those that wait.
    pub(crate) fn missing(&self) -> usize {
        let gathered = self.gathered.values();
        let missing = gathered.map(|gathered| gathered.max.saturating_sub(gathered.waiting.len()));
        missing.sum()
    }

    /// When something that waits for others waits no longer, if that is not now.
    pub(crate) fn ripens_at(&self, now: Instant) -> Option<Instant> {
        let firsts = self.gathered.values();
        let firsts = firsts.filter_map(|gathered| gathered.waiting.values().next().copied());
        firsts.filter(|&by| by > now).min()
    }

    /// Whether nothing of its group is before it.
    pub(crate) fn is_head(&self, message: MessageKey, group: Option<&GroupId>) -> bool {
        let group = group.and_then(|group| self.groups.get(group));
        group.is_none_or(|group| group.waiting.keys().next() == Some(&message))
    }

    /// Takes out a message that waits: it starts, and locks its group until [`ended`](Self::ended).
    pub(crate) fn start(
        &mut self,
        message: MessageKey,
        group: Option<&GroupId>,
        together: Option<Together>,
    ) {
        self.remove(message, group, together);
        if let Some(group) = group {
            self.groups.entry(group.clone()).or_default();
            self.change_group(group, |group| {
                group.started.insert(message);
            });
        }
    }

    /// A message that was started is no longer: with the last of a run its group goes on.
    pub(crate) fn ended(&mut self, message: MessageKey, group: Option<&GroupId>) {
        let Some(group) = group else { return };
        self.change_group(group, |group| {
            group.started.remove(&message);
            group.is_broken &= !group.started.is_empty();
        });
    }

    /// One of several that were started is not done with: those behind it are not either.
    pub(crate) fn break_group(&mut self, group: &GroupId) {
        if let Some(group) = self.groups.get_mut(group) {
            group.is_broken = group.started.len() > 1;
        }
    }

    pub(crate) fn is_broken(&self, group: &GroupId) -> bool {
        self.groups.get(group).is_some_and(|group| group.is_broken)
    }

    /// Takes out a message that waits, if it does.
    pub(crate) fn remove(
        &mut self,
        message: MessageKey,
        group: Option<&GroupId>,
        together: Option<Together>,
    ) {
        let mut was_there = false;
        match group {
            None => {
                was_there = self.aside.remove(&message)
                    || withdraw(&mut self.ready, &mut self.gathered, message, together);
            }
            Some(group) => self.change_group(group, |group| {
                was_there = group.waiting.remove(&message).is_some();
                group.aside.take_if(|aside| *aside == message);
            }),
        }
        self.len -= usize::from(was_there);
    }

    /// What waits of a group, in order.
    pub(crate) fn waiting_of(&self, group: &GroupId) -> Vec<MessageKey> {
        self.groups
            .get(group)
            .map(|group| group.waiting.keys().copied().collect())
            .unwrap_or_default()
    }

    /// All that waits.
    pub(crate) fn waiting(&self) -> BTreeSet<MessageKey> {
        let grouped = self.groups.values().flat_map(|group| group.waiting.keys());
        let gathered = self.gathered.values();
        let gathered = gathered.flat_map(|gathered| gathered.waiting.keys());
        self.ready
            .iter()
            .chain(&self.aside)
            .chain(gathered)
            .chain(grouped)
            .copied()
            .collect()
    }

    /// Changes a group, and with it what of it may start.
    fn change_group(&mut self, id: &GroupId, change: impl FnOnce(&mut Group)) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        for (message, together) in group.offers() {
            withdraw(&mut self.ready, &mut self.gathered, message, together);
        }
        change(group);
        for (message, together) in group.offers() {
            offer(&mut self.ready, &mut self.gathered, message, together);
        }
        if group.started.is_empty() && group.waiting.is_empty() {
            self.groups.remove(id);
        }
    }
}

impl Group {
    /// Its messages that may start: the first alone, or as many from the first on as may start together.
    fn offers(&self) -> impl Iterator<Item = (MessageKey, Option<Together>)> + '_ {
        let is_locked = !self.started.is_empty() || self.aside.is_some();
        let first = self.waiting.values().next().copied().flatten();
        let count = match first {
            _ if is_locked => 0,
            None => 1,
            Some(first) => first.max,
        };
        let waiting = self.waiting.iter().take(count);
        waiting
            .take_while(move |(_, together)| together.map(|it| it.kind) == first.map(|it| it.kind))
            .map(|(&message, &together)| (message, together))
    }
}

/// It may start.
fn offer(
    ready: &mut BTreeSet<MessageKey>,
    all: &mut BTreeMap<TaskKind, Gathered>,
    message: MessageKey,
    together: Option<Together>,
) {
    let Some(Together { kind, max, by }) = together else {
        ready.insert(message);
        return;
    };
    let gathered = all.entry(kind).or_default();
    gathered.max = max.max(1);
    gathered.waiting.insert(message, by);
}

/// It may not, or is gone; tells whether it could.
fn withdraw(
    ready: &mut BTreeSet<MessageKey>,
    all: &mut BTreeMap<TaskKind, Gathered>,
    message: MessageKey,
    together: Option<Together>,
) -> bool {
    let Some(Together { kind, .. }) = together else {
        return ready.remove(&message);
    };
    let Some(gathered) = all.get_mut(&kind) else {
        return false;
    };
    let was_there = gathered.waiting.remove(&message).is_some();
    if gathered.waiting.is_empty() {
        all.remove(&kind);
    }
    was_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Instant = Instant::ORIGIN;

    fn first(line: &Line) -> Option<MessageKey> {
        line.next(NOW).map(|next| match next {
            Next::One(message) => message,
            Next::Several(kind) => panic!("{kind:?}"),
        })
    }

    fn together(kind: u32, secs: u64) -> Together {
        Together {
            kind: TaskKind(kind),
            max: 3,
            by: NOW + Duration::from_secs(secs),
        }
    }

    fn gathered(line: &Line, kind: u32) -> Vec<u64> {
        line.gathered(TaskKind(kind)).map(|key| key.0).collect()
    }

    #[test]
    fn what_starts_together_waits_until_it_is_full_or_has_waited() {
        let mut line = Line::default();
        line.push(MessageKey(1), None, Some(together(1, 5)));
        line.push(MessageKey(2), None, Some(together(1, 6)));
        line.push(MessageKey(3), None, None);
        assert_eq!(line.next(NOW), Some(Next::One(MessageKey(3))));
        assert_eq!((line.missing(), line.len()), (1, 3));
        let ripe = NOW + Duration::from_secs(5);
        assert_eq!(line.ripens_at(NOW), Some(ripe));
        assert_eq!(line.next(ripe), Some(Next::Several(TaskKind(1))));
        line.push(MessageKey(4), None, Some(together(1, 7)));
        line.push(MessageKey(5), None, Some(together(1, 7)));
        assert_eq!(line.next(NOW), Some(Next::Several(TaskKind(1))));
        assert_eq!((gathered(&line, 1), line.missing()), (vec![1, 2, 4], 0));
        line.remove(MessageKey(1), None, Some(together(1, 5)));
        assert_eq!(gathered(&line, 1), [2, 4, 5]);
        assert_eq!(line.waiting().len(), 4);
    }

    #[test]
    fn of_a_group_only_those_start_together_that_have_nothing_else_before_them() {
        let group = GroupId::from("a");
        let mut line = Line::default();
        for (key, kind) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
            line.push(MessageKey(key), Some(&group), Some(together(kind, 0)));
        }
        line.push(MessageKey(5), None, Some(together(1, 0)));
        assert_eq!(gathered(&line, 1), [1, 2, 5]);
        assert!(gathered(&line, 2).is_empty());
        for key in [1, 2] {
            line.start(MessageKey(key), Some(&group), Some(together(1, 0)));
        }
        assert_eq!((gathered(&line, 1), line.len()), (vec![5], 3));
        line.break_group(&group);
        line.ended(MessageKey(1), Some(&group));
        assert!(line.is_broken(&group) && gathered(&line, 2).is_empty());
        line.ended(MessageKey(2), Some(&group));
        assert!(!line.is_broken(&group));
        assert_eq!((gathered(&line, 2), gathered(&line, 1)), (vec![3], vec![5]));
        line.remove(MessageKey(3), Some(&group), Some(together(2, 0)));
        assert_eq!(gathered(&line, 1), [4, 5]);
    }

    #[test]
    fn a_group_runs_one_at_a_time_and_in_order() {
        let (a, b) = (GroupId::from("a"), GroupId::from("b"));
        let mut line = Line::default();
        for (key, group) in [(1, &a), (2, &a), (3, &b)] {
            line.push(MessageKey(key), Some(group), None);
        }
        line.start(MessageKey(1), Some(&a), None);
        assert_eq!(first(&line), Some(MessageKey(3)));
        line.start(MessageKey(3), Some(&b), None);
        assert_eq!((first(&line), line.len()), (None, 1));
        line.ended(MessageKey(1), Some(&a));
        assert_eq!(first(&line), Some(MessageKey(2)));
        line.ended(MessageKey(3), Some(&b));
        assert_eq!(line.groups.len(), 1);
    }

    #[test]
    fn what_comes_back_finds_its_old_place() {
        let group = GroupId::from("a");
        for group in [None, Some(&group)] {
            let mut line = Line::default();
            (1..4).for_each(|key| line.push(MessageKey(key), group, None));
            line.start(MessageKey(1), group, None);
            line.ended(MessageKey(1), group);
            line.push(MessageKey(1), group, None);
            assert_eq!((first(&line), line.len()), (Some(MessageKey(1)), 3));
        }
    }

    #[test]
    fn all_that_waits_is_seen_behind_locks_too() {
        let group = GroupId::from("a");
        let mut line = Line::default();
        (1..4).for_each(|key| line.push(MessageKey(key), Some(&group), None));
        line.push(MessageKey(9), None, None);
        line.start(MessageKey(1), Some(&group), None);
        assert_eq!(first(&line), Some(MessageKey(9)));
        assert_eq!(line.waiting_of(&group), [MessageKey(2), MessageKey(3)]);
        assert_eq!(
            line.waiting(),
            [MessageKey(2), MessageKey(3), MessageKey(9)].into()
        );
        line.remove(MessageKey(2), Some(&group), None);
        line.remove(MessageKey(3), Some(&group), None);
        line.ended(MessageKey(1), Some(&group));
        assert_eq!((line.len(), line.groups.len()), (1, 0));
    }
}
