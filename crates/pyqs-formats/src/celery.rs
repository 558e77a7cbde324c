//! Celery's messages in kombu's envelope: protocol 2, protocol 1, and the hybrid of both.
//!
//! Protocol 2 has its fields in the headers and the arguments in the payload; protocol 1 has all in the
//! payload; a hybrid has a payload of protocol 1 and headers of protocol 2, which then count first.

mod fields;
mod heading;
mod payload;
mod properties;

pub(crate) use fields::Fields;
pub(crate) use properties::Properties;

use fields::Field;
use heading::heading;
use payload::{Payload, Sealed};

use crate::head::{Format, Head};
use crate::message::{Canvas, Message};
use crate::outline::{Body, Headers, Outline};
use crate::read::Reader;
use crate::undecodable::{Flaw, Layer, Undecodable};
use crate::value::Value;

/// How much of a message is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Arguments, signatures and stamps are passed over.
    Head,
    /// Everything.
    All,
}

/// An envelope, its payload not yet opened.
pub(crate) struct Celery<'a> {
    properties: Properties,
    headers: Fields,
    sealed: Sealed<'a>,
}

impl<'a> Celery<'a> {
    pub(crate) fn open(
        properties: Properties,
        outline: Outline<'a>,
        reader: Reader<'a>,
    ) -> Result<Self, Undecodable> {
        let mut headers = match outline.headers {
            Headers::Map(fields) => *fields,
            Headers::Missing => Fields::default(),
            Headers::Other => {
                return Err(Flaw::malformed("headers is no map").within(Layer::Envelope));
            }
        };
        let content_type = match outline.content_type {
            Some(Value::Str(content_type)) => content_type,
            None | Some(Value::Null) => {
                return Err(
                    Flaw::not_a_task("no content-type: plain text, never a task")
                        .within(Layer::Envelope),
                );
            }
            Some(other) => {
                let reason = format!("content-type is of type {}, not text", other.type_name());
                return Err(Flaw::malformed(reason).within(Layer::Envelope));
            }
        };
        let body = match outline.body {
            Some(Body::Text(text)) => Body::Text(text),
            Some(Body::Bytes(bytes)) => Body::Bytes(bytes),
            _ => return Err(Flaw::malformed("body is no text").within(Layer::Envelope)),
        };
        let compression = headers.take(Field::Compression);
        let sealed = Sealed::new(body, &properties, content_type, compression, reader)?;
        Ok(Self {
            properties,
            headers,
            sealed,
        })
    }

    /// The head alone. With protocol 2 the payload is looked at only to tell a hybrid.
    pub(crate) fn head(mut self) -> Result<Head, Undecodable> {
        if !self.headers.has(Field::Task) {
            let fields = self.protocol1_fields(Part::Head)?;
            return self.head_from(fields, Format::Celery1).map_err(in_task);
        }
        if self.sealed.may_be_map()
            && let Payload::Map(map) = self.sealed.open(Part::Head)?
        {
            self.headers.complete(*map);
        }
        let fields = std::mem::take(&mut self.headers);
        self.head_from(fields, Format::Celery2).map_err(in_task)
    }

    pub(crate) fn message(mut self) -> Result<Message, Undecodable> {
        let headers = self.headers.take_others();
        Ok(Message {
            headers,
            ..self.without_headers()?
        })
    }

    /// All but the sender's own headers.
    fn without_headers(mut self) -> Result<Message, Undecodable> {
        if !self.headers.has(Field::Task) {
            let fields = self.protocol1_fields(Part::All)?;
            return self
                .message_from_map(fields, Format::Celery1)
                .map_err(in_task);
        }
        let mut fields = std::mem::take(&mut self.headers);
        match self.sealed.open(Part::All)? {
            Payload::Map(map) => {
                fields.complete(*map);
                self.message_from_map(fields, Format::Celery2)
                    .map_err(in_task)
            }
            Payload::Sequence(parts) => self.message_from_sequence(fields, parts).map_err(in_task),
            Payload::Other(found) => {
                let reason = format!("of type {found}, where Celery writes a list or a map");
                Err(Flaw::malformed(reason).within(Layer::Payload))
            }
        }
    }

    /// Adds what each layer from the envelope on is, in words, up to the first that can't be opened.
    pub(crate) fn told(&self, opened: &mut Vec<(Layer, String)>) -> Result<(), Undecodable> {
        let envelope = format!("kombu's, of {}", self.sealed.content_type());
        opened.push((Layer::Envelope, envelope));
        let headers = if self.headers.has(Field::Task) {
            "the task's fields are here (protocol 2)"
        } else {
            "no task here (protocol 1, or no task)"
        };
        opened.push((Layer::Headers, headers.to_owned()));
        self.sealed.told(opened)
    }

    pub(crate) fn pickle(&self) -> Result<Option<Vec<u8>>, Undecodable> {
        self.sealed.pickle()
    }

    fn protocol1_fields(&self, part: Part) -> Result<Fields, Undecodable> {
        if let Some(what) = self.properties.what_else() {
            return Err(Flaw::not_a_task(what).within(Layer::Envelope));
        }
        match self.sealed.open(part)? {
            Payload::Map(fields) if fields.has(Field::Task) => Ok(*fields),
            _ => {
                let reason = "a kombu message that is no task: no 'task' in headers or payload";
                Err(Flaw::not_a_task(reason).within(Layer::Payload))
            }
        }
    }

    /// Protocol 1 and hybrid: all is in one set of fields.
    fn message_from_map(self, mut fields: Fields, format: Format) -> Result<Message, Flaw> {
        let args = match (fields.take(Field::Args), format) {
            (Some(args), _) => args,
            (None, Format::Celery1) => Value::List(Vec::new()),
            (None, _) => return Err(Flaw::malformed("the payload is a map without args")),
        };
        let kwargs = fields
            .take(Field::Kwargs)
            .unwrap_or_else(|| Value::Map(Vec::new()));
        // Only protocol 2 has chains.
        let canvas = Canvas {
            chain: Vec::new(),
            ..fields.canvas()?
        };
        let stamps = fields.stamps();
        let message = Message::new(self.head_from(fields, format)?, args, kwargs, canvas)?;
        Ok(Message { stamps, ..message })
    }

    fn message_from_sequence(self, mut fields: Fields, parts: Vec<Value>) -> Result<Message, Flaw> {
        let [args, kwargs, embed] = <[Value; 3]>::try_from(parts).map_err(|parts| {
            Flaw::malformed(format!(
                "a payload of {} parts, three expected",
                parts.len()
            ))
        })?;
        let canvas = match embed {
            Value::Null => Canvas::default(),
            Value::Map(members) => Fields::from_members(members).canvas()?,
            other => {
                let found = other.type_name();
                return Err(Flaw::malformed(format!(
                    "the third part of the payload is of type {found}, not map"
                )));
            }
        };
        let stamps = fields.stamps();
        let message = Message::new(
            self.head_from(fields, Format::Celery2)?,
            args,
            kwargs,
            canvas,
        )?;
        Ok(Message { stamps, ..message })
    }

    fn head_from(self, fields: Fields, format: Format) -> Result<Head, Flaw> {
        let (content_type, compression) = self.sealed.into_names();
        let mut head = heading(fields, self.properties, format)?;
        if let Some(celery) = &mut head.celery {
            celery.content_type = content_type;
            celery.compression = compression;
        }
        Ok(head)
    }
}

fn in_task(flaw: Flaw) -> Undecodable {
    flaw.within(Layer::Task)
}
