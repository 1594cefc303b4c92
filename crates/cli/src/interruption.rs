//! The signals that end a command: SIGINT (Ctrl-C), SIGTERM and SIGHUP.
//!
//! `main` drops a command that does not handle them, and with it its connections, processes and folders. A command
//! with something to report awaits [`Interruption::code`] itself. The gateway has its own meaning for SIGHUP and
//! SIGTERM.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use signals::Signals;

/// Notifies a command of a signal that asks it to end.
#[derive(Clone, Debug)]
pub(crate) struct Interruption(watch::Receiver<Option<u8>>);

/// The time that a command has to end. Then the program exits anyway, for example during a blocked write to a pipe.
const GRACE: Duration = Duration::from_secs(15);

impl Interruption {
    /// Starts to handle the signals.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let code = signals.next().await;
            // The send fails if the command has ended.
            let _ = sender.send(Some(code));
            // A second signal ends the program at once.
            let _ = tokio::time::timeout(GRACE, signals.next()).await;
            abandon(code);
        });
        Ok(Self(receiver))
    }

    /// Waits for the first signal and returns the exit code for it.
    pub(crate) async fn code(&mut self) -> u8 {
        match self.0.wait_for(Option::is_some).await.map(|code| *code) {
            Ok(Some(code)) => code,
            // The handler only ends with the runtime.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
mod signals {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use crate::exit;

    pub(super) struct Signals {
        interrupt: Signal,
        terminate: Signal,
        /// `None` if the program was started with nohup.
        hangup: Option<Signal>,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
            Ok(Self { interrupt, terminate, hangup })
        }

        pub(super) async fn next(&mut self) -> u8 {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let kind = tokio::select! {
                _ = self.interrupt.recv() => SignalKind::interrupt(),
                _ = self.terminate.recv() => SignalKind::terminate(),
                _ = hangup => SignalKind::hangup(),
            };
            exit::of_signal(u8::try_from(kind.as_raw_value()).unwrap_or_default())
        }
    }

    /// Returns whether SIGHUP is ignored, as `nohup` starts a program.
    fn ignores_hangup() -> bool {
        // proc_pid_status(5): a mask in hexadecimal, with a bit for each signal, the first for signal 1.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;

    use crate::exit;

    /// The number of SIGINT, by which the exit code reports Ctrl-C on every system.
    const INTERRUPT: u8 = 2;

    /// Ctrl-C, the only such signal outside of Unix.
    pub(super) struct Signals;

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) -> u8 {
            match tokio::signal::ctrl_c().await {
                Ok(()) => exit::of_signal(INTERRUPT),
                // Without a handler, the system ends the program by itself.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

/// Exits while the command is still running, so its processes are ended here.
#[expect(clippy::exit, reason = "the command does not end by itself")]
fn abandon(code: u8) {
    crate::children::end_descendants();
    std::process::exit(code.into());
}
