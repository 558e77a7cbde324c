//! No key twice: of equal keys the last value counts, at the place of the first, as in a Python `dict`.

use std::collections::BTreeMap;

use crate::undecodable::Flaw;
use crate::value::Value;

/// Up to this many keys are compared each with each, which needs no memory.
const FEW: usize = 8;

/// Removes equal keys, and refuses keys that Python can't hash. In time `n log n`, whatever the keys are.
pub(crate) fn unique_members(members: Vec<(Value, Value)>) -> Result<Vec<(Value, Value)>, Flaw> {
    let keys: Vec<&Value> = members.iter().map(|(key, _)| key).collect();
    let Some(places) = places(&keys)? else {
        return Ok(members);
    };
    let mut unique: Vec<(Value, Value)> = Vec::with_capacity(members.len());
    for (place, member) in places.into_iter().zip(members) {
        match unique.get_mut(place) {
            Some(earlier) => earlier.1 = member.1,
            None => unique.push(member),
        }
    }
    Ok(unique)
}

/// The same for a set: the first of equal members stays.
pub(crate) fn unique_values(values: Vec<Value>) -> Result<Vec<Value>, Flaw> {
    let keys: Vec<&Value> = values.iter().collect();
    let Some(places) = places(&keys)? else {
        return Ok(values);
    };
    let mut unique: Vec<Value> = Vec::with_capacity(values.len());
    for (place, value) in places.into_iter().zip(values) {
        if place == unique.len() {
            unique.push(value);
        }
    }
    Ok(unique)
}

/// Where each key goes, counting only different ones; `None` if all are different.
fn places(values: &[&Value]) -> Result<Option<Vec<usize>>, Flaw> {
    if values.len() <= FEW && values.iter().all(|value| matches!(value, Value::Str(_))) {
        let is_new = |at: usize| !values[..at].contains(&values[at]);
        if (0..values.len()).all(is_new) {
            return Ok(None);
        }
    }
    let mut first = BTreeMap::new();
    let mut places = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let next = first.len();
        places.push(*first.entry(Key::of(value, at)?).or_insert(next));
    }
    Ok((first.len() < values.len()).then_some(places))
}

/// A value as Python's `==` and `hash` see it: `1`, `1.0` and `True` are one key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Null,
    Int(i64),
    /// What is no 64-bit integer: its bits.
    Float(u64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Tuple(Vec<Key<'a>>),
    /// Its members in the order of keys.
    FrozenSet(Vec<Key<'a>>),
    /// Each is equal only to itself: its place.
    NotANumber(usize),
    /// Any other type: its name and all it holds, spelled out.
    Other(&'static str, String),
}

impl<'a> Key<'a> {
    fn of(value: &'a Value, at: usize) -> Result<Self, Flaw> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Int((*bool).into()),
            Value::Int(int) => Self::Int(*int),
            Value::Float(float) => Self::of_float(*float, at),
            Value::Str(text) => Self::Text(text.as_bytes()),
            Value::SurrogateStr(bytes) => Self::Text(bytes),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Tuple(list) => Self::Tuple(
                list.iter()
                    .map(|value| Self::of(value, at))
                    .collect::<Result<_, _>>()?,
            ),
            Value::FrozenSet(members) => {
                let mut keys: Vec<_> = members
                    .iter()
                    .map(|value| Self::of(value, at))
                    .collect::<Result<_, _>>()?;
                keys.sort_unstable();
                Self::FrozenSet(keys)
            }
            Value::List(_) | Value::Map(_) | Value::Set(_) | Value::ByteArray(_) => {
                return Err(Flaw::malformed(format!(
                    "a {} as a key or in a set",
                    value.type_name()
                )));
            }
            other => Self::Other(other.type_name(), format!("{other:?}")),
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "whether the round trip is exact is the question"
    )]
    fn of_float(float: f64, at: usize) -> Self {
        if float.is_nan() {
            return Self::NotANumber(at);
        }
        let int = float as i64;
        // 2^63 as a float would be cut to 2^63 - 1.
        if int as f64 == float && int != i64::MAX {
            Self::Int(int)
        } else {
            Self::Float(float.to_bits())
        }
    }
}
