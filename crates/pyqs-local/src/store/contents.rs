//! Reads what messages carry from the data file, beside the thread that writes.
//!
//! A long queue is received from its front, ten messages at a time, and they were stored in the order
//! in which they are received. So who reads on where the last one stopped gets the next hundred
//! rows read too, in one walk through the file, and the next receives find theirs in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyqs_broker::MessageKey;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::sqlite::{damaged, signed, unsigned};
use super::{Contents, StoreError};
use crate::content::Content;

/// Rows that one walk reads at most.
const AHEAD_ROWS: i64 = 128;
/// It ends after so many bytes, too.
const AHEAD_BYTES: usize = 256 * 1024;
/// How much that nobody has asked for yet is kept. The oldest goes first.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The reading side.
pub(crate) struct SqliteContents {
    connection: Mutex<Connection>,
    ahead: Mutex<Ahead>,
}

/// What was read before it was asked for.
#[derive(Default)]
struct Ahead {
    contents: BTreeMap<MessageKey, Arc<Content>>,
    bytes: usize,
    /// Where the last read ended.
    end: u64,
}

impl SqliteContents {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Self {
            connection: Mutex::new(Connection::open_with_flags(path, flags)?),
            ahead: Mutex::default(),
        })
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents for SqliteContents {
    fn at_hand(&self, keys: &[MessageKey]) -> Option<Vec<Option<Arc<Content>>>> {
        let mut ahead = self.ahead();
        let are_there = keys.iter().all(|key| ahead.contents.contains_key(key));
        are_there.then(|| keys.iter().map(|key| ahead.take(*key)).collect())
    }

    fn read(&self, keys: &[MessageKey]) -> Result<Vec<Option<Arc<Content>>>, StoreError> {
        let (mut found, walks_from) = {
            let mut ahead = self.ahead();
            let found: Vec<_> = keys.iter().map(|key| ahead.take(*key)).collect();
            let missing = keys.iter().zip(&found).find(|(_, found)| found.is_none());
            let first = missing.map(|(key, _)| *key);
            let end = keys.iter().map(|key| key.0).max().unwrap_or(0);
            let goes_on = |key: &MessageKey| ahead.is_next(key.0);
            let walks_from = first.filter(goes_on);
            ahead.end = end;
            (found, walks_from)
        };
        // A reader that panicked has changed nothing.
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // One for all, else each is a transaction of its own.
        let transaction = connection.unchecked_transaction()?;
        if let Some(from) = walks_from {
            let mut read = walk(&transaction, from)?;
            let missing = keys.iter().zip(&mut found).filter(|(_, f)| f.is_none());
            for (key, found) in missing {
                *found = read.remove(key);
            }
            self.ahead().keep(read);
        }
        let query = "SELECT body, attributes, trace_header FROM contents WHERE key = ?";
        let mut statement = transaction.prepare_cached(query)?;
        for (key, found) in keys.iter().zip(&mut found).filter(|(_, f)| f.is_none()) {
            let row = statement.query_row([signed(key.0)], |row| Ok(content(row)));
            *found = row.optional()?.transpose()?;
        }
        Ok(found)
    }
}

impl Ahead {
    fn take(&mut self, key: MessageKey) -> Option<Arc<Content>> {
        let content = self.contents.remove(&key)?;
        self.bytes -= content.size();
        Some(content)
    }

    /// Whether `key` is where a reader who began at the front would go on: others may have been
    /// served, or deleted, in between.
    fn is_next(&self, key: u64) -> bool {
        let end = self.contents.last_key_value().map_or(0, |(key, _)| key.0);
        (1..=4 * AHEAD_ROWS.unsigned_abs()).contains(&key.wrapping_sub(self.end.max(end)))
    }

    fn keep(&mut self, read: BTreeMap<MessageKey, Arc<Content>>) {
        for (key, content) in read {
            self.bytes += content.size();
            if let Some(twice) = self.contents.insert(key, content) {
                self.bytes -= twice.size();
            }
        }
        while self.bytes > KEPT_BYTES_MAX
            && let Some((_, oldest)) = self.contents.pop_first()
        {
            self.bytes -= oldest.size();
        }
    }
}

