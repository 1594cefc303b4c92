//! The filter of a control connection, which parses every command and every reply.

use std::collections::VecDeque;
use std::rc::Rc;

use starttls::proto::{Outgoing, Side};

use super::data::{DataConnections, DataPeers};
use super::reply;
use crate::failure::SessionFailure;
use crate::session::splice::{Filter, FilterState};
use crate::session::unread::UnreadBytes;

/// The maximum length of a line, in octets.
const LONGEST_LINE: usize = 8 * 1024;
/// The maximum length of a reply that is collected before it is forwarded, in octets.
const LONGEST_REPLY: usize = 64 * 1024;
/// The maximum number of commands without a reply.
const MAX_DUE: usize = 256;

/// A reply that is due: to a command of the client or of the gateway.
#[derive(Debug)]
enum Due {
    /// The reply passes unchanged.
    Reply,
    /// The reply to FEAT, which the gateway changes.
    Features,
    /// The reply to PASV or EPSV. `extended` is whether the client sent EPSV.
    Passive { extended: bool },
    /// The reply to a command of the gateway, which is dropped.
    Dropped,
    /// The reply to the gateway's PROT command.
    Protection,
    /// The gateway's own reply, sent after the replies that are due before it.
    Ours(Vec<u8>),
}

/// The state of a control connection.
#[derive(Debug)]
pub(super) struct Control {
    client_tls: bool,
    backend_tls: bool,
    /// `None` if data connections are not possible.
    peers: Option<Rc<DataPeers>>,
    unread: UnreadBytes,
    /// The code of a multi-line reply whose last line is still due.
    open: Option<[u8; 3]>,
    /// The received lines of a reply that is being collected.
    reply: Vec<u8>,
    due: VecDeque<Due>,
    /// Whether the client has sent PROT P.
    protected: bool,
    /// Whether the backend has accepted PROT P.
    backend_protected: bool,
    /// Whether the client has sent EPSV ALL.
    extended_only: bool,
    /// Whether the backend has ended the session (221 or 421).
    over: bool,
    data: DataConnections,
}

impl Filter for Control {
    fn receive(
        &mut self,
        from: Side,
        input: &[u8],
        out: &mut Outgoing,
    ) -> Result<FilterState, SessionFailure> {
        let mut unread = std::mem::take(self.unread.of(from));
        unread.extend_from_slice(input);
        let mut rest = unread.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, remainder) = rest.split_at(end + 1);
            rest = remainder;
            match from {
                _ if line.len() > LONGEST_LINE => return Err(wrong(from, "a line of at most 8 KiB", line)),
                Side::Client => self.command(line, out)?,
                Side::Server => self.answered(line, out)?,
            }
        }
        if rest.len() > LONGEST_LINE {
            return Err(wrong(from, "a line of at most 8 KiB", rest));
        }
        *self.unread.of(from) = rest.to_vec();
        Ok(FilterState::Reading)
    }

    fn other_octets(&self) -> (u64, u64) {
        self.data.octets()
    }

    fn other_activity(&self) -> u64 {
        self.data.activity()
    }

    fn may_pause(&self) -> bool {
        false
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn goodbye(&mut self) -> Vec<u8> {
        b"421 Closing the control connection\r\n".to_vec()
    }
}

fn wrong(from: Side, expected: &'static str, received: &[u8]) -> SessionFailure {
    let received = received[..received.len().min(200)].to_vec();
    SessionFailure::Protocol { side: from, expected, received }
}

impl Control {
    pub(super) fn new(client_tls: bool, backend_tls: bool, peers: Option<Rc<DataPeers>>) -> Self {
        Self {
            client_tls,
            backend_tls,
            peers,
            unread: UnreadBytes::default(),
            open: None,
            reply: Vec::new(),
            due: VecDeque::new(),
            protected: false,
            backend_protected: false,
            extended_only: false,
            over: false,
            data: DataConnections::default(),
        }
    }

