//! What comes in to the driver from everything that runs beside it.

use std::io;
use std::os::fd::OwnedFd;

use pyqs_core::{BatchReply, MessageKey, PollId, RequestId, Share, Trouble};
use pyqs_sqs::{QueueAttributes, QueueUrl};

use crate::arrivals::Letter;
use crate::forwards::Part;
use crate::process::TaskProcessId;
use crate::process::control::FromSupervisor;
use crate::process::wire::FromProcess;

/// One piece of news.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A receive came back.
    Polled {
        poll: PollId,
        reply: Result<Vec<Letter>, PollFailure>,
    },
    /// A delete request came back.
    Deleted {
        request: RequestId,
        reply: BatchReply,
    },
    /// A visibility request came back.
    VisibilityChanged {
        request: RequestId,
        reply: BatchReply,
    },
    /// A request to send messages on came back.
    Forwarded {
        request: RequestId,
        reply: BatchReply,
        /// Why messages were refused.
        reasons: Vec<(MessageKey, String)>,
        /// What SQS has.
        sent: Vec<Part>,
    },
    /// A queue to work on was found.
    QueueFound {
        url: QueueUrl,
        attributes: Box<QueueAttributes>,
        share: Share,
    },
    /// All queues that there are at the start were found.
    QueuesListed,
    /// A queue's attributes were read again.
    QueueRead {
        url: QueueUrl,
        attributes: Box<QueueAttributes>,
    },
    /// The worker can't start; one line says why.
    Fatal(String),
    /// A frame from a task process.
    Process {
        process: TaskProcessId,
        frame: FromProcess,
    },
    /// A task process's socket has come to its end, or brought what is no frame of ours.
    ProcessClosed {
        process: TaskProcessId,
        fault: Option<io::Error>,
    },
    /// A line from the supervisor, with the socket that `forked` brings.
    Control(FromSupervisor, Option<OwnedFd>),
    /// The supervisor is gone, or said what is no line of ours.
    ControlClosed(Option<io::Error>),
}

/// Why a receive failed.
#[derive(Debug)]
pub(crate) struct PollFailure {
    pub(crate) trouble: Trouble,
    /// For people.
    pub(crate) reason: String,
}
