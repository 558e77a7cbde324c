//! Sending from any thread of any process.
//!
//! What `.delay` stands on. A Python program may fork at any time, with threads of ours running
//! and locks of ours held by them; in the child those threads are gone and those locks are held
//! for ever. So all that sends belongs to the process that made it: a child finds its parent's
//! session, sees by the process id that it is not its own, and never touches it again, not even
//! to drop it. Finding a session takes no lock (`sessions`).

mod session;
mod sessions;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use self::sessions::Sessions;
use crate::client::{Client, ClientError};
use crate::{ConnectOptions, Outgoing};

/// How often a waiting call asks its caller whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Sends messages to queues by their names, and waits for SQS's answer.
///
/// Making one starts nothing: threads and connections come with the first call, and anew in each
/// process that calls. All calls take `keep_waiting`, which is asked on the calling thread about
/// every 50 ms while there is no answer; `false` gives the call up with
/// [`ClientError::Interrupted`] (Ctrl-C). Calls may be made from within async code, which they
/// block.
///
/// ```no_run
/// use pyqs::{ConnectOptions, Outgoing, blocking::Producer};
///
/// let producer = Producer::new(ConnectOptions::default());
/// let id = producer.send("email", Outgoing::new("{}"), &mut || true)?;
/// producer.shutdown();
/// # Ok::<(), pyqs::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Producer {
    options: ConnectOptions,
    creates_queues: Option<bool>,
    sessions: Sessions,
}

impl Producer {
    /// A producer by these options and the environment at its first call. Starts nothing.
    pub fn new(options: ConnectOptions) -> Self {
        Self {
            options,
            creates_queues: None,
            sessions: Sessions::default(),
        }
    }

    /// Says whether missing queues are created; `None` leaves it to the environment.
    #[must_use]
    pub fn creating_queues(self, creates_queues: Option<bool>) -> Self {
        Self {
            creates_queues,
            ..self
        }
    }

    /// Sends one message; returns SQS's id of it once SQS has it.
    pub fn send(
        &self,
        queue: &str,
        message: Outgoing,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<String, ClientError> {
        let queue = queue.to_owned();
        self.call(keep_waiting, async move |client| {
            client.send(&queue, message).await
        })?
    }

    /// Sends any number of messages in parallel batches; the results are in their order. The outer
    /// error says that none was sent, or that the wait was given up.
    pub fn send_many(
        &self,
        queue: &str,
        messages: Vec<Outgoing>,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Result<String, ClientError>>, ClientError> {
        let queue = queue.to_owned();
        self.call(keep_waiting, async move |client| {
            client.send_many(&queue, messages).await
        })
    }

    /// The URL of the queue of this name, which is created where it is missing.
    pub fn queue_url(
        &self,
        name: &str,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<String, ClientError> {
        let name = name.to_owned();
        let url = self.call(keep_waiting, async move |client| {
            client.queue_url(&name).await
        })??;
        Ok(url.as_str().to_owned())
    }

    /// The URLs of the queues that are there of those that a worker would take for these
    /// arguments.
    pub fn find_queues(
        &self,
        arguments: &[String],
        is_exact: bool,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<String>, ClientError> {
        let arguments = arguments.to_vec();
        let job =
            move |client: Client| async move { client.find_queues(&arguments, is_exact).await };
        let found = self.call(keep_waiting, job)??;
        Ok(found
            .iter()
            .map(|queue| queue.as_str().to_owned())
            .collect())
    }

    /// Lets all that was sent come to its end, then ends and joins the threads of this process. A
    /// later call starts anew. To be called before a fork where that is foreseen.
    pub fn shutdown(&self) {
        for session in self.sessions.own() {
            session.close();
        }
    }

    /// Runs `job` on this process's session and waits for its answer.
    fn call<T, F>(
        &self,
        keep_waiting: &mut dyn FnMut() -> bool,
        job: impl FnOnce(Client) -> F + Send + 'static,
    ) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send,
    {
        let session = self.sessions.open()?;
        let (answer, answered) = channel();
        let (options, creates_queues) = (self.options.clone(), self.creates_queues);
        let own_session = Arc::clone(&session);
        let task = session.spawn(async move {
            let outcome = match own_session.client(&options, creates_queues).await {
                Ok(client) => Ok(job(client).await),
                Err(error) => Err(error),
            };
            let _ = answer.send(outcome); // Whoever asked may no longer wait.
        });
        loop {
            match answered.recv_timeout(ASK_EVERY) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) if keep_waiting() => {}
                Err(RecvTimeoutError::Timeout) => {
                    task.abort();
                    return Err(ClientError::Interrupted);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ClientError::ShutDown),
            }
        }
    }
}
