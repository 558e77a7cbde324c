//! The store on SQLite: one file in the data folder, one transaction a commit.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pyqs_broker::limits::DEDUPLICATION_SECS;
use pyqs_broker::{
    Broker, Change, Message, MessageKey, MessageRecord, Phase, QueueAttributes, QueueId,
    QueueRecord, Settings, State, Timestamp, Traits,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, named_params, params};

use super::checkpoint::{Checkpoints, LOG_PAGES};
use super::move_tasks;
use super::reserve::{self, Reserve};
use super::schema::{APPLICATION_ID, MIGRATIONS};
use super::{Contents, Store, StoreError};
use crate::attributes;
use crate::config::Sync;
use crate::content::{Body, Content};

/// The data file's name in the data folder; SQLite puts `-wal` and `-shm` beside it.
const FILE_NAME: &str = "pyqs.sqlite3";
/// Locked as long as a server uses the folder. The system takes the lock off when the process
/// ends, however it ends.
const LOCK_NAME: &str = "pyqs.lock";

/// How much of the file the writing side keeps in memory.
const CACHE_KIB: i64 = 8 * 1024;

/// The writing side.
pub(crate) struct SqliteStore {
    connection: Connection,
    checkpoints: Checkpoints,
    reserve: Reserve,
    /// Held, never read: see [`LOCK_NAME`].
    _lock: File,
}

/// The reading side.
pub(crate) struct SqliteContents {
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the folder's data file, making both if missing.
    pub(crate) fn open(folder: &Path, sync: Sync) -> Result<(Self, SqliteContents), StoreError> {
        fs::create_dir_all(folder).map_err(|source| unusable(folder, source))?;
        let lock = lock(folder)?;
        let reserve = Reserve::open(folder).map_err(|source| unusable(folder, source))?;
        let path = folder.join(FILE_NAME);
        let mut connection = Connection::open(&path)?;
        connection.set_prepared_statement_cache_capacity(32);
        // Pages of both ends of a few long queues, and of what a group of commits writes.
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(
            None,
            "synchronous",
            match sync {
                Sync::Normal => "NORMAL",
                Sync::Full => "FULL",
            },
        )?;
        // The log is begun anew in the same place: to cut it each time, and let it grow again, would cost
        // each commit more. It is gone when the server stops.
        connection.pragma_update(None, "journal_size_limit", -1)?;
        migrate(&mut connection, &path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&path, flags)?;
        let contents = SqliteContents {
            connection: Mutex::new(reader),
        };
        let store = Self {
            checkpoints: Checkpoints::start(&mut connection, &path, LOG_PAGES)?,
            connection,
            reserve,
            _lock: lock,
        };
        Ok((store, contents))
    }

    /// The broker as it was; `seed` is for a new file only.
    pub(crate) fn restore(
        &mut self,
        mut settings: Settings,
        seed: u128,
    ) -> Result<Broker<Body>, StoreError> {
        settings.seed = self.seed(seed)?;
        let connection = &self.connection;
        let mut queues = connection.prepare("SELECT * FROM queues")?;
        let query = format!("SELECT {MESSAGE_COLUMNS} FROM messages ORDER BY key");
        let mut messages = connection.prepare(&query)?;
        let mut deduplications =
            connection.prepare("SELECT * FROM deduplications ORDER BY until")?;
        let mut tasks = connection.prepare("SELECT * FROM move_tasks")?;
        let facts = std::iter::once(
            self.keys_below()
                .map(|below| Change::KeysReserved { below }),
        )
        .chain(queues.query_and_then([], read_queue)?)
        .chain(messages.query_and_then([], read_message)?)
        .chain(deduplications.query_and_then([], read_deduplication)?);
        let facts = facts.chain(tasks.query_and_then([], move_tasks::read)?);
        let mut failure = None;
        let facts = facts.map_while(|fact| fact.map_err(|error| failure = Some(error)).ok());
        let broker = Broker::restore(settings, facts);
        if let Some(error) = failure {
            return Err(error);
        }
        broker.map_err(|error| damaged(error.to_string()))
    }

