//! Processor time and memory of running processes.

use std::error::Error;
use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// The unit of processor times in `/proc` (USER_HZ), which is the same on all of Linux' architectures.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used, or several ones that were started one after the other.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    cpu: Duration,
    /// The processor time of those that have ended.
    cpu_before: Duration,
    /// The most resident memory, in KiB.
    memory: u64,
}

impl Usage {
    /// Looks at a running process. Of a process that has ended, the last look counts.
    pub(crate) fn look(&mut self, id: u32) {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let peak = peak.and_then(|it| it.parse().ok());
        self.memory = self.memory.max(peak.unwrap_or_default());
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name of the program, in parentheses, may contain spaces. The times in user mode and in the kernel are fields 14 and 15.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks: Vec<u32> = fields.into_iter().flatten().filter_map(|it| it.parse().ok()).collect();
        if let [user, system] = ticks[..] {
            self.cpu = TICK * (user + system);
        }
    }

    /// Counts the process as ended, so that the next look is at another one.
    pub(crate) fn ended(&mut self) {
        self.cpu_before += std::mem::take(&mut self.cpu);
    }

    /// Returns the processor time.
    pub(crate) fn cpu(&self) -> Duration {
        self.cpu_before + self.cpu
    }

    /// Returns the most resident memory, in MiB.
    pub(crate) fn memory(&self) -> u64 {
        self.memory / 1024
    }
}

/// Returns the processor time of this process.
pub(crate) fn own_time() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let spent = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(spent.try_into()?))
}
