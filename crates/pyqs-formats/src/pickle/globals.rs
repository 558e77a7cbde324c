//! `Global`: the names that a pickle may mention. Each stands for data; none is ever imported.

use crate::body::shortened;
use crate::undecodable::Flaw;

/// What a known name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    Set,
    FrozenSet,
    Bytes,
    ByteArray,
    Complex,
    Date,
    Time,
    DateTime,
    TimeDelta,
    TimeZone,
    /// `datetime.timezone.utc` and `pytz._UTC`.
    Utc,
    /// `pytz._FixedOffset`, which newer releases write as the function `pytz.FixedOffset`.
    FixedOffset,
    Decimal,
    Uuid,
    /// `OrderedDict` and `dict`.
    Map,
    DefaultDict,
    /// `_codecs.encode`: how protocols 0 to 2 write bytes.
    Encode,
    /// `copyreg._reconstructor`: how protocols 0 and 1 write a UUID.
    Reconstructor,
    /// `celery.canvas.signature`: a map.
    Signature,
    /// Any other, where objects may be opaque.
    Opaque,
    /// A builtin type that only serves as an argument: a factory of `defaultdict`, the base of a UUID.
    Inert,
}

impl Global {
    pub(super) fn named(module: &str, name: &str) -> Result<Self, Flaw> {
        Ok(match (module, name) {
            ("builtins" | "__builtin__", name) => {
                return Self::builtin(name).ok_or_else(|| unknown(module, name));
            }
            ("datetime", "date") => Self::Date,
            ("datetime", "time") => Self::Time,
            ("datetime", "datetime") => Self::DateTime,
            ("datetime", "timedelta") => Self::TimeDelta,
            ("datetime", "timezone") => Self::TimeZone,
            ("datetime", "timezone.utc" | "UTC") | ("pytz", "_UTC" | "UTC") => Self::Utc,
            ("pytz", "_FixedOffset" | "FixedOffset") => Self::FixedOffset,
            ("decimal" | "_decimal" | "_pydecimal" | "cdecimal", "Decimal") => Self::Decimal,
            ("uuid", "UUID") => Self::Uuid,
            ("collections", "OrderedDict") => Self::Map,
            ("collections", "defaultdict") => Self::DefaultDict,
            ("_codecs", "encode") => Self::Encode,
            ("copyreg" | "copy_reg", "_reconstructor") => Self::Reconstructor,
            ("celery.canvas", "signature" | "subtask") => Self::Signature,
            _ => return Err(unknown(module, name)),
        })
    }

    fn builtin(name: &str) -> Option<Self> {
        Some(match name {
            "set" => Self::Set,
            "frozenset" => Self::FrozenSet,
            "bytes" => Self::Bytes,
            "bytearray" => Self::ByteArray,
            "complex" => Self::Complex,
            "dict" => Self::Map,
            "object" | "list" | "tuple" | "int" | "long" | "float" | "bool" | "str" | "unicode" => {
                Self::Inert
            }
            _ => return None,
        })
    }
}

fn unknown(module: &str, name: &str) -> Flaw {
    let path = shortened(&format!("{module}.{name}"));
    Flaw::refused(format!(
        "pickle: it names {path}, which is not data and is never imported; {}",
        super::REMEDY
    ))
}
