//! PyQS's own form: `{"task": "path.to.function", "args": [...], "kwargs": {...}}`.

use crate::head::{Format, Head, TimeLimit, task_name};
use crate::json::{Dialect, Scanner};
use crate::message::{Canvas, Message};
use crate::outline::Outline;
use crate::undecodable::{Flaw, Layer, Undecodable};
use crate::value::Value;

/// The parts of a native message, whose arguments are known to be a list and a map.
pub(crate) struct Native<'a> {
    head: Head,
    args: &'a str,
    kwargs: &'a str,
}

impl<'a> Native<'a> {
    pub(crate) fn read(outline: Outline<'a>) -> Result<Self, Undecodable> {
        let (Some(task), Some(args), Some(kwargs)) = (outline.task, outline.args, outline.kwargs)
        else {
            return Err(Flaw::not_a_task(
                "neither a PyQS message (task, args, kwargs) nor a Celery message (properties)",
            )
            .within(Layer::Envelope));
        };
        if !args.starts_with('[') {
            return Err(Flaw::malformed("args is no list").within(Layer::Task));
        }
        if !kwargs.starts_with('{') {
            return Err(Flaw::malformed("kwargs is no map").within(Layer::Task));
        }
        let head = Head {
            format: Format::Native,
            task: task_name(task.into_owned()).map_err(in_task)?,
            id: None,
            retries: 0,
            eta: None,
            expires: None,
            time_limit: TimeLimit::default(),
            celery: None,
        };
        Ok(Self { head, args, kwargs })
    }

    pub(crate) fn into_head(self) -> Head {
        self.head
    }

    pub(crate) fn into_message(self, is_stored: bool) -> Result<Message, Undecodable> {
        let args = whole_value(self.args, is_stored)?;
        let kwargs = whole_value(self.kwargs, is_stored)?;
        Message::new(self.head, args, kwargs, Canvas::default()).map_err(in_task)
    }
}

/// A value in text that is known to be one value of the outer object.
fn whole_value(text: &str, is_stored: bool) -> Result<Value, Undecodable> {
    let mut scanner = Scanner::new(text, Dialect::Python).of_stored(is_stored);
    let value = scanner.value().map_err(in_task)?;
    scanner.end().map_err(in_task)?;
    Ok(value)
}

fn in_task(flaw: Flaw) -> Undecodable {
    flaw.within(Layer::Task)
}
