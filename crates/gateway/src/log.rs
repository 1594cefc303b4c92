//! The log: one line of JSON for each session and for each event of the gateway, and with a higher level for its parts.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use starttls::file;
use starttls_x509::validity;

use crate::config::Log;
use crate::log_level::LogLevel;

/// The maximum number of lines that wait for a slow disk or pipe.
const WAITING: usize = 4096;
/// The log contains addresses of clients, so not every user may read it.
const PERMISSIONS: u32 = 0o640;
/// How long the writing thread waits before it tries again to write to a full pipe.
const FIFO_PAUSE: Duration = Duration::from_millis(5);
/// How long a flush may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes lines on a separate thread, so that a session never waits for the disk. If lines come faster than they can be
/// written, some are dropped, and the log reports how many.
#[derive(Debug)]
pub struct Logger {
    lines: Option<SyncSender<Order>>,
    /// The last [`LogLevel`] that is written.
    level: AtomicU8,
    lost: AtomicU64,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Line(String),
    Reopen,
    /// Sends a message when all lines before it are written.
    Flush(SyncSender<()>),
}

/// A line about an event of the gateway.
#[derive(Serialize)]
struct Event<'a> {
    time: String,
    level: LogLevel,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
}

impl Logger {
    /// Opens the log, with the default level.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(log: &Log) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let out = match log {
            Log::Nowhere => return Ok(Self::new(None, None)),
            log => open(log)?,
        };
        let again = log.clone();
        let writer = std::thread::Builder::new()
            .name(String::from("log"))
            .spawn(move || write(&receiver, out, &again))?;
        Ok(Self::new(Some(sender), Some(writer)))
    }

    fn new(lines: Option<SyncSender<Order>>, writer: Option<JoinHandle<()>>) -> Self {
        Self { lines, level: AtomicU8::new(LogLevel::default() as u8), lost: AtomicU64::new(0), writer }
    }

    /// Sets the level of the log: lines of this level and of all before it are written.
    pub fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
        // Whether spans are collected at all is decided from the level.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Returns the level of the log.
    pub fn level(&self) -> LogLevel {
        let level = self.level.load(Ordering::Relaxed);
        LogLevel::ALL.into_iter().find(|it| *it as u8 == level).unwrap_or_default()
    }

    /// Returns whether lines of this level are written.
    pub fn has_level(&self, level: LogLevel) -> bool {
        self.lines.is_some() && level as u8 <= self.level.load(Ordering::Relaxed)
    }

    /// Checks that the log can be opened, without creating a file.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn check(log: &Log) -> io::Result<()> {
        let Log::File(path) = log else { return Ok(()) };
        match std::fs::metadata(path) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
                folder.is_none_or(|it| it.is_dir()).then_some(()).ok_or(missing)
            }
            Err(error) => Err(error),
            Ok(_) => open_file(path).map(drop),
        }
    }

    /// Writes an event of the gateway: its name and a text.
    pub fn event(&self, level: LogLevel, event: &str, what: &str) {
        self.write(level, &Event { time: now(), level, event, what: Some(what), lines: None });
    }

    /// Writes one line, if the log contains lines of this level. The line names the level itself.
    pub fn write(&self, level: LogLevel, line: &impl Serialize) {
        let Some(lines) = self.lines.as_ref().filter(|_| self.has_level(level)) else { return };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let loss =
            || Event { time: now(), level: LogLevel::Error, event: "lost", what: None, lines: Some(lost) };
        let reported = lost == 0 || send(lines, &loss());
        if !reported {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !send(lines, line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Flushes with a one-second limit; `Drop` does the same.
    pub fn flush(&self) {
        let Some(lines) = &self.lines else { return };
        let (done, written) = sync_channel(1);
        let end = Instant::now() + PATIENCE;
        let mut order = Order::Flush(done);
        while let Err(TrySendError::Full(again)) = lines.try_send(order) {
            // The remaining lines are lost if the disk is slower than this.
            if Instant::now() >= end {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            order = again;
        }
        let _ = written.recv_timeout(end.saturating_duration_since(Instant::now()));
    }

    /// Opens the file again after it was moved. If that fails, the old file stays in use.
    pub fn reopen(&self) {
        if let Some(lines) = &self.lines {
            // If the queue is full, the next rotation repeats the order.
            let _ = lines.try_send(Order::Reopen);
        }
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        self.flush();
        self.lines = None;
        // A thread that writes to a blocked pipe never ends, so only a finished thread is joined.
        if let Some(writer) = self.writer.take().filter(JoinHandle::is_finished) {
            let _ = writer.join();
        }
    }
}

/// Returns the current time: RFC 3339 in UTC, with milliseconds.
pub fn now() -> String {
    at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Formats a time since 1970.
fn at(since: Duration) -> String {
    let seconds = validity::rfc3339(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), since.subsec_millis())
}

fn send(lines: &SyncSender<Order>, line: &impl Serialize) -> bool {
    let text = serde_json::to_string(line);
    text.is_ok_and(|text| lines.try_send(Order::Line(text + "\n")).is_ok())
}

fn open(log: &Log) -> io::Result<Box<dyn Write + Send>> {
    Ok(match log {
        Log::Stderr => Box::new(io::stderr()),
        Log::Stdout => Box::new(io::stdout()),
        Log::File(path) => open_file(path)?,
        Log::Nowhere => Box::new(io::sink()),
    })
}

fn open_file(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    let is_fifo = std::fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo());
    Ok(match is_fifo {
        true => Box::new(Fifo(file::open_fifo(path)?)),
        false => Box::new(file::append(path, PERMISSIONS)?),
    })
}

/// A FIFO that was opened in non-blocking mode. Writes wait for the reader.
struct Fifo(File);

impl Write for Fifo {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FIFO_PAUSE),
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn write(lines: &Receiver<Order>, mut out: Box<dyn Write + Send>, log: &Log) {
    while let Ok(order) = lines.recv() {
        match order {
            // A full disk must not stop the gateway, and the error cannot be logged.
            Order::Line(line) => drop(out.write_all(line.as_bytes())),
            // The caller may have stopped waiting.
            Order::Flush(done) => drop(done.try_send(())),
            Order::Reopen => {
                if let Ok(new) = open(log) {
                    out = new;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_one_length() {
        for (since, text) in [
            (Duration::ZERO, "1970-01-01T00:00:00.000Z"),
            (Duration::from_millis(1_767_323_045_070), "2026-01-02T03:04:05.070Z"),
            (Duration::from_millis(1_767_323_045_678), "2026-01-02T03:04:05.678Z"),
        ] {
            assert_eq!(at(since), text);
        }
    }
}
