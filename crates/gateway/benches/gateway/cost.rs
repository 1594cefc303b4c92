//! The resources that a server under test has used.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::load::Load;
use crate::servers::{CORE, Running};
use crate::{BULK, Outcome, PATIENT, SESSIONS, Setup};

/// The figures of one server in one round.
#[derive(Debug)]
pub(crate) struct Cost {
    /// Processor time of a session, in milliseconds; `None` for servers with a process for each session.
    pub(crate) session: Option<f64>,
    /// Processor seconds for one GiB from the client to the backend; `None` for servers without bulk measurements.
    pub(crate) up: Option<f64>,
    /// Processor seconds for one GiB from the backend to the client.
    pub(crate) down: Option<f64>,
    /// Duration of a session without other sessions, in milliseconds.
    pub(crate) latency: f64,
}

/// Returns the milliseconds of a handshake by rustls alone, on the core of the servers.
pub(crate) fn handshake(setup: &Setup) -> Outcome<f64> {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(std::env::current_exe()?).arg("handshake");
    let output = command.args([&setup.chain, &setup.key, &setup.root]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| "no handshake in memory")?)
}

impl Running<'_> {
    /// Measures everything except memory.
    pub(crate) fn cost(&self, load: &Load) -> Outcome<Cost> {
        let gib = BULK as f64 / f64::from(1 << 30);
        let latency = load.run(self, "patient", PATIENT as u64)?;
        let session = match self.server.many || !self.server.bulk {
            true => Some(self.during(|| load.run(self, "sessions", SESSIONS as u64))?),
            false => None,
        };
        let bulk = |way| match self.server.bulk {
            true => self.during(|| load.run(self, way, BULK)).map(|spent| Some(spent.as_secs_f64() / gib)),
            false => Ok(None),
        };
        Ok(Cost {
            session: session.map(|spent| spent.as_secs_f64() * 1000.0 / SESSIONS as f64),
            up: bulk("up")?,
            down: bulk("down")?,
            latency,
        })
    }

    /// Returns the KiB per connection with `count` connections after the handshake, with a connection to the backend;
    /// `None` if the server does not support many connections.
    pub(crate) fn held(&self, load: &Load, count: usize) -> Outcome<Option<f64>> {
        if !self.server.many {
            return Ok(None);
        }
        load.run(self, "sessions", 20)?;
        let before = self.memory()?;
        let holding = load.hold(self, count)?;
        let after = self.memory()?;
        holding.release()?;
        Ok(Some((after as f64 - before as f64) / count as f64))
    }

    fn during<T>(&self, work: impl FnOnce() -> Outcome<T>) -> Outcome<Duration> {
        let before = self.processor()?;
        work()?;
        // A process for one connection ends after it, and counts for its parent when that has waited for it.
        std::thread::sleep(Duration::from_millis(100));
        Ok(self.processor()?.saturating_sub(before))
    }

    /// Returns the user and system time of all processes of the server, with those that have ended.
    fn processor(&self) -> Outcome<Duration> {
        let ticks: u64 = self.stats()?.iter().map(|stat| stat.ticks).sum();
        let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        Ok(Duration::from_secs_f64(ticks as f64 / per_second))
    }

    /// Returns the KiB of all processes of the server, with a proportional share of shared memory.
    fn memory(&self) -> Outcome<u64> {
        let mut sum = 0;
        for stat in self.stats()? {
            let path = format!("/proc/{}/smaps_rollup", stat.id);
            let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let word =
                line.and_then(|line| line.split_whitespace().next()).ok_or("no Pss in smaps_rollup")?;
            sum += word.parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Returns the processes of the server's process group.
    fn stats(&self) -> Outcome<Vec<Stat>> {
        let ids =
            fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let group: Vec<Stat> =
            ids.filter_map(Stat::read).filter(|stat| stat.group == self.daemon.id()).collect();
        if group.is_empty() { Err("the server is gone".into()) } else { Ok(group) }
    }
}

struct Stat {
    id: u32,
    group: u32,
    ticks: u64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        // proc_pid_stat(5): the name can contain any character; field 3 follows it.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { id, group: field(5)?.try_into().ok()?, ticks: (14..=17).filter_map(field).sum() })
    }
}
