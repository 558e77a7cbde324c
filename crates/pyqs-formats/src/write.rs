//! Calls of tasks as a Celery worker reads them: protocol 2, JSON, in kombu's envelope.

use std::fmt::Write as _;

use crate::calendar::DateTime;
use crate::head::TimeLimit;
use crate::json::write::{write_list, write_members, write_moment, write_text};
use crate::message::Canvas;
use crate::value::Value;

/// A call of a task, to be sent to a Celery worker, or to one of ours.
///
/// Workers of Celery 4.4 and later run what [`to_body`](Self::to_body) writes. Values that JSON lacks
/// (datetime, date, time, Decimal, UUID, bytes) are written as kombu 5.3 and later do; an older worker's task
/// gets a map with `__type__` in place of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CeleryCall {
    /// The task's name.
    pub task: String,
    /// The call's id, unique: Celery uses a UUID as text.
    pub id: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Vec<(String, Value)>,
    /// The queue that it is sent to, by Celery's name of it.
    pub queue: String,
    /// How many times the call was retried before.
    pub retries: u32,
    /// Not to be run before.
    pub eta: Option<DateTime>,
    /// Not to be run after.
    pub expires: Option<DateTime>,
    /// How long it may run.
    pub time_limit: TimeLimit,
    /// The first call of the workflow; `None` is this one.
    pub root_id: Option<String>,
    /// The call that sent this one.
    pub parent_id: Option<String>,
    /// The group that it is a member of.
    pub group: Option<String>,
    /// Its place in that group.
    pub group_index: Option<i64>,
    /// The queue that waits for the result.
    pub reply_to: Option<String>,
    /// The message group, for a FIFO queue: kombu's option `MessageGroupId`. It is not part of the body.
    pub message_group: Option<String>,
    /// Who sends it, for logs.
    pub origin: String,
    /// The sender's own headers; a name of Celery's own among them is passed over by readers.
    pub headers: Vec<(String, Value)>,
    /// What is to be done after it.
    pub canvas: Canvas,
}

/// A value that JSON can't carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {type_name} {place} can't be written as JSON; {advice}")]
pub struct Unwritable {
    type_name: &'static str,
    place: &'static str,
    advice: &'static str,
}

impl Unwritable {
    pub(crate) fn value(value: &Value) -> Self {
        Self {
            type_name: value.type_name(),
            place: "as a value",
            advice: "send numbers, text, lists, maps, dates or bytes",
        }
    }

    pub(crate) fn key(key: &Value) -> Self {
        Self {
            type_name: key.type_name(),
            place: "as a key of a map",
            advice: "use text",
        }
    }
}

impl CeleryCall {
    /// The SQS message body.
    ///
    /// # Errors
    ///
    /// A value in arguments or signatures that JSON has no form for, even with kombu's typed values.
    pub fn to_body(&self) -> Result<String, Unwritable> {
        let payload = base64_simd::STANDARD.encode_to_string(self.payload()?);
        let mut out = String::with_capacity(payload.len() + 1024);
        out.push_str(r#"{"body": ""#);
        out.push_str(&payload);
        out.push_str(
            r#"", "content-encoding": "utf-8", "content-type": "application/json", "headers": "#,
        );
        self.write_headers(&mut out)?;
        out.push_str(r#", "properties": {"correlation_id": "#);
        write_text(&self.id, &mut out);
        out.push_str(r#", "reply_to": "#);
        write_text(self.reply_to.as_deref().unwrap_or_default(), &mut out);
        out.push_str(r#", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "#);
        write_text(&self.queue, &mut out);
        out.push_str(r#"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "#);
        write_text(&self.id, &mut out);
        out.push_str("}}");
        Ok(base64_simd::STANDARD.encode_to_string(out))
    }

    /// `[args, kwargs, embed]`.
    fn payload(&self) -> Result<String, Unwritable> {
        let mut out = String::from("[");
        write_list(&self.args, &mut out)?;
        out.push_str(", ");
        let kwargs = self
            .kwargs
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        write_members(kwargs, &mut out)?;
        out.push_str(r#", {"callbacks": "#);
        write_signatures(&self.canvas.callbacks, &mut out)?;
        out.push_str(r#", "errbacks": "#);
        write_signatures(&self.canvas.errbacks, &mut out)?;
        out.push_str(r#", "chain": "#);
        write_signatures(&self.canvas.chain, &mut out)?;
        out.push_str(r#", "chord": "#);
        match &self.canvas.chord {
            Some(chord) => crate::json::write::write(chord, &mut out)?,
            None => out.push_str("null"),
        }
        out.push_str("}]");
        Ok(out)
    }

    fn write_headers(&self, out: &mut String) -> Result<(), Unwritable> {
        let optional = |name: &str, text: Option<&str>, out: &mut String| {
            out.push_str(", ");
            write_text(name, out);
            out.push_str(": ");
            match text {
                Some(text) => write_text(text, out),
                None => out.push_str("null"),
            }
        };
        out.push('{');
        for (name, value) in &self.headers {
            write_text(name, out);
            out.push_str(": ");
            crate::json::write::write(value, out)?;
            out.push_str(", ");
        }
        out.push_str(r#""lang": "py", "task": "#);
        write_text(&self.task, out);
        optional("id", Some(&self.id), out);
        optional(
            "root_id",
            Some(self.root_id.as_ref().unwrap_or(&self.id)),
            out,
        );
        optional("parent_id", self.parent_id.as_deref(), out);
        optional("group", self.group.as_deref(), out);
        optional("shadow", None, out);
        optional("origin", Some(&self.origin), out);
        out.push_str(r#", "eta": "#);
        write_moment(self.eta.as_ref(), out);
        out.push_str(r#", "expires": "#);
        write_moment(self.expires.as_ref(), out);
        let limits = [self.time_limit.hard_secs, self.time_limit.soft_secs];
        let [hard, soft] =
            limits.map(|limit| limit.map_or("null".to_owned(), |secs| format!("{secs:?}")));
        write!(
            out,
            r#", "retries": {}, "timelimit": [{hard}, {soft}], "ignore_result": false"#,
            self.retries
        )
        .expect("writing to a String does not fail");
        if let Some(index) = self.group_index {
            write!(out, r#", "group_index": {index}"#).expect("writing to a String does not fail");
        }
        out.push('}');
        Ok(())
    }
}

/// `null` where there are none, as Celery has it.
fn write_signatures(signatures: &[Value], out: &mut String) -> Result<(), Unwritable> {
    if signatures.is_empty() {
        out.push_str("null");
        return Ok(());
    }
    write_list(signatures, out)
}
