//! From fields to a [`Head`]: each field's type checked.

use super::fields::{Field, Fields};
use super::properties::{Properties, optional_text};
use crate::body::shortened;
use crate::calendar::DateTime;
use crate::head::{CeleryHead, Format, Head, Moment, TimeLimit, task_name};
use crate::undecodable::Flaw;
use crate::value::Value;

/// Content type and compression are the payload's to say, and left empty.
pub(super) fn heading(
    mut fields: Fields,
    properties: Properties,
    format: Format,
) -> Result<Head, Flaw> {
    let mut text = |field| fields.take(field).and_then(optional_text);
    let celery = CeleryHead {
        root_id: text(Field::RootId),
        parent_id: text(Field::ParentId),
        group: None,
        shadow: text(Field::Shadow),
        origin: text(Field::Origin),
        ignores_result: fields.take(Field::IgnoreResult) == Some(Value::Bool(true)),
        is_utc: format != Format::Celery1 || fields.take(Field::Utc) != Some(Value::Bool(false)),
        reply_to: properties.reply_to,
        correlation_id: properties.correlation_id,
        exchange: properties.exchange,
        routing_key: properties.routing_key,
        priority: properties.priority,
        content_type: String::new(),
        compression: None,
    };
    let group = match (fields.take(Field::TaskSet), format) {
        // The older name wins where it is there at all.
        (Some(group), Format::Celery1) => optional_text(group),
        _ => fields.take(Field::Group).and_then(optional_text),
    };
    let retries = fields.take(Field::Retries);
    Ok(Head {
        format,
        task: task_name(required_text("task", fields.take(Field::Task))?)?,
        id: Some(required_text("id", fields.take(Field::Id))?),
        retries: retries.as_ref().map_or(Ok(0), whole_number)?,
        eta: moment("eta", fields.take(Field::Eta))?,
        expires: moment("expires", fields.take(Field::Expires))?,
        time_limit: time_limit(fields.take(Field::TimeLimit))?,
        celery: Some(Box::new(CeleryHead { group, ..celery })),
    })
}

fn required_text(name: &str, value: Option<Value>) -> Result<String, Flaw> {
    match value {
        None | Some(Value::Null) => Err(Flaw::malformed(format!("no {name}"))),
        Some(value) => {
            let reason = format!("{name} is of type {}, not text", value.type_name());
            optional_text(value).ok_or_else(|| Flaw::malformed(reason))
        }
    }
}

fn whole_number(retries: &Value) -> Result<u32, Flaw> {
    match retries {
        Value::Null => Some(0),
        Value::Int(int) => u32::try_from(*int).ok(),
        _ => None,
    }
    .ok_or_else(|| Flaw::malformed("retries is no whole number"))
}

fn moment(name: &str, value: Option<Value>) -> Result<Option<Moment>, Flaw> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Str(text)) => match DateTime::parse(&text) {
            Some(at) => Ok(Some(Moment { text, at })),
            None => Err(Flaw::malformed(format!(
                "{name} is no time: {}",
                shortened(&text)
            ))),
        },
        Some(Value::DateTime(at)) => Ok(Some(Moment {
            text: at.to_string(),
            at,
        })),
        Some(other) => Err(Flaw::malformed(format!(
            "{name} is of type {}, not time",
            other.type_name()
        ))),
    }
}

/// `[hard, soft]`, each null or seconds.
fn time_limit(value: Option<Value>) -> Result<TimeLimit, Flaw> {
    let limits = match value {
        None | Some(Value::Null) => return Ok(TimeLimit::default()),
        Some(Value::List(limits) | Value::Tuple(limits)) => limits,
        Some(_) => Vec::new(),
    };
    match limits.as_slice() {
        [hard, soft] => Some((seconds(hard), seconds(soft))),
        _ => None,
    }
    .and_then(|(hard, soft)| {
        Some(TimeLimit {
            hard_secs: hard?,
            soft_secs: soft?,
        })
    })
    .ok_or_else(|| Flaw::malformed("timelimit is no pair of seconds"))
}

/// `None` if it is neither null nor a number of seconds.
#[expect(
    clippy::option_option,
    reason = "a limit that is none, and a value that is no limit, are different"
)]
fn seconds(value: &Value) -> Option<Option<f64>> {
    match value {
        Value::Null => Some(None),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a time limit of 2^53 seconds is none"
        )]
        Value::Int(int) if *int >= 0 => Some(Some(*int as f64)),
        Value::Float(float) if *float >= 0.0 && float.is_finite() => Some(Some(*float)),
        _ => None,
    }
}
