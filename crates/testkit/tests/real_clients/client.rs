//! Runs a client program to its end, within a deadline.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use starttls_testkit::process::program;

/// The time limit for one client.
const DEADLINE: Duration = Duration::from_secs(90);

/// The output of a client, and whether it succeeded.
pub(crate) struct Said {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Requires success, and each of these texts in the standard output.
    #[track_caller]
    pub(crate) fn with(&self, expected: &[&str]) -> &Self {
        assert!(self.ok, "failed\nout: {}\nerr: {}", self.out, self.err);
        for text in expected {
            assert!(self.out.contains(text), "no {text:?}\nout: {}\nerr: {}", self.out, self.err);
        }
        self
    }
}

/// A client program to run.
pub(crate) struct Client {
    command: Command,
    input: Vec<u8>,
    /// Whether the input ends after these octets. If not, it stays open until the client ends.
    pub(crate) input_ends: bool,
}

pub(crate) fn client(name: &str, package: &'static str) -> Client {
    let path = program(name, package).unwrap_or_else(|missing| panic!("{missing}"));
    let mut command = Command::new(path);
    // Without this, the client would read the configuration of the user that runs the tests.
    command.env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    Client { command, input: Vec::new(), input_ends: true }
}

impl Client {
    pub(crate) fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs the client to its end, or kills it at the deadline.
    #[track_caller]
    pub(crate) fn run(mut self) -> Said {
        let mut child: Child =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (input, input_ends) = (self.input, self.input_ends);
        let writing = thread::spawn(move || {
            // A client that ends early breaks the pipe. The test checks its output.
            let _ = stdin.write_all(&input);
            (!input_ends).then_some(stdin)
        });
        let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let start = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if start.elapsed() > DEADLINE => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    break None;
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        drop(writing.join().unwrap());
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        assert!(status.is_some(), "{:?} was not done in time\nout: {out}\nerr: {err}", self.command);
        Said { ok: status.is_some_and(|status| status.success()), out, err }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Returns the Base64 form of a text, for SASL.
pub(crate) fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks(3).flat_map(|group| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        (0..4).map(move |at| match at <= group.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]),
            false => '=',
        })
    });
    groups.collect()
}
