//! `Budget`: what one message may still build.

use crate::limits::{
    BUILT_BYTES_MAX, CHUNK_BYTES, DEPTH_MAX, REPEATED_BYTES_MAX, STORED_FACTOR, VALUE_BYTES,
};
use crate::undecodable::Flaw;

/// Counts the memory of values as they are built, so that nothing small grows large: no list of references
/// to lists of references, no compressed run of nulls.
pub(crate) struct Budget {
    total: usize,
    left: usize,
    /// What of it may still go to repetitions.
    left_for_repeats: usize,
    is_repeating: bool,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self::of(BUILT_BYTES_MAX)
    }

    /// For the values of a body that was stored elsewhere.
    pub(crate) fn for_stored(text: &str) -> Self {
        Self::of(BUILT_BYTES_MAX.max(text.len().saturating_mul(STORED_FACTOR)))
    }

    fn of(bytes: usize) -> Self {
        Self {
            total: bytes,
            left: bytes,
            left_for_repeats: REPEATED_BYTES_MAX,
            is_repeating: false,
        }
    }

    /// One value without memory of its own.
    pub(crate) fn value(&mut self) -> Result<(), Flaw> {
        self.take(VALUE_BYTES)
    }

    /// Memory of a value's own: the bytes of a text. Of a list only that it has some, since its
    /// elements are values themselves.
    pub(crate) fn chunk(&mut self, bytes: usize) -> Result<(), Flaw> {
        self.take(bytes.saturating_add(CHUNK_BYTES))
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Whether a list or map that was built before is being built again; gives what was said before.
    pub(crate) fn set_repeating(&mut self, is_repeating: bool) -> bool {
        std::mem::replace(&mut self.is_repeating, is_repeating)
    }

    /// What a repetition takes.
    pub(crate) fn take_repeated(&mut self, bytes: usize) -> Result<(), Flaw> {
        let outer = self.set_repeating(true);
        self.take(bytes)?;
        self.is_repeating = outer;
        Ok(())
    }

    /// Any number of bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Flaw> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let mebibytes = self.total >> 20;
            Flaw::over_limit(format!(
                "the values need more than {mebibytes} MiB of memory"
            ))
        })?;
        if self.is_repeating {
            self.left_for_repeats = self.left_for_repeats.checked_sub(bytes).ok_or_else(|| {
                let mebibytes = REPEATED_BYTES_MAX >> 20;
                Flaw::over_limit(format!(
                    "the values repeat each other for more than {mebibytes} MiB"
                ))
            })?;
        }
        Ok(())
    }
}

/// Whether lists and maps may be nested that deep.
pub(crate) fn check_depth(depth: usize) -> Result<(), Flaw> {
    if depth > DEPTH_MAX {
        return Err(Flaw::over_limit(format!(
            "more than {DEPTH_MAX} levels of lists and maps"
        )));
    }
    Ok(())
}

/// Gives back what a short list has too much: `Vec` makes room for four at once, and a message can hold
/// a hundred thousand lists of one.
pub(crate) fn tight<T>(mut list: Vec<T>) -> Vec<T> {
    if list.len() < 4 {
        list.shrink_to_fit();
    }
    list
}
