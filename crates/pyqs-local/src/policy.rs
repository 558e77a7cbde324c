//! Access policies, as far as `AddPermission` and `RemovePermission` write them. They are stored
//! and returned; this endpoint knows no other accounts that they could admit.

use serde_json::{Map, Value, json};

use crate::actions::Action;
use crate::error::ApiError;

/// Actions of one statement (`AddPermission`).
const ACTIONS_MAX: usize = 7;
/// What only a queue's owner may do (AWS: sqs-customer-managed-policy-examples).
const OWNERS_ONLY: [Action; 13] = [
    Action::AddPermission,
    Action::CancelMessageMoveTask,
    Action::CreateQueue,
    Action::DeleteQueue,
    Action::ListMessageMoveTasks,
    Action::ListQueueTags,
    Action::ListQueues,
    Action::RemovePermission,
    Action::SetQueueAttributes,
    Action::StartMessageMoveTask,
    Action::TagQueue,
    Action::UntagQueue,
    Action::ListDeadLetterSourceQueues,
];

/// A statement to add.
pub(crate) struct Permission<'a> {
    pub(crate) label: &'a str,
    pub(crate) accounts: &'a [String],
    pub(crate) actions: &'a [String],
}

/// `policy` with a statement more; an empty one is made.
pub(crate) fn with(
    policy: &str,
    queue_arn: &str,
    permission: &Permission<'_>,
) -> Result<String, ApiError> {
    let label = permission.label;
    check_label(label)?;
    check_actions(permission.actions)?;
    check_accounts(permission.accounts)?;
    let mut policy = parse(policy, queue_arn);
    let statements = statements(&mut policy);
    if statements.iter().any(|statement| is_of(statement, label)) {
        return Err(refused(label, "Label", "Already exists."));
    }
    let partition = queue_arn.split(':').nth(1).unwrap_or("aws");
    let principals = permission.accounts.iter();
    let principals = principals.map(|account| format!("arn:{partition}:iam::{account}:root"));
    let actions = permission.actions.iter();
    let actions = actions.map(|action| match action.as_str() {
        "*" => "SQS:*".to_owned(),
        action => format!("SQS:{action}"),
    });
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": one_or_many(principals.collect())},
        "Action": one_or_many(actions.collect()),
        "Resource": queue_arn,
    }));
    Ok(policy.to_string())
}

/// `policy` without the statement of that label; empty when that was the last one.
pub(crate) fn without(policy: &str, label: &str) -> Result<String, ApiError> {
    check_label(label)?;
    let mut policy = parse(policy, "");
    let statements = statements(&mut policy);
    let before = statements.len();
    statements.retain(|statement| !is_of(statement, label));
    if statements.len() == before {
        return Err(refused(label, "Label", "can't find label."));
    }
    if statements.is_empty() {
        return Ok(String::new());
    }
    Ok(policy.to_string())
}

/// A policy that can't be read, as `SetQueueAttributes` takes any text, is replaced.
fn parse(policy: &str, queue_arn: &str) -> Value {
    match serde_json::from_str(policy) {
        Ok(Value::Object(policy)) => Value::Object(policy),
        _ => json!({
            "Version": "2008-10-17",
            "Id": format!("{queue_arn}/SQSDefaultPolicy"),
            "Statement": [],
        }),
    }
}

/// The policy's statements; a single one may stand there without a list.
fn statements(policy: &mut Value) -> &mut Vec<Value> {
    if !policy.is_object() {
        *policy = Value::Object(Map::new());
    }
    let slot = &mut policy["Statement"];
    let list = match slot.take() {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    *slot = Value::Array(list);
    slot.as_array_mut().expect("it was made a list just now")
}

fn is_of(statement: &Value, label: &str) -> bool {
    statement.get("Sid").and_then(Value::as_str) == Some(label)
}

/// AWS writes a list of one as the one.
fn one_or_many(mut texts: Vec<String>) -> Value {
    if texts.len() == 1 {
        return Value::String(texts.remove(0));
    }
    json!(texts)
}

/// 1 to 80 of letters, digits, hyphen and underscore (`AddPermission`).
fn check_label(label: &str) -> Result<(), ApiError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=80).contains(&label.len()) && label.bytes().all(is_allowed) {
        return Ok(());
    }
    let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in \
                  length.";
    Err(refused(label, "Label", reason))
}

/// Account numbers have 12 digits. AWS looks them up, too.
fn check_accounts(accounts: &[String]) -> Result<(), ApiError> {
    let is_number =
        |account: &String| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if !accounts.is_empty() && accounts.iter().all(is_number) {
        return Ok(());
    }
    let value = format!("[{}]", accounts.join(", "));
    Err(refused(&value, "PrincipalId", "Unable to verify."))
}

fn check_actions(actions: &[String]) -> Result<(), ApiError> {
    if actions.is_empty() {
        return Err(ApiError::missing("Actions"));
    }
    if actions.len() > ACTIONS_MAX {
        return Err(ApiError::TooManyActions {
            count: actions.len(),
            max: ACTIONS_MAX,
        });
    }
    for name in actions.iter().filter(|name| *name != "*") {
        let value = format!("SQS:{name}");
        let Ok(action) = Action::of_name(name) else {
            let reason = "Please refer to the appropriate WSDL for a list of valid actions.";
            return Err(refused(&value, "ActionName", reason));
        };
        if OWNERS_ONLY.contains(&action) {
            let reason = "Only the queue owner is allowed to invoke this action.";
            return Err(refused(&value, "ActionName", reason));
        }
    }
    Ok(())
}

fn refused(value: &str, parameter: &str, reason: &str) -> ApiError {
    ApiError::invalid(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    ))
}
