//! The control connection: every command and every reply of it is read.

use std::collections::VecDeque;
use std::rc::Rc;

use starttls::proto::{Outgoing, Side};

use super::data::{Data, Ends};
use super::reply;
use crate::failure::SessionFailure;
use crate::splice::{Filter, State};

/// Octets of one line.
const LONGEST_LINE: usize = 8 * 1024;
/// Octets of one reply that has to be read as a whole.
const LONGEST_REPLY: usize = 64 * 1024;
/// Commands that may wait for their answers.
const MAX_DUE: usize = 256;

/// What the client waits for.
#[derive(Debug)]
enum Due {
    /// An answer that passes as it is.
    Reply,
    /// The list of features.
    Features,
    /// Where the backend listens for data, and in which form the client wants to know.
    Passive { extended: bool },
    /// An answer to a command of the gateway's own.
    Nothing,
    /// Whether the backend protects its data connections; a command of the gateway's own as well.
    Protection,
    /// The gateway's own answer, when its turn comes.
    Ours(Vec<u8>),
}

/// Reads a control connection to its end.
#[derive(Debug)]
pub(super) struct Control {
    front_tls: bool,
    back_tls: bool,
    /// Nothing where no data connection is possible.
    ends: Option<Rc<Ends>>,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    /// The code of a reply whose last line is still to come.
    open: Option<[u8; 3]>,
    /// A reply that is read as a whole, so far.
    reply: Vec<u8>,
    due: VecDeque<Due>,
    /// The client said PROT P.
    protected: bool,
    /// The backend agreed to PROT P.
    back_protected: bool,
    /// The client said EPSV ALL.
    extended_only: bool,
    /// The backend said goodbye.
    over: bool,
    data: Data,
}

