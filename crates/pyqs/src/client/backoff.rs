//! How long to wait before trying again, and when not to.

use std::time::Duration;

use pyqs_sqs::SqsError;
use tokio::time::Instant;

use super::{ClientError, ClientSettings, Shared};

/// The first wait is up to this, each further one up to twice the one before.
const BASE: Duration = Duration::from_millis(100);

/// The same when SQS asks to slow down.
const BASE_THROTTLED: Duration = Duration::from_millis(500);

/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Counts the attempts of one delivery.
#[derive(Debug)]
pub(super) struct Backoff {
    attempts: u32,
    attempts_max: u32,
    deadline: Instant,
}

impl Backoff {
    pub(super) fn new(settings: &ClientSettings, deadline: Instant) -> Self {
        Self {
            attempts: 0,
            attempts_max: settings.attempts_max,
            deadline,
        }
    }

    /// Waits before the next attempt; `false` when there is none left, or no time for it.
    pub(super) async fn wait(&mut self, is_throttled: bool) -> bool {
        self.attempts += 1;
        if self.attempts >= self.attempts_max {
            return false;
        }
        let base = if is_throttled { BASE_THROTTLED } else { BASE };
        let most = WAIT_MAX.min(base * 2_u32.saturating_pow(self.attempts - 1));
        // Between half and all of it: those who failed together don't come back together.
        let wait = most.mul_f64(0.5 + fastrand::f64() / 2.0);
        if Instant::now() + wait >= self.deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

impl Shared {
    /// Tries until it succeeds, or fails for good.
    pub(super) async fn persist<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let deadline = Instant::now() + self.settings.time_max;
        let mut backoff = Backoff::new(&self.settings, deadline);
        loop {
            match attempt().await {
                Err(ClientError::Sqs(error)) if error.is_retryable() => {
                    if !backoff.wait(is_throttled(&error)).await {
                        return Err(error.into());
                    }
                }
                other => return other,
            }
        }
    }
}

pub(super) fn is_throttled(error: &SqsError) -> bool {
    matches!(error, SqsError::Throttled(_))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Backoff, ClientSettings, WAIT_MAX};

    #[tokio::test(start_paused = true)]
    async fn waits_grow_up_to_a_limit_and_attempts_end() {
        let settings = ClientSettings {
            attempts_max: 20,
            ..ClientSettings::default()
        };
        let mut backoff = Backoff::new(&settings, Instant::now() + Duration::from_mins(10));
        let mut waits = Vec::new();
        loop {
            let before = Instant::now();
            if !backoff.wait(false).await {
                break;
            }
            waits.push(before.elapsed());
        }
        assert_eq!(waits.len(), 19);
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(101));
        assert!(waits[18] >= WAIT_MAX / 2 && waits[18] <= WAIT_MAX + Duration::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_deadline() {
        let settings = ClientSettings {
            attempts_max: 1000,
            ..ClientSettings::default()
        };
        let start = Instant::now();
        let mut backoff = Backoff::new(&settings, start + Duration::from_secs(30));
        while backoff.wait(true).await {}
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(start.elapsed() > Duration::from_secs(20));
    }
}
