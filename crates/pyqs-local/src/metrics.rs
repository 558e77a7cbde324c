//! What the endpoint counts, in Prometheus's text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::actions::Action;

/// Requests by action since the start.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: [AtomicU64; Action::ALL.len()],
}

impl Metrics {
    pub(crate) fn count(&self, action: Action) {
        self.requests[action as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn render(&self) -> String {
        let mut text = String::from(
            "# HELP pyqs_local_requests_total Requests since the start, by SQS action.\n\
             # TYPE pyqs_local_requests_total counter\n",
        );
        for action in Action::ALL {
            let count = self.requests[action as usize].load(Ordering::Relaxed);
            let name = action.name();
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "pyqs_local_requests_total{{action=\"{name}\"}} {count}"
            );
        }
        text
    }
}
