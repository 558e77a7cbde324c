//! `Value`: what arguments can be, once read. Each variant is one Python type.

use crate::calendar::{Date, DateTime, Time, TimeDelta, UtcOffset};

/// One argument, or a part of one.
///
/// A tree: what a message shares or repeats by reference is copied, within [`limits`](crate::limits).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int` that fits 64 bits.
    Int(i64),
    /// `int` beyond 64 bits, in decimal: an optional `-`, then digits without leading zeros.
    BigInt(String),
    /// `float`, which may be `nan`, `inf`, `-inf` or `-0.0`.
    Float(f64),
    /// `str`.
    Str(String),
    /// `str` with lone surrogates, as UTF-8 with each surrogate in three bytes
    /// (Python's `bytes.decode("utf-8", "surrogatepass")`).
    SurrogateStr(Vec<u8>),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// `bytearray`.
    ByteArray(Vec<u8>),
    /// `list`.
    List(Vec<Value>),
    /// `tuple`.
    Tuple(Vec<Value>),
    /// `dict`, in order; no key twice.
    Map(Vec<(Value, Value)>),
    /// `set`; no member twice.
    Set(Vec<Value>),
    /// `frozenset`; no member twice.
    FrozenSet(Vec<Value>),
    /// `datetime.datetime`.
    DateTime(DateTime),
    /// `datetime.date`.
    Date(Date),
    /// `datetime.time`.
    Time(Time),
    /// `datetime.timedelta`.
    TimeDelta(TimeDelta),
    /// `datetime.timezone`.
    TimeZone(UtcOffset),
    /// `decimal.Decimal`, as the text that its constructor takes.
    Decimal(String),
    /// `uuid.UUID`.
    Uuid([u8; 16]),
    /// `complex`: real and imaginary part.
    Complex(f64, f64),
}

/// A large message is mostly values: their size decides what the limit on items costs.
const _: () = assert!(size_of::<Value>() <= 32);

impl Value {
    /// The word for this value's type, as Python says it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "None",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) | Self::SurrogateStr(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::ByteArray(_) => "bytearray",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Map(_) => "dict",
            Self::Set(_) => "set",
            Self::FrozenSet(_) => "frozenset",
            Self::DateTime(_) => "datetime",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::TimeDelta(_) => "timedelta",
            Self::TimeZone(_) => "timezone",
            Self::Decimal(_) => "Decimal",
            Self::Uuid(_) => "UUID",
            Self::Complex(..) => "complex",
        }
    }
}
