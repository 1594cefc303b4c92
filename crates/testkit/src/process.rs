//! Scratch folders, free ports, and daemons that end with the value that owns them.

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use starttls_lab::files::{readable_folder, write};
use starttls_processes::{Process, descendants, members};

use crate::error::Error;

const TICK: Duration = Duration::from_millis(20);
/// How long a daemon may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A temporary folder that daemons of other users can read. It is removed on drop.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Creates the folder.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(readable_folder()?))
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that every user may read.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        Ok(write(self.path().join(name), text, 0o644)?)
    }

    /// Writes a file that only `owner` may read.
    pub fn secret(&self, name: &str, text: &str, owner: &User) -> Result<PathBuf, Error> {
        let path = write(self.path().join(name), text, 0o600)?;
        chown(&path, owner)?;
        Ok(path)
    }

    /// Creates a folder that belongs to `owner`.
    pub fn dir(&self, name: &str, owner: &User) -> Result<PathBuf, Error> {
        let path = self.path().join(name);
        fs::DirBuilder::new().mode(0o755).create(&path).map_err(Error::at(&path))?;
        chown(&path, owner)?;
        Ok(path)
    }
}

fn chown(path: &Path, owner: &User) -> Result<(), Error> {
    std::os::unix::fs::chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))
        .map_err(Error::at(path))
}

/// Returns a system user that a Debian package creates.
pub fn user(name: &str, package: &'static str) -> Result<User, Error> {
    User::from_name(name)
        .map_err(|errno| Error::Io { what: format!("user {name}"), source: errno.into() })?
        .ok_or_else(|| Error::Missing { program: format!("the user {name}"), package })
}

/// Returns the path of a program: absolute, in `PATH`, or in the folders of Debian's daemons.
pub fn program(name: &str, package: &'static str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error::Missing { program: name.into(), package })
}

/// Runs a program as a system user.
pub fn as_user<'a>(owner: &User, command: &'a mut Command) -> &'a mut Command {
    command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw())
}

/// Runs a program to its end and returns its standard output. The error of a failure contains its output.
pub fn run(command: &mut Command) -> Result<Vec<u8>, Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(Error::io(&*name))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::failed(&name, format!("ended with {}", output.status), &said))
}

/// Returns a loopback address of its own, which no other server and no outgoing connection uses.
pub fn own_loopback() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 64 | high & 63, low, next as u8))
}

/// Returns a free port on this address. Each call returns another one.
pub fn free_port(ip: IpAddr) -> Result<SocketAddr, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    free_port_from(12_000, &NEXT, ip).map(|port| SocketAddr::new(ip, port))
}

/// Returns an address of this machine with a port that is free on every address, for a server that listens on all of them.
/// Each call returns another port.
pub fn free_port_everywhere(ip: IpAddr) -> Result<SocketAddr, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    free_port_from(22_000, &NEXT, Ipv6Addr::UNSPECIFIED.into()).map(|port| SocketAddr::new(ip, port))
}

/// Returns one of the 10,000 ports from the first one on, by binding and releasing it.
///
/// They are below those that the system assigns, so that no other test and no outgoing connection gets the port meanwhile.
fn free_port_from(first: u16, next: &AtomicU32, ip: IpAddr) -> Result<u16, Error> {
    const PORTS: u32 = 10_000;
    let mut failed = None;
    for _ in 0..100 {
        let next = std::process::id().wrapping_mul(97).wrapping_add(next.fetch_add(1, Ordering::Relaxed));
        let port = first + (next % PORTS) as u16;
        match TcpListener::bind((ip, port)) {
            Ok(_) => return Ok(port),
            Err(error) => failed = Some(error),
        }
    }
    Err(Error::io("a free port")(failed.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into())))
}

/// A shell script that waits for the end of its parent, which closes its input, and then ends a process group.
const WATCH: &str = "read -r _; kill -TERM -$1; sleep 3; kill -KILL -$1";

/// A running program in a process group of its own, which ends on drop.
///
/// The program must stay in the foreground. Descendants that left the group, such as those of PostgreSQL, end too. If this
/// process is killed, a watcher ends the group.
pub struct Daemon {
    name: String,
    child: Child,
    watcher: Option<Child>,
    log: PathBuf,
    stop: Signal,
}

impl Daemon {
    /// Starts `command`, with its output in `NAME.log` in the scratch folder.
    pub fn spawn(scratch: &Scratch, name: &str, command: &mut Command) -> Result<Self, Error> {
        let log = scratch.path().join(format!("{name}.log"));
        let out = File::create(&log).map_err(Error::at(&log))?;
        let err = out.try_clone().map_err(Error::at(&log))?;
        let child = command
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(Error::io(name))?;
        let mut daemon = Self { name: name.into(), child, watcher: None, log, stop: Signal::SIGTERM };
        daemon.watcher = Some(
            Command::new("sh")
                .args(["-c", WATCH, "sh", &daemon.id().to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .map_err(Error::io("sh"))?,
        );
        Ok(daemon)
    }

    /// Sets the signal that ends this program, if not SIGTERM.
    pub fn stop_with(mut self, stop: Signal) -> Self {
        self.stop = stop;
        self
    }

    /// Returns the process id of the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the address accepts connections. Fails if the program ends first, or at the deadline.
    pub fn wait_listening(&mut self, address: SocketAddr, deadline: Duration) -> Result<(), Error> {
        self.wait_until(deadline, || TcpStream::connect_timeout(&address, deadline).is_ok())
    }

    /// Waits until `ready` returns true. Fails if the program ends first, or at the deadline.
    pub fn wait_until(&mut self, deadline: Duration, mut ready: impl FnMut() -> bool) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(&format!("ended with {status}")));
            }
            if ready() {
                return Ok(());
            }
            if start.elapsed() > deadline {
                return Err(self.failed("was not ready in time"));
            }
            sleep(TICK);
        }
    }

    /// Returns the output of the program so far.
    pub fn log(&self) -> Vec<u8> {
        let mut log = Vec::new();
        // An unreadable log counts as empty: it only explains another failure.
        let _ = File::open(&self.log).and_then(|file| file.take(1 << 20).read_to_end(&mut log));
        log
    }

    fn failed(&self, how: &str) -> Error {
        Error::failed(&self.name, how, &self.log())
    }

    /// Ends the program, then its descendants, and kills the remaining ones after a grace period.
    fn end(&mut self) {
        let group = Pid::from_raw(self.child.id() as i32);
        let mut family = descendants(group);
        // The signal fails if the group has ended already.
        let _ = kill(group, self.stop);
        let mut orphans_told = false;
        let start = Instant::now();
        while start.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                family.extend(members(group));
                family.retain(Process::lives);
                if family.is_empty() {
                    return;
                }
                if !orphans_told {
                    family.iter().for_each(|process| process.signal(Signal::SIGTERM));
                    orphans_told = true;
                }
            }
            sleep(TICK);
        }
        family.extend(members(group));
        let _ = self.child.kill();
        family.iter().for_each(|process| process.signal(Signal::SIGKILL));
        let _ = self.child.wait();
        // They end a moment after the signal, and may write to the scratch folder until then.
        let start = Instant::now();
        while start.elapsed() < GRACE && family.iter().any(Process::lives) {
            sleep(TICK);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        if let Some(mut watcher) = self.watcher.take() {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }
}
