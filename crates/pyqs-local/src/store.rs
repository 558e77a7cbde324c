//! Where the broker's changes are kept.

use std::sync::Arc;

use pyqs_broker::{Change, MessageKey};

use crate::content::{Body, Content};

mod apply;
mod checkpoint;
mod contents;
mod move_tasks;
mod reserve;
mod schema;
pub(crate) mod sqlite;

/// What a store does. One thread calls `commit`; `Contents` may be asked from any.
pub(crate) trait Store: Send + 'static {
    /// Makes all of these changes durable, or none.
    fn commit(&mut self, changes: &[Change<Body>]) -> Result<(), StoreError>;

    /// Whether there is room for more messages, and for all that will happen to those that are
    /// there. Asked after each commit.
    fn has_room(&mut self) -> bool {
        true
    }

    /// After a commit that met a full disk: makes room for changes of what is there. False when
    /// that was all that could be made.
    fn make_room(&mut self) -> bool {
        false
    }
}

/// Reads what messages carry, beside the thread that writes.
pub(crate) trait Contents: Send + std::marker::Sync + 'static {
    /// The same as [`read`](Self::read), where that needs no waiting: all of them are in memory.
    fn at_hand(&self, _keys: &[MessageKey]) -> Option<Vec<Option<Arc<Content>>>> {
        None
    }

    /// Each message's content; `None` where there is none any more, since it has been deleted
    /// meanwhile.
    fn read(&self, keys: &[MessageKey]) -> Result<Vec<Option<Arc<Content>>>, StoreError>;
}

impl StoreError {
    /// What SQLite says of a full disk.
    #[cfg(test)]
    pub(crate) fn full() -> Self {
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        Self::Sqlite(rusqlite::Error::SqliteFailure(full, None))
    }

    /// Whether there is no room on the disk, or none that may be used: SQLite tells of a quota as of
    /// any other failed write.
    pub(crate) fn is_full(&self) -> bool {
        use rusqlite::ErrorCode::{DiskFull, SystemIoFailure};
        let Self::Sqlite(error) = self else {
            return false;
        };
        matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure))
    }
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite's own error: a full disk, a broken file.
    #[error("the data file can't be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder or a file in it can't be made or opened.
    #[error("can't use {path}")]
    Folder {
        /// Which path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another server has the folder.
    #[error("another server uses {path}: stop it, or choose another data folder")]
    InUse {
        /// The folder.
        path: String,
    },
    /// The file was written by a later version.
    #[error("{path} has schema {found}, this version knows {known}: use a newer version of pyqs")]
    TooNew {
        /// The file.
        path: String,
        /// The file's schema version.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("{path} is a database of another program")]
    Foreign {
        /// The file.
        path: String,
    },
    /// A row has what no version writes.
    #[error("the data file is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
}
