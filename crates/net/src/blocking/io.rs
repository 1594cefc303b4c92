//! The requirements on a blocking stream, and the streams as `std` sees them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, stream};

/// A blocking stream with a time limit.
pub trait Stream: Read + Write {
    /// Limits the time of each following read and write; `None` removes the limit.
    ///
    /// # Errors
    /// The errors of the operating system.
    fn set_timeout(&mut self, limit: Option<Duration>) -> io::Result<()>;

    /// Reads what has already arrived, without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock) if nothing has arrived, and the errors of the operating system.
    fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

/// Makes any blocking stream a [`Stream`] without a time limit.
///
/// The library checks its deadline only between reads and writes, so a silent peer can block it for as long as the stream
/// waits. It cannot detect an answer that the peer sent before the request.
#[derive(Debug)]
pub struct Untimed<S>(pub S);

macro_rules! socket {
    ($($socket:ty),*) => {$(
        impl Stream for $socket {
            fn set_timeout(&mut self, limit: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(limit)?;
                self.set_write_timeout(limit)
            }

            fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.set_nonblocking(true)?;
                let done = self.read(buf);
                self.set_nonblocking(false)?;
                done
            }
        }
    )*};
}

socket!(TcpStream);
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream);

impl<S: Read + Write> Stream for Untimed<S> {
    fn set_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn read_available(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<IO: Stream> TappedStream<IO> {
    fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.has_early() {
            return Ok(self.take_early(buf));
        }
        let count = self.io.read_available(buf)?;
        self.received(&buf[..count]);
        Ok(count)
    }

    /// Runs one blocking operation within the deadline, if one is set.
    fn within<T>(&mut self, mut run: impl FnMut(&mut IO) -> io::Result<T>) -> io::Result<T> {
        loop {
            if let Some(deadline) = self.deadline {
                let remaining = deadline.remaining();
                if remaining.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                self.io.set_timeout(Some(remaining))?;
            }
            match run(&mut self.io) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if self.deadline.is_some()
                        && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                done => return done,
            }
        }
    }
}

impl<IO: Stream> Read for TappedStream<IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.has_early() {
            return Ok(self.take_early(buf));
        }
        let count = loop {
            let count = self.within(|io| io.read(buf))?;
            let left = self.strip_leading_space(&mut buf[..count]);
            if left > 0 || count == 0 {
                break left;
            }
        };
        self.received(&buf[..count]);
        Ok(count)
    }
}

impl<IO: Stream> Write for TappedStream<IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.within(|io| io.write(buf))?;
        self.sent(&buf[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.within(|io| io.flush())
    }
}

/// A stream that the driver of a conversation reads and writes.
pub(crate) trait Channel: Read + Write {
    /// Sets the deadline of the following reads and writes.
    fn set_deadline(&mut self, deadline: Option<Deadline>);

    /// Reads what has already arrived; [`WouldBlock`](ErrorKind::WouldBlock) if nothing has.
    fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

impl<IO: Stream> Channel for TappedStream<IO> {
    fn set_deadline(&mut self, deadline: Option<Deadline>) {
        self.deadline = deadline;
    }

    fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        TappedStream::read_available(self, buf)
    }
}

impl<IO: Stream> Channel for Encrypted<IO> {
    fn set_deadline(&mut self, deadline: Option<Deadline>) {
        self.tapped.deadline = deadline;
    }

    fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = stream::read(&mut self.tls, &mut Available(&mut self.tapped), buf)?;
        self.seen(&buf[..count]);
        Ok(count)
    }
}

/// A stream whose reads do not wait.
struct Available<'a, IO>(&'a mut TappedStream<IO>);

impl<IO: Stream> Read for Available<'_, IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_available(buf)
    }
}

impl<IO: Stream> Write for Available<'_, IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<IO: Stream> Encrypted<IO> {
    /// Removes the deadline of a conversation, for the application.
    #[cfg(feature = "login")]
    pub(crate) fn remove_deadline(&mut self) -> io::Result<()> {
        self.tapped.deadline = None;
        self.tapped.io.set_timeout(None)
    }

    /// Sends `close_notify`, which distinguishes the end of the session from a cut connection (RFC 8446 section 6.1). The
    /// stream can still be read.
    ///
    /// # Errors
    /// The errors of the underlying stream.
    pub fn close(&mut self) -> io::Result<()> {
        stream::close(&mut self.tls, &mut self.tapped)
    }
}

impl<IO: Stream> Read for Encrypted<IO> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = stream::read(&mut self.tls, &mut self.tapped, buf)?;
        self.seen(&buf[..count]);
        Ok(count)
    }
}

impl<IO: Stream> Write for Encrypted<IO> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = stream::write(&mut self.tls, &mut self.tapped, buf)?;
        self.shown(&buf[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        stream::flush(&mut self.tls, &mut self.tapped)
    }
}
