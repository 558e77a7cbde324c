//! Reads what messages carry from the data file, beside the thread that writes.
//!
//! A long queue is received from its front, ten messages at a time, and they were stored in the order
//! in which they are received. So who reads on where the last one stopped gets the next hundreds of
//! rows read too, in one walk through the file, and the next receives find theirs in memory.
//!
//! A walk keeps all its texts in one piece. A message has its own only when it is taken, by the
//! thread that answers with it and frees them then: memory that goes from one thread to another is
//! cold there, and what the first one lacks it gets from the system each time.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyqs_broker::MessageKey;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::sqlite::{damaged, signed, unsigned};
use super::{Contents, StoreError};
use crate::content::{Content, MessageAttributes};

/// Rows that one walk reads at most.
const AHEAD_ROWS: i64 = 512;
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
    /// In the order of their keys, each behind the one before.
    walks: VecDeque<Walk>,
    bytes: usize,
    /// Where the last read ended.
    end: u64,
}

/// Neighbouring rows.
#[derive(Default)]
struct Walk {
    /// All that they have, one after the other.
    texts: String,
    /// In the order of their keys.
    rows: Vec<WalkedRow>,
    /// How many of them nobody has asked for yet.
    left: usize,
}

struct WalkedRow {
    key: MessageKey,
    is_taken: bool,
    body: Range<usize>,
    attributes: Option<Range<usize>>,
    trace_header: Option<Range<usize>>,
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
        let are_there = keys.iter().all(|key| ahead.place(*key).is_some());
        are_there.then(|| keys.iter().map(|key| ahead.take(*key)).collect())
    }

    fn read(&self, keys: &[MessageKey]) -> Result<Vec<Option<Arc<Content>>>, StoreError> {
        // A reader that panicked has changed nothing.
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Only now, since whoever had the connection before may have read these too.
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
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        // One for all, else each is a transaction of its own.
        let transaction = connection.unchecked_transaction()?;
        if let Some(from) = walks_from {
            let mut walk = Walk::read(&transaction, from)?;
            let missing = keys.iter().zip(&mut found).filter(|(_, f)| f.is_none());
            for (key, found) in missing {
                *found = walk.place(*key).and_then(|place| walk.take(place));
            }
            self.ahead().keep(walk);
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
    /// In which walk, and where in it, the row is that nobody has asked for yet.
    fn place(&self, key: MessageKey) -> Option<(usize, usize)> {
        let walk = self.walks.partition_point(|walk| walk.end() < key.0);
        let row = self.walks.get(walk)?.place(key)?;
        Some((walk, row))
    }

    fn take(&mut self, key: MessageKey) -> Option<Arc<Content>> {
        let (place, row) = self.place(key)?;
        let content = self.walks[place].take(row);
        if self.walks[place].left == 0
            && let Some(done) = self.walks.remove(place)
        {
            self.bytes -= done.bytes();
        }
        content
    }

    /// Whether `key` is where a reader who began at the front would go on: others may have been
    /// served, or deleted, in between.
    fn is_next(&self, key: u64) -> bool {
        let end = self.walks.back().map_or(0, Walk::end);
        (1..=4 * AHEAD_ROWS.unsigned_abs()).contains(&key.wrapping_sub(self.end.max(end)))
    }

    /// Takes a walk that began where [`is_next`](Self::is_next) allows it.
    fn keep(&mut self, walk: Walk) {
        if walk.left == 0 {
            return;
        }
        self.bytes += walk.bytes();
        self.walks.push_back(walk);
        while self.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.walks.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }
}

impl Walk {
    /// The rows from that key on.
    fn read(connection: &Connection, from: MessageKey) -> Result<Self, StoreError> {
        let query = "SELECT body, attributes, trace_header, key FROM contents WHERE key >= ? \
                     ORDER BY key LIMIT ?";
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query([signed(from.0), AHEAD_ROWS])?;
        let mut walk = Self::default();
        while walk.texts.len() < AHEAD_BYTES
            && let Some(row) = rows.next()?
        {
            let mut add = |text: &str| {
                let start = walk.texts.len();
                walk.texts.push_str(text);
                start..walk.texts.len()
            };
            let body =
                text(row, 0)?.ok_or_else(|| damaged("a message without a body".to_owned()))?;
            walk.rows.push(WalkedRow {
                body: add(body),
                attributes: text(row, 1)?.map(&mut add),
                trace_header: text(row, 2)?.map(&mut add),
                key: MessageKey(unsigned(row.get(3)?)?),
                is_taken: false,
            });
        }
        walk.left = walk.rows.len();
        Ok(walk)
    }

    /// Where the row is that nobody has asked for yet.
    fn place(&self, key: MessageKey) -> Option<usize> {
        let place = self.rows.binary_search_by_key(&key, |row| row.key).ok()?;
        (!self.rows[place].is_taken).then_some(place)
    }

    /// `None` where it can't be read: whoever reads it by itself learns why.
    fn take(&mut self, place: usize) -> Option<Arc<Content>> {
        self.rows[place].is_taken = true;
        self.left -= 1;
        let row = &self.rows[place];
        let text = |range: &Range<usize>| &self.texts[range.clone()];
        Some(Arc::new(Content {
            body: text(&row.body).to_owned(),
            attributes: attributes(row.attributes.as_ref().map(text)).ok()?,
            trace_header: row.trace_header.as_ref().map(text).map(str::to_owned),
        }))
    }

    fn bytes(&self) -> usize {
        self.texts.len() + self.rows.len() * size_of::<WalkedRow>()
    }

    /// The last key.
    fn end(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.key.0)
    }
}