    fn seed(&self, seed: u128) -> Result<u128, StoreError> {
        self.connection.execute(
            "INSERT OR IGNORE INTO meta (name, value) VALUES ('seed', ?)",
            [seed.to_be_bytes()],
        )?;
        let query = "SELECT value FROM meta WHERE name = 'seed'";
        let bytes: [u8; 16] = self.connection.query_row(query, [], |row| row.get(0))?;
        Ok(u128::from_be_bytes(bytes))
    }

    /// What deleted messages have left in the file for others.
    fn free_bytes(&self) -> u64 {
        let pragma = |name| {
            let value = self
                .connection
                .pragma_query_value(None, name, |row| row.get(0));
            value.map_or(0, i64::unsigned_abs)
        };
        pragma("freelist_count") * pragma("page_size")
    }

    fn keys_below(&self) -> Result<u64, StoreError> {
        let query = "SELECT value FROM meta WHERE name = 'keys_below'";
        let below = self.connection.query_row(query, [], |row| row.get(0));
        let below: Option<i64> = below.optional()?;
        below.map_or(Ok(1), unsigned)
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, changes: &[Change<Body>]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for change in changes {
            apply(&transaction, change)?;
        }
        transaction.commit()?;
        self.checkpoints.committed(&self.connection);
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        if self.reserve.covers(self.checkpoints.log_bytes()) {
            return true;
        }
        if self.reserve.may_try() {
            self.checkpoints.empty_log(&self.connection);
            self.reserve.fit(self.checkpoints.log_bytes());
        }
        // Deleted messages have left room in the file itself.
        self.free_bytes() >= reserve::BYTES_MIN || self.reserve.covers(self.checkpoints.log_bytes())
    }

    fn make_room(&mut self) -> bool {
        let is_more_left = self.reserve.release();
        self.checkpoints.empty_log(&self.connection);
        is_more_left
    }
}

impl Contents for SqliteContents {
    fn read(&self, keys: &[MessageKey]) -> Result<Vec<Option<Arc<Content>>>, StoreError> {
        // A reader that panicked has changed nothing.
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // One for all, else each is a transaction of its own.
        let transaction = connection.unchecked_transaction()?;
        let query = "SELECT body, attributes, trace_header FROM contents WHERE key = ?";
        let mut statement = transaction.prepare_cached(query)?;
        let mut read = |key: &MessageKey| {
            let found = statement.query_row([signed(key.0)], |row| {
                let attributes: Option<String> = row.get(1)?;
                Ok((row.get(0)?, attributes, row.get(2)?))
            });
            let Some((body, attributes, trace_header)) = found.optional()? else {
                return Ok(None);
            };
            let attributes = attributes.map_or(Ok(BTreeMap::new()), |text| {
                serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))
            })?;
            Ok(Some(Arc::new(Content {
                body,
                attributes,
                trace_header,
            })))
        };
        keys.iter().map(&mut read).collect()
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_NAME);
    let file = File::create(&path).map_err(|source| unusable(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: folder.display().to_string(),
        }),
        Err(TryLockError::Error(source)) => Err(unusable(&path, source)),
    }
}

/// Brings the file to the latest schema, or says why that can't be.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |connection: &Connection, name| -> Result<i64, StoreError> {
        Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
    };
    let version = pragma(connection, "user_version")?;
    let application = pragma(connection, "application_id")?;
    let is_empty = version == 0 && pragma(connection, "schema_version")? == 0;
    let path = || path.display().to_string();
    if application != APPLICATION_ID && !is_empty {
        return Err(StoreError::Foreign { path: path() });
    }
    let latest = signed(MIGRATIONS.len() as u64);
    let done = usize::try_from(version).ok();
    let Some(steps) = done.and_then(|done| MIGRATIONS.get(done..)) else {
        return Err(StoreError::TooNew {
            path: path(),
            found: version,
            known: latest,
        });
    };
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", latest)?;
    Ok(transaction.commit()?)
}

