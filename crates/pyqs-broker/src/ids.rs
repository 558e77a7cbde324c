//! What things are called: queues, messages, sequence numbers.

use std::fmt;

/// A queue for as long as it exists; a queue made anew under an old name has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// A stored message. Keys grow with every message that is taken in, so that their order is the
/// order of arrival, and the age order too. Never used twice, restarts included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub u64);

/// A move task. From the same counter as message keys: what is older has a smaller key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoveTaskId(pub u64);

/// The message's id as clients see it: a UUID, derived from the seed and the message's first key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) u128);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bits of RFC 9562 that mark a random (version 4) UUID.
        let bits = self.0 & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
        let mut digits = [0; 32];
        write_hex(&mut digits, bits);
        let mut text = [b'-'; 36];
        for part in [0..8, 8..12, 12..16, 16..20, 20..32] {
            let dashes = usize::saturating_sub(part.start, 4) / 4;
            text[part.start + dashes..part.end + dashes].copy_from_slice(&digits[part]);
        }
        f.write_str(str::from_utf8(&text).expect("digits and dashes are ASCII"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A FIFO message's sequence number: 20 digits, growing within the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceNumber(pub(crate) u64);

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // AWS's numbers start near here; clients compare them as text, so the width never changes.
        write!(f, "{}", 10_000_000_000_000_000_000 + u128::from(self.0))
    }
}

/// Fills `digits` with the hexadecimal digits of a number's low end. Every message that is sent or
/// received has three such numbers, and the standard library's formatting takes its time.
pub(crate) fn write_hex(digits: &mut [u8], number: u128) {
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        let value = (number >> (4 * place)) as usize & 0xf;
        *digit = b"0123456789abcdef"[value];
    }
}

/// Gives out keys; one counter for queues and messages, so that nothing is ever mixed up.
#[derive(Debug)]
pub(crate) struct Keys {
    next: u64,
    /// Keys below this one are on record as used; beyond it a new block must be reserved first.
    reserved: u64,
}

/// Keys are put on record as used by the block, so that not every send writes the counter.
const BLOCK: u64 = 65_536;

impl Keys {
    pub(crate) fn starting_at(next: u64) -> Self {
        Self {
            next,
            reserved: next,
        }
    }

    /// The next key, and the new end of the reserved block if one was begun.
    pub(crate) fn next(&mut self) -> (u64, Option<u64>) {
        let key = self.next;
        self.next += 1;
        if key < self.reserved {
            return (key, None);
        }
        self.reserved = key + BLOCK;
        (key, Some(self.reserved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_version_4_uuids() {
        assert_eq!(
            MessageId(u128::MAX).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(
            MessageId(0).to_string(),
            "00000000-0000-4000-8000-000000000000"
        );
    }

    #[test]
    fn sequence_numbers_have_twenty_digits() {
        assert_eq!(SequenceNumber(7).to_string(), "10000000000000000007");
        assert_eq!(SequenceNumber(u64::MAX).to_string().len(), 20);
    }

    #[test]
    fn keys_are_reserved_by_the_block() {
        let mut keys = Keys::starting_at(1);
        assert_eq!(keys.next(), (1, Some(1 + BLOCK)));
        assert_eq!(keys.next(), (2, None));
    }
}
