//! Slows down the starting of processes that die before they have done anything.

use std::time::Duration;

use pyqs_core::Instant;

/// Deaths in a row that are replaced at once.
const DEATHS_FREE: u32 = 3;
const DELAY_FIRST: Duration = Duration::from_millis(250);
const DELAY_MAX: Duration = Duration::from_secs(30);

/// Counts processes that ended without ending a task, until one ends a task.
#[derive(Debug, Default)]
pub(crate) struct CrashLoop {
    deaths: u32,
    not_before: Option<Instant>,
}

impl CrashLoop {
    /// A process died that had not ended a task. The answer, when slowing down begins, is for the log.
    pub(crate) fn died_idle(&mut self, now: Instant) -> Option<String> {
        self.deaths = self.deaths.saturating_add(1);
        let beyond = self.deaths.checked_sub(DEATHS_FREE)?;
        let delay = (DELAY_FIRST * 2_u32.saturating_pow(beyond.min(16))).min(DELAY_MAX);
        self.not_before = Some(now + delay);
        (beyond == 0).then(|| {
            format!(
                "task processes keep dying before they have ended a task ({DEATHS_FREE} in a row); \
                 new ones are started more slowly now, up to {} s apart",
                DELAY_MAX.as_secs()
            )
        })
    }

    /// A task ended: all is well. The answer, where things were slowed down, is for the log.
    pub(crate) fn a_task_ended(&mut self) -> Option<String> {
        self.deaths = 0;
        self.not_before
            .take()
            .map(|_| "task processes work again".to_owned())
    }

    /// Whether a process may be started now.
    pub(crate) fn lets_start(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// The moment before which none may be started.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::{CrashLoop, DELAY_MAX};
    use pyqs_core::Instant;
    use std::time::Duration;

    #[test]
    fn deaths_in_a_row_are_slowed_down_and_told_once() {
        let mut crash_loop = CrashLoop::default();
        let now = Instant::ORIGIN;
        assert!(crash_loop.died_idle(now).is_none());
        assert!(crash_loop.died_idle(now).is_none());
        assert!(crash_loop.lets_start(now));
        assert!(crash_loop.died_idle(now).is_some());
        assert!(!crash_loop.lets_start(now));
        assert!(crash_loop.lets_start(now + Duration::from_millis(250)));
        for _ in 0..100 {
            assert!(crash_loop.died_idle(now).is_none());
        }
        assert!(crash_loop.lets_start(now + DELAY_MAX));
        assert!(crash_loop.a_task_ended().is_some());
        assert!(crash_loop.lets_start(now));
        assert!(crash_loop.a_task_ended().is_none());
    }
}
