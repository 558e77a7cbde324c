//! The runtime and the client of one process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use crate::ConnectOptions;
use crate::client::{Client, ClientError};

/// How long a close waits for what was sent, which gives up by itself before that.
const CLOSE_MAX: Duration = Duration::from_mins(1);

/// How long a close then waits for threads that look up names.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// What sends in one process, from its first call to a shutdown.
#[derive(Debug)]
pub(super) struct Session {
    pid: u32,
    is_closed: AtomicBool,
    handle: Handle,
    /// Taken at the close; no other process than `pid` locks it.
    runtime: Mutex<Option<Runtime>>,
    client: OnceCell<Client>,
}

impl Session {
    /// Starts a thread.
    pub(super) fn start(pid: u32) -> Result<Arc<Self>, ClientError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("pyqs-send")
            .enable_all()
            .build()
            .map_err(|error| ClientError::Runtime(Arc::new(error)))?;
        Ok(Arc::new(Self {
            pid,
            is_closed: AtomicBool::new(false),
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            client: OnceCell::new(),
        }))
    }

    pub(super) fn is_of(&self, pid: u32) -> bool {
        self.pid == pid
    }

    pub(super) fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire)
    }

    /// The client, made at the first call; a failure to make it is not kept.
    pub(super) async fn client(
        &self,
        options: &ConnectOptions,
        creates_queues: Option<bool>,
    ) -> Result<Client, ClientError> {
        self.client
            .get_or_try_init(|| Client::connect_as(options, creates_queues))
            .await
            .cloned()
    }

    /// Runs a job on this session's runtime.
    pub(super) fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(job).abort_handle()
    }

    /// Lets all that was sent come to its end, and joins the threads. Calls after the first wait
    /// for it.
    pub(super) fn close(self: &Arc<Self>) {
        self.is_closed.store(true, Ordering::Release);
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(runtime) = runtime.take() else {
            return;
        };
        let (ended, has_ended) = channel();
        let session = Arc::clone(self);
        self.spawn(async move {
            if let Some(client) = session.client.get() {
                client.shutdown().await;
            }
            let _ = ended.send(()); // The wait below may be over.
        });
        let _ = has_ended.recv_timeout(CLOSE_MAX); // What is not sent by then has failed.
        // On a thread of its own, since a runtime may not end another while it runs async code.
        let join = std::thread::spawn(move || runtime.shutdown_timeout(JOIN_MAX));
        let _ = join.join(); // The thread only ends the runtime: there is nothing to tell.
    }

    /// Ends a session that nobody has used.
    pub(super) fn discard(&self) {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtime.take() {
            runtime.shutdown_background();
        }
    }
}
