//! The payload: out of its encoding, its compression and its serializer.

use std::borrow::Cow;

use super::Part;
use super::fields::Fields;
use super::properties::{BodyEncoding, Properties};
use crate::body::{decode_base64, shortened};
use crate::compress::Codec;
use crate::json::{Dialect, Scanner};
use crate::msgpack;
use crate::outline::Body;
use crate::pickle::{self, Objects};
use crate::read::Reader;
use crate::serializer::Serializer;
use crate::signed::{self, Signed};
use crate::undecodable::{Flaw, Layer, Undecodable};
use crate::value::Value;
use crate::yaml;

/// A payload that is not yet opened.
pub(super) struct Sealed<'a> {
    content: Content<'a>,
    reader: Reader<'a>,
    serializer: Serializer,
    codec: Option<Codec>,
    content_type: String,
    compression: Option<String>,
}

/// What the serializer wrote, as the envelope carries it.
enum Content<'a> {
    Base64(Cow<'a, str>),
    Plain(Cow<'a, str>),
    Bytes(Vec<u8>),
}

/// What a payload says, as far as tasks go.
pub(super) enum Payload {
    /// Protocol 2's three parts, if it is a task.
    Sequence(Vec<Value>),
    /// Protocol 1's fields, if it is a task.
    Map(Box<Fields>),
    /// Neither; the type's name.
    Other(&'static str),
}

impl<'a> Sealed<'a> {
    pub(super) fn new(
        body: Body<'a>,
        properties: &Properties,
        content_type: String,
        compression: Option<Value>,
        reader: Reader<'a>,
    ) -> Result<Self, Undecodable> {
        let content = match (body, &properties.body_encoding) {
            (_, BodyEncoding::Other(found)) => {
                let reason =
                    format!("body_encoding is {found}, where kombu writes \"base64\" or null");
                return Err(Flaw::malformed(reason).within(Layer::Envelope));
            }
            (Body::Text(text), BodyEncoding::Base64) => Content::Base64(text),
            (Body::Text(text), BodyEncoding::Plain) => Content::Plain(text),
            (Body::Bytes(bytes), BodyEncoding::Plain) => Content::Bytes(bytes),
            _ => return Err(Flaw::malformed("body is no text").within(Layer::Envelope)),
        };
        let compression = match compression {
            None | Some(Value::Null) => None,
            Some(Value::Str(name)) => Some(name),
            Some(other) => {
                let reason = format!("its name is of type {}, not text", other.type_name());
                return Err(Flaw::malformed(reason).within(Layer::Compression));
            }
        };
        if let Some(accepted) = reader.accepted
            && !accepted.contains(&content_type)
        {
            let reason = format!(
                "content type {} is none of those accepted: {}",
                shortened(&content_type),
                accepted.join(", ")
            );
            return Err(Flaw::refused(reason).within(Layer::Payload));
        }
        let serializer =
            Serializer::named(&content_type).map_err(|flaw| flaw.within(Layer::Payload))?;
        let codec = compression.as_deref().map(Codec::named).transpose();
        let codec = codec.map_err(|flaw| flaw.within(Layer::Compression))?;
        Ok(Self {
            content,
            reader,
            serializer,
            codec,
            content_type,
            compression,
        })
    }

    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Content type and compression, as the message names them.
    pub(super) fn into_names(self) -> (String, Option<String>) {
        (self.content_type, self.compression)
    }

    /// False if a look at the first bytes shows that the payload is no map.
    pub(super) fn may_be_map(&self) -> bool {
        /// Enough for any white space that a writer puts first, and whole groups of base64.
        const LOOK: usize = 64;
        let first = |bytes: &[u8]| bytes.trim_ascii_start().first().copied();
        if self.serializer != Serializer::Json || self.codec.is_some() {
            return true;
        }
        match &self.content {
            Content::Base64(text) => {
                let start = text.as_bytes().get(..LOOK).unwrap_or(text.as_bytes());
                decode_base64(start).is_none_or(|bytes| first(&bytes) != Some(b'['))
            }
            Content::Plain(text) => first(text.as_bytes()) != Some(b'['),
            Content::Bytes(_) => true,
        }
    }

    pub(super) fn open(&self, part: Part) -> Result<Payload, Undecodable> {
        let objects = match part {
            Part::Head if self.reader.has_opaque_pickles => Objects::Opaque,
            _ => Objects::Refused,
        };
        let is_stored = self.reader.is_stored;
        self.unseal(|serializer, bytes| match serializer {
            Serializer::Json => read_json(bytes, part, is_stored),
            Serializer::Msgpack => msgpack::read(bytes).map(Payload::from),
            Serializer::Pickle => pickle::read(bytes, objects).map(Payload::from),
            Serializer::Yaml => read_text(bytes).and_then(yaml::read).map(Payload::from),
            Serializer::Data => Err(Flaw::malformed("a signed payload inside a signed payload")),
        })
    }

    /// The bytes, if they are a pickle.
    pub(super) fn pickle(&self) -> Result<Option<Vec<u8>>, Undecodable> {
        self.unseal(|serializer, bytes| {
            Ok((serializer == Serializer::Pickle).then(|| bytes.to_vec()))
        })
    }

    /// Adds what each layer of it is, in words, up to the first that can't be opened.
    pub(super) fn told(&self, opened: &mut Vec<(Layer, String)>) -> Result<(), Undecodable> {
        let packed = self.content.bytes();
        let packed = packed.map_err(|flaw| flaw.within(Layer::Payload))?.len();
        let told = self.unseal(|serializer, bytes| Ok((serializer, bytes.len())));
        if let (Some(name), Err(Undecodable { layer, .. })) = (&self.compression, &told)
            && *layer > Layer::Compression
        {
            opened.push((Layer::Compression, format!("{name}, {packed} bytes")));
        }
        let (serializer, length) = told?;
        if let Some(name) = &self.compression {
            opened.push((
                Layer::Compression,
                format!("{name}, {packed} bytes that expand to {length}"),
            ));
        }
        if self.serializer == Serializer::Data {
            let words = "the signature is that of a certificate in the store";
            opened.push((Layer::Signature, words.to_owned()));
        }
        opened.push((
            Layer::Payload,
            format!("{}, {length} bytes", serializer.word()),
        ));
        Ok(())
    }

    /// Gives what the serializer wrote to who reads it.
    fn unseal<T>(
        &self,
        read: impl Fn(Serializer, &[u8]) -> Result<T, Flaw>,
    ) -> Result<T, Undecodable> {
        let in_payload = |flaw: Flaw| flaw.within(Layer::Payload);
        let bytes = self.content.bytes().map_err(in_payload)?;
        let bytes = match self.codec {
            Some(codec) => Cow::Owned(
                codec
                    .expand(&bytes)
                    .map_err(|flaw| flaw.within(Layer::Compression))?,
            ),
            None => bytes,
        };
        if self.serializer != Serializer::Data {
            return read(self.serializer, &bytes).map_err(in_payload);
        }
        let in_signature = |flaw: Flaw| flaw.within(Layer::Signature);
        let fields = signed::unwrap(&bytes).map_err(in_signature)?;
        let signed = signed::split(&fields).map_err(in_signature)?;
        self.reader.verify(&signed).map_err(in_signature)?;
        let serializer = Serializer::named(signed.content_type).map_err(in_signature)?;
        read(serializer, signed.payload).map_err(in_payload)
    }
}

impl Reader<'_> {
    fn verify(&self, signed: &Signed<'_>) -> Result<(), Flaw> {
        let who = shortened(&signed.signer);
        match self
            .certificates
            .map(|certificates| certificates.verify(signed))
        {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(Flaw::refused(format!("signed by {who}: {reason}"))),
            None => Err(Flaw::refused(format!(
                "signed by {who}, and read only with a certificate store to check that, of which none is given"
            ))),
        }
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        match value {
            Value::List(parts) | Value::Tuple(parts) => Self::Sequence(parts),
            Value::Map(members) => Self::Map(Box::new(Fields::from_members(members))),
            other => Self::Other(other.type_name()),
        }
    }
}

impl Content<'_> {
    fn bytes(&self) -> Result<Cow<'_, [u8]>, Flaw> {
        match self {
            Self::Base64(text) => {
                let bytes = decode_base64(text.as_bytes());
                Ok(Cow::Owned(bytes.ok_or(Flaw::malformed("not base64"))?))
            }
            Self::Plain(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }
}

fn read_text(bytes: &[u8]) -> Result<&str, Flaw> {
    str::from_utf8(bytes)
        .map_err(|error| Flaw::malformed(format!("not UTF-8 from byte {}", error.valid_up_to())))
}

fn read_json(bytes: &[u8], part: Part, is_stored: bool) -> Result<Payload, Flaw> {
    let text = read_text(bytes)?;
    let mut scanner = Scanner::new(text, Dialect::Kombu).of_stored(is_stored);
    let payload = match scanner.peek()? {
        b'{' => Payload::Map(Box::new(Fields::scan(&mut scanner, part)?)),
        b'[' => match scanner.value()? {
            Value::List(parts) => Payload::Sequence(parts),
            other => Payload::Other(other.type_name()),
        },
        _ => Payload::Other(scanner.value()?.type_name()),
    };
    scanner.end()?;
    Ok(payload)
}
