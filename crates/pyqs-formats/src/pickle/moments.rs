//! Dates and times: from the packed states that Python writes, or from integers.

use super::heap::{Heap, Item, Node};
use crate::calendar::{Date, DateTime, Time, UtcOffset};
use crate::value::Value;

/// `fold` is the top bit of the first byte in which no other value needs it.
const FOLD: u8 = 0x80;

/// `date(b"yymd")` or `date(year, month, day)`.
pub(super) fn date(heap: &Heap<'_>, arguments: &[Item]) -> Option<Date> {
    if let [state] = arguments {
        return packed_date(packed(heap, *state)?.try_into().ok()?);
    }
    match *small_ints(arguments)?.as_slice() {
        [year, month, day] => new_date(year, month, day),
        _ => None,
    }
}

/// `time(b"hmsuuu")` or `time(hour, minute, second, microsecond)`, with or without a zone.
pub(super) fn time(heap: &Heap<'_>, arguments: &[Item]) -> Option<Time> {
    match arguments {
        [] => Time::new(0, 0, 0, 0, None),
        [state, zone @ ..] if packed(heap, *state).is_some() => {
            let [hour, rest @ ..]: [u8; 6] = packed(heap, *state)?.try_into().ok()?;
            packed_time(hour & !FOLD, rest, hour & FOLD != 0, offset(heap, zone)?)
        }
        _ => clock(heap, arguments),
    }
}

/// `datetime(b"yymdhmsuuu")` or `datetime(year, month, day, ...)`, with or without a zone.
pub(super) fn datetime(heap: &Heap<'_>, arguments: &[Item]) -> Option<DateTime> {
    let (state, zone) = arguments.split_first()?;
    if let Some(state) = packed(heap, *state) {
        let [y1, y2, month, day, hour, rest @ ..]: [u8; 10] = state.try_into().ok()?;
        let date = packed_date([y1, y2, month & !FOLD, day])?;
        let time = packed_time(hour, rest, month & FOLD != 0, offset(heap, zone)?)?;
        return Some(DateTime { date, time });
    }
    let (day, rest) = arguments.split_at_checked(3)?;
    Some(DateTime {
        date: date(heap, day)?,
        time: clock(heap, rest)?,
    })
}

/// The bytes of a state: those of Python 3, or an 8-bit string of Python 2.
fn packed<'h>(heap: &'h Heap<'_>, state: Item) -> Option<&'h [u8]> {
    match heap.get(state)? {
        Node::Bytes(bytes) | Node::EightBit(bytes) => Some(bytes),
        _ => None,
    }
}

fn packed_date([y1, y2, month, day]: [u8; 4]) -> Option<Date> {
    Date::new(u16::from_be_bytes([y1, y2]), month, day)
}

fn packed_time(
    hour: u8,
    [minute, second, u1, u2, u3]: [u8; 5],
    is_fold: bool,
    offset: Option<UtcOffset>,
) -> Option<Time> {
    let micros = u32::from_be_bytes([0, u1, u2, u3]);
    Some(Time {
        is_fold,
        ..Time::new(hour, minute, second, micros, offset)?
    })
}

/// Hour, minute, second, microsecond, zone; later ones may be missing.
fn clock(heap: &Heap<'_>, arguments: &[Item]) -> Option<Time> {
    let (ints, zone) = arguments.split_at_checked(4).unwrap_or((arguments, &[]));
    let mut parts = small_ints(ints)?;
    parts.resize(4, 0);
    let part = |at: usize| u8::try_from(parts[at]).ok();
    Time::new(part(0)?, part(1)?, part(2)?, parts[3], offset(heap, zone)?)
}

/// The zone among the arguments: none at all, `None`, or a fixed offset.
#[expect(
    clippy::option_option,
    reason = "no zone, and one that can't be read, are different"
)]
fn offset(heap: &Heap<'_>, zone: &[Item]) -> Option<Option<UtcOffset>> {
    match zone {
        [] | [Item::Null] => Some(None),
        [zone] => match heap.get(*zone)? {
            Node::Leaf(leaf) => match leaf.as_ref() {
                Value::TimeZone(offset) => Some(Some(*offset)),
                _ => None,
            },
            Node::Global(super::globals::Global::Utc) => Some(Some(UtcOffset::UTC)),
            _ => None,
        },
        _ => None,
    }
}

fn small_ints(items: &[Item]) -> Option<Vec<u32>> {
    let int = |item: &Item| match item {
        Item::Int(int) => u32::try_from(*int).ok(),
        _ => None,
    };
    items.iter().map(int).collect()
}

fn new_date(year: u32, month: u32, day: u32) -> Option<Date> {
    Date::new(
        u16::try_from(year).ok()?,
        u8::try_from(month).ok()?,
        u8::try_from(day).ok()?,
    )
}
