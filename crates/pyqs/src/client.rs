//! The async client: queues by name, sends in batches, tries again what may yet succeed.
//!
//! In reading order: `settings`, `error`, `queue` (a queue and its URL), `outbox` (what waits to be
//! sent to it), `delivery` (how one batch gets to SQS), `backoff`.

mod backoff;
mod delivery;
mod error;
mod outbox;
mod queue;
mod settings;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use pyqs_sqs::{ConnectOptions, Outgoing, QueueArgument, QueueUrl, Sqs};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::error::ClientError;
use self::outbox::Entry;
use self::queue::Queue;
pub use self::queue::{DELAY_MAX, checked};
pub use self::settings::ClientSettings;

/// Sends messages to queues by their names. Clones are the same client.
///
/// Needs a tokio runtime with time and IO. A message counts as sent when SQS has answered with its
/// id, not before; whoever drops a send's future before that has taken it back if it was still
/// waiting, and does not know if it was on its way.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What clients and their flights have in common.
struct Shared {
    sqs: Arc<dyn Sqs>,
    settings: ClientSettings,
    queues: Mutex<BTreeMap<String, Arc<Queue>>>,
    /// The requests under way, and what waits behind them; awaited at shutdown.
    flights: Mutex<JoinSet<()>>,
    is_shut_down: AtomicBool,
}

impl Client {
    /// Prepares a client by options, environment and profile files; makes no connection yet.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ClientError> {
        Self::connect_as(options, None).await
    }

    /// The same, where somebody but the environment says whether queues are created.
    pub(crate) async fn connect_as(
        options: &ConnectOptions,
        creates_queues: Option<bool>,
    ) -> Result<Self, ClientError> {
        let mut settings = ClientSettings::from_environment()?;
        settings.creates_queues = creates_queues.unwrap_or(settings.creates_queues);
        let sqs = pyqs_sqs::connect(options).await.map_err(Arc::new)?;
        Ok(Self::over(Arc::new(sqs), settings))
    }

    /// A client over any implementation of SQS.
    pub fn over(sqs: Arc<dyn Sqs>, settings: ClientSettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                sqs,
                settings,
                queues: Mutex::default(),
                flights: Mutex::default(),
                is_shut_down: AtomicBool::new(false),
            }),
        }
    }

    /// Sends one message; answers with SQS's id of it once SQS has it.
    ///
    /// Its delay may be longer than SQS's 900 s, up to 366 days: it then carries the time at which
    /// it is due, by this machine's clock ([`DUE`](pyqs_sqs::carried::DUE)), which our workers keep.
    pub async fn send(&self, queue: &str, message: Outgoing) -> Result<String, ClientError> {
        let queue = self.shared.queue(queue);
        let answer = self.shared.enqueue(&queue, [message]).pop();
        answer.expect("one message, one answer").receive().await
    }

    /// Sends any number of messages in parallel batches; answers for each, in order.
    pub async fn send_many(
        &self,
        queue: &str,
        messages: impl IntoIterator<Item = Outgoing>,
    ) -> Vec<Result<String, ClientError>> {
        let queue = self.shared.queue(queue);
        let pending = self.shared.enqueue(&queue, messages);
        let mut answers = Vec::with_capacity(pending.len());
        for answer in pending {
            answers.push(answer.receive().await);
        }
        answers
    }

    /// The URL of the queue of this name, which is created where it is missing (but see
    /// [`ClientSettings::creates_queues`]).
    pub async fn queue_url(&self, name: &str) -> Result<QueueUrl, ClientError> {
        let queue = self.shared.queue(name);
        self.shared.persist(|| queue.url(&self.shared)).await
    }

    /// The queues that are there of those that a worker would take for these arguments: names, and
    /// patterns, also several apart by commas or spaces. Creates none.
    pub async fn find_queues(
        &self,
        arguments: &[String],
        is_exact: bool,
    ) -> Result<Vec<QueueUrl>, ClientError> {
        let mut found = Vec::new();
        for argument in QueueArgument::parse_all(arguments)? {
            let pattern = argument.pattern(is_exact);
            let of_it = self
                .shared
                .persist(|| queue::find(&*self.shared.sqs, &pattern))
                .await?;
            found.extend(of_it);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Lets all that was sent come to its end, and refuses what is sent from now on.
    pub async fn shutdown(&self) {
        self.shared.is_shut_down.store(true, Ordering::Release);
        loop {
            let mut flights = std::mem::take(&mut *lock(&self.shared.flights));
            if flights.is_empty() {
                return;
            }
            // A flight's panic has reached its senders as `ShutDown`: there is no more to say.
            while flights.join_next().await.is_some() {}
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn queue(&self, name: &str) -> Arc<Queue> {
        let mut queues = lock(&self.queues);
        if let Some(queue) = queues.get(name) {
            return Arc::clone(queue);
        }
        let queue = Arc::new(Queue::new(name));
        queues.insert(name.to_owned(), Arc::clone(&queue));
        queue
    }

    /// Puts messages into the queue's outbox and starts as many flights as they call for.
    fn enqueue(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        messages: impl IntoIterator<Item = Outgoing>,
    ) -> Vec<Pending> {
        let deadline = Instant::now() + self.settings.time_max;
        let now = SystemTime::now();
        let is_shut_down = self.is_shut_down.load(Ordering::Acquire);
        let mut pending = Vec::new();
        let mut entries = Vec::new();
        for message in messages {
            if is_shut_down {
                pending.push(Pending::Refused(ClientError::ShutDown));
                continue;
            }
            match queue.checked(message, now) {
                Ok(message) => {
                    let (reply, answer) = oneshot::channel();
                    entries.push(Entry {
                        message,
                        reply,
                        deadline,
                    });
                    pending.push(Pending::Waiting(answer));
                }
                Err(refused) => pending.push(Pending::Refused(refused)),
            }
        }
        queue.outbox.push(entries);
        self.start_flights(queue);
        pending
    }

    fn start_flights(self: &Arc<Self>, queue: &Arc<Queue>) {
        for flight in queue.outbox.wanted_flights() {
            let (shared, queue) = (Arc::clone(self), Arc::clone(queue));
            let mut flights = lock(&self.flights);
            // Those that have ended are taken out, or the set would grow for ever.
            while flights.try_join_next().is_some() {}
            flights.spawn(delivery::fly(shared, queue, flight));
        }
    }
}

/// A message's answer, to come or here.
enum Pending {
    Waiting(oneshot::Receiver<Result<String, ClientError>>),
    Refused(ClientError),
}

impl Pending {
    async fn receive(self) -> Result<String, ClientError> {
        match self {
            Self::Refused(error) => Err(error),
            // Without an answer, the runtime ended below the flight.
            Self::Waiting(answer) => answer.await.unwrap_or(Err(ClientError::ShutDown)),
        }
    }
}

/// What these mutexes guard is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
