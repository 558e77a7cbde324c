//! How much memory a process uses.

/// Bytes of memory that it holds in RAM. `None` where the system does not say, as on macOS.
pub(super) fn resident_bytes(pid: i32) -> Option<u64> {
    parse_status(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Linux's `proc_pid_status(5)`: `VmRSS:      1234 kB`.
fn parse_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::parse_status;

    #[test]
    fn the_resident_size_is_read() {
        let status = "Name:\tpython3\nVmPeak:\t  99 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(parse_status(status), Some(2048 * 1024));
        assert_eq!(parse_status("Name:\tzombie\n"), None);
        assert_eq!(parse_status("VmRSS: many\n"), None);
    }
}