fn apply(transaction: &Transaction<'_>, change: &Change<Body>) -> Result<(), StoreError> {
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
            let sql = "UPDATE messages SET hidden_until = ?, received_at = ?, receives = ?, \
                       generation = ?, first_received = ? WHERE key = ?";
            let (hidden_until, received_at) = phase_columns(*phase);
            transaction.prepare_cached(sql)?.execute(params![
                hidden_until,
                received_at,
                receives,
                generation,
                first_received.map(millis),
                signed(key.0)
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
            for sql in [
                "DELETE FROM messages WHERE key = ?",
                "DELETE FROM contents WHERE key = ?",
            ] {
                transaction.prepare_cached(sql)?.execute([signed(key.0)])?;
            }
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
    let sql = "DELETE FROM contents WHERE key IN (SELECT key FROM messages WHERE queue = ?)";
    transaction.execute(sql, queue)?;
    transaction.execute("DELETE FROM messages WHERE queue = ?", queue)?;
    Ok(())
}

fn read_queue(row: &Row<'_>) -> Result<Change<Body>, StoreError> {
    let name: String = row.get("name")?;
    let bad = |error: &dyn std::fmt::Display| damaged(format!("queue {name}: {error}"));
    let text: String = row.get("attributes")?;
    let texts: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|e| bad(&e))?;
    let mut chosen = QueueAttributes::defaults(texts.contains_key("FifoQueue"));
    for (name, text) in &texts {
        let attribute = attributes::parse(name, text).map_err(|e| bad(&e))?;
        chosen.set(&attribute).map_err(|e| bad(&e))?;
    }
    let tags: String = row.get("tags")?;
    Ok(Change::QueueStored(Box::new(QueueRecord {
        id: QueueId(unsigned(row.get("id")?)?),
        tags: serde_json::from_str(&tags).map_err(|e| bad(&e))?,
        attributes: chosen,
        created: timestamp(row.get("created")?)?,
        modified: timestamp(row.get("modified")?)?,
        name: name.into(),
    })))
}

/// Columns by place: there may be a million rows, and names are looked up anew for each.
const MESSAGE_COLUMNS: &str = "key, queue, sent, hidden_until, received_at, first_received, \
                               receives, generation, message_group, deduplication_id, first_key, \
                               dead_letter_source, receives_elsewhere";

fn read_message(row: &Row<'_>) -> Result<Change<Body>, StoreError> {
    let number = |column| unsigned(row.get(column)?);
    let time = |column| {
        let millis: Option<i64> = row.get(column)?;
        millis.map(timestamp).transpose()
    };
    let text = |column| row.get::<_, Option<Arc<str>>>(column);
    let first_key: Option<i64> = row.get(10)?;
    let traits = Traits {
        group: text(8)?,
        deduplication: text(9)?,
        first_key: first_key.map(unsigned).transpose()?.map(MessageKey),
        dead_letter_source: text(11)?,
        receives_elsewhere: row.get(12)?,
    };
    let state = State {
        phase: match (time(3)?, time(4)?) {
            (Some(until), Some(since)) => Phase::InFlight { until, since },
            (Some(until), None) => Phase::Delayed { until },
            (None, _) => Phase::Ready,
        },
        receives: row.get(6)?,
        generation: row.get(7)?,
        first_received: time(5)?,
        traits: (traits != Traits::default()).then(|| Box::new(traits)),
    };
    Ok(Change::MessageStored(MessageRecord {
        key: MessageKey(number(0)?),
        queue: QueueId(number(1)?),
        message: Message::new(Body::Stored, timestamp(row.get(2)?)?, state),
    }))
}

fn read_deduplication(row: &Row<'_>) -> Result<Change<Body>, StoreError> {
    let scope: Arc<str> = row.get("message_group")?;
    Ok(Change::Deduplicated {
        queue: QueueId(unsigned(row.get("queue")?)?),
        scope: (!scope.is_empty()).then_some(scope),
        id: row.get("id")?,
        message: MessageKey(unsigned(row.get("message")?)?),
        until: timestamp(row.get("until")?)?,
    })
}

/// The columns `hidden_until` and `received_at`.
fn phase_columns(phase: Phase) -> (Option<i64>, Option<i64>) {
    match phase {
        Phase::Ready => (None, None),
        Phase::Delayed { until } => (Some(millis(until)), None),
        Phase::InFlight { until, since } => (Some(millis(until)), Some(millis(since))),
    }
}

pub(super) fn millis(timestamp: Timestamp) -> i64 {
    signed(timestamp.as_millis())
}

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, StoreError> {
    unsigned(millis).map(Timestamp::from_millis)
}

/// SQLite's integers are signed; ours count up from small numbers and never come near the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| damaged(format!("{number} where no negative number can be")))
}

pub(super) fn damaged(what: String) -> StoreError {
    StoreError::Damaged { what }
}

fn unusable(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Folder {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
