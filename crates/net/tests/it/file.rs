//! Paths that lead to something else than a regular file: an error within the deadline, and no call that blocks.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use starttls::file;

const LIMIT: u64 = 1024;
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `step` on a thread of its own: a step that blocks fails the test and does not stop it.
fn within<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(step()));
    receiver.recv_timeout(DEADLINE).expect("the step did not end in time")
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

#[test]
fn regular_files_are_read_up_to_the_limit_and_through_links() {
    let folder = Folder::new();
    let path = folder.file("exact", &[b'x'; LIMIT as usize]);
    assert_eq!(file::read(&path, LIMIT).unwrap().len() as u64, LIMIT);
    let link = folder.path("link");
    symlink(&path, &link).unwrap();
    assert_eq!(file::read(&link, LIMIT).unwrap().len() as u64, LIMIT);
    let error = file::read(&link, LIMIT - 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    assert_eq!(error.to_string(), "expected at most 1023 octets, found more");
    assert_eq!(file::read(&folder.file("empty", b""), 0).unwrap(), b"");
    // Files in /proc have the length 0.
    assert!(!file::read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
    assert_eq!(file::read(&folder.path("missing"), LIMIT).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_file_that_is_huge_costs_nothing() {
    let folder = Folder::new();
    let path = folder.file("huge", b"");
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = within(move || file::read(&path, 1 << 20)).unwrap_err();
    assert_eq!(error.to_string(), "expected at most 1 MiB, found more");
}

#[test]
fn what_is_not_a_regular_file_is_refused_and_never_waited_for() {
    let folder = Folder::new();
    let (pipe, link, socket) = (folder.path("pipe"), folder.path("link"), folder.path("socket"));
    fifo(&pipe);
    symlink(&pipe, &link).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, found) in [
        (pipe, "a pipe (FIFO)"),
        (link, "a pipe (FIFO)"),
        (socket, "a socket"),
        (folder.path("."), "a directory"),
        (PathBuf::from("/dev/zero"), "a character device"),
        (PathBuf::from("/dev/tty"), "a character device"),
    ] {
        let shown = path.display().to_string();
        let (read, open, append) = within(move || {
            let append = file::append(&path, 0o600).map(drop);
            (file::read(&path, LIMIT).map(drop), file::open(&path).map(drop), append)
        });
        for outcome in [read, open, append] {
            let error = outcome.expect_err(&shown);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shown}");
            assert_eq!(error.to_string(), format!("expected a regular file, found {found}"), "{shown}");
        }
    }
}

#[test]
fn a_pipe_is_opened_for_writing_where_a_program_reads_it() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    fifo(&path);
    let unread = path.clone();
    let error = within(move || file::open_fifo(&unread)).unwrap_err();
    assert_eq!(error.to_string(), "expected a pipe (FIFO) that a program reads, found no reader");
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let full = within(move || {
        let mut pipe = file::open_fifo(&path).unwrap();
        (0..10_000).find_map(|_| pipe.write_all(&[0; 1024]).err()).unwrap()
    });
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let error = file::open_fifo(&folder.file("plain", b"")).unwrap_err();
    assert_eq!(error.to_string(), "expected a pipe (FIFO), found a regular file");
}

#[test]
fn a_file_is_created_and_a_pipe_without_a_reader_is_refused() {
    let folder = Folder::new();
    let path = folder.file("report", b"a longer report of an earlier run");
    file::create(&path).unwrap().write_all(b"short").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"short");

    let pipe = folder.path("pipe");
    fifo(&pipe);
    let unread = pipe.clone();
    let error = within(move || file::create(&unread)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");

    // More than a pipe holds: the writer waits for the reader.
    let long = vec![b'x'; 1 << 20];
    let expected = long.len();
    let read = pipe.clone();
    let reader = std::thread::spawn(move || std::fs::read(read).unwrap().len());
    let written = within(move || {
        loop {
            match file::create(&pipe) {
                Ok(mut file) => return file.write_all(&long),
                // The reader has not opened the pipe yet.
                Err(error) if error.kind() == ErrorKind::NotConnected => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
    });
    written.unwrap();
    assert_eq!(reader.join().unwrap(), expected);

    for other in ["/", "/tmp"] {
        assert!(file::create(Path::new(other)).is_err(), "{other}");
    }
}

#[test]
fn appending_creates_the_file_for_its_owner_and_keeps_what_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.path("log");
    for line in ["one\n", "two\n"] {
        file::append(&path, 0o600).unwrap().write_all(line.as_bytes()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_input_may_be_a_pipe_whose_writer_comes_later() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    fifo(&path);
    let writer = path.clone();
    let writing = std::thread::spawn(move || std::fs::write(writer, b"secret\n"));
    let read = path.clone();
    assert_eq!(within(move || file::read_input(&read, LIMIT, DEADLINE)).unwrap(), b"secret\n");
    writing.join().unwrap().unwrap();
    // A regular file is an input too.
    let plain = folder.file("plain", b"secret\n");
    assert_eq!(file::read_input(&plain, LIMIT, DEADLINE).unwrap(), b"secret\n");
}

#[test]
fn an_input_without_a_writer_or_without_an_end_is_an_error() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    fifo(&path);
    let read = path.clone();
    let error = within(move || file::read_input(&read, LIMIT, Duration::from_secs(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "expected the end of a pipe (FIFO) within 1 s, found none");
    // A writer that sends data and does not close.
    let held = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (&held).write_all(b"secret\n").unwrap();
    let error = within(move || file::read_input(&path, LIMIT, Duration::from_secs(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let zero = within(|| file::read_input(Path::new("/dev/zero"), LIMIT, DEADLINE)).unwrap_err();
    assert_eq!(zero.kind(), ErrorKind::FileTooLarge);
    let directory = folder.path(".");
    let error = within(move || file::read_input(&directory, LIMIT, DEADLINE)).unwrap_err();
    assert_eq!(error.to_string(), "expected a regular file, found a directory");
}
