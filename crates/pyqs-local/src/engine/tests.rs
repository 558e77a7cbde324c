//! The engine on stores that fail, are slow, or are full.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use pyqs_broker::{Change, MessageKey, NewMessage, Receive};

use super::*;
use crate::config::{QueueDeclaration, Sync};
use crate::content::Content;
use crate::store::StoreError;

/// Keeps what it is given in memory, when it is let.
#[derive(Clone, Default)]
struct TestStore(Arc<TestStoreState>);

#[derive(Default)]
struct TestStoreState {
    fails: AtomicBool,
    /// Messages are refused, and other changes too until room is made for them.
    is_full: AtomicBool,
    made_room: AtomicBool,
    commits: AtomicUsize,
    changes: Mutex<Vec<Change<Body>>>,
    /// Where set, the next commit says that it has begun, then waits for a word.
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Store for TestStore {
    fn commit(&mut self, changes: &[Change<Body>]) -> Result<(), StoreError> {
        let gate = self.0.gate.lock().unwrap().take();
        if let Some((begun, go)) = gate {
            begun.send(()).unwrap();
            go.recv().unwrap();
        }
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged {
                what: "on purpose".to_owned(),
            });
        }
        let has_sends = changes
            .iter()
            .any(|change| matches!(change, Change::MessageStored(_)));
        if self.0.is_full.load(Ordering::SeqCst)
            && (has_sends || !self.0.made_room.load(Ordering::SeqCst))
        {
            return Err(StoreError::full());
        }
        self.0.commits.fetch_add(1, Ordering::SeqCst);
        self.0.changes.lock().unwrap().extend_from_slice(changes);
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        !self.0.is_full.load(Ordering::SeqCst)
    }

    fn make_room(&mut self) -> bool {
        self.0.made_room.store(true, Ordering::SeqCst);
        false
    }
}

impl Contents for TestStore {
    fn read(&self, _: &[MessageKey]) -> Result<Vec<Option<Arc<Content>>>, StoreError> {
        unreachable!("everything is held")
    }
}

impl TestStore {
    fn engine(&self) -> Arc<Engine> {
        let broker = Broker::new(Settings {
            journal: true,
            ..Settings::default()
        });
        let parts: (Box<dyn Store>, Arc<dyn Contents>) =
            (Box::new(self.clone()), Arc::new(self.clone()));
        Engine::start(broker, Some(parts), &declared(), usize::MAX).unwrap()
    }

    fn stored_bodies(&self) -> Vec<String> {
        let changes = self.0.changes.lock().unwrap();
        let stored = changes.iter().filter_map(|change| match change {
            Change::MessageStored(record) => Some(&record.message.payload),
            _ => None,
        });
        let bodies = stored.filter_map(|payload| match payload {
            Body::Held(content) => Some(content.body.clone()),
            Body::Stored => None,
        });
        bodies.collect()
    }
}

/// With two queues, `email` and `orders.fifo`.
fn declared() -> Config {
    let queues = ["email", "orders.fifo"].map(|name| QueueDeclaration {
        name: name.to_owned(),
        ..QueueDeclaration::default()
    });
    Config {
        queues: queues.into(),
        ..Config::default()
    }
}

async fn send(engine: &Arc<Engine>, body: &str) -> Result<(), ApiError> {
    send_to(engine, "email", new(body)).await
}

/// With its body as deduplication id.
async fn send_in_order(engine: &Arc<Engine>, body: &str) -> Result<(), ApiError> {
    let mut new = new(body).in_group("g");
    new.deduplication = Some(body.to_owned());
    send_to(engine, "orders.fifo", new).await
}

fn new(body: &str) -> NewMessage<Body> {
    NewMessage::new(Body::Held(Arc::new(Content {
        body: body.to_owned(),
        ..Content::default()
    })))
}

async fn send_to(engine: &Arc<Engine>, queue: &str, new: NewMessage<Body>) -> Result<(), ApiError> {
    let send = engine.take_in(|broker, now| {
        let queue = broker.queue(queue)?;
        Ok(broker.send(now, queue, new)?)
    });
    send.await.map(drop)
}

