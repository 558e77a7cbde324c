//! Receive attempt ids on FIFO queues: a lost reply can be asked for again.

use std::collections::{BTreeMap, VecDeque};

use crate::receipt::Receipt;
use crate::time::Timestamp;

/// What each attempt id of the last five minutes was answered with. Not stored: after a restart
/// an attempt is a new one, which is what SQS does once five minutes are over.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    answers: BTreeMap<String, Vec<Receipt>>,
    expiries: VecDeque<(Timestamp, String)>,
}

impl Attempts {
    pub(crate) fn answer(&self, attempt: &str) -> Option<&[Receipt]> {
        self.answers.get(attempt).map(Vec::as_slice)
    }

    pub(crate) fn remember(&mut self, attempt: &str, answer: Vec<Receipt>, until: Timestamp) {
        if self.answers.insert(attempt.to_owned(), answer).is_some() {
            self.expiries.retain(|(_, known)| known != attempt);
        }
        self.expiries.push_back((until, attempt.to_owned()));
    }

    pub(crate) fn forget_until(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.expiries.front()
            && *until <= now
        {
            if let Some((_, attempt)) = self.expiries.pop_front() {
                self.answers.remove(&attempt);
            }
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.front().map(|(until, _)| *until)
    }
}
