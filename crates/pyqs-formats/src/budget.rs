//! `Budget`: what one message may still build.

use crate::limits::{BUILT_BYTES_MAX, CHUNK_BYTES, DEPTH_MAX, VALUE_BYTES};
use crate::undecodable::Flaw;

/// Counts the memory of values as they are built, so that nothing small grows large: no list of references
/// to lists of references, no compressed run of nulls.
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            left: BUILT_BYTES_MAX,
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

    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Flaw> {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            Ok(())
        } else {
            let mebibytes = BUILT_BYTES_MAX >> 20;
            Err(Flaw::over_limit(format!(
                "the values need more than {mebibytes} MiB of memory"
            )))
        }
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
