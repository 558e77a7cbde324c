//! Messages sent on: what goes out, and what SQS says to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyqs_core::limits::HOP_MAX;
use pyqs_core::{BatchReply, EntryReply, Instant, MessageKey, Onward, Trouble};
use pyqs_sqs::carried::{ATTEMPTS, ATTRIBUTES_MAX, DUE, ID, REASON, SOURCE};
use pyqs_sqs::{
    AttributeValue, BATCH_ENTRIES_MAX, EntryError, Outgoing, QueueAttributes, QueueUrl, Sqs,
    SqsError, names,
};

use crate::arrivals::Held;
use crate::clock::Clocks;
use crate::process::wire::Callback;
use crate::requests::trouble;

/// As many bytes of a reason are carried to a dead-letter queue.
const REASON_BYTES_MAX: usize = 1000;

/// The message group of kombu's, where the sender names none.
const FIFO_GROUP_DEFAULT: &str = "default";

/// The most bytes in one request (AWS: `SendMessageBatch`).
const REQUEST_BYTES_MAX: usize = QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT;

/// One message to be sent on.
#[derive(Debug)]
pub(crate) struct Forward {
    part: Part,
    to: Destination,
    message: Outgoing,
}

/// What is sent for a message: the message itself, or one of those that are to be sent after its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) message: MessageKey,
    pub(crate) callback: Option<usize>,
}

impl Part {
    /// The message itself.
    fn whole(message: MessageKey) -> Self {
        let callback = None;
        Self { message, callback }
    }
}

/// A queue, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Destination {
    Url(QueueUrl),
    Name(String),
}

impl Forward {
    /// All that goes out for a message from the queue `from`, or why that can't be. Of what is to follow its task,
    /// only what has not been sent.
    pub(crate) fn all(
        key: MessageKey,
        held: &Held,
        from: &QueueUrl,
        onward: Onward,
        clocks: Clocks,
    ) -> Result<Vec<Self>, String> {
        let whole = |to, message| Self {
            part: Part::whole(key),
            to,
            message,
        };
        let to_dead_letters = || dead_letter(held, from).map(|(to, message)| whole(to, message));
        match onward {
            Onward::Hop {
                delay,
                due,
                attempts,
            } => {
                let message = hop(held, delay, due, attempts, clocks)?;
                Ok(vec![whole(Destination::Url(from.clone()), message)])
            }
            Onward::DeadLetter => Ok(vec![to_dead_letters()?]),
            Onward::Callbacks => {
                // The message itself too, where it is to go to a dead-letter queue.
                let letter = held.dead_letter.as_ref().map(|_| to_dead_letters());
                let mut forwards: Vec<Self> = letter.transpose()?.into_iter().collect();
                for (number, callback) in held.callbacks.iter().enumerate() {
                    let Some(callback) = callback else { continue };
                    forwards.push(Self {
                        part: Part {
                            message: key,
                            callback: Some(number),
                        },
                        to: Destination::Name(callback.queue.clone()),
                        message: following(callback, held, clocks),
                    });
                }
                Ok(forwards)
            }
        }
    }
}

/// The message again, with all that it carries, and its time and identity as attributes.
fn hop(
    held: &Held,
    delay: Duration,
    due: Instant,
    attempts: u32,
    clocks: Clocks,
) -> Result<Outgoing, String> {
    let mut message = copy(held);
    message.delay = Some(delay);
    let due = match held.due {
        // To the millisecond what the sender wanted, however often it is sent on, and whatever the calendar's clock does.
        Some((at, unix_millis)) if at == due => unix_millis,
        _ => clocks.unix_millis(due),
    };
    let is_needed = attempts > 0 || !held.is_due_by_body;
    let mut carry = |name: &str, value| {
        let attributes = &mut message.attributes;
        let has_room = attributes.len() < ATTRIBUTES_MAX || attributes.contains_key(name);
        if has_room {
            attributes.insert(name.to_owned(), value);
        }
        has_room
    };
    let is_due_carried = carry(DUE, AttributeValue::number(due));
    if !is_due_carried && is_needed {
        return Err("all ten message attributes are taken, so it can't carry its time".to_owned());
    }
    // Without these it runs at its time, but as another message.
    carry(ID, AttributeValue::text(held.message_id.as_str()));
    if attempts > 0 {
        carry(ATTEMPTS, AttributeValue::number(i64::from(attempts)));
    }
    Ok(message)
}