impl Filter for Control {
    fn receive(&mut self, from: Side, input: &[u8], out: &mut Outgoing) -> Result<State, SessionFailure> {
        let mut unread = std::mem::take(self.unread(from));
        unread.extend_from_slice(input);
        let mut rest = unread.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            match from {
                _ if line.len() > LONGEST_LINE => return Err(wrong(from, "a line of at most 8 KiB", line)),
                Side::Client => self.command(line, out)?,
                Side::Server => self.answered(line, out)?,
            }
        }
        if rest.len() > LONGEST_LINE {
            return Err(wrong(from, "a line of at most 8 KiB", rest));
        }
        *self.unread(from) = rest.to_vec();
        Ok(State::Reading)
    }

    fn elsewhere(&self) -> (u64, u64) {
        self.data.octets()
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
    pub(super) fn new(front_tls: bool, back_tls: bool, ends: Option<Rc<Ends>>) -> Self {
        Self {
            front_tls,
            back_tls,
            ends,
            from_client: Vec::new(),
            from_server: Vec::new(),
            open: None,
            reply: Vec::new(),
            due: VecDeque::new(),
            protected: false,
            back_protected: false,
            extended_only: false,
            over: false,
            data: Data::default(),
        }
    }

    fn unread(&mut self, from: Side) -> &mut Vec<u8> {
        match from {
            Side::Client => &mut self.from_client,
            Side::Server => &mut self.from_server,
        }
    }

    fn command(&mut self, line: &[u8], out: &mut Outgoing) -> Result<(), SessionFailure> {
        let line = without_telnet(line);
        // Whoever reads another line here reads other commands (rule S2).
        let text = line.strip_suffix(b"\r\n").filter(|text| !text.iter().any(|it| b"\r\0".contains(it)));
        let Some(text) = text else { return Err(wrong(Side::Client, "a line that ends with CRLF", line)) };
        if self.due.len() >= MAX_DUE {
            return Err(wrong(Side::Client, "no more commands before their answers", line));
        }
        let (name, argument) = match text.iter().position(|byte| *byte == b' ') {
            Some(space) => (&text[..space], text[space + 1..].trim_ascii()),
            None => (text, &b""[..]),
        };
        let (name, argument) = (name.to_ascii_uppercase(), argument.to_ascii_uppercase());
        match name.as_slice() {
            // A synch of Telnet alone.
            b"" if text.is_empty() => {}
            b"PASV" => self.passive(false, &argument, out),
            b"EPSV" => self.passive(true, &argument, out),
            b"FEAT" => self.pass(line, Due::Features, out),
            b"PBSZ" | b"PROT" if !self.front_tls => self.answer("503 There is no TLS here", out),
            b"PBSZ" => self.answer("200 PBSZ=0", out),
            b"PROT" => self.protect(&argument, out),
            // Rule S4: no upgrade inside TLS; and where there is none, it was none to begin with.
            b"AUTH" if self.front_tls => self.answer("503 TLS is active already", out),
            b"AUTH" => self.answer("431 TLS is not available for now", out),
            // RFC 4217 section 6: a way back to cleartext.
            b"CCC" => self.answer("534 The control connection stays protected", out),
            // RFC 2228: these go with mechanisms other than TLS.
            b"ADAT" | b"MIC" | b"CONF" | b"ENC" => self.answer("503 There is no mechanism but TLS", out),
            // RFC 4217 section 11: it would end TLS too.
            b"REIN" => self.answer("502 Connect again instead", out),
            b"PORT" | b"EPRT" | b"LPRT" | b"LPSV" | b"SPSV" | b"CPSV" | b"SSCN" => {
                self.answer("502 Use EPSV or PASV", out);
            }
            name if !name.iter().all(u8::is_ascii_alphanumeric) || name.is_empty() => {
                self.answer("500 This is no command", out);
            }
            _ => self.pass(line, Due::Reply, out),
        }
        Ok(())
    }

    /// Sends a command on, and waits for its answer.
    fn pass(&mut self, line: &[u8], due: Due, out: &mut Outgoing) {
        out.to_server.extend_from_slice(line);
        self.due.push_back(due);
    }

    /// Answers in the backend's place, when what came before has been answered.
    fn answer(&mut self, text: &str, out: &mut Outgoing) {
        self.due.push_back(Due::Ours(format!("{text}\r\n").into_bytes()));
        self.settle(out);
    }

    fn settle(&mut self, out: &mut Outgoing) {
        while let Some(Due::Ours(words)) = self.due.pop_front_if(|due| matches!(due, Due::Ours(_))) {
            out.to_client.extend_from_slice(&words);
        }
    }

    /// RFC 4217 section 9. What holds on the front says nothing of the backend.
    fn protect(&mut self, level: &[u8], out: &mut Outgoing) {
        let answer = match level {
            b"P" => {
                self.protected = true;
                "200 Data goes over TLS"
            }
            b"C" => "534 Data goes over TLS or not at all",
            b"S" | b"E" => "536 There is P and nothing else",
            _ => "504 There is P and nothing else",
        };
        self.answer(answer, out);
    }

    /// RFC 2428 section 3, RFC 959 section 4.1.2. The backend is asked in the form that its own address needs.
    fn passive(&mut self, extended: bool, argument: &[u8], out: &mut Outgoing) {
        let Some(ends) = &self.ends else {
            return self.answer("502 There are no data connections here", out);
        };
        let (ipv4, backend_ipv4) = (ends.local.is_ipv4(), ends.backend.is_ipv4());
        match (extended, argument) {
            // RFC 4217 section 10.
            _ if self.front_tls && !self.protected => return self.answer("522 PROT P comes first", out),
            (true, b"ALL") => {
                self.extended_only = true;
                return self.answer("200 EPSV it is", out);
            }
            (true, b"") => {}
            (true, b"1") if ipv4 => {}
            (true, b"2") if !ipv4 => {}
            (true, _) if ipv4 => return self.answer("522 The network protocol is (1)", out),
            (true, _) => return self.answer("522 The network protocol is (2)", out),
            (false, _) if self.extended_only => return self.answer("503 It was to be EPSV", out),
            (false, _) if !ipv4 => return self.answer("522 Use EPSV", out),
            (false, _) => {}
        }
        self.data.give_up();
        if self.back_tls && !self.back_protected {
            self.pass(b"PBSZ 0\r\n", Due::Nothing, out);
            self.pass(b"PROT P\r\n", Due::Protection, out);
        }
        let asked: &[u8] = if backend_ipv4 { b"PASV\r\n" } else { b"EPSV\r\n" };
        self.pass(asked, Due::Passive { extended }, out);
    }

    /// One line of the backend's.
    fn answered(&mut self, line: &[u8], out: &mut Outgoing) -> Result<(), SessionFailure> {
        // RFC 959 section 4.2: after `ddd-` come lines of any kind, until one starts with `ddd `. The text of that line
        // is optional, and public servers leave out the space with it.
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
                    behind @ (b' ' | b'-' | b'\r' | b'\n'),
                    ..,
                ],
            ) => ([*a, *b, *c], *behind != b'-'),
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
            self.settle(out);
        }
        Ok(())
    }

    /// A reply is complete; `whole` is what of it was kept back.
    fn replied(&mut self, code: [u8; 3], whole: Vec<u8>, out: &mut Outgoing) {
        let good = code[0] == b'2';
        self.over |= matches!(&code, b"221" | b"421");
        if is_address(code) && self.due.iter().any(|due| matches!(due, Due::Passive { .. })) {
            // There is but one question to that, even if one before it (an ABOR) had no answer of its own.
            while !matches!(self.due.front(), Some(Due::Passive { .. })) {
                self.due.pop_front();
                self.settle(out);
            }
        }
        match self.due.front() {
            // More follows, or it answers something else.
            _ if code[0] == b'1' => out.to_client.extend_from_slice(&whole),
            Some(Due::Passive { .. }) if good && !is_address(code) => out.to_client.extend_from_slice(&whole),
            None | Some(Due::Reply | Due::Ours(_)) => {
                self.due.pop_front();
                if !whole.is_empty() {
                    // Nobody asked for an address, and nobody may know it.
                    out.to_client.extend_from_slice(b"502 Use EPSV or PASV\r\n");
                }
            }
            Some(Due::Features) => {
                self.due.pop_front();
                out.to_client.extend_from_slice(&reply::features(&whole, self.front_tls));
            }
            Some(Due::Nothing) => drop(self.due.pop_front()),
            Some(Due::Protection) => {
                self.due.pop_front();
                self.back_protected = good;
            }
            Some(&Due::Passive { extended }) => {
                self.due.pop_front();
                let words = if good { self.opened(&whole, extended) } else { whole };
                out.to_client.extend_from_slice(&words);
            }
        }
    }

    /// The backend listens: so does the gateway.
    fn opened(&mut self, reply: &[u8], extended: bool) -> Vec<u8> {
        let Some(ends) = &self.ends else { return Vec::new() };
        // A backend inside TLS whose data connections are not is no better than one without.
        if self.back_tls && !self.back_protected {
            return b"425 The backend does not protect data connections\r\n".to_vec();
        }
        let opened = reply::port(reply).and_then(|port| self.data.open(ends, port).ok());
        match opened {
            Some(address) => reply::passive(address, extended).into_bytes(),
            None => b"425 There is no data connection to be had\r\n".to_vec(),
        }
    }
}

/// Whether a reply tells where to connect for data: the answers to PASV, LPSV and EPSV.
fn is_address(code: [u8; 3]) -> bool {
    matches!(&code, b"227" | b"228" | b"229")
}

/// The line without the Telnet commands before it: the interrupt and the synch that precede an ABOR (RFC 959
/// section 4.1.3). Over TCP the last octet of the synch may have gone another way, as urgent data.
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
