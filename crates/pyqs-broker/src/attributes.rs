//! A queue's attributes: defaults, ranges, and what can be set on which queue.

use crate::error::{Error, invalid_parameter};
use crate::limits::{DELAY_SECS_MAX, MESSAGE_BYTES_MAX, VISIBILITY_SECS_MAX, WAIT_SECS_MAX};

/// One attribute with its new value, as `CreateQueue` and `SetQueueAttributes` take them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// Seconds for which new messages stay hidden: 0 to 900.
    DelaySeconds(u32),
    /// The largest message in bytes: 1,024 to 1,048,576.
    MaximumMessageSize(u32),
    /// Seconds after which a message is dropped: 60 to 1,209,600.
    MessageRetentionPeriod(u32),
    /// The wait of receives that name none: 0 to 20.
    ReceiveMessageWaitTimeSeconds(u32),
    /// Seconds for which a received message stays hidden: 0 to 43,200.
    VisibilityTimeout(u32),
    /// Where messages go that were received too often; `None` takes the policy away.
    RedrivePolicy(Option<RedrivePolicy>),
    /// Which queues may name this one as their dead-letter queue; `None` is AWS's default, all.
    RedriveAllowPolicy(Option<RedriveAllow>),
    /// FIFO: send without a deduplication id uses the body's fingerprint.
    ContentBasedDeduplication(bool),
    /// FIFO: where a deduplication id counts.
    DeduplicationScope(DeduplicationScope),
    /// FIFO: stored and returned; this broker throttles nothing.
    FifoThroughputLimit(FifoThroughputLimit),
    /// Whether the queue is FIFO. Can be given only at creation, and only as true.
    FifoQueue(bool),
    /// The access policy's text. Stored and returned; empty takes it away.
    Policy(String),
    /// Stored and returned; empty takes it away.
    KmsMasterKeyId(String),
    /// Stored and returned: 60 to 86,400.
    KmsDataKeyReusePeriodSeconds(u32),
    /// Stored and returned.
    SqsManagedSseEnabled(bool),
}

/// When and where to messages move that nobody manages to handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue's ARN, as the client wrote it.
    pub dead_letter_arn: String,
    /// Receives after which the next one moves the message instead: 1 to 1,000.
    pub receives_max: u32,
}

impl RedrivePolicy {
    /// A policy for the dead-letter queue with this ARN, of which only the name counts.
    pub fn new(dead_letter_arn: impl Into<String>, receives_max: u32) -> Self {
        Self {
            dead_letter_arn: dead_letter_arn.into(),
            receives_max,
        }
    }

    fn check_range(&self) -> Result<(), Error> {
        if (1..=1000).contains(&self.receives_max) {
            return Ok(());
        }
        Err(self.refusal(&format!(
            "Invalid value for maxReceiveCount: {}, valid values are from 1 to 1000 both inclusive.",
            self.receives_max
        )))
    }

    /// The refusal of this policy.
    pub fn refusal(&self, reason: &str) -> Error {
        let policy = format!(
            "{{\"deadLetterTargetArn\":\"{}\",\"maxReceiveCount\":{}}}",
            self.dead_letter_arn, self.receives_max
        );
        invalid_parameter(policy, "RedrivePolicy", reason)
    }

    /// The dead-letter queue's name: the ARN's last part.
    pub fn dead_letter_name(&self) -> &str {
        name_of_arn(&self.dead_letter_arn)
    }
}

/// The last part of an ARN, which is the queue's name.
pub(crate) fn name_of_arn(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// Which queues may name this one as their dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedriveAllow {
    /// All of them.
    AllowAll,
    /// None.
    DenyAll,
    /// Those with these ARNs.
    ByQueue(Vec<String>),
}

impl RedriveAllow {
    fn admits(&self, source: &str) -> bool {
        match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::ByQueue(arns) => arns.iter().any(|arn| name_of_arn(arn) == source),
        }
    }
}

/// Where on a FIFO queue a deduplication id counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeduplicationScope {
    /// In the whole queue.
    #[default]
    Queue,
    /// Within a message group: high throughput.
    MessageGroup,
}

/// What a FIFO queue's throughput quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FifoThroughputLimit {
    /// The queue's requests.
    #[default]
    PerQueue,
    /// Each message group's: high throughput.
    PerMessageGroupId,
}

