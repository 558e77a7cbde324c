//! `Signature`: a task that is to be sent after another one, as `link`, `link_error` and chains carry it.

use crate::calendar::DateTime;
use crate::head::{TimeLimit, task_name};
use crate::message::Canvas;
use crate::undecodable::{Flaw, Layer, Undecodable};
use crate::value::Value;
use crate::write::CeleryCall;

/// Groups within groups and chains within chains go no deeper: what is read from a message is bounded.
const DEPTH_MAX: u32 = 32;

/// What every call that follows from a message takes over from it.
pub struct Sender<'a> {
    /// What the signature's task gets before its own arguments, unless it is immutable: the result of the task
    /// before it, or for `link_error` the id of the one that failed.
    pub result: Value,
    /// `root_id` of the workflow.
    pub root_id: String,
    /// The id of the task before.
    pub parent_id: String,
    /// Where a call of this task goes if its signature names no queue: Celery's name of the queue.
    pub queue_of: &'a dyn Fn(&str) -> String,
    /// Microseconds since 1970, from which a countdown runs.
    pub now_unix_micros: i64,
    /// Who sends, for logs.
    pub origin: String,
    /// Makes a call's id where the signature has none.
    pub new_id: &'a mut dyn FnMut() -> String,
}

impl Sender<'_> {
    /// The calls that a signature stands for: one, for a group one for each member, for a chain its first with
    /// the others behind it.
    ///
    /// # Errors
    ///
    /// A map that is no signature; a chord, which can't be done without a result store.
    pub fn calls(&mut self, signature: &Value) -> Result<Vec<CeleryCall>, Undecodable> {
        let mut calls = Vec::new();
        self.expand(signature, Canvas::default(), None, DEPTH_MAX, &mut calls)
            .map_err(|flaw| flaw.within(Layer::Task))?;
        Ok(calls)
    }

    /// The call of a chain's next task, with the rest of the chain behind it; none if there is no more.
    ///
    /// # Errors
    ///
    /// As [`calls`](Self::calls).
    pub fn chain(&mut self, mut chain: Vec<Value>) -> Result<Vec<CeleryCall>, Undecodable> {
        let Some(next) = chain.pop() else {
            return Ok(Vec::new());
        };
        let mut calls = Vec::new();
        let canvas = Canvas {
            chain,
            ..Canvas::default()
        };
        self.expand(&next, canvas, None, DEPTH_MAX, &mut calls)
            .map_err(|flaw| flaw.within(Layer::Task))?;
        Ok(calls)
    }

    fn expand(
        &mut self,
        signature: &Value,
        canvas: Canvas,
        group: Option<&str>,
        depth: u32,
        calls: &mut Vec<CeleryCall>,
    ) -> Result<(), Flaw> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| Flaw::over_limit("signatures inside signatures without end"))?;
        let signature = Members::of(signature, "a signature")?;
        let task = task_name(
            signature
                .text("task")?
                .ok_or_else(|| Flaw::malformed("a signature without a task's name"))?,
        )?;
        let kwargs = Members::optional(signature.get("kwargs"), "a signature's kwargs")?;
        let options = Members::optional(signature.get("options"), "a signature's options")?;
        match signature.text("subtask_type")?.as_deref().unwrap_or(&task) {
            "group" | "celery.group" => {
                if !canvas.chain.is_empty() {
                    return Err(chord_refused());
                }
                let id = options.text("group_id")?.or(options.text("task_id")?);
                for member in list(kwargs.get("tasks"))? {
                    self.expand(
                        member,
                        canvas.clone(),
                        id.as_deref().or(group),
                        depth,
                        calls,
                    )?;
                }
                Ok(())
            }
            "chain" | "celery.chain" => {
                let mut links: Vec<Value> = list(kwargs.get("tasks"))?.to_vec();
                links.reverse();
                let first = links
                    .pop()
                    .ok_or_else(|| Flaw::malformed("a chain without tasks"))?;
                let chain = canvas.chain.into_iter().chain(links).collect();
                let canvas = Canvas {
                    chain,
                    ..Canvas::default()
                };
                self.expand(&first, canvas, group, depth, calls)
            }
            "chord" | "celery.chord" => Err(chord_refused()),
            _ => {
                let call = self.call(task, &signature, &kwargs, &options, canvas, group)?;
                calls.push(call);
                Ok(())
            }
        }
    }

    fn call(
        &mut self,
        task: String,
        signature: &Members<'_>,
        kwargs: &Members<'_>,
        options: &Members<'_>,
        canvas: Canvas,
        group: Option<&str>,
    ) -> Result<CeleryCall, Flaw> {
        let own = list(signature.get("args"))?;
        let queue = self.queue(&task, options)?;
        let is_immutable = signature.get("immutable") == Some(&Value::Bool(true));
        let result = (!is_immutable).then(|| self.result.clone());
        Ok(CeleryCall {
            task,
            id: match options.text("task_id")? {
                Some(id) => id,
                None => (self.new_id)(),
            },
            args: result.into_iter().chain(own.iter().cloned()).collect(),
            kwargs: kwargs.named()?,
            queue,
            retries: 0,
            eta: match options.get("countdown") {
                Some(countdown) => Some(self.after(countdown)?),
                None => options.get("eta").map(|eta| self.moment(eta)).transpose()?,
            },
            expires: options
                .get("expires")
                .map(|expires| self.moment(expires))
                .transpose()?,
            time_limit: TimeLimit {
                hard_secs: options.seconds("time_limit")?,
                soft_secs: options.seconds("soft_time_limit")?,
            },
            root_id: Some(self.root_id.clone()),
            parent_id: Some(self.parent_id.clone()),
            group: options.text("group_id")?.or(group.map(str::to_owned)),
            group_index: match options.get("group_index") {
                Some(Value::Int(index)) => Some(*index),
                _ => None,
            },
            reply_to: options.text("reply_to")?,
            message_group: options.text("MessageGroupId")?,
            origin: self.origin.clone(),
            headers: Vec::new(),
            canvas: Canvas {
                callbacks: signatures(options.get("link"))?,
                errbacks: signatures(options.get("link_error"))?,
                // A member of a chord's header takes its body along.
                chord: options.get("chord").cloned(),
                ..canvas
            },
        })
    }

    /// `queue`, which a pickled signature may hold as a map, else `routing_key`.
    fn queue(&self, task: &str, options: &Members<'_>) -> Result<String, Flaw> {
        let named = match options.get("queue") {
            Some(Value::Map(queue)) => Members(queue).text("name")?,
            _ => options.text("queue")?.or(options.text("routing_key")?),
        };
        Ok(named.unwrap_or_else(|| (self.queue_of)(task)))
    }

    /// A moment, or so many seconds from now.
    fn moment(&self, value: &Value) -> Result<DateTime, Flaw> {
        match value {
            Value::DateTime(at) => Ok(*at),
            Value::Str(text) => DateTime::parse(text)
                .ok_or_else(|| Flaw::malformed("an option of a signature is no time")),
            _ => self.after(value),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "as casts saturate, and what is out of the calendar's range is refused"
    )]
    fn after(&self, seconds: &Value) -> Result<DateTime, Flaw> {
        let seconds = number(seconds)
            .ok_or_else(|| Flaw::malformed("a countdown is no number of seconds"))?;
        let at = self.now_unix_micros.saturating_add((seconds * 1e6) as i64);
        DateTime::from_unix_micros(at)
            .ok_or_else(|| Flaw::malformed("a countdown beyond the calendar"))
    }
}

