//! The broker itself: which queues there are, time, and the way to and from a store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::attributes::{Attribute, QueueAttributes, RedrivePolicy};
use crate::change::{Change, QueueRecord};
use crate::effects::{Deadline, Effects};
use crate::error::Error;
use crate::ids::{Keys, MessageId, MessageKey, QueueId};
use crate::message::{Message, Payload};
use crate::move_task::MoveTasks;
use crate::name::{self, FIFO_SUFFIX};
use crate::queue::{Counts, Queue};
use crate::receipt::Signer;
use crate::time::Timestamp;

/// What is chosen once, when a broker is made.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent switches, each an option of the endpoint"
)]
pub struct Settings {
    /// Receipt handles and message ids are derived from it. A broker that is restored must have
    /// the seed it had; one that faces the world, a random one.
    pub seed: u128,
    /// Lets queue names have dots, which AWS refuses.
    pub lenient_names: bool,
    /// Refuses a second purge within 60 seconds, as AWS does.
    pub purge_cooldown: bool,
    /// Refuses to make a queue anew within 60 seconds of its deletion, as AWS does.
    pub deletion_cooldown: bool,
    /// Keeps changes for [`Broker::take_changes`]. Without a store they would only pile up.
    pub journal: bool,
}

/// AWS's wait after `PurgeQueue` and `DeleteQueue`.
const COOLDOWN_SECS: u32 = 60;

/// All queues with all their messages.
#[derive(Debug)]
pub struct Broker<P> {
    pub(crate) settings: Settings,
    pub(crate) signer: Signer,
    pub(crate) queues: BTreeMap<QueueId, Queue<P>>,
    pub(crate) effects: Effects<P>,
    pub(crate) names: BTreeMap<Arc<str>, QueueId>,
    pub(crate) moves: MoveTasks,
    /// When queues of these names were deleted; kept only for the cooldown.
    deleted: BTreeMap<Arc<str>, Timestamp>,
    pub(crate) keys: Keys,
    /// The latest time seen: a clock that steps back must not make new messages older.
    now: Timestamp,
}

/// A queue as `GetQueueAttributes` shows it.
#[derive(Debug, Clone, Copy)]
pub struct QueueView<'a> {
    /// Name, attributes, tags and times.
    pub record: &'a QueueRecord,
    /// Its messages by phase.
    pub counts: Counts,
}

impl<P: Payload> Broker<P> {
    /// A broker without queues.
    pub fn new(settings: Settings) -> Self {
        Self {
            signer: Signer::new(settings.seed),
            effects: Effects::new(settings.journal),
            settings,
            queues: BTreeMap::new(),
            names: BTreeMap::new(),
            moves: MoveTasks::default(),
            deleted: BTreeMap::new(),
            keys: Keys::starting_at(1),
            now: Timestamp::default(),
        }
    }

