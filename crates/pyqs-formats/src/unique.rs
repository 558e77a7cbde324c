//! No key twice: of equal keys the last value counts, at the place of the first, as in a Python `dict`.

use std::collections::BTreeMap;

use crate::value::Value;

/// Up to this many keys are compared each with each, which needs no memory.
const FEW: usize = 8;

/// Removes equal keys. In time `n log n`, whatever the keys are.
pub(crate) fn unique_members(members: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    if is_unique(&members) {
        return members;
    }
    let mut first_places = BTreeMap::new();
    let places: Vec<usize> = members
        .iter()
        .map(|(key, _)| {
            let next = first_places.len();
            *first_places.entry(key_bytes(key)).or_insert(next)
        })
        .collect();
    let mut unique: Vec<(Value, Value)> = Vec::with_capacity(first_places.len());
    drop(first_places);
    for (place, member) in places.into_iter().zip(members) {
        match unique.get_mut(place) {
            Some(earlier) => earlier.1 = member.1,
            None => unique.push(member),
        }
    }
    unique
}

fn is_unique(members: &[(Value, Value)]) -> bool {
    if members.len() <= FEW {
        return members.iter().enumerate().all(|(at, (key, _))| {
            members[..at]
                .iter()
                .all(|(earlier, _)| key_bytes(earlier) != key_bytes(key))
        });
    }
    let mut keys: Vec<&[u8]> = members.iter().map(|(key, _)| key_bytes(key)).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair[0] != pair[1])
}

/// JSON's keys are texts only.
fn key_bytes(key: &Value) -> &[u8] {
    match key {
        Value::Str(text) => text.as_bytes(),
        Value::SurrogateStr(bytes) => bytes,
        _ => &[],
    }
}
