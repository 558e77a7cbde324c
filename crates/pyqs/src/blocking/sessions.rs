//! The sessions of a producer: its own process's, and those that it inherited.

use std::sync::Arc;

use once_cell::race::OnceBox;

use super::session::Session;
use crate::client::ClientError;

/// A list that only grows, one session for each process on the way down from the first, and after
/// each shutdown. Reading and growing it take no lock, so that a fork at any moment leaves it
/// usable in the child.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    first: OnceBox<Node>,
}

#[derive(Debug)]
struct Node {
    session: Arc<Session>,
    next: OnceBox<Node>,
}

impl Sessions {
    /// This process's open session; started where there is none.
    pub(super) fn open(&self) -> Result<Arc<Session>, ClientError> {
        let pid = std::process::id();
        let mut link = &self.first;
        loop {
            let Some(node) = link.get() else {
                let node = Node {
                    session: Session::start(pid)?,
                    next: OnceBox::new(),
                };
                if let Err(superfluous) = link.set(Box::new(node)) {
                    // Another thread was first; the next turn finds its session.
                    superfluous.session.discard();
                }
                continue;
            };
            if node.session.is_of(pid) && node.session.is_open() {
                return Ok(Arc::clone(&node.session));
            }
            link = &node.next;
        }
    }

    /// All sessions of this process.
    pub(super) fn own(&self) -> impl Iterator<Item = &Arc<Session>> {
        let pid = std::process::id();
        self.nodes()
            .map(|node| &node.session)
            .filter(move |session| session.is_of(pid))
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.first.get(), |node| node.next.get())
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for session in self.own() {
            session.close();
        }
        let pid = std::process::id();
        if self.nodes().any(|node| !node.session.is_of(pid)) {
            // An inherited runtime would wait for threads that this process does not have.
            std::mem::forget(std::mem::take(&mut self.first));
        }
    }
}
