//! Which queues there are to work on: looked for at the start and ever after.

use std::collections::BTreeSet;
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use pyqs_core::{RateLimit, Share};
use pyqs_sqs::{
    Pattern, QueueArgument, QueueArgumentError, QueueAttributes, QueueUrl, Sqs, SqsError, names,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::inbound::Inbound;
use crate::observe::Log;
use crate::settings::WorkerSettings;

/// Names and patterns without a queue, and patterns for further ones, are looked for this often.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_secs(30);

/// Attributes are read again this often.
pub(crate) const ATTRIBUTES_PERIOD: Duration = Duration::from_mins(5);

/// When SQS was not reached within this time of the start, the worker gives up.
pub(crate) const START_MAX: Duration = Duration::from_secs(15);

/// Until SQS is reached at the start, it is tried this often.
const START_RETRY: Duration = Duration::from_secs(1);

/// Trouble that may pass is told of when it was met so many times in a row, [`START_RETRY`] apart.
const TRIES_BEFORE_TOLD: u32 = 3;

/// Credentials that have expired are asked for again so often at the start.
const EXPIRED_MAX: u32 = 2;

/// On FIFO queues a lower `maxReceiveCount` is warned of: a message that was taken along with one that
/// failed has spent a receive, once for each worker and each failure up to half of them.
const FIFO_RECEIVES_MIN: u32 = 4;

/// Looks for the queues that the arguments name, and tells the driver.
pub(crate) struct Discovery {
    sqs: Arc<dyn Sqs>,
    inbound: UnboundedSender<Inbound>,
    log: Log,
    wanted: Vec<Wanted>,
    command_names: Vec<String>,
    are_required: bool,
    known: BTreeSet<QueueUrl>,
    /// The kind of trouble that was told of last.
    trouble: Option<Discriminant<SqsError>>,
    is_started: bool,
    /// Another manager has worked on these queues: what can't be reached now is no reason to end.
    has_predecessor: bool,
}

/// One argument.
struct Wanted {
    argument: QueueArgument,
    pattern: Pattern,
    /// See [`Share::priority`].
    priority: u32,
    is_found: bool,
}

impl Discovery {
    pub(crate) fn new(
        settings: &WorkerSettings,
        sqs: Arc<dyn Sqs>,
        inbound: UnboundedSender<Inbound>,
        log: Log,
    ) -> Result<Self, QueueArgumentError> {
        let arguments = QueueArgument::parse_all(&settings.queues)?;
        let wanted = (0..).zip(arguments).map(|(number, argument)| Wanted {
            pattern: argument.pattern(settings.exact_patterns),
            argument,
            priority: if settings.strict { number } else { 0 },
            is_found: false,
        });
        Ok(Self {
            sqs,
            inbound,
            log,
            wanted: wanted.collect(),
            command_names: settings.command_names.clone(),
            are_required: settings.require_queues,
            known: BTreeSet::new(),
            trouble: None,
            is_started: false,
            has_predecessor: false,
        })
    }

    /// For a manager that takes another's place: the worker has started long ago.
    pub(crate) fn for_successor(self) -> Self {
        Self {
            has_predecessor: true,
            ..self
        }
    }

    /// Looks until it is cancelled, or until the worker turns out not to be able to start.
    pub(crate) async fn run(mut self) {
        self.tell_what_is_wanted();
        if self.has_predecessor {
            self.take_over().await;
        } else if let Err(reason) = self.start().await {
            self.tell(Inbound::Fatal(reason));
            return;
        }
        self.tell(Inbound::QueuesListed);
        self.is_started = true;
        let mut attributes_due = Instant::now() + ATTRIBUTES_PERIOD;
        loop {
            sleep(LOOK_PERIOD).await;
            let is_due = Instant::now() >= attributes_due;
            let mut result = self.look_again(is_due).await;
            for _ in 1..TRIES_BEFORE_TOLD {
                if !result.as_ref().is_err_and(SqsError::is_retryable) {
                    break;
                }
                sleep(START_RETRY).await;
                result = self.look_again(is_due).await;
            }
            if is_due {
                attributes_due = Instant::now() + ATTRIBUTES_PERIOD;
            }
            self.tell_of_trouble(result.err().as_ref());
        }
    }

    async fn look_again(&mut self, with_attributes: bool) -> Result<(), SqsError> {
        let looked = self.look().await;
        if with_attributes {
            return looked.and(self.read_attributes_again().await);
        }
        looked
    }

    /// The first look of a manager that takes another's place: goes on until SQS has answered.
    async fn take_over(&mut self) {
        let mut tries = 0;
        let mut pause = START_RETRY;
        loop {
            let Err(failure) = self.look().await else {
                self.tell_of_trouble(None);
                break;
            };
            tries += 1;
            if !failure.is_retryable() || tries >= TRIES_BEFORE_TOLD {
                self.tell_of_trouble(Some(&failure));
            }
            if !failure.is_retryable() && !failure.is_about_credentials() {
                // Of one queue: the others were found.
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_PERIOD);
        }
        if let Err(missing) = self.tell_what_was_found() {
            self.log.warning(|| missing);
        }
    }

    /// The first look. An error is why the worker can't start.
    async fn start(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        let mut last_failure = None;
        let mut expired = 0;
        loop {
            match timeout_at(deadline, self.look()).await {
                Ok(Ok(())) => break,
                // They are asked for again with the next request.
                Ok(Err(failure)) if failure.is_about_expiry() && expired < EXPIRED_MAX => {
                    expired += 1;
                    last_failure = Some(failure);
                }
                Ok(Err(failure)) if !failure.is_retryable() => {
                    if failure.is_about_credentials() || self.known.is_empty() {
                        return Err(failure.to_string());
                    }
                    self.tell_of_trouble(Some(&failure));
                    break;
                }
                Ok(Err(failure)) => last_failure = Some(failure),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                self.give_up_unless_found(last_failure.as_ref())?;
                break;
            }
            sleep_until(deadline.min(Instant::now() + START_RETRY)).await;
        }
        self.tell_what_was_found()
    }

    /// The time is up. Where some queue was found, SQS is there, and the rest can wait.
    fn give_up_unless_found(&mut self, failure: Option<&SqsError>) -> Result<(), String> {
        if !self.known.is_empty() {
            self.tell_of_trouble(failure);
            return Ok(());
        }
        let within = START_MAX.as_secs();
        Err(match failure {
            Some(failure) => format!("no answer from SQS within {within} s: {failure}"),
            None => format!(
                "no answer from SQS within {within} s; check the endpoint URL, the region and the \
                 network"
            ),
        })
    }

    /// Looks for everything once. Goes on where one queue is refused, not where SQS can't be asked.
    async fn look(&mut self) -> Result<(), SqsError> {
        let mut refused = None;
        for index in 0..self.wanted.len() {
            match self.look_for(index).await {
                Ok(()) => {}
                Err(error) if error.is_retryable() || error.is_about_credentials() => {
                    return Err(error);
                }
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    async fn look_for(&mut self, index: usize) -> Result<(), SqsError> {
        let wanted = &self.wanted[index];
        let urls = if !wanted.pattern.is_literal() {
            let prefix = wanted.pattern.prefix();
            let prefix = (!prefix.is_empty()).then_some(prefix.as_str());
            let mut urls = self.sqs.list_queues(prefix).await?;
            urls.retain(|url| wanted.pattern.matches(url.name()));
            urls
        } else if wanted.is_found {
            return Ok(());
        } else {
            match names::resolve(&*self.sqs, &wanted.argument.name).await {
                Ok(url) => vec![url],
                Err(SqsError::QueueMissing(_)) => Vec::new(),
                Err(error) => return Err(error),
            }
        };
        for url in urls {
            self.take_in(index, url).await?;
        }
        Ok(())
    }

    async fn take_in(&mut self, index: usize, url: QueueUrl) -> Result<(), SqsError> {
        if self.known.contains(&url) {
            self.wanted[index].is_found = true;
            return Ok(());
        }
        let attributes = match self.sqs.queue_attributes(&url).await {
            Ok(attributes) => attributes,
            Err(SqsError::QueueMissing(_)) => return Ok(()),
            Err(error @ SqsError::Denied(_)) => {
                self.log
                    .warning(|| format!("{error}; going on with SQS's defaults for {url}"));
                QueueAttributes {
                    is_fifo: url.is_fifo(),
                    ..QueueAttributes::default()
                }
            }
            Err(error) => return Err(error),
        };
        let wanted = &mut self.wanted[index];
        wanted.is_found = true;
        let share = Share {
            weight: wanted.argument.weight,
            tasks_max: wanted.argument.tasks_max,
            rate: wanted.argument.rate.map(|rate| RateLimit {
                tasks: rate.tasks,
                per: rate.per,
            }),
            priority: wanted.priority,
        };
        self.known.insert(url.clone());
        self.tell_of_queue(index, &url, &attributes);
        self.tell(Inbound::QueueFound {
            url,
            attributes: Box::new(attributes),
            share,
        });
        Ok(())
    }

    async fn read_attributes_again(&mut self) -> Result<(), SqsError> {
        for url in &self.known {
            match self.sqs.queue_attributes(url).await {
                Ok(attributes) => self.tell(Inbound::QueueRead {
                    url: url.clone(),
                    attributes: Box::new(attributes),
                }),
                // Its receives tell of it.
                Err(SqsError::QueueMissing(_) | SqsError::Denied(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn tell(&self, news: Inbound) {
        // The driver is gone only at the very end.
        let _ = self.inbound.send(news);
    }

    fn tell_what_is_wanted(&self) {
        self.log
            .info(|| format!("Starting PyQS version {}", env!("CARGO_PKG_VERSION")));
        self.log.info(|| "Loading Queues:".to_owned());
        for wanted in &self.wanted {
            self.log
                .info(|| format!("[Queue]\t{}", wanted.argument.name));
        }
    }

    fn tell_what_was_found(&self) -> Result<(), String> {
        self.log.info(|| {
            let urls: Vec<_> = self.known.iter().map(|url| format!("'{url}'")).collect();
            format!("Found matching SQS Queues: [{}]", urls.join(", "))
        });
        for wanted in self.wanted.iter().filter(|wanted| !wanted.is_found) {
            let name = &wanted.argument.name;
            let missing = if wanted.pattern.is_literal() {
                format!("there is no queue \"{name}\"")
            } else {
                format!("no queue matches \"{name}\"")
            };
            if self.are_required {
                return Err(format!(
                    "{missing}; create it, check the region, or start without --require-queues to \
                     wait for it"
                ));
            }
            let period = LOOK_PERIOD.as_secs();
            self.log
                .warning(|| format!("{missing} yet; looking again every {period} s"));
        }
        Ok(())
    }

    fn tell_of_queue(&self, index: usize, url: &QueueUrl, attributes: &QueueAttributes) {
        let wanted = &self.wanted[index];
        if self.is_started {
            self.log.info(|| format!("Found new queue\t{url}"));
        }
        if wanted.pattern.is_literal() && url.name() != wanted.argument.name {
            let (given, used) = (&wanted.argument.name, url.name());
            self.log.info(|| {
                format!("Queue \"{given}\" is \"{used}\" on SQS, which accepts no dots in names")
            });
        }
        let pid = std::process::id();
        self.log
            .info(|| format!("Running ReadWorker: {url}, pid: {pid}"));
        let name = url.name();
        if self.command_names.iter().any(|command| command == name) {
            self.log.warning(|| {
                format!(
                    "Queue \"{name}\" has the name of a command: `pyqs {name}` is that command; \
                     `pyqs worker {name}` works on the queue"
                )
            });
        }
        if let Some(max) = attributes.receives_max
            && attributes.is_fifo
            && max < FIFO_RECEIVES_MIN
        {
            self.log.warning(|| {
                format!(
                    "Queue {name} has a maxReceiveCount of {max}: messages behind one that fails in its \
                     message group spend receives with it, and may go to the dead-letter queue unrun; \
                     raise it to {FIFO_RECEIVES_MIN} or more"
                )
            });
        }
        if attributes.receives_max.is_none() {
            self.log.info(|| advise_redrive(url, attributes));
        }
    }

    /// Told when it begins, when it becomes another trouble, and when it is over.
    fn tell_of_trouble(&mut self, trouble: Option<&SqsError>) {
        let kind = trouble.map(std::mem::discriminant);
        if kind == self.trouble {
            return;
        }
        self.trouble = kind;
        self.log.warning(|| match trouble {
            Some(error) => {
                format!("looking for queues fails, trying again until it works: {error}")
            }
            None => "looking for queues works again".to_owned(),
        });
    }
}

fn advise_redrive(url: &QueueUrl, attributes: &QueueAttributes) -> String {
    let dead_letters = match &attributes.arn {
        Some(arn) => match arn.strip_suffix(".fifo") {
            Some(stem) => format!("{stem}-dead.fifo"),
            None => format!("{arn}-dead"),
        },
        None => "ARN-OF-THE-DEAD-LETTER-QUEUE".to_owned(),
    };
    let name = url.name();
    format!(
        "Queue {name} has no redrive policy: a message that always fails comes back until it \
         expires. To set such messages aside: aws sqs set-queue-attributes --queue-url {url} \
         --attributes '{{\"RedrivePolicy\": \"{{\\\"deadLetterTargetArn\\\": \
         \\\"{dead_letters}\\\", \\\"maxReceiveCount\\\": \\\"10\\\"}}\"}}'"
    )
}

#[cfg(test)]
mod tests;
