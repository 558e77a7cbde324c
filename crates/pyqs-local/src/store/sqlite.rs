//! The store on SQLite: one file in the data folder, one transaction a commit.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use pyqs_broker::{
    Broker, Change, Message, MessageKey, MessageRecord, Phase, QueueAttributes, QueueId,
    QueueRecord, Settings, State, Timestamp, Traits,
};
use rusqlite::{Connection, OptionalExtension, Row};

use super::apply::{apply, sweep, sweep_all};
use super::checkpoint::{Checkpoints, LOG_PAGES};
use super::contents::SqliteContents;
use super::move_tasks;
use super::reserve::{self, Reserve};
use super::schema::{APPLICATION_ID, MIGRATIONS};
use super::{Store, StoreError};
use crate::attributes;
use crate::config::Sync;
use crate::content::Body;

/// The data file's name in the data folder; SQLite puts `-wal` and `-shm` beside it.
const FILE_NAME: &str = "pyqs.sqlite3";
/// Locked as long as a server uses the folder. The system takes the lock off when the process
/// ends, however it ends.
const LOCK_NAME: &str = "pyqs.lock";

/// So many deleted messages leave their rows for one sweep, which costs a commit 1 or 2 ms.
const UNSWEPT_MAX: usize = 500;

/// How much of the file the writing side keeps in memory.
const CACHE_KIB: i64 = 8 * 1024;

/// The writing side.
pub(crate) struct SqliteStore {
    connection: Connection,
    checkpoints: Checkpoints,
    reserve: Reserve,
    /// Deleted messages whose rows are still there, and how many there may be.
    unswept: Vec<MessageKey>,
    unswept_max: usize,
    /// Held, never read: see [`LOCK_NAME`].
    _lock: File,
}

impl SqliteStore {
    /// Opens the folder's data file, making both if missing. A folder that is made is its owner's alone: messages are
    /// nobody else's to read.
    pub(crate) fn open(folder: &Path, sync: Sync) -> Result<(Self, SqliteContents), StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| unusable(folder, source))?;
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
        let contents = SqliteContents::open(&path)?;
        let mut store = Self {
            checkpoints: Checkpoints::start(&mut connection, &path, LOG_PAGES)?,
            connection,
            reserve,
            unswept: Vec::new(),
            unswept_max: UNSWEPT_MAX,
            _lock: lock,
        };
        store.sweep()?;
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
        let mut messages = connection.prepare(MESSAGES)?;
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

    /// Takes the rows of all deleted messages out.
    fn sweep(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        sweep_all(&transaction)?;
        transaction.commit()?;
        self.unswept.clear();
        Ok(())
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

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Else the next start does it.
        let _ = self.sweep();
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, changes: &[Change<Body>]) -> Result<(), StoreError> {
        let deleted = changes.iter().filter_map(|change| match change {
            Change::MessageDeleted(key) => Some(*key),
            _ => None,
        });
        let transaction = self.connection.transaction()?;
        for change in changes {
            apply(&transaction, change)?;
        }
        let is_swept = self.unswept.len() + deleted.clone().count() >= self.unswept_max;
        if is_swept {
            let unswept = self.unswept.iter().copied();
            sweep(&transaction, unswept.chain(deleted.clone()).collect())?;
        }
        transaction.commit()?;
        if is_swept {
            self.unswept.clear();
        } else {
            self.unswept.extend(deleted);
        }
        self.checkpoints.committed(&self.connection);
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        if self.reserve.covers(self.checkpoints.log_bytes()) {
            return true;
        }
        if self.reserve.may_try() {
            // If this fails, the next try has as much to do.
            let _ = self.sweep();
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
const MESSAGES: &str = "
    SELECT m.key, m.queue, m.sent,
           iif(d.key IS NULL, m.hidden_until, d.hidden_until),
           iif(d.key IS NULL, m.received_at, d.received_at),
           iif(d.key IS NULL, m.first_received, d.first_received),
           iif(d.key IS NULL, m.receives, d.receives),
           iif(d.key IS NULL, m.generation, d.generation),
           m.message_group, m.deduplication_id, m.first_key, m.dead_letter_source,
           m.receives_elsewhere
    FROM messages m LEFT JOIN deliveries d ON d.key = m.key
    ORDER BY m.key";

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
