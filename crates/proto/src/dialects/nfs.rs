//! NFS with RPC-with-TLS (RFC 9289): a NULL call of ONC RPC (RFC 5531) with the credential AUTH_TLS is the request.
//!
//! The upgrade belongs to RPC, so a server of any program understands the request. The call has to name a program and a port, and
//! these are those of NFS (RFC 7530), whose URL scheme is `nfs` (RFC 2224). The clients and servers are in kernels (Linux 6.5,
//! FreeBSD 13). This dialect was tested against the octets of the specifications, and against itself.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::{
    CapabilityRewrite, ClientMessage, Correlation, Dialect, Flow, Malformed, ObservedDialect, OfferPlace,
    OpeningFit, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan, ServerMessage, Side,
};

/// NFS, file systems over a network, and other programs of ONC RPC.
pub const NFS: Protocol = Protocol {
    name: "nfs",
    aliases: &["rpc"],
    title: "NFS",
    port: 2049,
    implicit_tls: None,
    alpn: Some("sunrpc"),
    family: ProtocolFamily::Named("nfs"),
    spec: "RFC 9289",
    flow: Flow {
        greeting: false,
        offer: OfferPlace::Unannounced,
        tls_may_be_optional: false,
        login_is_optional: false,
        ..Flow::USUAL
    },
    dialect: |context| {
        // The ids of the calls start at a number that an attacker cannot predict.
        let id = (context.nonce ^ context.nonce >> 32) as u32;
        Box::new(Nfs { inside_tls: context.is_inside_tls(), id, call: None })
    },
};

/// The mark of the last fragment of a record (RFC 5531 section 11). The other bits are the length of the fragment.
const LAST: u32 = 1 << 31;

/// The octets of a call up to its procedure, with the mark of its first fragment.
const HEAD: usize = 28;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPC_VERSION: u32 = 2;
const PROGRAM: u32 = 100_003;
const VERSION: u32 = 4;
const NULL: u32 = 0;
const COMPOUND: u32 = 1;
/// An operation of NFS that every client may use (RFC 7530 section 16.22).
const PUTROOTFH: u32 = 24;

/// Flavors of credentials and verifiers (RFC 5531 section 8.2, RFC 9289 section 4.1).
const AUTH_NONE: u32 = 0;
const AUTH_TLS: u32 = 7;
/// The body of the verifier that grants the request (RFC 9289 section 4.1).
const STARTTLS: &[u8] = b"STARTTLS";

const ACCEPTED: u32 = 0;
const DENIED: u32 = 1;
const AUTH_ERROR: u32 = 1;
/// States of an accepted call (RFC 5531 section 9).
const SUCCESS: u32 = 0;
const PROCEDURE_UNAVAILABLE: u32 = 3;
const SYSTEM_ERROR: u32 = 5;
/// Reasons of a denied call (RFC 5531 section 9).
const BAD_CREDENTIALS: u32 = 1;
const TOO_WEAK: u32 = 5;

struct Nfs {
    inside_tls: bool,
    /// The id of the last call.
    id: u32,
    /// The last call of the client. A server that has read none can send no reply.
    call: Option<Kind>,
}

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// TLS, in the exact form.
    Tls,
    /// TLS, in a form that a server denies without any effect.
    InvalidTls,
    /// Nothing.
    Null,
    /// The compound that a client of this dialect sends, or another one.
    Compound,
    /// Another procedure.
    Other,
}

/// A reply to a call.
enum Reply<'a> {
    /// The body of the verifier with the flavor AUTH_NONE, the state, and what follows.
    Accepted { verifier: Option<&'a [u8]>, state: u32, results: &'a [u8] },
    /// The reason, if the credentials are it.
    Denied(Option<u32>),
}

impl Sealed for Nfs {}

