//! What each of the broker's changes is in the data file.
//!
//! Most of a long queue's file is left alone while it is worked through: what happens to a message
//! after it was sent is written into small tables, `deliveries` and `deleted`, and the rows of those
//! that are gone are taken out many at a time.

use std::collections::BTreeMap;

use pyqs_broker::limits::DEDUPLICATION_SECS;
use pyqs_broker::{
    Change, MessageKey, MessageRecord, Phase, QueueId, QueueRecord, Timestamp, Traits,
};
use rusqlite::{Connection, Transaction, named_params, params};

use super::sqlite::{millis, signed};
use super::{StoreError, move_tasks};
use crate::attributes;
use crate::content::Body;

pub(super) fn apply(
    transaction: &Transaction<'_>,
    change: &Change<Body>,
) -> Result<(), StoreError> {
    match change {
        Change::KeysReserved { below } => {
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('keys_below', ?)";
            transaction.prepare_cached(sql)?.execute([signed(*below)])?;
        }
        Change::QueueStored(record) => store_queue(transaction, record)?,
        Change::QueueDeleted(queue) => {
            delete_messages(transaction, *queue)?;
            let id = [signed(queue.0)];
            transaction.execute("DELETE FROM deduplications WHERE queue = ?", id)?;
            transaction.execute("DELETE FROM queues WHERE id = ?", id)?;
            move_tasks::forget_queue(transaction, *queue)?;
        }
        Change::QueuePurged(id) => delete_messages(transaction, *id)?,
        Change::MessageStored(record) => store_message(transaction, record)?,
        Change::MessageUpdated {
            key,
            phase,
            receives,
            generation,
            first_received,
        } => {
            let sql = "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)";
            let (hidden_until, received_at) = phase_columns(*phase);
            transaction.prepare_cached(sql)?.execute(params![
                signed(key.0),
                hidden_until,
                received_at,
                first_received.map(millis),
                receives,
                generation,
            ])?;
        }
        Change::MessageMoved {
            from,
            key,
            queue,
            sent,
            traits,
        } => move_message(transaction, [*from, *key], *queue, *sent, traits)?,
        Change::MoveTaskStored(task) => move_tasks::store(transaction, task)?,
        Change::MoveTaskForgotten(id) => move_tasks::forget(transaction, *id)?,
        Change::MessageDeleted(key) => {
            let sql = "INSERT OR IGNORE INTO deleted VALUES (?)";
            transaction.prepare_cached(sql)?.execute([signed(key.0)])?;
        }
        Change::Deduplicated {
            queue,
            scope,
            id,
            message,
            until,
        } => {
            let scope = scope.as_deref().unwrap_or("");
            let row = (
                signed(queue.0),
                scope,
                &**id,
                signed(message.0),
                millis(*until),
            );
            store_deduplication(transaction, row)?;
        }
    }
    Ok(())
}

/// Takes the rows of the messages with these keys out, which are all that `deleted` has.
///
/// They are mostly neighbours, whom SQLite takes out in one walk. It would look for each of them by
/// itself, and twice, if it were told to find them in `deleted`.
pub(super) fn sweep(connection: &Connection, mut keys: Vec<MessageKey>) -> Result<(), StoreError> {
    keys.sort_unstable();
    let neighbours = keys.chunk_by(|one, next| next.0 - one.0 <= 1);
    for sql in [
        "DELETE FROM messages WHERE key BETWEEN ? AND ?",
        "DELETE FROM contents WHERE key BETWEEN ? AND ?",
        "DELETE FROM deliveries WHERE key BETWEEN ? AND ?",
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        for keys in neighbours.clone() {
            statement.execute([signed(keys[0].0), signed(keys[keys.len() - 1].0)])?;
        }
    }
    connection
        .prepare_cached("DELETE FROM deleted")?
        .execute([])?;
    Ok(())
}

/// Takes the rows of all deleted messages out, whoever has deleted them.
pub(super) fn sweep_all(connection: &Connection) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM messages WHERE key IN (SELECT key FROM deleted)",
        "DELETE FROM contents WHERE key IN (SELECT key FROM deleted)",
        "DELETE FROM deliveries WHERE key IN (SELECT key FROM deleted)",
        "DELETE FROM deleted",
    ] {
        connection.prepare_cached(sql)?.execute([])?;
    }
    Ok(())
}

fn store_queue(transaction: &Transaction<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    let attributes: BTreeMap<_, _> = attributes::render(&record.attributes).into_iter().collect();
    let json = |map| serde_json::to_string(map).expect("a map of texts is always JSON");
    let tags = serde_json::to_string(&record.tags).expect("a map of texts is always JSON");
    transaction.execute(
        "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?)",
        params![
            signed(record.id.0),
            &*record.name,
            json(&attributes),
            tags,
            millis(record.created),
            millis(record.modified)
        ],
    )?;
    Ok(())
}

