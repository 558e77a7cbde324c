//! Receipt handles and message ids: derived from the seed, checked without a lookup.

use crate::ids::{MessageId, MessageKey, QueueId, write_hex};

/// Signs receipt handles. A handle names the message and which of its receives it came from; its
/// last part is a keyed hash over both and the queue, so that a made-up handle, or one of another
/// queue, is known as such even when the message is long gone.
#[derive(Debug)]
pub(crate) struct Signer {
    keys: [u64; 2],
}

/// A handle that this endpoint gave out for this queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) message: MessageKey,
    /// Which receive of the message: later ones make earlier handles stale.
    pub(crate) generation: u32,
}

impl Signer {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the seed is cut into halves"
    )]
    pub(crate) fn new(seed: u128) -> Self {
        Self {
            keys: [seed as u64, (seed >> 64) as u64],
        }
    }

    pub(crate) fn message_id(&self, first_key: MessageKey) -> MessageId {
        let high = self.hash([first_key.0, 1, 0]);
        let low = self.hash([first_key.0, 2, 0]);
        MessageId(u128::from(high) << 64 | u128::from(low))
    }

    /// The handle as text: 40 hexadecimal digits.
    pub(crate) fn sign(&self, queue: QueueId, receipt: Receipt) -> String {
        let tag = self.tag(queue, receipt);
        let mut digits = [0; 40];
        write_hex(&mut digits[..16], receipt.message.0.into());
        write_hex(&mut digits[16..24], receipt.generation.into());
        write_hex(&mut digits[24..], tag.into());
        str::from_utf8(&digits)
            .expect("digits are ASCII")
            .to_owned()
    }

    /// `None` for whatever was not signed here for this queue.
    pub(crate) fn verify(&self, queue: QueueId, handle: &str) -> Option<Receipt> {
        if handle.len() != 40 || !handle.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let receipt = Receipt {
            message: MessageKey(u64::from_str_radix(&handle[..16], 16).ok()?),
            generation: u32::from_str_radix(&handle[16..24], 16).ok()?,
        };
        let tag = u64::from_str_radix(&handle[24..], 16).ok()?;
        (tag == self.tag(queue, receipt)).then_some(receipt)
    }

    fn tag(&self, queue: QueueId, receipt: Receipt) -> u64 {
        self.hash([
            receipt.message.0,
            queue.0,
            3 << 32 | u64::from(receipt.generation),
        ])
    }

    /// SipHash-2-4 of three words. Written out because the standard library's hasher promises
    /// neither its algorithm nor its keys, and handles must survive an upgrade.
    fn hash(&self, words: [u64; 3]) -> u64 {
        let [k0, k1] = self.keys;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        // The last word is SipHash's length block: 24 bytes, none of them left over.
        for word in words.into_iter().chain([24 << 56]) {
            v[3] ^= word;
            sip_round(&mut v);
            sip_round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..4 {
            sip_round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIPT: Receipt = Receipt {
        message: MessageKey(7),
        generation: 2,
    };

    #[test]
    fn what_was_signed_is_recognised() {
        let signer = Signer::new(42);
        let handle = signer.sign(QueueId(1), RECEIPT);
        assert_eq!(signer.verify(QueueId(1), &handle), Some(RECEIPT));
    }

    #[test]
    fn another_queue_another_seed_and_garbage_are_not() {
        let signer = Signer::new(42);
        let handle = signer.sign(QueueId(1), RECEIPT);
        assert_eq!(signer.verify(QueueId(2), &handle), None);
        assert_eq!(Signer::new(43).verify(QueueId(1), &handle), None);
        let forged = handle.replacen('7', "8", 1);
        for garbage in [
            "",
            "x",
            &forged,
            &"é".repeat(20),
            &"0".repeat(40),
            &"+".repeat(40),
        ] {
            assert_eq!(signer.verify(QueueId(1), garbage), None, "{garbage}");
        }
    }

    /// The reference vector of SipHash-2-4 for 24 bytes 00..17 under the key 00..0f.
    #[test]
    fn the_hash_is_siphash_2_4() {
        let signer = Signer::new(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
        let words = [
            0x0706_0504_0302_0100,
            0x0f0e_0d0c_0b0a_0908,
            0x1716_1514_1312_1110,
        ];
        #[expect(deprecated, reason = "the same algorithm, to compare with")]
        let mut reference = std::hash::SipHasher::new_with_keys(signer.keys[0], signer.keys[1]);
        for word in words {
            std::hash::Hasher::write(&mut reference, &u64::to_le_bytes(word));
        }
        assert_eq!(signer.hash(words), std::hash::Hasher::finish(&reference));
    }
}