impl Dialect for Nfs {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        loop {
            let Some(mark) = buf.get(scan.mark..).and_then(|rest| rest.first_chunk().copied()) else {
                return Ok(None);
            };
            let mark = u32::from_be_bytes(mark);
            let end = scan.mark + 4 + (mark & !LAST) as usize;
            // Inside TLS, a call may write a megabyte of a file. Its head tells that it is no request.
            if end > MAX_MESSAGE && self.inside_tls && from == Side::Client && scan.mark == 0 {
                return Ok((buf.len() >= HEAD).then_some(HEAD));
            }
            if end > MAX_MESSAGE {
                return Err(malformed("a record of at most 64 KiB"));
            }
            if buf.len() < end {
                return Ok(None);
            }
            scan.mark = end;
            if mark & LAST != 0 {
                return Ok(Some(end));
            }
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let contents = record(msg);
        let is_head = number(msg, 0).is_some_and(|mark| (mark & !LAST) as usize > contents.len());
        if is_head && (number(&contents, 4), number(&contents, 8)) == (Some(CALL), Some(RPC_VERSION)) {
            return Ok(ClientMessage::Partial);
        }
        let (id, kind) = call(&contents).ok_or(malformed("a call of ONC RPC version 2"))?;
        (self.id, self.call) = (id, Some(kind));
        Ok(match kind {
            Kind::Tls => ClientMessage::Request,
            Kind::InvalidTls | Kind::Null => ClientMessage::Probe,
            Kind::Compound | Kind::Other => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let record = record(msg);
        let (id, reply) = reply(&record).ok_or(malformed("a reply of ONC RPC"))?;
        let answers_request = reply_to == ReplyTo::Request;
        if answers_request && id != self.id {
            return Err(malformed("a reply with the id of the request"));
        }
        Ok(match reply {
            Reply::Accepted { state: SYSTEM_ERROR, .. } => ServerMessage::Bye,
            Reply::Accepted { verifier: Some(STARTTLS), state: SUCCESS, results } if answers_request => {
                if !results.is_empty() {
                    return Err(malformed("a reply to NULL, which has no results"));
                }
                ServerMessage::Accept
            }
            _ if answers_request => ServerMessage::Refuse(Refusal::Permanent),
            Reply::Denied(Some(TOO_WEAK)) => ServerMessage::TlsRequired,
            Reply::Accepted { .. } | Reply::Denied(_) => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let (flavor, procedure, arguments): (u32, u32, &[u32]) = match msg {
            ClientMessage::Request => (AUTH_TLS, NULL, &[]),
            ClientMessage::Probe => (AUTH_NONE, NULL, &[]),
            // No tag, the minor version 0, and one operation.
            ClientMessage::Other => (AUTH_NONE, COMPOUND, &[0, 0, 1, PUTROOTFH]),
            // The credentials of RPC are in every call, and the session ends with the connection.
            ClientMessage::Hello
            | ClientMessage::Credentials
            | ClientMessage::Quit
            | ClientMessage::OnBehalf
            | ClientMessage::Silent
            | ClientMessage::Partial => return,
        };
        self.id = self.id.wrapping_add(1);
        let head = [self.id, CALL, RPC_VERSION, PROGRAM, VERSION, procedure, flavor, 0, AUTH_NONE, 0];
        write_record(&[&head, arguments].concat(), b"", out);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let kind = self.call.unwrap_or(Kind::Null);
        match msg {
            ServerMessage::Accept => self.accept(STARTTLS, &[SUCCESS], out),
            // The answer of a server that knows the credential and has no TLS.
            ServerMessage::Refuse(Refusal::Temporary) => self.accept(b"", &[SUCCESS], out),
            ServerMessage::Refuse(Refusal::Permanent) => self.deny(BAD_CREDENTIALS, out),
            ServerMessage::TlsRequired => self.deny(TOO_WEAK, out),
            ServerMessage::Other => match kind {
                Kind::Tls | Kind::InvalidTls => self.deny(BAD_CREDENTIALS, out),
                Kind::Null => self.accept(b"", &[SUCCESS], out),
                // The status, no tag, and the result of the one operation.
                Kind::Compound => self.accept(b"", &[SUCCESS, 0, 0, 1, PUTROOTFH, 0], out),
                Kind::Other => self.accept(b"", &[PROCEDURE_UNAVAILABLE], out),
            },
            ServerMessage::Unavailable if self.call.is_some() => self.accept(b"", &[SYSTEM_ERROR], out),
            // A server ends a session by closing the connection.
            ServerMessage::Unavailable
            | ServerMessage::Bye
            | ServerMessage::Greeting
            | ServerMessage::Offer { .. }
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim => {}
        }
    }

    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        let head = [self.id.wrapping_add(ahead), REPLY, ACCEPTED, AUTH_NONE, 0, SUCCESS];
        write_record(&head, words, out);
    }

    fn rewrite(&self, _: Side, _: ReplyTo, msg: &[u8], _: CapabilityRewrite) -> Vec<u8> {
        msg.to_vec()
    }

    fn describe(&self, from: Side, msg: &[u8]) -> Option<String> {
        let record = record(msg);
        if from == Side::Client {
            let (_, kind) = call(&record)?;
            return Some(match kind {
                Kind::Tls => String::from("NULL call with AUTH_TLS"),
                Kind::InvalidTls => String::from("invalid call with AUTH_TLS"),
                Kind::Null => String::from("NULL call"),
                Kind::Compound => String::from("COMPOUND call"),
                Kind::Other => format!("call of procedure {}", number(&record, 20)?),
            });
        }
        Some(match reply(&record)?.1 {
            Reply::Accepted { verifier: Some(STARTTLS), state: SUCCESS, .. } => {
                String::from("reply with STARTTLS")
            }
            Reply::Accepted { state: SUCCESS, results: [], .. } => String::from("reply without results"),
            Reply::Accepted { state: SUCCESS, results, .. } => match number(results, 0) {
                Some(status) => format!("reply with results, status {status}"),
                None => String::from("reply with results"),
            },
            Reply::Accepted { state, .. } => format!("reply with the error {state}"),
            Reply::Denied(Some(reason)) => match denial(reason) {
                Some(name) => format!("denied: {name}"),
                None => format!("denied: authentication error {reason}"),
            },
            Reply::Denied(None) => String::from("denied: another version of RPC"),
        })
    }

    /// RFC 5531 section 9: a reply repeats the id of its call.
    fn correlation(&self, _: Side, msg: &[u8]) -> Option<Correlation> {
        number(&record(msg), 0).map(|id| Correlation::Id(id.to_be_bytes().to_vec()))
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }
}

impl ObservedDialect for Nfs {
    /// A call in one fragment, with the version of RPC.
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        OpeningFit::certain(
            from == Side::Client && matches!(first, [0x80, 0, _, _, _, _, _, _, 0, 0, 0, 0, 0, 0, 0, 2, ..]),
        )
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        call(&record(msg)).is_some_and(|(_, kind)| matches!(kind, Kind::Compound | Kind::Other))
    }
}

impl Nfs {
    /// Writes an accepted reply to the last call: its state, and the results.
    fn accept(&self, verifier: &[u8], state_and_results: &[u32], out: &mut Vec<u8>) {
        let mut body = words(&[self.id, REPLY, ACCEPTED, AUTH_NONE, verifier.len() as u32]);
        // No verifier needs padding.
        body.extend_from_slice(verifier);
        body.extend(words(state_and_results));
        write_record(&[], &body, out);
    }

