//! Which names a queue may have.

use crate::error::Error;
use crate::limits::QUEUE_NAME_CHARS_MAX;

/// The end of every FIFO queue's name, and of no other's.
pub(crate) const FIFO_SUFFIX: &str = ".fifo";

/// `CreateQueue`: up to 80 of `[A-Za-z0-9_-]`, FIFO queues end in `.fifo`. `lenient` lets dots in
/// anywhere, which AWS refuses and several other endpoints accept.
pub(crate) fn check(name: &str, lenient: bool) -> Result<(), Error> {
    let stem = name.strip_suffix(FIFO_SUFFIX).unwrap_or(name);
    let is_allowed =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (lenient && c == '.');
    if stem.is_empty() || name.len() > QUEUE_NAME_CHARS_MAX || !stem.chars().all(is_allowed) {
        return Err(Error::InvalidQueueName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_at_and_beyond_the_limit() {
        assert!(check(&"a".repeat(80), false).is_ok());
        assert!(check(&"a".repeat(81), false).is_err());
        assert!(check(&format!("{}.fifo", "a".repeat(75)), false).is_ok());
        assert!(check(&format!("{}.fifo", "a".repeat(76)), false).is_err());
        assert!(check("", false).is_err());
        assert!(check(".fifo", false).is_err());
    }

    #[test]
    fn dots_only_where_lenient() {
        assert!(check("email.tasks.send", false).is_err());
        assert!(check("email.tasks.send", true).is_ok());
        assert!(check("email/tasks", true).is_err());
        assert!(check("e-mail_2", false).is_ok());
        assert!(check("grün", false).is_err());
    }
}
