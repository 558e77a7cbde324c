//! How a worker stands, for who looks at it from beside: metrics, health, pages.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyqs_core::{Instant, QueueId, Snapshot};

use crate::clock;

/// A worker at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// What the core says.
    pub snapshot: Snapshot,
    /// The queues' names.
    pub names: BTreeMap<QueueId, String>,
    /// When that was.
    pub now: Instant,
}

impl Status {
    /// A queue's name.
    pub fn name(&self, queue: QueueId) -> &str {
        self.names.get(&queue).map_or("", String::as_str)
    }
}

/// Where the manager leaves its status, twice a second. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Option<Status>>>);

impl Board {
    /// The last status, and how old it is. `None`: the manager has only just started.
    pub fn read(&self) -> Option<(Status, Duration)> {
        let status = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let age = clock::now().saturating_since(status.now);
        Some((status, age))
    }

    pub(crate) fn write(&self, status: Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }
}

/// Shows a board to who connects, and to who bears the token where there is one; goes on until it is dropped.
pub type Serve = fn(TcpListener, Option<String>, Board) -> Pin<Box<dyn Future<Output = ()> + Send>>;