fn store_message(
    transaction: &Transaction<'_>,
    record: &MessageRecord<Body>,
) -> Result<(), StoreError> {
    let message = &record.message;
    let state = message.state();
    let (hidden_until, received_at) = phase_columns(state.phase);
    let traits = state.traits.as_deref();
    // By place, not by name: names are looked up anew for each row.
    let sql = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![
        signed(record.key.0),
        signed(record.queue.0),
        millis(message.sent),
        hidden_until,
        received_at,
        state.first_received.map(millis),
        state.receives,
        state.generation,
        traits.and_then(|traits| traits.group.as_deref()),
        traits.and_then(|traits| traits.deduplication.as_deref()),
        traits
            .and_then(|traits| traits.first_key)
            .map(|key| signed(key.0)),
        traits.and_then(|traits| traits.dead_letter_source.as_deref()),
        traits.map_or(0, |traits| traits.receives_elsewhere),
    ])?;
    if let Body::Held(content) = &message.payload {
        let attributes = (!content.attributes.is_empty()).then(|| {
            serde_json::to_string(&content.attributes).expect("texts and base64 are always JSON")
        });
        let sql = "INSERT INTO contents VALUES (?, ?, ?, ?)";
        let row = params![
            signed(record.key.0),
            attributes,
            content.trace_header,
            content.body
        ];
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

fn store_deduplication(
    transaction: &Transaction<'_>,
    row: (i64, &str, &str, i64, i64),
) -> Result<(), StoreError> {
    let (queue, .., until) = row;
    // Five minutes before this one is forgotten it is now: earlier ones are over.
    let now = until - 1000 * i64::from(DEDUPLICATION_SECS);
    let sql = "DELETE FROM deduplications WHERE queue = ? AND until <= ?";
    transaction.prepare_cached(sql)?.execute([queue, now])?;
    let sql = "INSERT OR REPLACE INTO deduplications VALUES (?, ?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn move_message(
    transaction: &Transaction<'_>,
    [from, to]: [MessageKey; 2],
    queue: QueueId,
    sent: Timestamp,
    traits: &Traits,
) -> Result<(), StoreError> {
    // What has happened to it goes with it.
    for sql in [
        "UPDATE messages SET first_received = deliveries.first_received, \
         receives = deliveries.receives, generation = deliveries.generation \
         FROM deliveries WHERE messages.key = ?1 AND deliveries.key = ?1",
        "DELETE FROM deliveries WHERE key = ?",
    ] {
        transaction.prepare_cached(sql)?.execute([signed(from.0)])?;
    }
    let sql = "UPDATE messages SET key = :key, queue = :queue, sent = :sent, hidden_until = NULL, \
               received_at = NULL, deduplication_id = :deduplication_id, first_key = :first_key, \
               dead_letter_source = :dead_letter_source, receives_elsewhere = :receives_elsewhere \
               WHERE key = :from";
    transaction.prepare_cached(sql)?.execute(named_params! {
        ":key": signed(to.0),
        ":queue": signed(queue.0),
        ":sent": millis(sent),
        ":deduplication_id": traits.deduplication.as_deref(),
        ":first_key": traits.first_key.map(|key| signed(key.0)),
        ":dead_letter_source": traits.dead_letter_source.as_deref(),
        ":receives_elsewhere": traits.receives_elsewhere,
        ":from": signed(from.0),
    })?;
    if from != to {
        let sql = "UPDATE contents SET key = ? WHERE key = ?";
        transaction
            .prepare_cached(sql)?
            .execute([signed(to.0), signed(from.0)])?;
    }
    Ok(())
}

/// Reads the whole index, which has no contents in it: cheaper than one more index on every send.
fn delete_messages(transaction: &Transaction<'_>, queue: QueueId) -> Result<(), StoreError> {
    let queue = [signed(queue.0)];
    for sql in [
        "DELETE FROM contents WHERE key IN (SELECT key FROM messages WHERE queue = ?)",
        "DELETE FROM deliveries WHERE key IN (SELECT key FROM messages WHERE queue = ?)",
    ] {
        transaction.execute(sql, queue)?;
    }
    transaction.execute("DELETE FROM messages WHERE queue = ?", queue)?;
    Ok(())
}

/// The columns `hidden_until` and `received_at`.
fn phase_columns(phase: Phase) -> (Option<i64>, Option<i64>) {
    match phase {
        Phase::Ready => (None, None),
        Phase::Delayed { until } => (Some(millis(until)), None),
        Phase::InFlight { until, since } => (Some(millis(until)), Some(millis(since))),
    }
}
