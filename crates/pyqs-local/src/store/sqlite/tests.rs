//! The store's contract: whatever happened, the broker that is restored is the broker that was.

use proptest::prelude::*;
use pyqs_broker::{Attribute, NewMessage, Receive, RedrivePolicy};

use super::*;
use crate::content::Content;
use crate::store::Contents;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl SqliteStore {
    /// Makes the disk full at that many pages.
    pub(crate) fn limit_pages(&mut self, pages_max: u32) {
        let set = self
            .connection
            .pragma_update(None, "max_page_count", pages_max);
        set.unwrap();
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Send {
        queue: usize,
        group: u8,
        delay_secs: u32,
    },
    Receive {
        queue: usize,
    },
    Delete {
        back: usize,
    },
    Change {
        back: usize,
        secs: u32,
    },
    Release {
        back: usize,
    },
    Wait {
        secs: u32,
    },
    Purge {
        queue: usize,
    },
    Recreate {
        queue: usize,
    },
    Tag {
        queue: usize,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let queue = 0..4usize;
    prop_oneof![
        6 => (queue.clone(), 0..3u8, prop_oneof![Just(0), 1..30u32])
            .prop_map(|(queue, group, delay_secs)| Step::Send { queue, group, delay_secs }),
        6 => queue.clone().prop_map(|queue| Step::Receive { queue }),
        3 => (0..5usize).prop_map(|back| Step::Delete { back }),
        2 => (0..5usize, 0..60u32).prop_map(|(back, secs)| Step::Change { back, secs }),
        1 => (0..5usize).prop_map(|back| Step::Release { back }),
        3 => (0..40u32).prop_map(|secs| Step::Wait { secs }),
        1 => queue.clone().prop_map(|queue| Step::Purge { queue }),
        1 => queue.clone().prop_map(|queue| Step::Recreate { queue }),
        1 => queue.prop_map(|queue| Step::Tag { queue }),
        1 => Just(Step::Restart),
    ]
}

/// Four queues: two standard ones and two FIFO ones, each pair with a dead-letter queue.
const NAMES: [&str; 4] = ["dead", "plain", "dead.fifo", "orders.fifo"];

struct World {
    folder: tempfile::TempDir,
    store: Option<(SqliteStore, SqliteContents)>,
    broker: Broker<Body>,
    now: Timestamp,
    sent: u32,
    handles: Vec<(usize, String)>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self {
            broker: Broker::new(Settings::default()),
            store: None,
            folder,
            now: START,
            sent: 0,
            handles: Vec::new(),
        };
        world.restart();
        for queue in 0..NAMES.len() {
            world.create(queue);
        }
        world.commit();
        world
    }

    /// Opens the folder anew; what was there must be there again.
    fn restart(&mut self) {
        self.store = None;
        let (mut store, contents) = SqliteStore::open(self.folder.path(), Sync::Normal).unwrap();
        let settings = Settings {
            journal: true,
            ..Settings::default()
        };
        self.broker = store.restore(settings, 7).unwrap();
        self.broker.advance(self.now);
        // Some sweeps come on the way, and some at the end.
        store.unswept_max = 3;
        self.store = Some((store, contents));
    }

    fn create(&mut self, queue: usize) {
        let name = NAMES[queue];
        let mut attributes = vec![
            Attribute::VisibilityTimeout(20),
            Attribute::MessageRetentionPeriod(300),
        ];
        if name.strip_suffix(".fifo").is_some() {
            attributes.push(Attribute::FifoQueue(true));
            attributes.push(Attribute::ContentBasedDeduplication(true));
        }
        let dead = NAMES[queue / 2 * 2];
        if dead != name && self.broker.queue(dead).is_ok() {
            let policy = RedrivePolicy::new(format!("arn:aws:sqs:r:1:{dead}"), 2);
            attributes.push(Attribute::RedrivePolicy(Some(policy)));
        }
        self.broker
            .create_queue(self.now, name, &attributes)
            .unwrap();
    }

    fn id(&self, queue: usize) -> QueueId {
        self.broker.queue(NAMES[queue]).unwrap()
    }

    fn handle(&self, back: usize) -> Option<(QueueId, String)> {
        let (queue, handle) = self.handles.iter().rev().nth(back)?;
        Some((self.id(*queue), handle.clone()))
    }

    fn run(&mut self, step: Step) {
        let now = self.now;
        // Refusals are as welcome as successes: what counts is what is kept.
        match step {
            Step::Send {
                queue,
                group,
                delay_secs,
            } => self.send(queue, group, delay_secs),
            Step::Receive { queue } => {
                let id = self.id(queue);
                let found = self.broker.receive(now, id, &Receive::up_to(3)).unwrap();
                self.handles
                    .extend(found.into_iter().map(|found| (queue, found.receipt)));
            }
            Step::Delete { back } => {
                if let Some((id, handle)) = self.handle(back) {
                    let _ = self.broker.delete(now, id, &handle);
                }
            }
            Step::Change { back, secs } => {
                if let Some((id, handle)) = self.handle(back) {
                    let _ = self.broker.change_visibility(now, id, &handle, secs);
                }
            }
            Step::Release { back } => {
                if let Some((id, handle)) = self.handle(back) {
                    self.broker.release(now, id, &handle);
                }
            }
            Step::Wait { secs } => self.now = now.plus_secs(secs),
            Step::Purge { queue } => self.broker.purge(now, self.id(queue)).unwrap(),
            Step::Recreate { queue } => {
                self.broker.delete_queue(now, self.id(queue)).unwrap();
                self.create(queue);
            }
            Step::Tag { queue } => {
                let tag = ("sent".to_owned(), Some(self.sent.to_string()));
                self.broker.set_tags(self.id(queue), [tag]).unwrap();
            }
            Step::Restart => {}
        }
        self.broker.advance(self.now);
        self.commit();
        if matches!(step, Step::Restart) {
            let before = self.state();
            self.restart();
            assert_eq!(self.state(), before);
        }
    }

    fn send(&mut self, queue: usize, group: u8, delay_secs: u32) {
        self.sent += 1;
        let body = format!("body {}", self.sent % 7);
        let attributes = format!(
            r#"{{"n":{{"DataType":"Number","StringValue":"{}"}}}}"#,
            self.sent
        );
        let content = Content {
            body,
            attributes: serde_json::from_str(&attributes).unwrap(),
            trace_header: (group == 1).then(|| "Root=1".to_owned()),
        };
        let mut new = NewMessage::new(Body::Held(Arc::new(content)));
        if queue >= 2 {
            new = new.in_group(&group.to_string());
        } else {
            new = new.delayed(delay_secs);
        }
        self.broker.send(self.now, self.id(queue), new).unwrap();
    }

    fn commit(&mut self) {
        let changes = self.broker.take_changes();
        let (store, _) = self.store.as_mut().unwrap();
        store.commit(&changes).unwrap();
    }

    /// Everything that can be seen from outside, contents as the store has them.
    fn state(&self) -> Vec<String> {
        let (_, contents) = self.store.as_ref().unwrap();
        let mut state = Vec::new();
        for queue in 0..NAMES.len() {
            let id = self.id(queue);
            state.push(format!("{:?}", self.broker.view(id).unwrap()));
            for (key, message_id, message) in self.broker.messages(id).unwrap() {
                let content = contents.read(&[key]).unwrap().remove(0);
                let content = content.expect("each message has its content");
                if let Body::Held(held) = &message.payload {
                    assert_eq!(*held, content);
                }
                let message = Message::new(content, message.sent, message.state().clone());
                state.push(format!("{key:?} {message_id} {message:?}"));
            }
        }
        state
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_broker_that_is_restored_is_the_broker_that_was(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        world.run(Step::Restart);
        // No content outlives its message.
        let (store, _) = world.store.as_ref().unwrap();
        let count = |table| {
            let query = format!("SELECT count(*) FROM {table}");
            store.connection.query_row(&query, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        prop_assert_eq!(count("contents"), count("messages"));
        prop_assert!(count("deliveries") <= count("messages"));
        prop_assert_eq!(count("deleted"), 0);
    }
}

#[test]
fn a_commit_that_fails_leaves_nothing_behind() {
    let mut world = World::new();
    world.send(1, 0, 0);
    let good = world.broker.take_changes();
    let (store, _) = world.store.as_mut().unwrap();
    // The second time the key is there already.
    let twice = [good.clone(), good.clone()].concat();
    assert!(store.commit(&twice).is_err());
    let count = |store: &SqliteStore| -> i64 {
        let query = "SELECT count(*) FROM messages";
        store
            .connection
            .query_row(query, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(store), 0);
    store.commit(&good).unwrap();
    assert_eq!(count(store), 1);
}

#[test]
fn a_file_of_a_later_version_and_one_of_another_program_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open(folder.path(), Sync::Normal).map(drop);
    open().unwrap();
    let path = folder.path().join(FILE_NAME);
    let set = |name, value: i64| {
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, name, value).unwrap();
    };
    set("user_version", 99);
    assert!(matches!(open(), Err(StoreError::TooNew { found: 99, .. })));
    set("user_version", signed(MIGRATIONS.len() as u64));
    open().unwrap();
    set("application_id", 7);
    assert!(matches!(open(), Err(StoreError::Foreign { .. })));
}

#[test]
fn a_file_of_the_first_version_is_brought_to_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let first = Connection::open(&path).unwrap();
    first.execute_batch(MIGRATIONS[0]).unwrap();
    let (application, version) = ("application_id", "user_version");
    first
        .pragma_update(None, application, APPLICATION_ID)
        .unwrap();
    first.pragma_update(None, version, 1).unwrap();
    drop(first);
    let (mut store, _) = SqliteStore::open(folder.path(), Sync::Normal).unwrap();
    store.restore(Settings::default(), 7).unwrap();
    let found: i64 = store
        .connection
        .pragma_query_value(None, version, |row| row.get(0))
        .unwrap();
    assert_eq!(found, signed(MIGRATIONS.len() as u64));
}

#[test]
fn damaged_rows_are_an_error_and_no_panic() {
    for damage in [
        "UPDATE queues SET attributes = 'x'",
        "UPDATE queues SET attributes = '{\"VisibilityTimeout\":\"x\"}'",
        "UPDATE queues SET tags = '[]'",
        "UPDATE queues SET id = -1 WHERE name = 'dead'",
        "UPDATE messages SET queue = 99",
        "UPDATE messages SET receives = -1",
        "UPDATE messages SET sent = 'x'",
        "UPDATE messages SET hidden_until = -5",
        "INSERT INTO deliveries SELECT key, -5, NULL, NULL, 1, 1 FROM messages",
        "INSERT INTO deliveries SELECT key, NULL, NULL, NULL, -1, 1 FROM messages",
        "UPDATE meta SET value = x'00' WHERE name = 'seed'",
        "UPDATE meta SET value = 'x' WHERE name = 'keys_below'",
        "DROP TABLE deduplications",
    ] {
        let mut world = World::new();
        world.send(1, 0, 0);
        world.commit();
        let (store, _) = world.store.as_mut().unwrap();
        store.connection.execute_batch(damage).unwrap();
        assert!(store.restore(Settings::default(), 1).is_err(), "{damage}");
    }
}
