//! LDAP: StartTLS as defined in RFC 4511 section 4.14 and used in RFC 4513 section 3.

mod cleartext;
mod login;
mod message;
mod observed;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use message::{
    Message, NO_ATTRIBUTES, NOTICE_OF_DISCONNECTION, PASSWORD_MODIFY, STARTTLS, SUPPORTED_EXTENSION,
    SUPPORTED_VERSION, attribute, code, describe, encode, is_before_the_end, messages, offers, outcome,
    result, rewrite_message, search, simple_bind, tag,
};

use crate::ber::{Elements, element, header};
use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::probe_credentials;
use crate::{
    CapabilityRewrite, CleartextPermission, ClientMessage, Correlation, Dialect, DialectContext, Flow,
    ImplicitTls, LoginDialect, Malformed, ObservedDialect, OfferPlace, Protocol, ProtocolFamily, Refusal,
    ReplyTo, Scan, ServerMessage, Side,
};

/// LDAP, access to directories.
pub const LDAP: Protocol = Protocol {
    name: "ldap",
    aliases: &[],
    title: "LDAP",
    port: 389,
    implicit_tls: Some(ImplicitTls { name: "ldaps", port: 636, alpn_required: false }),
    alpn: None,
    family: ProtocolFamily::Ldap,
    spec: "RFC 4511 section 4.14",
    flow: Flow {
        greeting: false,
        // The root DSE may list StartTLS, but may not be readable before TLS.
        offer: OfferPlace::Unannounced,
        login_is_optional: false,
        has_peer_credential_auth: true,
        ..Flow::USUAL
    },
    dialect: |context| {
        // Message ids are positive 31-bit numbers (RFC 4511 section 4.1.1.1).
        let next = 1 + i32::try_from(context.nonce % 0x7fff_ffff).unwrap_or(0);
        let (asked, login) = (VecDeque::new(), login::State::default());
        Box::new(Ldap {
            context,
            next,
            id: 0,
            asked,
            response: 0,
            answer: Vec::new(),
            quitting: false,
            login,
        })
    },
};

/// The most hello and upgrade requests that may wait for answers. A sound client sends one at a time.
const MAX_ASKED: usize = 32;

struct Ldap {
    context: DialectContext,
    /// The id of the next message to write.
    next: i32,
    /// The id of the client's last message, which the answer must repeat.
    id: i32,
    /// The ids of hello and upgrade requests that wait for answers. The answers must repeat them.
    asked: VecDeque<i32>,
    /// The operation tag of the response to the client's last message.
    response: u8,
    /// The answer to the last harmless command.
    answer: Vec<u8>,
    quitting: bool,
    login: login::State,
}

impl Sealed for Ldap {}