    /// Lets everything happen that is due: timeouts and delays end, old messages go. Every action
    /// does it first, so this is only for when nothing else happens. Returns the time by which the
    /// broker goes, which never steps back.
    pub fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        while let Some(deadline) = self.effects.pop_due(self.now) {
            match deadline {
                Deadline::Visible(id, key) => {
                    if let Some(queue) = self.queues.get_mut(&id) {
                        queue.show(key, &mut self.effects);
                    }
                }
                Deadline::Retention(id) => {
                    if let Some(queue) = self.queues.get_mut(&id) {
                        queue.expire(self.now, &mut self.effects);
                    }
                }
                Deadline::Memory(id) => {
                    if let Some(queue) = self.queues.get_mut(&id) {
                        queue.forget(self.now, &mut self.effects);
                    }
                }
                Deadline::Move(id) => self.step_move_task(self.now, id),
            }
        }
        self.now
    }

    /// When [`advance`](Self::advance) has something to do next.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.effects.next_deadline()
    }

    /// Queues in which something became receivable since the last call. May name too many.
    pub fn take_woken(&mut self) -> BTreeSet<QueueId> {
        self.effects.take_woken()
    }

    /// What a store must write since the last call, in order. Empty without [`Settings::journal`].
    #[must_use = "changes that are not stored are lost"]
    pub fn take_changes(&mut self) -> Vec<Change<P>> {
        self.effects.take_changes()
    }

    /// `CreateQueue`. An existing queue is returned if none of `attributes` differs from it.
    pub fn create_queue(
        &mut self,
        now: Timestamp,
        name: &str,
        attributes: &[Attribute],
    ) -> Result<QueueId, Error> {
        let now = self.advance(now);
        if let Some(id) = self.names.get(name).copied() {
            return self.check_same(id, attributes).map(|()| id);
        }
        let is_fifo = attributes.contains(&Attribute::FifoQueue(true));
        name::check(name, self.settings.lenient_names)?;
        if name.ends_with(FIFO_SUFFIX) != is_fifo {
            return Err(fifo_name_error(is_fifo));
        }
        self.check_deletion_cooldown(now, name)?;
        let chosen = self.with_attributes(name, QueueAttributes::defaults(is_fifo), attributes)?;
        let id = QueueId(self.next_key());
        let record = QueueRecord {
            id,
            name: name.into(),
            attributes: chosen,
            tags: BTreeMap::new(),
            created: now,
            modified: now,
        };
        self.names.insert(Arc::clone(&record.name), id);
        self.effects
            .record(|| Change::QueueStored(Box::new(record.clone())));
        self.queues.insert(id, Queue::new(record));
        Ok(id)
    }

    /// `DeleteQueue`, with all that is in it.
    pub fn delete_queue(&mut self, now: Timestamp, id: QueueId) -> Result<(), Error> {
        let now = self.advance(now);
        let mut queue = self.queues.remove(&id).ok_or(Error::QueueDoesNotExist)?;
        queue.close(&mut self.effects);
        self.names.remove(&queue.record.name);
        self.moves.forget_source(id, &mut self.effects);
        if self.settings.deletion_cooldown {
            self.deleted.insert(queue.record.name, now);
        }
        self.effects.wake(id);
        self.effects.record(|| Change::QueueDeleted(id));
        Ok(())
    }

    /// `PurgeQueue`: drops all messages, those in flight too.
    pub fn purge(&mut self, now: Timestamp, id: QueueId) -> Result<(), Error> {
        let now = self.advance(now);
        let cooldown = self.settings.purge_cooldown;
        let (queue, effects) = self.queue_and_effects(id)?;
        if cooldown
            && queue
                .purged
                .is_some_and(|at| now < at.plus_secs(COOLDOWN_SECS))
        {
            return Err(Error::PurgeQueueInProgress {
                queue: queue.record.name.to_string(),
            });
        }
        queue.purged = Some(now);
        queue.clear(effects);
        effects.record(|| Change::QueuePurged(id));
        Ok(())
    }

    /// Whether a queue could have that name.
    pub fn check_name(&self, name: &str) -> Result<(), Error> {
        name::check(name, self.settings.lenient_names)
    }

    /// `GetQueueUrl`: the queue of that name.
    pub fn queue(&self, name: &str) -> Result<QueueId, Error> {
        self.names
            .get(name)
            .copied()
            .ok_or(Error::QueueDoesNotExist)
    }

    /// `ListQueues`: names with that prefix in order, those after `after` where given.
    pub fn queue_names<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a str> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.names
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(name, _)| &**name)
            .take_while(move |name| name.starts_with(prefix))
    }

    /// `GetQueueAttributes` and `ListQueueTags`.
    pub fn view(&self, id: QueueId) -> Result<QueueView<'_>, Error> {
        let queue = self.queues.get(&id).ok_or(Error::QueueDoesNotExist)?;
        Ok(QueueView {
            record: &queue.record,
            counts: queue.counts(),
        })
    }

    /// `SetQueueAttributes`: all of `attributes`, or none where one is refused.
    pub fn set_attributes(
        &mut self,
        now: Timestamp,
        id: QueueId,
        attributes: &[Attribute],
    ) -> Result<(), Error> {
        let now = self.advance(now);
        let record = self.view(id)?.record;
        let changed = self.with_attributes(&record.name, record.attributes.clone(), attributes)?;
        let (queue, effects) = self.queue_and_effects(id)?;
        let before = std::mem::replace(&mut queue.record.attributes, changed);
        queue.record.modified = now;
        if before.retention_secs != queue.record.attributes.retention_secs {
            queue.schedule_retention(effects);
        }
        if queue.is_fifo() && before.delay_secs != queue.record.attributes.delay_secs {
            queue.reschedule_delayed(now, effects);
        }
        effects.record(|| Change::QueueStored(Box::new(queue.record.clone())));
        Ok(())
    }

    /// `TagQueue` and `UntagQueue`: sets the tags with a value, takes away those without.
    pub fn set_tags(
        &mut self,
        id: QueueId,
        tags: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<(), Error> {
        let (queue, effects) = self.queue_and_effects(id)?;
        for (name, value) in tags {
            match value {
                Some(value) => queue.record.tags.insert(name, value),
                None => queue.record.tags.remove(&name),
            };
        }
        effects.record(|| Change::QueueStored(Box::new(queue.record.clone())));
        Ok(())
    }

    /// `ListDeadLetterSourceQueues`: names of the queues whose dead letters come to this one.
    pub fn dead_letter_sources(&self, id: QueueId) -> Result<Vec<&str>, Error> {
        let target = &self.view(id)?.record.name;
        let names = self.names.iter().filter(|(_, source)| {
            self.queues
                .get(source)
                .and_then(|queue| queue.record.attributes.redrive.as_ref())
                .is_some_and(|policy| policy.dead_letter_name() == &**target)
        });
        Ok(names.map(|(name, _)| &**name).collect())
    }

    /// Looks at a queue's messages without receiving them, the oldest first.
    pub fn messages(
        &self,
        id: QueueId,
    ) -> Result<impl Iterator<Item = (MessageKey, MessageId, &Message<P>)>, Error> {
        let queue = self.queues.get(&id).ok_or(Error::QueueDoesNotExist)?;
        Ok(queue.messages().map(|(key, message)| {
            let id = self.signer.message_id(message.first_key(key));
            (key, id, message)
        }))
    }

    /// What a message carries, without receiving it.
    pub fn payload(&self, id: QueueId, key: MessageKey) -> Option<&P> {
        let message = self.queues.get(&id)?.message(key)?;
        Some(&message.payload)
    }

    /// Swaps what a message carries for another form of the same, where it is still there: a
    /// store's way to keep bodies out of memory.
    pub fn replace_payload(&mut self, id: QueueId, key: MessageKey, payload: P) {
        let queue = self.queues.get_mut(&id);
        if let Some(message) = queue.and_then(|queue| queue.message_mut(key)) {
            message.payload = payload;
        }
    }

    pub(crate) fn queue_and_effects(
        &mut self,
        id: QueueId,
    ) -> Result<(&mut Queue<P>, &mut Effects<P>), Error> {
        let queue = self.queues.get_mut(&id).ok_or(Error::QueueDoesNotExist)?;
        Ok((queue, &mut self.effects))
    }

    pub(crate) fn next_key(&mut self) -> u64 {
        let (key, reserved) = self.keys.next();
        if let Some(below) = reserved {
            self.effects.record(|| Change::KeysReserved { below });
        }
        key
    }

    /// `attributes` on top of `base`, where they are all right for a queue of that name.
    fn with_attributes(
        &self,
        name: &str,
        mut base: QueueAttributes,
        attributes: &[Attribute],
    ) -> Result<QueueAttributes, Error> {
        for attribute in attributes {
            base.set(attribute)?;
            if let Attribute::RedrivePolicy(Some(policy)) = attribute {
                self.check_redrive(name, base.is_fifo, policy)?;
            }
        }
        base.check()?;
        let is_managed = |a: &Attribute| matches!(a, Attribute::SqsManagedSseEnabled(true));
        let has_key = |a: &Attribute| matches!(a, Attribute::KmsMasterKeyId(id) if !id.is_empty());
        if attributes.iter().any(is_managed) && attributes.iter().any(has_key) {
            return Err(Error::SseConflict);
        }
        Ok(base)
    }

    fn check_redrive(
        &self,
        source: &str,
        is_fifo: bool,
        policy: &RedrivePolicy,
    ) -> Result<(), Error> {
        let refuse = |reason| policy.refusal(reason);
        let Ok(target) = self
            .queue(policy.dead_letter_name())
            .and_then(|id| self.view(id))
        else {
            return Err(refuse("Dead letter target does not exist."));
        };
        let attributes = &target.record.attributes;
        if *target.record.name == *source {
            return Err(refuse(
                "Dead-letter queue and source queue must be different.",
            ));
        }
        if attributes.is_fifo != is_fifo {
            return Err(refuse(
                "Dead-letter queue must be same type of queue as the source.",
            ));
        }
        if !attributes.admits_dead_letters_of(source) {
            return Err(refuse(
                "The redrive allow policy of the dead-letter queue does not allow this source.",
            ));
        }
        Ok(())
    }

    fn check_same(&self, id: QueueId, attributes: &[Attribute]) -> Result<(), Error> {
        let present = &self.view(id)?.record.attributes;
        for attribute in attributes {
            let mut asked = present.clone();
            asked.set(attribute)?;
            if asked != *present {
                let attribute = attribute.name();
                return Err(Error::QueueNameExists { attribute });
            }
        }
        Ok(())
    }

    fn check_deletion_cooldown(&mut self, now: Timestamp, name: &str) -> Result<(), Error> {
        self.deleted
            .retain(|_, at| now < at.plus_secs(COOLDOWN_SECS));
        if self.deleted.contains_key(name) {
            return Err(Error::QueueDeletedRecently);
        }
        Ok(())
    }
}

fn fifo_name_error(is_fifo: bool) -> Error {
    if !is_fifo {
        return Error::InvalidQueueName;
    }
    Error::InvalidParameterValue {
        message: "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
                  underscores, must end with .fifo suffix and be 1 to 80 in length."
            .to_owned(),
    }
}