/// All attributes of a queue that a client can set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is the attribute of that name: see `Attribute`"
)]
pub struct QueueAttributes {
    pub delay_secs: u32,
    pub message_bytes_max: u32,
    pub retention_secs: u32,
    pub wait_secs: u32,
    pub visibility_secs: u32,
    pub redrive: Option<RedrivePolicy>,
    pub redrive_allow: Option<RedriveAllow>,
    pub is_fifo: bool,
    pub deduplicates_by_content: bool,
    pub deduplication_scope: DeduplicationScope,
    pub fifo_throughput_limit: FifoThroughputLimit,
    pub policy: String,
    pub kms_master_key_id: String,
    pub kms_data_key_reuse_secs: u32,
    pub is_sse_managed: bool,
}

impl QueueAttributes {
    /// AWS's defaults.
    pub fn defaults(is_fifo: bool) -> Self {
        Self {
            delay_secs: 0,
            message_bytes_max: MESSAGE_BYTES_MAX,
            retention_secs: 345_600,
            wait_secs: 0,
            visibility_secs: 30,
            redrive: None,
            redrive_allow: None,
            is_fifo,
            deduplicates_by_content: false,
            deduplication_scope: DeduplicationScope::Queue,
            fifo_throughput_limit: FifoThroughputLimit::PerQueue,
            policy: String::new(),
            kms_master_key_id: String::new(),
            kms_data_key_reuse_secs: 300,
            is_sse_managed: true,
        }
    }

    /// Takes in one attribute, or says what is wrong with it.
    pub fn set(&mut self, attribute: &Attribute) -> Result<(), Error> {
        attribute.check_range()?;
        if !self.is_fifo {
            attribute.check_standard()?;
        }
        match attribute.clone() {
            Attribute::DelaySeconds(secs) => self.delay_secs = secs,
            Attribute::MaximumMessageSize(bytes) => self.message_bytes_max = bytes,
            Attribute::MessageRetentionPeriod(secs) => self.retention_secs = secs,
            Attribute::ReceiveMessageWaitTimeSeconds(secs) => self.wait_secs = secs,
            Attribute::VisibilityTimeout(secs) => self.visibility_secs = secs,
            Attribute::RedrivePolicy(policy) => self.redrive = policy,
            Attribute::RedriveAllowPolicy(allow) => self.redrive_allow = allow,
            Attribute::ContentBasedDeduplication(on) => self.deduplicates_by_content = on,
            Attribute::DeduplicationScope(scope) => self.deduplication_scope = scope,
            Attribute::FifoThroughputLimit(limit) => self.fifo_throughput_limit = limit,
            Attribute::Policy(text) => self.policy = text,
            // One kind of encryption at a time: the last to be chosen.
            Attribute::KmsMasterKeyId(id) => {
                self.is_sse_managed = self.is_sse_managed && id.is_empty();
                self.kms_master_key_id = id;
            }
            Attribute::KmsDataKeyReusePeriodSeconds(secs) => self.kms_data_key_reuse_secs = secs,
            Attribute::SqsManagedSseEnabled(on) => {
                self.is_sse_managed = on;
                if on {
                    self.kms_master_key_id.clear();
                }
            }
            Attribute::FifoQueue(is_fifo) if is_fifo == self.is_fifo => {}
            Attribute::FifoQueue(_) => {
                return Err(attribute.invalid("Modifying queue type is not supported."));
            }
        }
        Ok(())
    }

    /// What is wrong with all attributes together, however they came to be set.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_high_throughput =
            self.fifo_throughput_limit == FifoThroughputLimit::PerMessageGroupId;
        if is_high_throughput && self.deduplication_scope == DeduplicationScope::Queue {
            return Err(Error::InvalidAttributeValue {
                attribute: "FifoThroughputLimit",
                value: "perMessageGroupId".to_owned(),
                // The model's words (`SetQueueAttributes`).
                reason: "The perMessageGroupId value is allowed only when the value for \
                         DeduplicationScope is messageGroup.",
            });
        }
        Ok(())
    }

    /// Whether a queue of this name may have this one as its dead-letter queue.
    pub(crate) fn admits_dead_letters_of(&self, source: &str) -> bool {
        self.redrive_allow
            .as_ref()
            .is_none_or(|allow| allow.admits(source))
    }
}

