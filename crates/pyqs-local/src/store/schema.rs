//! The data file's schema: one SQLite database, `pyqs.sqlite3` in the data folder.
//!
//! People may read it with any SQLite tool while the server runs; writing is the server's alone.
//! All times are milliseconds since the Unix epoch. `PRAGMA application_id` marks the file as
//! ours, `PRAGMA user_version` is the schema's version; a change of the schema raises it and adds
//! a step to [`MIGRATIONS`].
//!
//! Index and contents are two tables, because a start reads the whole index and no content. What
//! changes while a message is handled is apart from both, in small tables, so that a long queue is
//! worked through without rewriting its pages with each receive and each delete.

/// "PyQS" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x5079_5153;

/// Step `n` brings a file from version `n` to `n + 1`; the latest version is their number.
pub(super) const MIGRATIONS: [&str; 3] = [
    "
    -- seed: 16 bytes from which receipt handles and message ids are derived.
    -- keys_below: every key that was ever used, of a queue or a message, is smaller.
    CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE queues (
        id         INTEGER PRIMARY KEY,
        name       TEXT NOT NULL UNIQUE,
        attributes TEXT NOT NULL,  -- a JSON object: SQS's attribute names and texts
        tags       TEXT NOT NULL,  -- a JSON object
        created    INTEGER NOT NULL,
        modified   INTEGER NOT NULL
    );

    -- What the server keeps in memory too. A message is in flight where received_at is set,
    -- delayed where only hidden_until is, else it can be received. hidden_until may be in the past.
    CREATE TABLE messages (
        key                INTEGER PRIMARY KEY,  -- grows with every message: the order of arrival
        queue              INTEGER NOT NULL,
        sent               INTEGER NOT NULL,
        hidden_until       INTEGER,
        received_at        INTEGER,
        first_received     INTEGER,
        receives           INTEGER NOT NULL DEFAULT 0,
        generation         INTEGER NOT NULL DEFAULT 0,  -- receipt handles given out
        message_group      TEXT,
        deduplication_id   TEXT,
        first_key          INTEGER,  -- the key from which the message id is derived, if another
        dead_letter_source TEXT,     -- the queue from which the redrive policy moved it
        receives_elsewhere INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE contents (
        key          INTEGER PRIMARY KEY,  -- of the message
        attributes   TEXT,                 -- a JSON object: message attributes as on the wire
        trace_header TEXT,
        body         TEXT NOT NULL
    );

    -- Deduplication ids of FIFO queues, for five minutes.
    CREATE TABLE deduplications (
        queue         INTEGER NOT NULL,
        message_group TEXT NOT NULL,  -- '' where the id counts in the whole queue
        id            TEXT NOT NULL,
        message       INTEGER NOT NULL,
        until         INTEGER NOT NULL,
        PRIMARY KEY (queue, message_group, id)
    ) WITHOUT ROWID;
",
    "
    -- Tasks that move dead letters, the last ten of each queue.
    CREATE TABLE move_tasks (
        id              INTEGER PRIMARY KEY,  -- messages with a smaller key are those it moves
        queue           INTEGER NOT NULL,     -- the dead-letter queue
        destination_arn TEXT,                 -- where to, if not each message's own source
        rate            INTEGER,              -- messages a second
        started         INTEGER NOT NULL,
        to_move         INTEGER NOT NULL,
        moved           INTEGER NOT NULL,
        status          TEXT NOT NULL         -- RUNNING, COMPLETED, CANCELLED, or why it failed
    );
",
    "
    -- What has happened to a message since it was sent, or moved: its row takes the place of these
    -- columns of its row in messages.
    CREATE TABLE deliveries (
        key            INTEGER PRIMARY KEY,  -- of the message
        hidden_until   INTEGER,
        received_at    INTEGER,
        first_received INTEGER,
        receives       INTEGER NOT NULL,
        generation     INTEGER NOT NULL
    );

    -- Messages that are gone, though their rows are still there: those are taken out 500 at a time,
    -- and when the server stops.
    CREATE TABLE deleted (
        key INTEGER PRIMARY KEY
    );
",
];
