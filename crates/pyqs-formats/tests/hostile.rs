//! Bodies made to do harm: an error or a safe answer, soon, in little memory.

#![expect(
    unsafe_code,
    reason = "an allocator that counts, to see how much memory a body costs"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyqs_formats::{Reader, read, read_head};
use support::hostile;

const MEMORY_MAX: usize = 64 << 20;

/// What a body may take. Without optimisation everything is many times slower.
const TIME_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 50 });

/// One test only in this file: others would allocate beside it.
#[test]
fn hostile_bodies_do_no_harm() {
    for sample in hostile() {
        let id = &sample["id"];
        let body = sample["body"].as_str().expect("a text");
        PEAK.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
        let before = HELD.load(Ordering::Relaxed);
        let (head, head_took) = best_of_five(|| read_head(body).map(drop));
        let opaque = Reader::default().with_opaque_pickles();
        let (_, opaque_took) = best_of_five(|| opaque.read_head(body).map(drop));
        assert!(opaque_took < TIME_MAX, "{id} took {opaque_took:?}");
        let (message, took) = best_of_five(|| read(body).map(drop));
        let memory = PEAK.load(Ordering::Relaxed) - before;
        assert!(
            head_took < TIME_MAX && took < TIME_MAX,
            "{id} took {head_took:?} and {took:?}"
        );
        assert!(memory < MEMORY_MAX, "{id} took {memory} bytes");
        if sample["expect"] == "reject" {
            assert!(message.is_err(), "{id} was read");
        }
        assert!(
            head.is_ok() || message.is_err(),
            "{id} has no head, and was read"
        );
    }
}

/// Other work on the machine only ever makes it slower.
#[expect(clippy::disallowed_methods, reason = "the time is what is tested")]
fn best_of_five<T>(run: impl Fn() -> T) -> (T, Duration) {
    let timed = || {
        let start = Instant::now();
        (run(), start.elapsed())
    };
    let all = std::iter::repeat_with(timed).take(5);
    all.min_by_key(|(_, took)| *took).expect("five runs")
}

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    // Large blocks grow in place, by moving pages.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let held = HELD.fetch_add(size, Ordering::Relaxed) + size - layout.size();
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}
