//! Structures are read from JSON objects only: serde by itself also takes an array for one, member
//! by member, which no client of SQS means.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A structure that is written as an object.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(OnlyMap(from)).map(Self)
    }
}

/// For members that are a list of structures.
pub(crate) fn list<'de, T, D>(from: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let objects = Option::<Vec<Object<T>>>::deserialize(from)?;
    Ok(objects.map(|objects| objects.into_iter().map(|object| object.0).collect()))
}

/// For members that are a map of structures.
pub(crate) fn map<'de, T, D>(from: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let objects = Option::<BTreeMap<String, Object<T>>>::deserialize(from)?;
    let unwrap = |(name, object): (_, Object<T>)| (name, object.0);
    Ok(objects.map(|objects| objects.into_iter().map(unwrap).collect()))
}

/// Whatever is asked for, an object is read.
struct OnlyMap<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for OnlyMap<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