/// The rows from that key on.
fn walk(
    connection: &Connection,
    from: MessageKey,
) -> Result<BTreeMap<MessageKey, Arc<Content>>, StoreError> {
    let query = "SELECT body, attributes, trace_header, key FROM contents WHERE key >= ? \
                 ORDER BY key LIMIT ?";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([signed(from.0), AHEAD_ROWS])?;
    let (mut read, mut bytes) = (BTreeMap::new(), 0);
    while bytes < AHEAD_BYTES
        && let Some(row) = rows.next()?
    {
        let content = content(row)?;
        bytes += content.size();
        read.insert(MessageKey(unsigned(row.get(3)?)?), content);
    }
    Ok(read)
}

/// Columns by place: body, attributes, trace header.
fn content(row: &Row<'_>) -> Result<Arc<Content>, StoreError> {
    let attributes: Option<String> = row.get(1)?;
    let attributes = attributes.map_or(Ok(BTreeMap::new()), |text| {
        serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))
    })?;
    Ok(Arc::new(Content {
        body: row.get(0)?,
        attributes,
        trace_header: row.get(2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(messages: u64, body_bytes: usize) -> (tempfile::TempDir, SqliteContents) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let writer = Connection::open(&path).unwrap();
        let table = "CREATE TABLE contents (key INTEGER PRIMARY KEY, attributes TEXT, \
                     trace_header TEXT, body TEXT NOT NULL)";
        writer.execute_batch(table).unwrap();
        writer.execute_batch("BEGIN").unwrap();
        for key in 1..=messages {
            let body = format!("{key:>body_bytes$}");
            let sql = "INSERT INTO contents (key, body) VALUES (?, ?)";
            writer.execute(sql, (signed(key), body)).unwrap();
        }
        writer.execute_batch("COMMIT").unwrap();
        let contents = SqliteContents::open(&path).unwrap();
        (folder, contents)
    }

    fn keys(keys: impl IntoIterator<Item = u64>) -> Vec<MessageKey> {
        keys.into_iter().map(MessageKey).collect()
    }

    fn numbers(found: Vec<Option<Arc<Content>>>) -> Vec<Option<u64>> {
        let number = |content: Arc<Content>| content.body.trim().parse().unwrap();
        found.into_iter().map(|found| found.map(number)).collect()
    }

    #[test]
    fn who_reads_on_finds_the_next_ones_at_hand() {
        let (_folder, contents) = contents(1000, 10);
        let mut from_memory = 0;
        for first in (1..1000).step_by(10) {
            let wanted = keys(first..first + 10);
            let found = contents.at_hand(&wanted);
            from_memory += usize::from(found.is_some());
            let found = found.unwrap_or_else(|| contents.read(&wanted).unwrap());
            assert_eq!(
                numbers(found),
                (first..first + 10).map(Some).collect::<Vec<_>>()
            );
        }
        assert!(from_memory > 85, "{from_memory} of 100");
        assert!(contents.ahead().contents.is_empty());
        assert_eq!(contents.ahead().bytes, 0);
    }

    #[test]
    fn who_reads_here_and_there_reads_no_more_than_asked() {
        let (_folder, contents) = contents(5000, 10);
        for first in [4001, 1, 3001, 2001] {
            let found = contents.read(&keys(first..first + 10)).unwrap();
            assert_eq!(numbers(found).len(), 10);
            let kept = contents.ahead().contents.len();
            assert_eq!(kept, 0, "after {first}");
        }
        assert_eq!(
            numbers(contents.read(&keys([7, 9999, 3])).unwrap()),
            [Some(7), None, Some(3)]
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (_folder, contents) = contents(400, 60_000);
        for first in 1..400 {
            contents.read(&keys([first])).unwrap();
            assert!(contents.ahead().bytes <= KEPT_BYTES_MAX);
        }
        let (_folder, contents) = self::contents(2000, 20_000);
        for first in (1..2000).step_by(3) {
            contents.read(&keys([first])).unwrap();
            assert!(contents.ahead().bytes <= KEPT_BYTES_MAX);
        }
    }
}