    fn deny(&self, reason: u32, out: &mut Vec<u8>) {
        write_record(&[self.id, REPLY, DENIED, AUTH_ERROR, reason], b"", out);
    }
}

/// Returns the name of a reason for which credentials or a verifier are denied (RFC 5531 section 9).
fn denial(reason: u32) -> Option<&'static str> {
    Some(match reason {
        BAD_CREDENTIALS => "AUTH_BADCRED",
        2 => "AUTH_REJECTEDCRED",
        3 => "AUTH_BADVERF",
        4 => "AUTH_REJECTEDVERF",
        TOO_WEAK => "AUTH_TOOWEAK",
        _ => return None,
    })
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Writes a record of one fragment. Its length is a multiple of four.
fn write_record(head: &[u32], body: &[u8], out: &mut Vec<u8>) {
    let (length, padding) = (head.len() * 4 + body.len(), body.len().wrapping_neg() % 4);
    out.extend((LAST | (length + padding) as u32).to_be_bytes());
    out.extend(words(head));
    out.extend_from_slice(body);
    out.extend(core::iter::repeat_n(0, padding));
}

/// Returns the contents of a record without the marks of its fragments.
fn record(msg: &[u8]) -> Vec<u8> {
    let (mut contents, mut rest) = (Vec::new(), msg);
    while let Some((mark, behind)) = rest.split_first_chunk() {
        let length = (u32::from_be_bytes(*mark) & !LAST) as usize;
        let (fragment, next) = behind.split_at(length.min(behind.len()));
        contents.extend_from_slice(fragment);
        rest = next;
    }
    contents
}

/// Returns the number at this offset.
fn number(buf: &[u8], at: usize) -> Option<u32> {
    buf.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Returns the flavor and the body of a credential or verifier, and what follows (RFC 5531 section 8.2). A body has at most 400
/// octets, and padding to a multiple of four.
fn authentication(buf: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (flavor, length) = (number(buf, 0)?, number(buf, 4)?);
    let length = usize::try_from(length).ok().filter(|length| *length <= 400)?;
    Some((flavor, buf.get(8..8 + length)?, buf.get(8 + length.next_multiple_of(4)..)?))
}

/// Returns the id of a call, and what it asks for.
fn call(record: &[u8]) -> Option<(u32, Kind)> {
    let (id, kind, version) = (number(record, 0)?, number(record, 4)?, number(record, 8)?);
    let procedure = number(record, 20)?;
    let (flavor, credential, rest) = authentication(record.get(24..)?)?;
    let (verifier_flavor, verifier, arguments) = authentication(rest)?;
    if (kind, version) != (CALL, RPC_VERSION) {
        return None;
    }
    let is_bare = credential.is_empty()
        && (verifier_flavor, verifier.is_empty(), arguments.is_empty()) == (AUTH_NONE, true, true);
    Some((
        id,
        match (flavor, procedure) {
            (AUTH_TLS, NULL) if is_bare => Kind::Tls,
            (AUTH_TLS, _) => Kind::InvalidTls,
            (AUTH_NONE, NULL) if is_bare => Kind::Null,
            (_, COMPOUND) => Kind::Compound,
            _ => Kind::Other,
        },
    ))
}

/// Returns the id of a reply, and its contents.
fn reply(record: &[u8]) -> Option<(u32, Reply<'_>)> {
    let (id, REPLY) = (number(record, 0)?, number(record, 4)?) else { return None };
    let rest = record.get(12..)?;
    let reply = match number(record, 8)? {
        ACCEPTED => {
            let (flavor, verifier, rest) = authentication(rest)?;
            let verifier = (flavor == AUTH_NONE).then_some(verifier);
            Reply::Accepted { verifier, state: number(rest, 0)?, results: rest.get(4..)? }
        }
        DENIED if number(rest, 0)? == AUTH_ERROR => Reply::Denied(Some(number(rest, 4)?)),
        DENIED => Reply::Denied(None),
        _ => return None,
    };
    Some((id, reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn dialect() -> Box<dyn Dialect> {
        NFS.new_dialect(Identity::new("files.example.com").with_nonce(0))
    }

    #[test]
    fn ids_count_from_the_nonce() {
        let mut client = NFS.new_dialect(Identity::new("").with_nonce(0x0000_0001_ffff_fffe));
        let mut out = Vec::new();
        client.write_client(ClientMessage::Request, &mut out);
        assert_eq!(out[4..8], [0, 0, 0, 0], "{}", out.escape_ascii());
    }

    #[test]
    fn a_reply_is_read_whatever_its_fragments_are() {
        let (mut client, mut server) = (dialect(), dialect());
        let (mut request, mut accept) = (Vec::new(), Vec::new());
        client.write_client(ClientMessage::Request, &mut request);
        assert_eq!(server.read_client(&request), Ok(ClientMessage::Request));
        server.write_server(ServerMessage::Accept, &mut accept);
        for cut in 0..=accept.len() - 4 {
            let (first, last) = accept[4..].split_at(cut);
            let mark = LAST | last.len() as u32;
            let pieces = [&(cut as u32).to_be_bytes()[..], first, &mark.to_be_bytes(), last].concat();
            let framed = client.frame(Side::Server, ReplyTo::Request, &pieces, &mut Scan::default());
            assert_eq!(framed, Ok(Some(pieces.len())), "{cut}");
            assert_eq!(client.read_server(ReplyTo::Request, &pieces), Ok(ServerMessage::Accept), "{cut}");
        }
    }

    #[test]
    fn fragments_without_end_are_refused() {
        let (fragments, mut scan) = (vec![0; MAX_MESSAGE + 4], Scan::default());
        let framed = dialect().frame(Side::Server, ReplyTo::Request, &fragments, &mut scan);
        assert_eq!(framed, Err(malformed("a record of at most 64 KiB")));
    }

    #[test]
    fn a_long_call_is_possible_inside_tls_only() {
        let long = [LAST | 1 << 20, 1, CALL, RPC_VERSION, PROGRAM, VERSION, COMPOUND, AUTH_NONE];
        let mut inside = NFS.new_dialect(Identity::new("").with_nonce(0).inside_tls());
        let frame = |it: &dyn Dialect, end| {
            it.frame(Side::Client, ReplyTo::Other, &words(&long)[..end], &mut Scan::default())
        };
        assert_eq!(frame(&*inside, HEAD - 1), Ok(None));
        assert_eq!(frame(&*inside, HEAD + 4), Ok(Some(HEAD)));
        assert_eq!(inside.read_client(&words(&long)[..HEAD]), Ok(ClientMessage::Partial));
        assert!(frame(&*dialect(), HEAD).is_err());
    }

    #[test]
    fn messages_are_described_in_words() {
        let mut dialect = dialect();
        let mut out = Vec::new();
        dialect.write_client(ClientMessage::Other, &mut out);
        assert_eq!(dialect.describe(Side::Client, &out).as_deref(), Some("COMPOUND call"));
        dialect.read_client(&out).unwrap();
        for (message, text) in [
            (ServerMessage::Other, "reply with results, status 0"),
            (ServerMessage::Accept, "reply with STARTTLS"),
            (ServerMessage::TlsRequired, "denied: AUTH_TOOWEAK"),
            (ServerMessage::Refuse(Refusal::Permanent), "denied: AUTH_BADCRED"),
            (ServerMessage::Unavailable, "reply with the error 5"),
        ] {
            let mut out = Vec::new();
            dialect.write_server(message, &mut out);
            assert_eq!(dialect.describe(Side::Server, &out).as_deref(), Some(text));
        }
        // What rpcbind of Debian 12 answers to the request, and a reason that RFC 5531 does not have.
        for (reason, text) in [(2, "denied: AUTH_REJECTEDCRED"), (99, "denied: authentication error 99")] {
            let reply = words(&[LAST | 20, 1, REPLY, DENIED, AUTH_ERROR, reason]);
            assert_eq!(dialect.describe(Side::Server, &reply).as_deref(), Some(text));
        }
    }
}