/// Columns by place: body, attributes, trace header.
fn content(row: &Row<'_>) -> Result<Arc<Content>, StoreError> {
    Ok(Arc::new(Content {
        body: row.get(0)?,
        attributes: attributes(text(row, 1)?)?,
        trace_header: row.get(2)?,
    }))
}

fn attributes(text: Option<&str>) -> Result<MessageAttributes, StoreError> {
    text.map_or(Ok(MessageAttributes::new()), |text| {
        serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a str>, StoreError> {
    let text = row.get_ref(column)?.as_str_or_null();
    text.map_err(|error| damaged(error.to_string()))
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
        assert!(from_memory > 95, "{from_memory} of 100");
        assert!(contents.ahead().walks.is_empty());
        assert_eq!(contents.ahead().bytes, 0);
    }

    #[test]
    fn who_reads_here_and_there_reads_no_more_than_asked() {
        let (_folder, contents) = contents(5000, 10);
        for first in [4001, 1, 3001, 2001] {
            let found = contents.read(&keys(first..first + 10)).unwrap();
            assert_eq!(numbers(found).len(), 10);
            let kept = contents.ahead().walks.len();
            assert_eq!(kept, 0, "after {first}");
        }
        assert_eq!(
            numbers(contents.read(&keys([7, 9999, 3])).unwrap()),
            [Some(7), None, Some(3)]
        );
    }

    #[test]
    fn what_was_read_ahead_is_all_that_a_message_carries() {
        let (folder, contents) = contents(5, 10);
        let writer = Connection::open(folder.path().join("x")).unwrap();
        let attributes = r#"{"a":{"DataType":"String","StringValue":"é"}}"#;
        let sql = "UPDATE contents SET attributes = ?, trace_header = 'Root=1' WHERE key IN (2, 4)";
        writer.execute(sql, [attributes]).unwrap();
        // Each by itself: nobody goes on backwards.
        let alone = (1..=5)
            .rev()
            .map(|key| contents.read(&keys([key])).unwrap());
        let mut alone = alone.collect::<Vec<_>>().concat();
        alone.reverse();
        let ahead = SqliteContents::open(&folder.path().join("x")).unwrap();
        let mut walked = ahead.read(&keys([1])).unwrap();
        walked.extend(ahead.at_hand(&keys(2..=5)).unwrap());
        assert_eq!(walked, alone);
        let second = walked[1].as_ref().unwrap();
        assert_eq!(
            (second.attributes.len(), second.trace_header.as_deref()),
            (1, Some("Root=1"))
        );
        assert!(ahead.ahead().walks.is_empty());
    }

    #[test]
    fn who_has_waited_for_a_walk_reads_none_of_its_own() {
        let (_folder, contents) = contents(1000, 10);
        let connection = contents.connection.lock().unwrap();
        let begin = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for first in [1, 11] {
                let (contents, begin) = (&contents, &begin);
                scope.spawn(move || {
                    begin.wait();
                    contents.read(&keys(first..first + 10)).unwrap();
                });
            }
            begin.wait();
            drop(connection);
        });
        assert_eq!(contents.ahead().walks.len(), 1);
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
