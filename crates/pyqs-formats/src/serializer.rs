//! The serializers, by content type.

use crate::body::shortened;
use crate::undecodable::Flaw;

/// What wrote a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serializer {
    Json,
    Pickle,
    Yaml,
    Msgpack,
    /// Celery's signed messages; also plain bytes.
    Data,
}

impl Serializer {
    /// Its name for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Pickle => "pickle",
            Self::Yaml => "YAML",
            Self::Msgpack => "msgpack",
            Self::Data => "signed data",
        }
    }

    /// Content types are compared exactly, as Celery's workers do.
    pub(crate) fn named(content_type: &str) -> Result<Self, Flaw> {
        Ok(match content_type {
            "application/json" => Self::Json,
            "application/x-python-serialize" => Self::Pickle,
            "application/x-yaml" => Self::Yaml,
            "application/x-msgpack" => Self::Msgpack,
            "application/data" => Self::Data,
            "text/plain" => return Err(Flaw::not_a_task("plain text, never a task")),
            other => {
                let name = shortened(other);
                return Err(Flaw::unsupported(format!(
                    "content type {name} is none of Celery's; set task_serializer = \"json\" where it is sent"
                )));
            }
        })
    }
}