/// Its time is in its body too: a delay spares the hops, or a Celery worker's memory.
fn following(callback: &Callback, held: &Held, clocks: Clocks) -> Outgoing {
    let mut message = Outgoing::new(callback.body.as_str());
    let id = AttributeValue::text(callback.id.as_str());
    message.attributes.insert(ID.to_owned(), id);
    if names::is_fifo(&callback.queue) {
        let group = callback.group.as_ref().or(held.group.as_ref());
        message.group = Some(group.map_or(FIFO_GROUP_DEFAULT, String::as_str).to_owned());
        message.deduplication_id = Some(callback.id.clone());
        return message;
    }
    let due = callback
        .due_unix_millis
        .map(|millis| clocks.instant(millis));
    let left = due
        .map(|due| due.saturating_since(clocks.now))
        .unwrap_or_default();
    if !left.is_zero() {
        let whole_secs = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
        message.delay = Some(whole_secs.min(HOP_MAX));
    }
    message
}

fn dead_letter(held: &Held, from: &QueueUrl) -> Result<(Destination, Outgoing), String> {
    let Some(letter) = &held.dead_letter else {
        return Err("its dead-letter queue is not known".to_owned());
    };
    let mut message = copy(held);
    // There it is neither due nor tried before.
    message.attributes.remove(DUE);
    message.attributes.remove(ATTEMPTS);
    if names::is_fifo(&letter.queue) {
        if message.group.is_none() {
            let queue = &letter.queue;
            return Err(format!(
                "{queue} is a FIFO queue, and the message has no group; name a standard queue"
            ));
        }
        // As SQS's own redrive does, so that a send that is repeated does not double it.
        message.deduplication_id = Some(held.sqs_id().to_owned());
    }
    let facts = [
        (REASON, carriable(&letter.reason)),
        (SOURCE, from.name().to_owned()),
        (ID, held.message_id.clone()),
    ];
    for (name, value) in facts {
        let mut attributes = message.attributes.clone();
        attributes.insert(name.to_owned(), AttributeValue::text(value));
        let larger = Outgoing {
            attributes,
            ..message.clone()
        };
        // The message is worth more than what is said of it, which the log has too.
        if larger.attributes.len() <= ATTRIBUTES_MAX && larger.size() <= REQUEST_BYTES_MAX {
            message = larger;
        }
    }
    Ok((Destination::Name(letter.queue.clone()), message))
}

fn copy(held: &Held) -> Outgoing {
    Outgoing {
        attributes: held.attributes.clone(),
        group: held.group.clone(),
        trace_header: held.trace_header.clone(),
        ..Outgoing::new(held.body.as_str())
    }
}

/// The text as an attribute can have it: not empty, not too long, and only of characters that SQS
/// takes (AWS: `SendMessage`, "Unicode characters that are allowed").
fn carriable(text: &str) -> String {
    let is_allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
            || c > '\u{ffff}'
    };
    let mut carried = String::new();
    for c in text.chars() {
        let c = if is_allowed(c) { c } else { '\u{fffd}' };
        if carried.len() + c.len_utf8() > REASON_BYTES_MAX {
            break;
        }
        carried.push(c);
    }
    if carried.is_empty() {
        carried.push('?');
    }
    carried
}

/// The URLs of dead-letter queues that were looked up. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Destinations(Arc<Mutex<BTreeMap<String, QueueUrl>>>);

impl Destinations {
    async fn url(&self, sqs: &dyn Sqs, to: Destination) -> Result<QueueUrl, SqsError> {
        let name = match to {
            Destination::Url(url) => return Ok(url),
            Destination::Name(name) => name,
        };
        let known = self.lock().get(&name).cloned();
        if let Some(url) = known {
            return Ok(url);
        }
        let url = names::resolve(sqs, &name).await?;
        self.lock().insert(name, url.clone());
        Ok(url)
    }

    fn forget(&self, url: &QueueUrl) {
        self.lock().retain(|_, known| known != url);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, QueueUrl>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of messages that were to be sent on.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    entries: Vec<(Part, EntryReply)>,
    /// Why messages were refused.
    pub(crate) reasons: Vec<(MessageKey, String)>,
    /// What may have been sent.
    unsure: BTreeSet<MessageKey>,
    /// Why that is not known.
    trouble: Option<Trouble>,
}

impl Answers {
    /// For the core. A message without an entry may have been sent.
    pub(crate) fn reply(&self) -> BatchReply {
        let mut worst: BTreeMap<MessageKey, EntryReply> = BTreeMap::new();
        for &(part, reply) in &self.entries {
            let entry = worst.entry(part.message).or_insert(reply);
            *entry = match (*entry, reply) {
                (EntryReply::Refused, _) | (_, EntryReply::Refused) => EntryReply::Refused,
                (EntryReply::Done, other) | (other, _) => other,
            };
        }
        worst.retain(|key, _| !self.unsure.contains(key));
        match self.trouble {
            Some(trouble) if worst.is_empty() => Err(trouble),
            _ => Ok(worst.into_iter().collect()),
        }
    }

