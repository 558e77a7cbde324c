//! Forking, which no safe function offers. The one file with `unsafe` in this crate: what a
//! producer survives in a forked child can only be seen in one.

use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, waitpid};

/// Forks and runs `job` in the child, which ends with exit code 0 if it says true.
#[allow(
    unsafe_code,
    reason = "that forks are survived can only be seen by forking"
)]
pub(crate) fn fork(job: impl FnOnce() -> bool) -> Pid {
    // SAFETY: what a child may do after a fork from a process with threads is what is tested
    // here; it leaves by `_exit`, without running anything of the test harness.
    let child = unsafe {
        match libc::fork() {
            0 => {
                let is_good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                libc::_exit(i32::from(!matches!(is_good, Ok(true))));
            }
            child => child,
        }
    };
    Pid::from_raw(child).expect("the fork worked")
}

/// The exit code of a child; `None` if a signal ended it.
pub(crate) fn exit_code(child: Pid) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some((_, status)) = waitpid(Some(child), WaitOptions::NOHANG).unwrap() {
            return status.exit_status();
        }
        assert!(Instant::now() < deadline, "the child hangs");
        std::thread::yield_now();
    }
}
