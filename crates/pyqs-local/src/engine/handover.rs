//! Received messages on their way to a client: handed over, or given back.

use std::sync::Arc;

use pyqs_broker::{Delivery, QueueId};

use super::{Engine, now};
use crate::content::{Body, Content};
use crate::error::ApiError;

/// Received messages that no client has yet. Dropped, they are visible again, as if they had
/// never been received.
pub(crate) struct Handover {
    deliveries: Vec<Delivery<Body>>,
    unconfirmed: Unconfirmed,
}

impl Handover {
    pub(super) fn new(
        engine: &Arc<Engine>,
        queue: QueueId,
        deliveries: Vec<Delivery<Body>>,
    ) -> Self {
        let receipts = deliveries.iter().map(|delivery| delivery.receipt.clone());
        Self {
            unconfirmed: Unconfirmed {
                engine: Arc::clone(engine),
                queue,
                receipts: receipts.collect(),
            },
            deliveries,
        }
    }

    /// The receipts, with nothing given back at the end.
    pub(super) fn into_receipts(mut self) -> Vec<String> {
        std::mem::take(&mut self.unconfirmed.receipts)
    }

    /// The messages with their contents, and what gives them back if the answer can't be written.
    /// A message that was deleted in this very moment is left out.
    pub(crate) async fn open(
        self,
    ) -> Result<(Vec<(Delivery<Body>, Arc<Content>)>, Unconfirmed), ApiError> {
        let mut stored = self
            .unconfirmed
            .engine
            .stored_contents(&self.deliveries)
            .await?;
        let messages = self.deliveries.into_iter().filter_map(|delivery| {
            let content = match &delivery.payload {
                Body::Held(content) => Some(Arc::clone(content)),
                Body::Stored => stored.next().flatten(),
            };
            content.map(|content| (delivery, content))
        });
        Ok((messages.collect(), self.unconfirmed))
    }
}

impl Engine {
    /// The contents of those deliveries that have them in the store, in order.
    async fn stored_contents(
        &self,
        deliveries: &[Delivery<Body>],
    ) -> Result<std::vec::IntoIter<Option<Arc<Content>>>, ApiError> {
        let is_stored = |delivery: &&Delivery<_>| matches!(delivery.payload, Body::Stored);
        let keys: Vec<_> = deliveries.iter().filter(is_stored).map(|d| d.key).collect();
        let Some(contents) = self.contents.as_ref().filter(|_| !keys.is_empty()) else {
            return Ok(Vec::new().into_iter());
        };
        if let Some(found) = contents.at_hand(&keys) {
            return Ok(found.into_iter());
        }
        let contents = Arc::clone(contents);
        let read = tokio::task::spawn_blocking(move || contents.read(&keys)).await;
        match read {
            Ok(Ok(found)) => Ok(found.into_iter()),
            Ok(Err(_)) | Err(_) => Err(ApiError::StoreUnavailable),
        }
    }
}

/// Receipts in an answer of which it isn't known yet whether the client has it. Dropped, their
/// messages are visible again.
pub(crate) struct Unconfirmed {
    engine: Arc<Engine>,
    queue: QueueId,
    receipts: Vec<String>,
}

impl Unconfirmed {
    /// Of an answer without messages.
    pub(super) fn nothing(engine: &Arc<Engine>, queue: QueueId) -> Self {
        Self {
            engine: Arc::clone(engine),
            queue,
            receipts: Vec::new(),
        }
    }

    /// The client has the answer.
    pub(crate) fn confirm(mut self) {
        self.receipts.clear();
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        if self.receipts.is_empty() {
            return;
        }
        let engine = Arc::clone(&self.engine);
        let mut state = engine.lock();
        for receipt in &self.receipts {
            state.broker.release(now(), self.queue, receipt);
        }
        engine.settle(&mut state);
    }
}
