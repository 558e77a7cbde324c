//! An allocator for a process that serves: the system's, with what each thread freed kept at hand.
//!
//! A request makes some hundred short-lived allocations, among them buffers of some KiB. glibc's
//! own lists per thread hold seven of a size and nothing above one KiB; beyond that it sorts and
//! joins what was freed, and beside a long queue, whose old messages leave holes everywhere, that is
//! a third of a message's cost. Here a thread keeps up to [`KEPT_BYTES`] of each size.
//!
//! No lists are shared between threads, so there are no locks that a forked child could find
//! locked; everything else is the system's business.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

/// Up to here sizes are those that the system hands out anyway, each [`STEP`] bytes.
const SMALL_MAX: usize = 1024;
const STEP: usize = 16;
/// From there on four sizes to each power of two, up to this.
const LARGE_MAX: usize = 32 * 1024;
const SMALL_CLASSES: usize = SMALL_MAX / STEP;
const CLASSES: usize = SMALL_CLASSES + 4 * (LARGE_MAX / SMALL_MAX).ilog2() as usize;
/// What a thread keeps of one size at most.
const KEPT_BYTES: usize = 64 * 1024;

/// The system's allocator with lists of free memory for each thread.
#[derive(Debug, Default, Clone, Copy)]
pub struct RecyclingAllocator;

thread_local! {
    static FREE: FreeLists = const { FreeLists::new() };
}

/// One thread's free memory: each piece holds the address of the next in its first bytes.
struct FreeLists {
    heads: [Cell<*mut u8>; CLASSES],
    bytes: [Cell<usize>; CLASSES],
}

impl FreeLists {
    const fn new() -> Self {
        Self {
            heads: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            bytes: [const { Cell::new(0) }; CLASSES],
        }
    }

    #[expect(
        clippy::cast_ptr_alignment,
        reason = "all pieces are aligned to 16 bytes"
    )]
    fn pop(&self, class: usize) -> *mut u8 {
        let head = self.heads[class].get();
        if !head.is_null() {
            // SAFETY: a piece in the list is free, belongs to this thread and begins with the
            // address of the next, which `push` wrote.
            self.heads[class].set(unsafe { head.cast::<*mut u8>().read() });
            self.bytes[class].set(self.bytes[class].get() - size_of_class(class));
        }
        head
    }

    /// Whether there is room for it.
    ///
    /// # Safety
    /// `piece` is an allocation of this class that nobody uses any more.
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "all pieces are aligned to 16 bytes"
    )]
    unsafe fn push(&self, class: usize, piece: *mut u8) -> bool {
        let bytes = self.bytes[class].get() + size_of_class(class);
        if bytes > KEPT_BYTES {
            return false;
        }
        // SAFETY: every class is at least 16 bytes long and aligned to 16.
        unsafe { piece.cast::<*mut u8>().write(self.heads[class].get()) };
        self.heads[class].set(piece);
        self.bytes[class].set(bytes);
        true
    }
}

impl Drop for FreeLists {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            loop {
                let piece = self.pop(class);
                if piece.is_null() {
                    break;
                }
                // SAFETY: all pieces of a class were allocated with its layout.
                unsafe { System.dealloc(piece, layout_of_class(class)) };
            }
        }
    }
}

// SAFETY: memory comes from the system's allocator, with a layout that depends on the request's alone and
// is at least as large and as aligned; it is given to one owner at a time, since a list gives away what it returns.
unsafe impl GlobalAlloc for RecyclingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: passed on unchanged.
            return unsafe { System.alloc(layout) };
        };
        // A thread that ends has no lists any more.
        let piece = FREE.try_with(|free| free.pop(class));
        match piece {
            Ok(piece) if !piece.is_null() => piece,
            // SAFETY: no class has the size 0.
            _ => unsafe { System.alloc(layout_of_class(class)) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class_of(layout).is_none() {
            // SAFETY: passed on unchanged; the system knows what is zero already.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: passed on unchanged.
        let piece = unsafe { self.alloc(layout) };
        if !piece.is_null() {
            // SAFETY: it has just been allocated with at least that size.
            unsafe { piece.write_bytes(0, layout.size()) };
        }
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            // SAFETY: it came from the system with this layout.
            return unsafe { System.dealloc(piece, layout) };
        };
        // SAFETY: the caller gives it back, and `alloc` made it of this class.
        let is_kept = FREE.try_with(|free| unsafe { free.push(class, piece) });
        if !is_kept.unwrap_or(false) {
            // SAFETY: `alloc` took it from the system with this layout.
            unsafe { System.dealloc(piece, layout_of_class(class)) };
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `size`, rounded up to the alignment, is no overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class_of(layout), class_of(wanted)) {
            // SAFETY: it came from the system with this layout.
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            (Some(before), Some(after)) if before == after => piece,
            _ => {
                // SAFETY: a new piece, as far as both reach, then the old one is given back.
                unsafe {
                    let new = self.alloc(wanted);
                    if !new.is_null() {
                        ptr::copy_nonoverlapping(piece, new, layout.size().min(size));
                        self.dealloc(piece, layout);
                    }
                    new
                }
            }
        }
    }
}

