//! `Outline`: the outer JSON object, gone over once, its parts not yet read.

use std::borrow::Cow;

use crate::celery::{Fields, Part, Properties};
use crate::json::{Dialect, Scanner};
use crate::undecodable::{Flaw, Layer, Undecodable};
use crate::value::Value;

/// The members of the outer object that one of the formats knows.
///
/// All formats are told apart only at the end, since keys come in any order; and of equal keys the last counts.
#[derive(Default)]
pub(crate) struct Outline<'a> {
    /// `properties`, if it is an object: then this is kombu's envelope.
    pub(crate) properties: Option<Properties>,
    /// kombu: what the serializer wrote.
    pub(crate) body: Option<Body<'a>>,
    /// kombu: the serializer's name.
    pub(crate) content_type: Option<Value>,
    /// kombu: `headers`.
    pub(crate) headers: Headers,
    /// PyQS: the task's name.
    pub(crate) task: Option<Cow<'a, str>>,
    /// PyQS: the text of the positional arguments.
    pub(crate) args: Option<&'a str>,
    /// PyQS: the text of the keyword arguments.
    pub(crate) kwargs: Option<&'a str>,
}

/// The envelope's `body`.
pub(crate) enum Body<'a> {
    Text(Cow<'a, str>),
    /// A typed value of bytes.
    Bytes(Vec<u8>),
    /// Something else, which is none.
    Other,
}

/// The envelope's `headers`.
#[derive(Default)]
pub(crate) enum Headers {
    /// Missing or null, as protocol 1 may have them.
    #[default]
    Missing,
    Map(Box<Fields>),
    /// Something else, which is none.
    Other,
}

impl<'a> Outline<'a> {
    /// Goes over the object; `part` says whether stamps are wanted.
    pub(crate) fn read(text: &'a str, part: Part) -> Result<Self, Undecodable> {
        let in_envelope = |flaw: Flaw| flaw.within(Layer::Envelope);
        let mut scanner = Scanner::new(text, Dialect::Kombu);
        if scanner.peek().map_err(in_envelope)? != b'{' {
            return Err(
                Flaw::not_a_task("the message is JSON, but no object").within(Layer::Envelope)
            );
        }
        let mut outline = Self::default();
        let mut opened = scanner.open_map().map_err(in_envelope)?;
        while let Some(key) = scanner.next_key(&mut opened).map_err(in_envelope)? {
            outline.read_member(key.as_name(), &mut scanner, part)?;
        }
        scanner.end().map_err(in_envelope)?;
        Ok(outline)
    }

    fn read_member(
        &mut self,
        key: &str,
        scanner: &mut Scanner<'a>,
        part: Part,
    ) -> Result<(), Undecodable> {
        let in_envelope = |flaw: Flaw| flaw.within(Layer::Envelope);
        match key {
            "properties" => {
                self.properties = Properties::read(scanner).map_err(in_envelope)?;
            }
            "headers" => {
                self.headers =
                    Headers::read(scanner, part).map_err(|flaw| flaw.within(Layer::Headers))?;
            }
            "body" => self.body = Some(Body::read(scanner).map_err(in_envelope)?),
            "content-type" => self.content_type = Some(scanner.value().map_err(in_envelope)?),
            "task" => self.task = text_or_skip(scanner).map_err(in_envelope)?,
            "args" => self.args = Some(scanner.skip().map_err(in_envelope)?),
            "kwargs" => self.kwargs = Some(scanner.skip().map_err(in_envelope)?),
            _ => {
                scanner.skip().map_err(in_envelope)?;
            }
        }
        Ok(())
    }
}

impl<'a> Body<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, Flaw> {
        match scanner.peek()? {
            b'"' => Ok(scanner.text()?.whole().map_or(Self::Other, Self::Text)),
            b'{' => match scanner.value()? {
                Value::Bytes(bytes) => Ok(Self::Bytes(bytes)),
                _ => Ok(Self::Other),
            },
            _ => {
                scanner.skip()?;
                Ok(Self::Other)
            }
        }
    }
}

impl Headers {
    fn read(scanner: &mut Scanner<'_>, part: Part) -> Result<Self, Flaw> {
        match scanner.peek()? {
            b'{' => Ok(Self::Map(Box::new(Fields::scan(scanner, part)?))),
            b'n' => {
                scanner.skip()?;
                Ok(Self::Missing)
            }
            _ => {
                scanner.skip()?;
                Ok(Self::Other)
            }
        }
    }
}

fn text_or_skip<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, Flaw> {
    if scanner.peek()? == b'"' {
        return Ok(scanner.text()?.whole());
    }
    scanner.skip()?;
    Ok(None)
}
