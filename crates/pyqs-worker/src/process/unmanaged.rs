//! `Unmanaged`: a task to run that comes by no manager.

use pyqs_formats::Reader;
use pyqs_sqs::Received;
use pyqs_sqs::carried::Carried;

use super::job::{Job, SystemAttributes};
use super::successes::Mark;
use crate::arrivals::{read_brief, unread_brief};
use crate::clock;
use crate::declared::Handler;

/// A message as a job, for who runs it in its own process, without a manager.
#[derive(Clone, Debug, PartialEq)]
pub struct Unmanaged {
    /// The job; it has no lease.
    pub job: Job,
    /// After this it is not to be run any more: milliseconds since 1970.
    pub expires_unix_millis: Option<i64>,
}

impl Unmanaged {
    /// Reads the head of a message as a manager does; the error says why it can't be read.
    ///
    /// `attempt` is which run of it this is, 1 for the first; `handler` is the name of who takes all messages of its
    /// queue, where somebody does.
    pub fn open(
        received: Received,
        queue_url: &str,
        attempt: u32,
        handler: Option<&str>,
        reader: Reader<'_>,
    ) -> Result<Self, String> {
        let handler = handler.map(|name| Handler {
            name: name.to_owned(),
            batch: None,
        });
        let brief = match &handler {
            Some(handler) => unread_brief(&received, handler),
            None => read_brief(&received, reader),
        }?;
        let system = handler.map(|_| SystemAttributes::of(&received));
        let carried = Carried::read(&received.attributes);
        let mark = Mark::of(&received.message_id);
        let job = Job {
            message_id: received.message_id,
            receipt: received.receipt.as_str().to_owned(),
            queue_url: queue_url.to_owned(),
            body: received.body,
            task: brief.task,
            fetch_time: clock::unix_secs(),
            timeout: VISIBILITY_SECS_DEFAULT,
            receive_count: received.receive_count,
            attempt,
            lease_until_nanos: u64::MAX,
            limits: brief.limits,
            retries_before: brief.retries,
            attributes: received.attributes,
            system,
            others: Vec::new(),
            group: None,
            sequence: 0,
            mark,
        };
        Ok(Self {
            job,
            expires_unix_millis: carried.expires_unix_millis.or(brief.expires),
        })
    }
}

/// The visibility timeout of a queue for which nobody set one, in seconds (SQS API: `CreateQueue`).
const VISIBILITY_SECS_DEFAULT: u32 = 30;