    /// What SQS has.
    pub(crate) fn sent(&self) -> Vec<Part> {
        let sent = self
            .entries
            .iter()
            .filter(|(_, reply)| *reply == EntryReply::Done);
        sent.map(|&(part, _)| part).collect()
    }

    /// All that there was to send for it has been sent, or done otherwise.
    pub(crate) fn nothing_to_send(&mut self, message: MessageKey) {
        self.entries.push((Part::whole(message), EntryReply::Done));
    }

    /// A message that could not even be made.
    pub(crate) fn refuse(&mut self, message: MessageKey, reason: String) {
        self.refused(Part::whole(message), reason);
    }

    fn refused(&mut self, part: Part, reason: String) {
        self.entries.push((part, EntryReply::Refused));
        self.reasons.push((part.message, reason));
    }

    fn failed(&mut self, part: Part, error: &SqsError) {
        match error {
            SqsError::TimedOut(_) | SqsError::Unreachable(_) | SqsError::ServerError(_) => {
                self.unsure.insert(part.message);
                self.trouble = Some(trouble(error));
            }
            SqsError::Denied(_) | SqsError::QueueMissing(_) | SqsError::Rejected(_) => {
                self.refused(part, error.to_string());
            }
            // Throttled, or credentials that are being renewed.
            _ => self.entries.push((part, EntryReply::Failed)),
        }
    }
}

/// Sends messages on, those of one destination in as few requests as hold them.
pub(crate) async fn send(
    sqs: &dyn Sqs,
    destinations: &Destinations,
    forwards: Vec<Forward>,
    answers: &mut Answers,
) {
    let mut by_destination: BTreeMap<Destination, Vec<(Part, Outgoing)>> = BTreeMap::new();
    for forward in forwards {
        let of_it = by_destination.entry(forward.to).or_default();
        of_it.push((forward.part, forward.message));
    }
    for (to, messages) in by_destination {
        match destinations.url(sqs, to).await {
            Ok(url) => {
                for batch in batches(messages) {
                    let keys: Vec<_> = batch.iter().map(|&(key, _)| key).collect();
                    let messages = batch.into_iter().map(|(_, message)| message).collect();
                    let reply = sqs.send_batch(&url, messages).await;
                    if matches!(reply, Err(SqsError::QueueMissing(_))) {
                        destinations.forget(&url);
                    }
                    note(&keys, reply, answers);
                }
            }
            // Nothing was sent, so nothing is unsure.
            Err(error) if error.is_retryable() => {
                let failed = messages
                    .into_iter()
                    .map(|(part, _)| (part, EntryReply::Failed));
                answers.entries.extend(failed);
            }
            Err(error) => {
                for (part, _) in messages {
                    answers.failed(part, &error);
                }
            }
        }
    }
}

fn batches(messages: Vec<(Part, Outgoing)>) -> Vec<Vec<(Part, Outgoing)>> {
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for (key, message) in messages {
        let size = message.size();
        let batch = batches.last().expect("there is always one");
        if batch.len() >= BATCH_ENTRIES_MAX || bytes + size > REQUEST_BYTES_MAX {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        let batch = batches.last_mut().expect("there is always one");
        batch.push((key, message));
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

fn note(
    keys: &[Part],
    reply: Result<Vec<Result<String, EntryError>>, SqsError>,
    answers: &mut Answers,
) {
    match reply {
        Ok(entries) => {
            for (&key, entry) in keys.iter().zip(entries) {
                match entry {
                    Ok(_) => answers.entries.push((key, EntryReply::Done)),
                    Err(EntryError::Failed { .. }) => {
                        answers.entries.push((key, EntryReply::Failed));
                    }
                    Err(refused) => {
                        let (code, reason) = refused.into_code_and_message();
                        answers.refused(key, format!("{code}: {reason}"));
                    }
                }
            }
        }
        Err(error) => {
            for &key in keys {
                answers.failed(key, &error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