async fn receive(engine: &Arc<Engine>) -> Result<Vec<String>, ApiError> {
    receive_from(engine, "email", Duration::ZERO).await
}

async fn receive_from(
    engine: &Arc<Engine>,
    queue: &str,
    wait: Duration,
) -> Result<Vec<String>, ApiError> {
    let queue = engine.look(|broker| Ok(broker.queue(queue)?))?;
    let handover = engine
        .receive(queue, Receive::up_to(10), wait, None)
        .await?;
    let (messages, unconfirmed) = handover.open().await?;
    unconfirmed.confirm();
    Ok(messages
        .iter()
        .map(|(_, content)| content.body.clone())
        .collect())
}

#[tokio::test]
async fn answers_wait_for_their_commit_and_share_it() {
    let store = TestStore::default();
    let engine = store.engine();
    send(&engine, "first").await.unwrap();
    let (begun_sender, begun) = channel();
    let (go, go_receiver) = channel();
    *store.0.gate.lock().unwrap() = Some((begun_sender, go_receiver));
    let commits = || store.0.commits.load(Ordering::SeqCst);
    let submitted = || engine.lock().committer.submitted();
    let (commits_before, submitted_before) = (commits(), submitted());

    let sends: Vec<_> = (0..20)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { send(&engine, "x").await })
        })
        .collect();
    while submitted() < submitted_before + 20 {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(move || begun.recv().unwrap())
        .await
        .unwrap();
    assert!(sends.iter().all(|send| !send.is_finished()));
    assert_eq!(store.stored_bodies(), ["first"]);
    go.send(()).unwrap();
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(store.stored_bodies().len(), 21);
    // The one that was held up, and one for all that gathered behind it.
    assert!(commits() - commits_before <= 2);
    engine.close();
}

#[tokio::test]
async fn a_store_that_fails_is_answered_with_5xx_and_loses_nothing() {
    let store = TestStore::default();
    let engine = store.engine();
    send(&engine, "before").await.unwrap();
    store.0.fails.store(true, Ordering::SeqCst);
    assert_eq!(
        send(&engine, "lost?").await,
        Err(ApiError::StoreUnavailable)
    );
    for _ in 0..100 {
        // Refused before anything is done, so that nothing piles up.
        assert_eq!(
            send(&engine, "refused").await,
            Err(ApiError::StoreUnavailable)
        );
    }
    assert_eq!(receive(&engine).await, Err(ApiError::StoreUnavailable));

    store.0.fails.store(false, Ordering::SeqCst);
    while send(&engine, "after").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.stored_bodies(), ["before", "lost?", "after"]);
    assert_eq!(
        receive(&engine).await.unwrap(),
        ["before", "lost?", "after"]
    );
    engine.close();
}

#[tokio::test]
async fn a_full_disk_refuses_sends_and_nothing_else() {
    let store = TestStore::default();
    let engine = store.engine();
    send(&engine, "before").await.unwrap();
    store.0.is_full.store(true, Ordering::SeqCst);
    assert_eq!(send(&engine, "refused").await, Err(ApiError::DiskFull));
    assert_eq!(send(&engine, "refused").await, Err(ApiError::DiskFull));
    assert_eq!(receive(&engine).await.unwrap(), ["before"]);
    let purge = engine.act(|broker, now| {
        let queue = broker.queue("email")?;
        Ok(broker.purge(now, queue)?)
    });
    purge.await.unwrap();

    store.0.is_full.store(false, Ordering::SeqCst);
    while send(&engine, "after").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(receive(&engine).await.unwrap(), ["after"]);
    assert_eq!(store.stored_bodies(), ["before", "after"]);
    engine.close();
}

