//! Words of memory that a process shares with those forked from it.
//!
//! This is the one module of the crate with `unsafe` in it, because memory shared by processes can be
//! had in no other way. The reasons why it holds stand at each block.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Anonymous shared memory as an array of atomic words, all zero at first. It begins at a page, so what is laid out
/// in multiples of a cache line stays on lines of its own.
#[derive(Debug)]
pub(super) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: a `SharedWords` owns its memory, of which it gives out only shared references to atomics; they
// may be used from, and the memory unmapped by, any thread.
unsafe impl Send for SharedWords {}
// SAFETY: as above; all access through `&SharedWords` is atomic.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps so many words, at least one.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        assert!(count > 0, "an empty mapping is refused by the system");
        // SAFETY: a null address leaves the place to the kernel, so nothing that exists is replaced.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                Self::bytes(count),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
            )
        }?;
        let start = NonNull::new(start.cast())
            .ok_or_else(|| io::Error::other("mmap gave the null address"))?;
        Ok(Self { start, count })
    }

    /// All words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `count` words, aligned since it begins at a page, and zeroed by the
        // kernel, which is a valid value. The memory lives as long as `self`. Other processes write to
        // it through the same atomics.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    fn bytes(count: usize) -> usize {
        size_of::<AtomicU64>() * count
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the region is the one that `new` mapped, and no reference outlives `self`. It goes away
        // in this process only.
        let unmapped = unsafe {
            munmap(
                self.start.as_ptr().cast::<c_void>(),
                Self::bytes(self.count),
            )
        };
        debug_assert!(unmapped.is_ok(), "munmap of a region that was mapped whole");
    }
}