impl Dialect for Ldap {
    fn frame(
        &self,
        from: Side,
        reply_to: ReplyTo,
        buf: &[u8],
        scan: &mut Scan,
    ) -> Result<Option<usize>, Malformed> {
        loop {
            let rest = buf.get(scan.mark..).unwrap_or_default();
            if rest.first().is_some_and(|first| *first != tag::SEQUENCE) {
                return Err(malformed("an LDAPMessage"));
            }
            let Some((_, contents)) = header(rest)? else { return Ok(None) };
            if contents.is_empty() || rest.get(contents.start).is_some_and(|first| *first != tag::INTEGER) {
                return Err(malformed("a message id"));
            }
            let Some(message) = rest.get(..contents.end) else { return Ok(None) };
            scan.mark += message.len();
            // The answer to a search is complete only with its SearchResultDone.
            let whole = || match messages(message).next() {
                Some(Ok(message)) => !is_before_the_end(message.op),
                _ => true,
            };
            if from == Side::Client || reply_to != ReplyTo::Hello || whole() {
                return Ok(Some(scan.mark));
            }
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let message = messages(msg).next().ok_or(malformed("an LDAPMessage"))??;
        // Id 0 is reserved for unsolicited notifications of the server (RFC 4511 section 4.4).
        if message.id == 0 {
            return Err(malformed("a message id other than 0"));
        }
        self.id = message.id;
        self.response = match message.op {
            // The server answers neither an unbind (RFC 4511 section 4.3) nor an abandon (section 4.11).
            tag::UNBIND => {
                self.quitting = true;
                return Ok(ClientMessage::Quit);
            }
            tag::ABANDON => return Ok(ClientMessage::Silent),
            tag::SEARCH => tag::DONE,
            tag::DELETE => 0x6b,
            op @ (tag::BIND | tag::MODIFY | tag::ADD | 0x6c | tag::COMPARE | tag::EXTENDED) => op + 1,
            _ => return Err(malformed("an operation that LDAP knows")),
        };
        let meaning = match message.op {
            tag::BIND => bind(message.body)?,
            tag::SEARCH => self.search(message.body)?,
            tag::EXTENDED => self.extended(message.body)?,
            _ => ClientMessage::Other,
        };
        let served = matches!(meaning, ClientMessage::Hello | ClientMessage::Request | ClientMessage::Probe);
        if served && is_critical(message.behind)? {
            return Ok(self.answering(self.result(code::UNAVAILABLE_CRITICAL_EXTENSION, "no such control")));
        }
        if matches!(meaning, ClientMessage::Hello | ClientMessage::Request) {
            self.asking(self.id);
        }
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let (mut starttls, mut last) = (false, None);
        for message in messages(msg) {
            let message = message?;
            starttls |= message.op == tag::ENTRY && offers(message.body)?;
            last = Some(message);
        }
        let Message { id, op, mut body, .. } = last.ok_or(malformed("an LDAPMessage"))?;
        // Only unsolicited notifications have id 0 (RFC 4511 section 4.4).
        if id == 0 && op == tag::EXTENDED_RESPONSE {
            result(&mut body)?;
            let named = body.flatten().any(|it| it == (0x8a, NOTICE_OF_DISCONNECTION));
            return Ok(if named { ServerMessage::Bye } else { ServerMessage::Interim });
        }
        let answer = match reply_to {
            ReplyTo::Hello => Some(tag::DONE),
            ReplyTo::Request => Some(tag::EXTENDED_RESPONSE),
            ReplyTo::Connect | ReplyTo::Other => None,
        };
        let asked = self.asked.iter().position(|asked| *asked == id);
        if id == 0 || (answer.is_some() && asked.is_none()) {
            return Err(malformed("an answer with the message id of the question"));
        }
        if answer.is_some_and(|answer| answer != op) {
            return Err(malformed("the response that belongs to the operation"));
        }
        if is_before_the_end(op) {
            return Ok(ServerMessage::Interim);
        }
        if let (Some(asked), Some(_)) = (asked, answer) {
            self.asked.remove(asked);
        }
        let (code, _) = result(&mut body)?;
        Ok(match (reply_to, code) {
            (ReplyTo::Hello, _) => ServerMessage::Offer { starttls },
            (ReplyTo::Request, code::SUCCESS) => accepted(body)?,
            (ReplyTo::Request, code::BUSY | code::UNAVAILABLE) => ServerMessage::Refuse(Refusal::Temporary),
            (ReplyTo::Request, _) => ServerMessage::Refuse(Refusal::Permanent),
            (_, code::CONFIDENTIALITY_REQUIRED) => ServerMessage::TlsRequired,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let operation = match msg {
            ClientMessage::Hello => search(b"", SUPPORTED_EXTENSION),
            ClientMessage::Probe => search(b"", NO_ATTRIBUTES),
            // The schema, at its customary name.
            ClientMessage::Other => search(b"cn=Subschema", NO_ATTRIBUTES),
            ClientMessage::Credentials => {
                simple_bind(probe_credentials::USER, &probe_credentials::password(self.context.nonce))
            }
            ClientMessage::Request => element(tag::EXTENDED, &[&element(0x80, &[STARTTLS])]),
            ClientMessage::Quit => element(tag::UNBIND, &[]),
            ClientMessage::Silent | ClientMessage::OnBehalf | ClientMessage::Partial => return,
        };
        if matches!(msg, ClientMessage::Hello | ClientMessage::Request) {
            self.asking(self.next);
        }
        out.extend(encode(self.next, &operation));
        self.next = self.next.checked_add(1).unwrap_or(1);
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        // This side answers the request, so no answer to it from a server is expected.
        if self.asked.back() == Some(&self.id) {
            self.asked.pop_back();
        }
        let bytes = match msg {
            ServerMessage::Offer { starttls } => {
                let mut attributes = attribute(SUPPORTED_VERSION, &[b"3"]);
                if starttls {
                    attributes.extend(attribute(SUPPORTED_EXTENSION, &[STARTTLS]));
                }
                for (name, values) in self.capabilities() {
                    attributes.extend(attribute(name.as_bytes(), &values));
                }
                self.root(&attributes)
            }
            ServerMessage::Accept => self.result(code::SUCCESS, ""),
            ServerMessage::Refuse(Refusal::Temporary) => {
                self.result(code::UNAVAILABLE, "TLS is not available for now")
            }
            ServerMessage::Refuse(Refusal::Permanent) => {
                self.result(code::OPERATIONS_ERROR, "TLS is active already")
            }
            ServerMessage::TlsRequired => {
                self.result(code::CONFIDENTIALITY_REQUIRED, "TLS is required: ask for StartTLS first")
            }
            ServerMessage::Other => core::mem::take(&mut self.answer),
            ServerMessage::Unavailable => notice(code::UNAVAILABLE, "cannot serve for now"),
            ServerMessage::Bye if !self.quitting => notice(code::PROTOCOL_ERROR, "closing"),
            ServerMessage::Bye
            | ServerMessage::Greeting
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim => return,
        };
        out.extend(bytes);
    }

    fn write_answer(&self, ahead: u32, words: &[u8], out: &mut Vec<u8>) {
        let ahead = i32::try_from(ahead).unwrap_or(i32::MAX);
        out.extend(encode(self.id.saturating_add(ahead), words));
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        if from == Side::Client {
            return msg.to_vec();
        }
        let rewritten: Result<Vec<_>, Malformed> =
            messages(msg).map(|message| rewrite_message(&message?, how)).collect();
        rewritten.map_or_else(|_| msg.to_vec(), |messages| messages.concat())
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        if cleartext::is_public(msg) == Ok(true) {
            CleartextPermission::Allowed
        } else {
            CleartextPermission::NeedsTls
        }
    }

    /// RFC 4511 section 4.1.1.1: an answer repeats the id of its request.
    fn correlation(&self, _: Side, msg: &[u8]) -> Option<Correlation> {
        let id = messages(msg).next()?.ok()?.id;
        Some(Correlation::Id(id.to_be_bytes().to_vec()))
    }

    fn describe(&self, _: Side, msg: &[u8]) -> Option<String> {
        let lines: Option<Vec<_>> = messages(msg).map(|message| describe(&message.ok()?)).collect();
        lines.map(|lines| lines.join(", "))
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}

impl Ldap {
    /// Remembers a request that waits for its answer. At [`MAX_ASKED`], the oldest request is dropped.
    fn asking(&mut self, id: i32) {
        if self.asked.len() >= MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(id);
    }

    fn answering(&mut self, answer: Vec<u8>) -> ClientMessage {
        self.answer = answer;
        ClientMessage::Probe
    }

    /// Returns the response to the client's last message with this result code.
    fn result(&self, code: i32, text: &str) -> Vec<u8> {
        encode(self.id, &outcome(self.response, code, text, &[]))
    }

    /// Returns the root DSE with these attributes, and the end of the search.
    fn root(&self, attributes: &[u8]) -> Vec<u8> {
        let name = element(tag::STRING, &[]);
        let entry = element(tag::ENTRY, &[&name, &element(tag::SEQUENCE, &[attributes])]);
        let done = outcome(tag::DONE, code::SUCCESS, "", &[]);
        [encode(self.id, &entry), encode(self.id, &done)].concat()
    }

    /// Returns the capabilities that are listed inside TLS, such as `supportedSASLMechanisms: EXTERNAL`, grouped by
    /// attribute.
    fn capabilities(&self) -> Vec<(&str, Vec<&[u8]>)> {
        let mut attributes: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        let listed = self.context.capabilities().iter();
        for (name, value) in listed.filter_map(|listed| listed.split_once(": ")) {
            match attributes.iter_mut().find(|it| it.0.eq_ignore_ascii_case(name)) {
                Some((_, values)) => values.push(value.as_bytes()),
                None => attributes.push((name, vec![value.as_bytes()])),
            }
        }
        attributes
    }

    /// Reads a search. Before TLS only the root DSE is readable (RFC 4512 section 5.1): base scope, empty base,
    /// `(objectClass=*)`.
    fn search(&mut self, mut body: Elements<'_>) -> Result<ClientMessage, Malformed> {
        let base = body.expect(tag::STRING)?;
        let scope = body.number(tag::ENUMERATED)?;
        let _dereference = body.number(tag::ENUMERATED)?;
        let _limits = [body.number(tag::INTEGER)?, body.number(tag::INTEGER)?];
        let types_only = body.expect(tag::BOOLEAN)?;
        let (filter, of) = body.next().ok_or(malformed("a filter"))??;
        let wanted: Vec<_> = Elements(body.expect(tag::SEQUENCE)?).collect::<Result<_, _>>()?;
        let present = filter == 0x87 && of.eq_ignore_ascii_case(b"objectClass");
        if !base.is_empty() || scope != 0 || types_only != [0] || !present {
            return Ok(ClientMessage::Other);
        }
        let wants = |names: &[&[u8]]| {
            wanted.iter().any(|(_, wanted)| names.iter().any(|name| wanted.eq_ignore_ascii_case(name)))
        };
        if wanted.is_empty() || wants(&[SUPPORTED_EXTENSION, b"*", b"+"]) {
            return Ok(ClientMessage::Hello);
        }
        let version =
            if wants(&[SUPPORTED_VERSION]) { attribute(SUPPORTED_VERSION, &[b"3"]) } else { Vec::new() };
        Ok(self.answering(self.root(&version)))
    }

    /// Reads an extended request. StartTLS consists of the name alone, without a value (RFC 4511 section 4.14.1).
    fn extended(&mut self, mut body: Elements<'_>) -> Result<ClientMessage, Malformed> {
        let name = body.expect(0x80)?;
        Ok(match (name, body.next().transpose()?) {
            (STARTTLS, None) => ClientMessage::Request,
            (STARTTLS, Some(_)) => {
                self.answering(self.result(code::PROTOCOL_ERROR, "StartTLS takes no value"))
            }
            (PASSWORD_MODIFY, _) => ClientMessage::Credentials,
            _ => ClientMessage::Other,
        })
    }
}

/// Reads a bind (RFC 4511 section 4.2). An anonymous bind has neither a name nor a password.
fn bind(mut body: Elements<'_>) -> Result<ClientMessage, Malformed> {
    let _version = body.number(tag::INTEGER)?;
    let name = body.expect(tag::STRING)?;
    let choice = body.next().ok_or(malformed("an authentication choice"))??;
    let anonymous = name.is_empty() && choice == (0x80, b"".as_slice());
    Ok(if anonymous { ClientMessage::Other } else { ClientMessage::Credentials })
}

/// Returns whether a control after the operation is critical (RFC 4511 section 4.1.11).
fn is_critical(behind: Elements<'_>) -> Result<bool, Malformed> {
    let mut critical = false;
    for part in behind {
        let (0xa0, controls) = part? else { continue };
        for control in Elements(controls) {
            let mut control = Elements(control?.1);
            control.expect(tag::STRING)?;
            let next = control.next().transpose()?;
            critical |= next.is_some_and(|(kind, value)| kind == tag::BOOLEAN && value != [0]);
        }
    }
    Ok(critical)
}

/// Returns a notice of disconnection (RFC 4511 section 4.4.1).
fn notice(code: i32, text: &str) -> Vec<u8> {
    let name = element(0x8a, &[NOTICE_OF_DISCONNECTION]);
    encode(0, &outcome(tag::EXTENDED_RESPONSE, code, text, &name))
}

/// Reads a successful answer to StartTLS. It names StartTLS or no operation, and has neither a value nor a referral
/// (RFC 4511 section 4.14.2). Unknown elements are ignored (section 4).
fn accepted(behind: Elements<'_>) -> Result<ServerMessage, Malformed> {
    for part in behind {
        match part? {
            (0x8a, name) if !name.is_empty() && name != STARTTLS => {
                return Err(malformed("a response to StartTLS"));
            }
            (0x8b, [_, ..]) | (0xa3, _) => return Err(malformed("success and nothing else")),
            _ => {}
        }
    }
    Ok(ServerMessage::Accept)
}
