//! How many files the manager may open: a socket for each task process, and connections to SQS.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections to SQS, and what else the manager opens for itself, where there is little room.
const OWN_MIN: u64 = 24;

/// Raises the limit of open files as far as the system allows: a worker on many queues has many connections. Only the
/// manager's: a program that a task starts may rely on the limit as it was. An error says that there is no room for
/// so many task processes.
pub(crate) fn make_room(concurrency: u32) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Some systems have a limit of their own below the maximum; what there is may do.
    let _ = setrlimit(Resource::Nofile, raised);
    check(concurrency, open_now(), getrlimit(Resource::Nofile).current)
}

fn check(concurrency: u32, open: u64, allowed: Option<u64>) -> Result<(), String> {
    // A process that has run all its tasks is replaced before it is gone.
    let needed = open + 2 * u64::from(concurrency) + OWN_MIN;
    match allowed {
        Some(allowed) if allowed < needed => Err(format!(
            "--concurrency {concurrency} needs about {needed} open files, and {allowed} are allowed: raise the limit \
             (`ulimit -Hn`), or lower --concurrency"
        )),
        _ => Ok(()),
    }
}

/// Files that this process has open; a guess where the system does not say.
fn open_now() -> u64 {
    const USUAL: u64 = 16;
    std::fs::read_dir("/dev/fd").map_or(USUAL, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(check(50, 16, None), Ok(()));
        assert_eq!(check(50, 16, Some(140)), Ok(()));
        let error = check(50, 16, Some(64)).unwrap_err();
        assert!(
            error.starts_with("--concurrency 50 needs about 140 open files, and 64 are allowed")
        );
        assert_eq!(check(4, 16, Some(64)), Ok(()));
    }
}
