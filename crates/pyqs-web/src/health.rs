//! What is well, and what is not.

use std::time::Duration;

use pyqs_worker::Status;

/// A status is left twice a second. One that is older was left by a manager that hangs.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// Whether the manager goes on.
pub(crate) fn alive(status: Option<&(Status, Duration)>) -> Result<(), String> {
    match status {
        Some((_, age)) if *age > STALE_AFTER => {
            Err(format!("the manager hangs, for {} s", age.as_secs()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether there is somebody to run tasks, and SQS answers for every queue.
pub(crate) fn ready(status: Option<&(Status, Duration)>) -> Result<(), String> {
    alive(status)?;
    let Some((status, _)) = status else {
        return Err("starting".to_owned());
    };
    let snapshot = &status.snapshot;
    if snapshot.is_stopping {
        return Err("stopping".to_owned());
    }
    if snapshot.processes == 0 {
        return Err("no task process is ready".to_owned());
    }
    if snapshot.queues.is_empty() {
        return Err("no queue was found".to_owned());
    }
    let troubled = snapshot.queues.iter().find(|(_, queue)| queue.is_troubled);
    match troubled {
        Some((id, _)) => Err(format!("receiving from {} fails", status.name(*id))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{alive, ready};
    use crate::metrics::tests::status;

    #[test]
    fn a_manager_that_leaves_no_status_hangs() {
        let aged = |secs| (status(), Duration::from_secs(secs));
        assert_eq!(alive(Some(&aged(5))), Ok(()));
        let hangs = Err("the manager hangs, for 6 s".to_owned());
        assert_eq!(alive(Some(&aged(6))), hangs);
        assert_eq!(ready(Some(&aged(6))), hangs);
        assert_eq!(alive(None), Ok(()), "it starts");
    }

    #[test]
    fn ready_is_who_can_work() {
        let check = |change: fn(&mut pyqs_worker::Status), reason: Option<&str>| {
            let mut status = status();
            change(&mut status);
            let found = ready(Some(&(status, Duration::ZERO)));
            assert_eq!(found.err().as_deref(), reason);
        };
        check(|_| {}, None);
        check(
            |status| status.snapshot.is_stopping = true,
            Some("stopping"),
        );
        check(
            |status| status.snapshot.processes = 0,
            Some("no task process is ready"),
        );
        check(
            |status| status.snapshot.queues.clear(),
            Some("no queue was found"),
        );
        check(
            |status| {
                let queues = status.snapshot.queues.values_mut();
                queues.for_each(|queue| queue.is_troubled = true);
            },
            Some("receiving from email fails"),
        );
        assert_eq!(ready(None), Err("starting".to_owned()));
    }
}