fn chord_refused() -> Flaw {
    Flaw::unsupported(
        "a chord's body needs the results of other tasks, which are not kept here; \
         leave this queue to a Celery worker",
    )
}

/// A map with names as keys, which may be missing.
struct Members<'a>(&'a [(Value, Value)]);

impl<'a> Members<'a> {
    fn of(value: &'a Value, what: &str) -> Result<Self, Flaw> {
        match value {
            Value::Map(members) => Ok(Self(members)),
            other => Err(Flaw::malformed(format!(
                "{what} is of type {}, not map",
                other.type_name()
            ))),
        }
    }

    fn optional(value: Option<&'a Value>, what: &str) -> Result<Self, Flaw> {
        value.map_or(Ok(Self(&[])), |value| Self::of(value, what))
    }

    /// The member of a name, unless it is `None`.
    fn get(&self, name: &str) -> Option<&'a Value> {
        let is_named = |(key, _): &&(Value, Value)| matches!(key, Value::Str(key) if key == name);
        let (_, value) = self.0.iter().find(is_named)?;
        (*value != Value::Null).then_some(value)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Flaw> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Flaw::malformed(format!(
                "{name} of a signature is of type {}, not text",
                other.type_name()
            ))),
        }
    }

    fn seconds(&self, name: &str) -> Result<Option<f64>, Flaw> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match number(value) {
            Some(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(Some(seconds)),
            _ => Err(Flaw::malformed(format!(
                "{name} of a signature is no number of seconds"
            ))),
        }
    }

    fn named(&self) -> Result<Vec<(String, Value)>, Flaw> {
        let pairs = self.0.iter().map(|(name, value)| match name {
            Value::Str(name) => Ok((name.clone(), value.clone())),
            other => Err(Flaw::malformed(format!(
                "a keyword of type {}",
                other.type_name()
            ))),
        });
        pairs.collect()
    }
}

fn list(value: Option<&Value>) -> Result<&[Value], Flaw> {
    match value {
        None => Ok(&[]),
        Some(Value::List(list) | Value::Tuple(list)) => Ok(list),
        Some(other) => Err(Flaw::malformed(format!(
            "a signature has a value of type {}, not list",
            other.type_name()
        ))),
    }
}

/// One signature or a list of them.
fn signatures(value: Option<&Value>) -> Result<Vec<Value>, Flaw> {
    match value {
        Some(one @ Value::Map(_)) => Ok(vec![one.clone()]),
        other => list(other).map(<[Value]>::to_vec),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a span of 2^53 seconds is beyond the calendar"
        )]
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}