/// `None` for what is the system's alone.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size();
    if layout.align() > STEP || size == 0 || size > LARGE_MAX {
        return None;
    }
    if size <= SMALL_MAX {
        return Some((size - 1) / STEP);
    }
    // The two bits after the first one of `size - 1` tell which quarter of its power of two.
    let power = (size - 1).ilog2();
    let quarter = ((size - 1) >> (power - 2)) & 3;
    let doublings = (power - SMALL_MAX.ilog2()) as usize;
    Some(SMALL_CLASSES + 4 * doublings + quarter)
}

fn size_of_class(class: usize) -> usize {
    match class.checked_sub(SMALL_CLASSES) {
        None => (class + 1) * STEP,
        Some(large) => (SMALL_MAX << (large / 4)) / 4 * (5 + large % 4),
    }
}

fn layout_of_class(class: usize) -> Layout {
    Layout::from_size_align(size_of_class(class), STEP).expect("classes are small multiples of 16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_the_smallest_class_that_holds_it() {
        for size in 1..=LARGE_MAX {
            let class = class_of(Layout::from_size_align(size, 8).unwrap()).unwrap();
            assert!(class < CLASSES && size_of_class(class) >= size, "{size}");
            assert!(class == 0 || size_of_class(class - 1) < size, "{size}");
        }
        let of = |size, align| class_of(Layout::from_size_align(size, align).unwrap());
        assert_eq!(of(LARGE_MAX, 16), Some(CLASSES - 1));
        assert_eq!(of(LARGE_MAX + 1, 16), None);
        assert_eq!(of(64, 32), None);
        assert_eq!(of(0, 1), None);
    }

    /// Allocations of all sizes, grown, shrunk and freed in another thread than they were made in,
    /// each with its own pattern that nobody else may touch.
    #[test]
    fn nobody_gets_what_another_has() {
        let make = |seed: usize| {
            let size = 1 + seed * 7919 % (LARGE_MAX + 2000);
            let layout = Layout::from_size_align(size, 8).unwrap();
            // SAFETY: the size is not 0, and `check` gives it back once, with what it returns.
            unsafe {
                let piece = RecyclingAllocator.alloc_zeroed(layout);
                assert!((0..size).all(|i| *piece.add(i) == 0), "{size}");
                piece.write_bytes(seed.to_le_bytes()[0], size);
                (piece as usize, layout, seed.to_le_bytes()[0])
            }
        };
        let check = |(address, layout, byte): (usize, Layout, u8), seed: usize| {
            let piece = address as *mut u8;
            // SAFETY: `make` made it.
            unsafe {
                assert!((0..layout.size()).all(|i| *piece.add(i) == byte));
                let size = 1 + seed * 104_729 % (LARGE_MAX + 2000);
                let piece = RecyclingAllocator.realloc(piece, layout, size);
                let kept = layout.size().min(size);
                assert!((0..kept).all(|i| *piece.add(i) == byte));
                RecyclingAllocator.dealloc(piece, Layout::from_size_align(size, 8).unwrap());
            }
        };
        let mut held: Vec<_> = (0..500).map(make).collect();
        for round in 0..4 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for (seed, one) in held.drain(..250).enumerate() {
                        check(one, seed + round);
                    }
                });
            });
            held.extend((0..250).map(|seed| make(seed + round * 250)));
        }
        for (seed, one) in held.drain(..).enumerate() {
            check(one, seed);
        }
    }
}
