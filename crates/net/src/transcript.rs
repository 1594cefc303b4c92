//! A human-readable transcript of a connection.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use starttls_proto::{
    ClientMessage, Escaped, EventKind, Outgoing, Protocol, Relay, RelayEvent, Side, TranscriptEntry,
};

use crate::observe::{Chunk, ConnectionPhase, Observer};

/// Writes a human-readable transcript of a connection, one line for each line of the conversation.
///
/// ```text
/// 0.012 S: 220 mail.example.com ESMTP\r\n
/// 0.013 C: EHLO [127.0.0.1]\r\n
/// ```
/// The messages are escaped. Credentials are redacted (`C: AUTH ***`), and so are the client's following messages, until one
/// is known to contain no secret. For TLS records and for data inside TLS it writes only the number of octets, and also for
/// a client's messages that it cannot parse.
///
/// A transcript belongs to one connection. Write errors are ignored.
#[derive(Debug)]
pub struct TranscriptWriter<W>(Mutex<State<W>>);

#[derive(Debug)]
struct State<W> {
    writer: W,
    relay: Relay,
    /// The incomplete messages of the two sides.
    unread: [Vec<u8>; 2],
    /// Whether the client's current message contains a secret.
    secret: bool,
    /// Whether the conversation cannot be parsed any more. Nothing is kept then, so that memory is bounded.
    over: bool,
}

impl<W: Write + Send> TranscriptWriter<W> {
    /// Returns the transcript of one connection of this protocol.
    pub fn new(protocol: &Protocol, writer: W) -> Self {
        let relay = Relay::new(protocol, Vec::new());
        Self(Mutex::new(State {
            writer,
            relay,
            unread: [Vec::new(), Vec::new()],
            secret: false,
            over: false,
        }))
    }
}

impl<W: Write + Send> TranscriptWriter<W> {
    /// Writes a message of a login, from which the secrets are already removed.
    pub fn record(&self, at: Duration, entry: &TranscriptEntry) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lines(at, entry.from, &entry.text);
    }
}

impl<W: Write + Send> Observer for TranscriptWriter<W> {
    fn observe(&self, chunk: &Chunk<'_>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = chunk.bytes.len();
        match chunk.phase {
            ConnectionPhase::Negotiation => state.negotiation(chunk),
            ConnectionPhase::Handshake => {
                state.give_up_reading(chunk.at);
                state.line(chunk.at, chunk.from, &format!("<{octets} octets of TLS>"));
            }
            ConnectionPhase::Session => {
                state.line(chunk.at, chunk.from, &format!("<{octets} octets inside TLS>"))
            }
        }
    }
}

impl<W: Write> State<W> {
    fn negotiation(&mut self, chunk: &Chunk<'_>) {
        self.unread[index(chunk.from)].extend_from_slice(chunk.bytes);
        if self.over {
            return self.give_up_reading(chunk.at);
        }
        let mut events = Vec::new();
        self.relay.receive(chunk.from, chunk.bytes, &mut Outgoing::default(), &mut events);
        for event in events {
            self.event(chunk.at, event);
        }
    }

    fn event(&mut self, at: Duration, event: RelayEvent) {
        match event.kind {
            EventKind::Client(meaning) => {
                self.secret = match meaning {
                    ClientMessage::Credentials => true,
                    ClientMessage::Other | ClientMessage::Partial | ClientMessage::Silent => self.secret,
                    ClientMessage::Hello
                    | ClientMessage::Request
                    | ClientMessage::Probe
                    | ClientMessage::OnBehalf
                    | ClientMessage::Quit => false,
                };
            }
            EventKind::Server(_) => {}
            // The relay does not parse what follows.
            _ => return self.give_up_reading(at),
        }
        let length = usize::try_from(event.at.end - event.at.start).unwrap_or(usize::MAX);
        let unread = &mut self.unread[index(event.from)];
        let message: Vec<u8> = unread.drain(..length.min(unread.len())).collect();
        if event.from == Side::Client && self.secret {
            let shown = if event.text.is_none() { verb(&message) } else { "" };
            return self.line(at, event.from, &format!("{shown}***"));
        }
        match event.text {
            Some(text) => self.line(at, event.from, &Escaped(text.as_bytes()).to_string()),
            None => self.lines(at, event.from, &message),
        }
    }