    fn command(&mut self, line: &[u8], out: &mut Outgoing) -> Result<(), SessionFailure> {
        let line = without_telnet(line);
        // A server that splits lines at another place would see other commands (rule S2).
        let text = line.strip_suffix(b"\r\n").filter(|text| !text.iter().any(|it| b"\r\0".contains(it)));
        let Some(text) = text else { return Err(wrong(Side::Client, "a line that ends with CRLF", line)) };
        if self.due.len() >= MAX_DUE {
            return Err(wrong(Side::Client, "no more commands before the replies that are due", line));
        }
        let (name, argument) = match text.iter().position(|byte| *byte == b' ') {
            Some(space) => (&text[..space], text[space + 1..].trim_ascii()),
            None => (text, &b""[..]),
        };
        let (name, argument) = (name.to_ascii_uppercase(), argument.to_ascii_uppercase());
        match name.as_slice() {
            // A Telnet synch without a command.
            b"" if text.is_empty() => {}
            b"PASV" => self.passive(false, &argument, out),
            b"EPSV" => self.passive(true, &argument, out),
            b"FEAT" => self.pass(line, Due::Features, out),
            b"PBSZ" | b"PROT" if !self.client_tls => self.answer("503 TLS is not active", out),
            b"PBSZ" => self.answer("200 PBSZ=0", out),
            b"PROT" => self.protect(&argument, out),
            // Rule S4: no upgrade inside TLS, and none on a listener without TLS.
            b"AUTH" if self.client_tls => self.answer("503 TLS is already active", out),
            b"AUTH" => self.answer("431 TLS is not available", out),
            // RFC 4217 section 6: CCC would return to cleartext.
            b"CCC" => self.answer("534 The control connection stays protected", out),
            // RFC 2228: these commands belong to mechanisms other than TLS.
            b"ADAT" | b"MIC" | b"CONF" | b"ENC" => self.answer("503 The only mechanism is TLS", out),
            // RFC 4217 section 11: REIN would end TLS too.
            b"REIN" => self.answer("502 Use a new connection", out),
            b"PORT" | b"EPRT" | b"LPRT" | b"LPSV" | b"SPSV" | b"CPSV" | b"SSCN" => {
                self.answer("502 Use EPSV or PASV", out);
            }
            name if !name.iter().all(u8::is_ascii_alphanumeric) || name.is_empty() => {
                self.answer("500 Invalid command", out);
            }
            _ => self.pass(line, Due::Reply, out),
        }
        Ok(())
    }

    /// Forwards a command.
    fn pass(&mut self, line: &[u8], due: Due, out: &mut Outgoing) {
        out.to_server.extend_from_slice(line);
        self.due.push_back(due);
    }

    /// Replies in place of the backend, after the replies that are due.
    fn answer(&mut self, text: &str, out: &mut Outgoing) {
        self.due.push_back(Due::Ours(format!("{text}\r\n").into_bytes()));
        self.send_own_replies(out);
    }

    fn send_own_replies(&mut self, out: &mut Outgoing) {
        while let Some(Due::Ours(words)) = self.due.pop_front_if(|due| matches!(due, Due::Ours(_))) {
            out.to_client.extend_from_slice(&words);
        }
    }

    /// Handles PROT (RFC 4217 section 9). The protection of connections to the backend is negotiated separately.
    fn protect(&mut self, level: &[u8], out: &mut Outgoing) {
        let answer = match level {
            b"P" => {
                self.protected = true;
                "200 Data connections use TLS"
            }
            b"C" => "534 Data connections require TLS",
            b"S" | b"E" => "536 Only level P is supported",
            _ => "504 Only level P is supported",
        };
        self.answer(answer, out);
    }

    /// Handles PASV and EPSV (RFC 959 section 4.1.2, RFC 2428 section 3). The command to the backend depends on the
    /// backend's address family.
    fn passive(&mut self, extended: bool, argument: &[u8], out: &mut Outgoing) {
        let Some(peers) = &self.peers else {
            return self.answer("502 Data connections are not available", out);
        };
        let (ipv4, backend_ipv4) = (peers.local.is_ipv4(), peers.backend.is_ipv4());
        match (extended, argument) {
            // RFC 4217 section 10.
            _ if self.client_tls && !self.protected => return self.answer("522 Send PROT P first", out),
            (true, b"ALL") => {
                self.extended_only = true;
                return self.answer("200 Only EPSV from now on", out);
            }
            (true, b"") => {}
            (true, b"1") if ipv4 => {}
            (true, b"2") if !ipv4 => {}
            (true, _) if ipv4 => return self.answer("522 Use network protocol (1)", out),
            (true, _) => return self.answer("522 Use network protocol (2)", out),
            (false, _) if self.extended_only => return self.answer("503 Only EPSV after EPSV ALL", out),
            (false, _) if !ipv4 => return self.answer("522 Use EPSV", out),
            (false, _) => {}
        }
        self.data.close_unused();
        if self.backend_tls && !self.backend_protected {
            self.pass(b"PBSZ 0\r\n", Due::Dropped, out);
            self.pass(b"PROT P\r\n", Due::Protection, out);
        }
        let asked: &[u8] = if backend_ipv4 { b"PASV\r\n" } else { b"EPSV\r\n" };
        self.pass(asked, Due::Passive { extended }, out);
    }