/// Those who had an answer coming that rests on a send: its duplicate, and a receive.
#[tokio::test]
async fn a_send_that_a_full_disk_refuses_has_never_been() {
    let store = TestStore::default();
    let engine = store.engine();
    send(&engine, "before").await.unwrap();
    let (begun_sender, begun) = channel();
    let (go, go_receiver) = channel();
    *store.0.gate.lock().unwrap() = Some((begun_sender, go_receiver));
    store.0.is_full.store(true, Ordering::SeqCst);
    let submitted = || engine.lock().committer.submitted();
    let submitted_before = submitted();

    let poll = {
        let engine = Arc::clone(&engine);
        let wait = Duration::from_secs(20);
        tokio::spawn(async move { receive_from(&engine, "orders.fifo", wait).await })
    };
    let sends = [(); 2].map(|()| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { send_in_order(&engine, "1").await })
    });
    // The sends, and the receive of the first.
    while submitted() < submitted_before + 3 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    begun.recv().unwrap();
    for send in sends {
        assert_eq!(send.await.unwrap(), Err(ApiError::DiskFull));
    }
    assert_eq!(poll.await.unwrap(), Err(ApiError::DiskFull));

    store.0.is_full.store(false, Ordering::SeqCst);
    while send_in_order(&engine, "1").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.stored_bodies(), ["before", "1"]);
    let found = receive_from(&engine, "orders.fifo", Duration::ZERO).await;
    assert_eq!(found.unwrap(), ["1"]);
    engine.close();
}

fn sqlite_engine(folder: &Path, pages_max: Option<u32>, held_bytes_max: usize) -> Arc<Engine> {
    let (mut store, contents) = SqliteStore::open(folder, Sync::Normal).unwrap();
    let settings = Settings {
        journal: true,
        ..Settings::default()
    };
    let broker = store.restore(settings, 1).unwrap();
    if let Some(pages_max) = pages_max {
        store.limit_pages(pages_max);
    }
    let parts: (Box<dyn Store>, Arc<dyn Contents>) = (Box::new(store), Arc::new(contents));
    Engine::start(broker, Some(parts), &declared(), held_bytes_max).unwrap()
}

#[tokio::test]
async fn a_full_disk_is_answered_with_5xx_and_what_was_answered_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let engine = sqlite_engine(folder.path(), Some(100), 0);
    let body = "x".repeat(10_000);
    let mut answered = 0;
    while send(&engine, &body).await.is_ok() {
        answered += 1;
    }
    assert!((10..100).contains(&answered), "{answered}");
    assert_eq!(send(&engine, &body).await, Err(ApiError::DiskFull));
    engine.close();

    let engine = sqlite_engine(folder.path(), None, 0);
    let mut found = 0;
    loop {
        let bodies = receive(&engine).await.unwrap();
        if bodies.is_empty() {
            break;
        }
        assert!(bodies.iter().all(|found| *found == body));
        found += bodies.len();
    }
    assert_eq!(found, answered);
    engine.close();
}

#[tokio::test]
async fn contents_beyond_what_is_held_come_from_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let engine = sqlite_engine(folder.path(), None, 1500);
    let bodies: Vec<_> = (0..20).map(|i| format!("{i:0100}")).collect();
    for body in &bodies {
        send(&engine, body).await.unwrap();
    }
    let queue = engine.look(|broker| Ok(broker.queue("email")?)).unwrap();
    let is_held = |(_, _, message): &(_, _, &pyqs_broker::Message<Body>)| {
        matches!(message.payload, Body::Held(_))
    };
    let held = |broker: &Broker<Body>| Ok(broker.messages(queue)?.filter(is_held).count());
    let held = engine.look(held).unwrap();
    assert!((5..=7).contains(&held), "{held}");
    let oldest = |broker: &Broker<Body>| Ok(broker.messages(queue)?.take(5).all(|m| is_held(&m)));
    assert!(
        engine.look(oldest).unwrap(),
        "what is received next is held"
    );
    let mut found = receive(&engine).await.unwrap();
    found.extend(receive(&engine).await.unwrap());
    assert_eq!(found, bodies);
    engine.close();
}