    /// Writes the incomplete messages.
    fn give_up_reading(&mut self, at: Duration) {
        self.over = true;
        let [client, server] = std::mem::take(&mut self.unread);
        self.lines(at, Side::Server, &server);
        if !client.is_empty() {
            self.line(at, Side::Client, &format!("<{} octets>", client.len()));
        }
    }

    fn lines(&mut self, at: Duration, from: Side, bytes: &[u8]) {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line(at, from, &Escaped(line).to_string());
        }
    }

    fn line(&mut self, at: Duration, from: Side, text: &str) {
        let who = if from == Side::Client { 'C' } else { 'S' };
        // A full disk must not break the connection.
        let _ = writeln!(self.writer, "{:.3} {who}: {text}", at.as_secs_f64());
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}

/// Returns the first word and the space after it, if it has the form of a command.
fn verb(message: &[u8]) -> &str {
    let end = message.iter().take(16).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    match message.get(end) {
        Some(b' ') => std::str::from_utf8(&message[..=end]).unwrap_or_default(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starttls_proto::smtp::SMTP;

    /// Returns the transcript of these chunks without the times.
    fn written(chunks: &[(Side, ConnectionPhase, &[u8])]) -> String {
        let transcript = TranscriptWriter::new(&SMTP, Vec::new());
        for &(from, phase, bytes) in chunks {
            transcript.observe(&Chunk { from, phase, at: Duration::ZERO, bytes });
        }
        let text = String::from_utf8(transcript.0.into_inner().unwrap().writer).unwrap();
        text.replace("0.000 ", "")
    }

    use ConnectionPhase::{Handshake, Negotiation, Session};
    use Side::{Client, Server};

    #[test]
    fn a_conversation_is_escaped_and_split_into_lines() {
        let text = written(&[
            (Server, Negotiation, b"220 \x1b[31mhi\r\n"),
            (Client, Negotiation, b"EHLO local"),
            (Client, Negotiation, b"host\r\n"),
            (Server, Negotiation, b"250-hi\r\n250 STARTTLS\r\n"),
            (Client, Handshake, b"\x16\x03\x01\x00\x00"),
            (Client, Session, b"PASS sesame"),
        ]);
        assert_eq!(
            text,
            "S: 220 \\x1b[31mhi\\r\\n\nC: EHLO localhost\\r\\n\nS: 250-hi\\r\\n\nS: 250 STARTTLS\\r\\n\n\
             C: <5 octets of TLS>\nC: <11 octets inside TLS>\n"
        );
    }

    #[test]
    fn nothing_is_kept_of_a_conversation_that_cannot_be_parsed() {
        let transcript = TranscriptWriter::new(&SMTP, std::io::sink());
        let show = |from, bytes: &[u8]| {
            transcript.observe(&Chunk { from, phase: Negotiation, at: Duration::ZERO, bytes });
        };
        show(Server, b"no code\r\n");
        for _ in 0..1000 {
            show(Server, &[b'x'; 1000]);
            show(Client, &[b'y'; 1000]);
        }
        let state = transcript.0.into_inner().unwrap();
        assert_eq!(state.unread, [Vec::<u8>::new(), Vec::new()]);
    }

    #[test]
    fn no_secret_is_written_for_any_segmentation() {
        let input = b"EHLO me\r\nAUTH LOGIN sesame\r\nc2VzYW1l\r\nsesame\r\nNOOP\r\nsesame";
        for cut in 0..input.len() {
            let (first, rest) = input.split_at(cut);
            let text = written(&[
                (Client, Negotiation, first),
                (Client, Negotiation, rest),
                (Client, Handshake, b"\x16"),
            ]);
            assert!(!text.contains("sesame") && !text.contains("c2VzYW1l"), "{text}");
            assert!(
                text.starts_with("C: EHLO me\\r\\n\nC: AUTH ***\nC: ***\nC: ***\nC: NOOP\\r\\n\n"),
                "{text}"
            );
        }
    }
}
