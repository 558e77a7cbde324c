//! RSA signatures as Celery makes them: EMSA-PSS with MGF1 and the longest salt (RFC 8017, 8.1.2 and 9.1.2).

use num_bigint::BigUint;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
}

/// Longer keys take too long for who is sent forged messages; signers have 2048 to 4096.
const MODULUS_BITS_MAX: u64 = 8192;
const MODULUS_BITS_MIN: u64 = 1024;
/// That of nearly every key is 65537.
const EXPONENT_BITS_MAX: u64 = 32;

impl PublicKey {
    /// Of big-endian numbers; `None` for those that no honest key has.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let key = Self {
            modulus: BigUint::from_bytes_be(modulus),
            exponent: BigUint::from_bytes_be(exponent),
        };
        let is_honest = (MODULUS_BITS_MIN..=MODULUS_BITS_MAX).contains(&key.modulus.bits())
            && key.modulus.bit(0)
            && (2..=EXPONENT_BITS_MAX).contains(&key.exponent.bits());
        is_honest.then_some(key)
    }

    /// Whether this is the signature of the message. Celery does not write which digest it took: SHA-256 is
    /// its default (`security_digest`), the longer ones are tried too.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some(encoded) = self.encoded(signature) else {
            return false;
        };
        let bits = usize::try_from(self.modulus.bits() - 1).expect("a key is short");
        is_encoded_from::<Sha256>(&encoded, message, bits)
            || is_encoded_from::<Sha384>(&encoded, message, bits)
            || is_encoded_from::<Sha512>(&encoded, message, bits)
    }

    /// What was signed, in as many bytes as `modulus.bits() - 1` bits take.
    fn encoded(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let bytes = usize::try_from(self.modulus.bits().div_ceil(8)).ok()?;
        let number = BigUint::from_bytes_be(signature);
        if signature.len() != bytes || number >= self.modulus {
            return None;
        }
        let encoded = number.modpow(&self.exponent, &self.modulus).to_bytes_be();
        let length = usize::try_from((self.modulus.bits() - 1).div_ceil(8)).ok()?;
        let mut padded = vec![0; length.checked_sub(encoded.len())?];
        padded.extend(encoded);
        Some(padded)
    }
}

fn is_encoded_from<D: Digest>(encoded: &[u8], message: &[u8], bits: usize) -> bool {
    let digest_bytes = <D as Digest>::output_size();
    let Some((&0xbc, rest)) = encoded.split_last() else {
        return false;
    };
    let Some(block_bytes) = rest.len().checked_sub(digest_bytes) else {
        return false;
    };
    let (masked, hash) = rest.split_at(block_bytes);
    let mut block = mask::<D>(hash, block_bytes);
    for (byte, masked) in block.iter_mut().zip(masked) {
        *byte ^= masked;
    }
    let unused_bits = 8 * encoded.len() - bits;
    let used = 0xff_u8 >> unused_bits;
    let is_unused_clear = masked.first().is_none_or(|first| first & !used == 0);
    if let Some(first) = block.first_mut() {
        *first &= used;
    }
    // The longest salt leaves no room for zeros before the one.
    let Some((&1, salt)) = block.split_first() else {
        return false;
    };
    let expected = D::new()
        .chain_update([0; 8])
        .chain_update(D::digest(message))
        .chain_update(salt)
        .finalize();
    is_unused_clear && expected.as_slice() == hash
}

/// MGF1 (RFC 8017, B.2.1).
fn mask<D: Digest>(seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(length + <D as Digest>::output_size());
    for counter in 0_u32.. {
        if mask.len() >= length {
            break;
        }
        let block = D::new()
            .chain_update(seed)
            .chain_update(counter.to_be_bytes())
            .finalize();
        mask.extend_from_slice(&block);
    }
    mask.truncate(length);
    mask
}
