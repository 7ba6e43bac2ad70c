//! What a process costs, as Linux tells it.

use std::path::PathBuf;
use std::time::Duration;

/// Ticks of `/proc/PID/stat` a second: a constant of Linux's interface.
const TICKS_A_SECOND: u64 = 100;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    id: u32,
}

impl Process {
    /// The process with this id.
    pub const fn new(id: u32) -> Self {
        Self { id }
    }

    /// CPU that all its threads have used, user and system, to 10 ms. Nothing where there is no `/proc`.
    pub fn cpu(self) -> Duration {
        let stat = std::fs::read_to_string(self.file("stat")).unwrap_or_default();
        cpu_of(&stat).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn memory(self) -> u64 {
        let status = std::fs::read_to_string(self.file("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1_024
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.id))
    }
}

/// `utime` and `stime`, the 14th and 15th fields; the second may hold spaces and brackets.
fn cpu_of(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_A_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_user_and_system_time_whatever_the_name_is() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu_of(""), None);
    }

    #[test]
    fn a_process_that_works_costs() {
        let own = Process::new(std::process::id());
        assert!(own.memory() > 100_000);
        assert_eq!(Process::new(u32::MAX).cpu(), Duration::ZERO);
    }
}