    /// Handles one line of the backend.
    fn answered(&mut self, line: &[u8], out: &mut Outgoing) -> Result<(), SessionFailure> {
        // RFC 959 section 4.2: after `ddd-`, lines have any form until one starts with `ddd `. Its text is optional, and
        // public servers omit the space together with it.
        let (code, last) = match (self.open, line) {
            (Some(code), _) => {
                (code, line.starts_with(&code) && matches!(line.get(3), Some(b' ' | b'\r' | b'\n')))
            }
            (
                None,
                [
                    a @ b'1'..=b'6',
                    b @ b'0'..=b'9',
                    c @ b'0'..=b'9',
                    separator @ (b' ' | b'-' | b'\r' | b'\n'),
                    ..,
                ],
            ) => ([*a, *b, *c], *separator != b'-'),
            (None, _) => {
                return Err(wrong(Side::Server, "a reply that starts with a three-digit code", line));
            }
        };
        self.open = (!last).then_some(code);
        if !is_address(code) && matches!(self.due.front(), None | Some(Due::Reply)) {
            out.to_client.extend_from_slice(line);
        } else {
            self.reply.extend_from_slice(line);
            if self.reply.len() > LONGEST_REPLY {
                return Err(wrong(Side::Server, "a reply of at most 64 KiB", line));
            }
        }
        if last {
            let whole = std::mem::take(&mut self.reply);
            self.replied(code, whole, out);
            self.send_own_replies(out);
        }
        Ok(())
    }

    /// Handles a complete reply. `whole` is the part of it that was collected.
    fn replied(&mut self, code: [u8; 3], whole: Vec<u8>, out: &mut Outgoing) {
        let good = code[0] == b'2';
        self.over |= matches!(&code, b"221" | b"421");
        if is_address(code) && self.due.iter().any(|due| matches!(due, Due::Passive { .. })) {
            // Such a code replies to PASV or EPSV only, even if a command before it (ABOR) got no reply.
            while !matches!(self.due.front(), Some(Due::Passive { .. })) {
                self.due.pop_front();
                self.send_own_replies(out);
            }
        }
        match self.due.front() {
            // A preliminary reply: the final one follows.
            _ if code[0] == b'1' => out.to_client.extend_from_slice(&whole),
            Some(Due::Passive { .. }) if good && !is_address(code) => out.to_client.extend_from_slice(&whole),
            None | Some(Due::Reply | Due::Ours(_)) => {
                self.due.pop_front();
                if !whole.is_empty() {
                    // The client did not request an address. The backend's address stays secret.
                    out.to_client.extend_from_slice(b"502 Use EPSV or PASV\r\n");
                }
            }
            Some(Due::Features) => {
                self.due.pop_front();
                out.to_client.extend_from_slice(&reply::features(&whole, self.client_tls));
            }
            Some(Due::Dropped) => drop(self.due.pop_front()),
            Some(Due::Protection) => {
                self.due.pop_front();
                self.backend_protected = good;
            }
            Some(&Due::Passive { extended }) => {
                self.due.pop_front();
                let words = if good { self.opened(&whole, extended) } else { whole };
                out.to_client.extend_from_slice(&words);
            }
        }
    }

    /// Opens a listener for the client after the backend has opened its own. Returns the reply to the client.
    fn opened(&mut self, reply: &[u8], extended: bool) -> Vec<u8> {
        let Some(peers) = &self.peers else { return Vec::new() };
        // With TLS on the control connection only, the data would cross the network in cleartext.
        if self.backend_tls && !self.backend_protected {
            return b"425 The backend does not protect data connections\r\n".to_vec();
        }
        let opened = reply::port(reply).and_then(|port| self.data.open(peers, port).ok());
        match opened {
            Some(address) => reply::passive(address, extended).into_bytes(),
            None => b"425 Cannot open a data connection\r\n".to_vec(),
        }
    }
}

/// Returns whether a reply contains the address of a data connection: replies to PASV, LPSV and EPSV.
fn is_address(code: [u8; 3]) -> bool {
    matches!(&code, b"227" | b"228" | b"229")
}

/// Removes the Telnet commands at the start of a line: the interrupt and the synch before ABOR (RFC 959 section 4.1.3). The
/// last octet of the synch is sent as urgent data, so it may be missing.
fn without_telnet(mut line: &[u8]) -> &[u8] {
    const IAC: u8 = 255;
    loop {
        line = match line {
            [IAC, 240..=250, rest @ ..] => rest,
            [IAC, 251..=254, _, rest @ ..] => rest,
            [IAC, rest @ ..] => rest,
            [242, rest @ ..] => rest,
            _ => return line,
        }
    }
}