impl Attribute {
    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DelaySeconds(_) => "DelaySeconds",
            Self::MaximumMessageSize(_) => "MaximumMessageSize",
            Self::MessageRetentionPeriod(_) => "MessageRetentionPeriod",
            Self::ReceiveMessageWaitTimeSeconds(_) => "ReceiveMessageWaitTimeSeconds",
            Self::VisibilityTimeout(_) => "VisibilityTimeout",
            Self::RedrivePolicy(_) => "RedrivePolicy",
            Self::RedriveAllowPolicy(_) => "RedriveAllowPolicy",
            Self::ContentBasedDeduplication(_) => "ContentBasedDeduplication",
            Self::DeduplicationScope(_) => "DeduplicationScope",
            Self::FifoThroughputLimit(_) => "FifoThroughputLimit",
            Self::FifoQueue(_) => "FifoQueue",
            Self::Policy(_) => "Policy",
            Self::KmsMasterKeyId(_) => "KmsMasterKeyId",
            Self::KmsDataKeyReusePeriodSeconds(_) => "KmsDataKeyReusePeriodSeconds",
            Self::SqsManagedSseEnabled(_) => "SqsManagedSseEnabled",
        }
    }

    /// The model's ranges (`CreateQueue`, `SetQueueAttributes`).
    fn check_range(&self) -> Result<(), Error> {
        let (value, range) = match self {
            Self::DelaySeconds(secs) => (*secs, 0..=DELAY_SECS_MAX),
            Self::MaximumMessageSize(bytes) => (*bytes, 1024..=MESSAGE_BYTES_MAX),
            Self::MessageRetentionPeriod(secs) => (*secs, 60..=1_209_600),
            Self::ReceiveMessageWaitTimeSeconds(secs) => (*secs, 0..=WAIT_SECS_MAX),
            Self::VisibilityTimeout(secs) => (*secs, 0..=VISIBILITY_SECS_MAX),
            Self::KmsDataKeyReusePeriodSeconds(secs) => (*secs, 60..=86_400),
            Self::RedrivePolicy(Some(policy)) => return policy.check_range(),
            _ => return Ok(()),
        };
        if range.contains(&value) {
            return Ok(());
        }
        Err(Error::InvalidAttributeValue {
            attribute: self.name(),
            value: value.to_string(),
            reason: "",
        })
    }

    /// On a standard queue AWS knows no FIFO attribute.
    fn check_standard(&self) -> Result<(), Error> {
        match self {
            Self::ContentBasedDeduplication(_)
            | Self::DeduplicationScope(_)
            | Self::FifoThroughputLimit(_)
            | Self::FifoQueue(_) => Err(Error::InvalidAttributeName {
                attribute: self.name().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The refusal of this attribute's value.
    pub(crate) fn invalid(&self, reason: &'static str) -> Error {
        Error::InvalidAttributeValue {
            attribute: self.name(),
            value: format!("{self:?}"),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_range(make: impl Fn(u32) -> Attribute, low: u32, high: u32) {
        let mut attributes = QueueAttributes::defaults(false);
        assert_eq!(attributes.set(&make(low)), Ok(()));
        assert_eq!(attributes.set(&make(high)), Ok(()));
        assert!(attributes.set(&make(high + 1)).is_err());
        if let Some(below) = low.checked_sub(1) {
            assert!(attributes.set(&make(below)).is_err());
        }
    }

    #[test]
    fn ranges_at_the_limit_and_one_beyond() {
        check_range(Attribute::DelaySeconds, 0, 900);
        check_range(Attribute::MaximumMessageSize, 1024, 1_048_576);
        check_range(Attribute::MessageRetentionPeriod, 60, 1_209_600);
        check_range(Attribute::ReceiveMessageWaitTimeSeconds, 0, 20);
        check_range(Attribute::VisibilityTimeout, 0, 43_200);
        check_range(Attribute::KmsDataKeyReusePeriodSeconds, 60, 86_400);
        let redrive = |max| Attribute::RedrivePolicy(Some(RedrivePolicy::new("dead", max)));
        check_range(redrive, 1, 1000);
    }

    #[test]
    fn fifo_attributes_are_unknown_on_standard_queues() {
        let mut standard = QueueAttributes::defaults(false);
        let refusal = standard.set(&Attribute::ContentBasedDeduplication(true));
        assert_eq!(refusal.unwrap_err().code(), "InvalidAttributeName");
        let mut fifo = QueueAttributes::defaults(true);
        assert_eq!(
            fifo.set(&Attribute::ContentBasedDeduplication(true)),
            Ok(())
        );
        assert_eq!(fifo.set(&Attribute::FifoQueue(true)), Ok(()));
        assert!(fifo.set(&Attribute::FifoQueue(false)).is_err());
    }
}
