//! What a blocking stream has to be, and the streams as `std` sees them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::tapped_stream::TappedStream;
use crate::{Encrypted, stream};

/// A blocking stream that can be told not to block for long.
pub trait Stream: Read + Write {
    /// Bounds each of the next reads and writes; `None` takes the bound away.
    ///
    /// # Errors
    /// What the system says.
    fn set_timeout(&mut self, limit: Option<Duration>) -> io::Result<()>;

    /// Reads what has arrived already; [`WouldBlock`](ErrorKind::WouldBlock) if nothing has.
    ///
    /// # Errors
    /// What the system says.
    fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

/// Makes any stream a [`Stream`], one that nothing can hurry.
///
/// The deadline is looked at between reads and writes only, so that a silent peer is waited for as long
/// as the stream itself does, which has to block, and an answer that was sent before its question may go unnoticed.
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
    pub(super) fn read_available(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.io.read_available(buf)?;
        self.received(&buf[..count]);
        Ok(count)
    }

    /// Runs one blocking operation within the deadline, if there is one.
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

impl<IO: Stream> Encrypted<IO> {
    /// Says goodbye in TLS, so that the peer can tell the end from a cut connection. What the peer still
    /// sends can be read.
    ///
    /// # Errors
    /// What the stream below says.
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
