//! XMPP, from clients and between servers: RFC 6120 section 5.

mod features;
mod login;
mod observed;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::nonce::unguessable;
use crate::probe_credentials;
use crate::text::mentions_tls;
use crate::xml::{self, Element, Piece, Reader};
use crate::{
    AfterUpgrade, Capability, CapabilityRewrite, ChannelBinding, ClientMessage, Correlation, Dialect,
    DialectContext, Flow, ImplicitTls, LoginDialect, Malformed, ObservedDialect, Protocol, ProtocolFamily,
    Refusal, ReplyTo, Scan, ServerMessage, Side,
};

/// XMPP between a client and its server.
pub const XMPP: Protocol = Protocol {
    name: "xmpp",
    aliases: &["xmpp-client"],
    title: "XMPP",
    port: 5222,
    implicit_tls: Some(ImplicitTls { name: "xmpps", port: 5223, alpn_required: false }),
    alpn: Some("xmpp-client"),
    family: ProtocolFamily::Xmpp,
    spec: "RFC 6120 section 5",
    flow: Flow {
        greeting: false,
        closes_when_tls_required: true,
        space_before_tls: b" \t\r\n",
        after: AfterUpgrade::StreamRestart,
        tls_may_be_optional: false,
        login_is_optional: false,
        ..Flow::USUAL
    },
    dialect: |context| Xmpp::boxed(context, TO_CLIENTS),
};

/// XMPP between servers.
pub const XMPP_SERVER: Protocol = Protocol {
    name: "xmpp-server",
    aliases: &[],
    title: "XMPP (server to server)",
    port: 5269,
    implicit_tls: Some(ImplicitTls { name: "xmpps-server", port: 5270, alpn_required: false }),
    alpn: Some("xmpp-server"),
    dialect: |context| Xmpp::boxed(context, TO_SERVERS),
    ..XMPP
};

const STREAMS: &str = "http://etherx.jabber.org/streams";
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2: &str = "urn:xmpp:sasl:2";
/// The namespaces of stanzas, from a client and between servers (RFC 6120 section 4.8.2).
const TO_CLIENTS: &str = "jabber:client";
const TO_SERVERS: &str = "jabber:server";
const DIALBACK: &str = "jabber:server:dialback";
/// Logins without SASL (XEP-0078), and registration (XEP-0077), which sets a password.
const IQ_AUTH: &str = "jabber:iq:auth";
const IQ_REGISTER: &str = "jabber:iq:register";

/// The largest stream header in octets. The header is kept for its namespaces.
const MAX_HEADER: usize = 4096;

/// The SASL failure condition in cleartext (RFC 6120 section 6.5.4). The other conditions are stream errors (section
/// 4.9.3).
const ENCRYPTION_REQUIRED: &str = "encryption-required";
const NOT_AUTHORIZED: &str = "not-authorized";
const NOT_WELL_FORMED: &str = "not-well-formed";

struct Xmpp {
    context: DialectContext,
    /// The namespace of stanzas.
    content: &'static str,
    /// The stream headers as received. Their prefixes are valid for the whole stream.
    client_header: String,
    server_header: String,
    /// The server's header has another name than the client requested. Only an error may follow.
    other_name: bool,
    /// Whether a header may come: at the start and after SASL (RFC 6120 section 4.3.3).
    may_open: bool,
    /// What the client has been sent so far.
    sent: Sent,
    /// The number of headers written so far. Each header has its own id.
    headers: u64,
    /// The error condition if the stream ends now, or `None` for a normal end.
    condition: Option<&'static str>,
    /// The channel binding that a login uses.
    binding: ChannelBinding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Header,
    End,
}

impl Xmpp {
    fn boxed(context: DialectContext, content: &'static str) -> Box<dyn Dialect> {
        Box::new(Self {
            context,
            content,
            client_header: String::new(),
            server_header: String::new(),
            other_name: false,
            may_open: true,
            sent: Sent::Nothing,
            headers: 0,
            condition: Some(NOT_WELL_FORMED),
            binding: ChannelBinding::Exporter,
        })
    }

    /// Reads the client's header: attributes (RFC 6120 section 4.7), namespaces (section 4.8) and errors (section
    /// 4.9.3).
    fn hello(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        let mut reader = Reader::new("", msg)?;
        let header = reader.next()?.ok_or_else(|| malformed("a stream header"))?;
        let (to, name) = (header.attribute("to"), &self.context.identity.server_name);
        self.condition = if !header.is(STREAMS, "stream") || reader.default_namespace() != self.content {
            Some("invalid-namespace")
        } else if !self.may_open {
            Some("unsupported-stanza-type")
        } else if !speaks_1_0(&header) {
            Some("unsupported-version")
        } else if !name.is_empty() && to.is_none() {
            Some("improper-addressing")
        } else if !name.is_empty() && !to.is_some_and(|to| to.eq_ignore_ascii_case(name)) {
            Some("host-unknown")
        } else if msg.len() > MAX_HEADER {
            Some("policy-violation")
        } else {
            self.may_open = false;
            self.client_header = String::from_utf8_lossy(msg).into_owned();
            return Ok(ClientMessage::Hello);
        };
        // In cleartext this stream gets the same error as every stream that continues without TLS.
        if self.context.is_inside_tls() {
            Err(malformed("a stream that is served here"))
        } else {
            Ok(ClientMessage::Other)
        }
    }

    fn server_header(&mut self, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let mut reader = Reader::new("", msg)?;
        let header = reader.next()?.ok_or_else(|| malformed("a stream header"))?;
        if !header.is(STREAMS, "stream") || reader.default_namespace() != self.content {
            return Err(malformed("a stream header with the right namespaces"));
        }
        let name = &self.context.identity.server_name;
        let other = |from: &str| !name.is_empty() && !from.eq_ignore_ascii_case(name);
        self.other_name = header.attribute("from").is_some_and(other);
        if msg.len() > MAX_HEADER {
            return Err(malformed("a stream header of at most 4 KiB"));
        }
        self.sent = Sent::Header;
        self.server_header = String::from_utf8_lossy(msg).into_owned();
        // RFC 6120 section 4.7.5: a header without a version is not followed by features.
        Ok(if speaks_1_0(&header) || self.other_name {
            ServerMessage::Interim
        } else {
            ServerMessage::Offer { starttls: false }
        })
    }

    /// Returns an attribute of the client's header.
    fn asked(&self, name: &str) -> Option<String> {
        let header =
            Reader::new("", self.client_header.as_bytes()).and_then(|mut reader| reader.next()).ok()??;
        header.attribute(name).map(str::to_owned)
    }

    /// Appends a header with a new id (RFC 6120 section 4.7.3).
    fn open(&mut self, out: &mut String) {
        self.headers += 1;
        out.push_str("<?xml version='1.0'?><stream:stream id='");
        match self.context.nonce {
            0 => out.push_str(&format!("s{}", self.headers)),
            nonce => {
                let id = unguessable(nonce, (self.context.is_inside_tls(), self.headers));
                out.push_str(&format!("{id:016x}"));
            }
        }
        let asked = self.service();
        let name = if self.context.identity.server_name.is_empty() {
            asked.as_deref()
        } else {
            Some(&*self.context.identity.server_name)
        };
        attribute("from", name.unwrap_or_default(), out);
        let client = Reader::new("", self.client_header.as_bytes()).and_then(|mut reader| reader.next());
        if let Some(from) = client.ok().flatten().as_ref().and_then(|header| header.attribute("from")) {
            attribute("to", from, out);
        }
        out.push_str("' ");
        self.common_attributes(out);
        self.sent = Sent::Header;
    }

    /// Returns the mechanisms to list: none in cleartext.
    fn listed_mechanisms(&self) -> &[Capability] {
        self.context.capabilities()
    }

    fn common_attributes(&self, out: &mut String) {
        let content = self.content;
        out.push_str(&format!("version='1.0' xml:lang='en' xmlns='{content}' xmlns:stream='{STREAMS}'>"));
    }
}

/// Appends an attribute after an attribute whose value is not closed yet.
fn attribute(name: &str, value: &str, out: &mut String) {
    out.push_str("' ");
    out.push_str(name);
    out.push_str("='");
    xml::escape(value, out);
}

/// Returns whether a header has version 1.0 or later: two numbers (RFC 6120 section 4.7.5). Later versions include
/// 1.0.
fn speaks_1_0(header: &Element<'_>) -> bool {
    let numbers = header.attribute("version").and_then(|version| version.split_once('.'));
    numbers.is_some_and(|(major, minor)| {
        minor.parse::<u32>().is_ok() && major.parse::<u32>().is_ok_and(|major| major >= 1)
    })
}

impl Sealed for Xmpp {}

impl Dialect for Xmpp {
    fn frame(&self, _: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        xml::message(buf, scan)
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        self.condition = Some(NOT_WELL_FORMED);
        if self.sent == Sent::End {
            return Ok(ClientMessage::Quit);
        }
        match xml::piece(msg) {
            Piece::White => return Ok(ClientMessage::Silent),
            Piece::Header => return self.hello(msg),
            Piece::End if Reader::new(&self.client_header, msg)?.ends_stream() => {
                self.condition = None;
                return Ok(ClientMessage::Quit);
            }
            Piece::End => return Err(malformed("the end tag of the stream")),
            Piece::Child => {}
        }
        let mut reader = Reader::new(&self.client_header, msg)?;
        let root = reader.next()?.ok_or_else(|| malformed("an element"))?;
        let (mut children, mut logs_in) = (false, false);
        while let Some(child) = reader.next()? {
            children = true;
            logs_in |= [IQ_AUTH, IQ_REGISTER].contains(&child.namespace());
        }
        let empty = !children && !reader.has_text && !root.has_attributes();
        let (meaning, condition) = match (root.namespace(), root.name()) {
            // Data after the request is cleartext where TLS must start.
            (TLS, "starttls") if empty => (ClientMessage::Request, "policy-violation"),
            (TLS, "starttls") => (ClientMessage::Other, "bad-format"),
            (SASL | SASL2, _) => (ClientMessage::Credentials, ENCRYPTION_REQUIRED),
            (DIALBACK, _) => (ClientMessage::Credentials, "policy-violation"),
            (_, "iq") if logs_in => (ClientMessage::Credentials, "policy-violation"),
            (content, "iq" | "message" | "presence") if content == self.content => {
                (ClientMessage::Other, NOT_AUTHORIZED)
            }
            _ => (ClientMessage::Other, "unsupported-stanza-type"),
        };
        self.may_open |= meaning == ClientMessage::Credentials;
        self.condition = Some(condition);
        Ok(meaning)
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        match xml::piece(msg) {
            Piece::White => return Ok(ServerMessage::Interim),
            Piece::Header => return self.server_header(msg),
            _ if self.server_header.is_empty() => return Err(malformed("a stream header first")),
            Piece::End if Reader::new(&self.server_header, msg)?.ends_stream() => {
                return Ok(ServerMessage::Bye);
            }
            Piece::End => return Err(malformed("the end tag of the stream")),
            Piece::Child => {}
        }
        let mut reader = Reader::new(&self.server_header, msg)?;
        let root = reader.next()?.ok_or_else(|| malformed("an element"))?;
        let (mut children, mut starttls, mut tls_required) = (false, false, false);
        while let Some(child) = reader.next()? {
            children = true;
            starttls |= child.depth == 1 && child.is(TLS, "starttls");
            tls_required |= child.depth == 1 && child.is(SASL, ENCRYPTION_REQUIRED);
            if child.depth == 1 && child.is(ERRORS, "text") {
                tls_required |= msg.get(child.start..reader.end_of(&child)?).is_some_and(mentions_tls);
            }
        }
        // RFC 6120 section 4.9.3.6: a server that does not know the requested name may open with its own name, and
        // report the error next.
        if self.other_name && !root.is(STREAMS, "error") {
            return Err(malformed("a stream from the name that was asked for"));
        }
        Ok(match (root.namespace(), root.name()) {
            (STREAMS, "features") => ServerMessage::Offer { starttls },
            // No condition has exactly this meaning: several of RFC 6120 section 4.9.3 fit, and servers explain them
            // in text.
            (STREAMS, "error") if tls_required && reply_to == ReplyTo::Other => ServerMessage::TlsRequired,
            // A redirection (see-other-host) is also an error. The client does not follow it.
            (STREAMS, "error") => ServerMessage::Bye,
            (TLS, "proceed") if !children && !reader.has_text && !root.has_attributes() => {
                ServerMessage::Accept
            }
            (TLS, "proceed") => return Err(malformed("an empty <proceed/>")),
            // RFC 6120 section 5.4.2.2: the stream ends, and the client may try again.
            (TLS, "failure") => ServerMessage::Refuse(Refusal::Temporary),
            (SASL, "failure") if tls_required => ServerMessage::TlsRequired,
            (SASL, "success") if reply_to != ReplyTo::Other => ServerMessage::PreAuthenticated,
            _ => ServerMessage::Other,
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        let mut text = String::new();
        match msg {
            ClientMessage::Hello => {
                text.push_str("<?xml version='1.0'?><stream:stream to='");
                xml::escape(&self.context.identity.server_name, &mut text);
                // A user's address must not be sent in cleartext (RFC 6120 section 4.7.1). A server's name may be.
                if self.content == TO_SERVERS {
                    attribute(
                        "from",
                        self.context.identity.client_name.domain().unwrap_or("localhost"),
                        &mut text,
                    );
                }
                text.push_str("' ");
                self.common_attributes(&mut text);
            }
            ClientMessage::Request => text.push_str(&format!("<starttls xmlns='{TLS}'/>")),
            ClientMessage::Quit => text.push_str("</stream:stream>"),
            ClientMessage::Credentials => {
                let plain = probe_credentials::plain(self.context.nonce);
                text.push_str(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"));
            }
            // XEP-0199. Between servers both addresses are required (RFC 6120 section 8.1).
            ClientMessage::Other => {
                text.push_str("<iq type='get' id='starttls-probe' to='");
                xml::escape(&self.context.identity.server_name, &mut text);
                if self.content == TO_SERVERS {
                    attribute(
                        "from",
                        self.context.identity.client_name.domain().unwrap_or("localhost"),
                        &mut text,
                    );
                }
                text.push_str("'><ping xmlns='urn:xmpp:ping'/></iq>");
            }
            ClientMessage::Probe
            | ClientMessage::Silent
            | ClientMessage::OnBehalf
            | ClientMessage::Partial => {}
        }
        out.extend_from_slice(text.as_bytes());
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        let silent = matches!(
            msg,
            ServerMessage::Greeting
                | ServerMessage::Interim
                | ServerMessage::Other
                | ServerMessage::PreAuthenticated
        );
        if silent || self.sent == Sent::End {
            return;
        }
        let mut text = String::new();
        let offer = matches!(msg, ServerMessage::Offer { .. });
        if offer || self.sent == Sent::Nothing {
            self.open(&mut text);
        }
        match (msg, self.condition) {
            (ServerMessage::Offer { starttls }, _) => {
                features::write(self.listed_mechanisms(), starttls, &mut text)
            }
            (ServerMessage::Accept, _) => text.push_str(&format!("<proceed xmlns='{TLS}'/>")),
            (ServerMessage::Refuse(_), _) => text.push_str(&format!("<failure xmlns='{TLS}'/>")),
            // RFC 6120 section 4.9.3.6.
            (ServerMessage::Unavailable, _) => text
                .push_str(&format!("<stream:error><internal-server-error xmlns='{ERRORS}'/></stream:error>")),
            (_, Some(ENCRYPTION_REQUIRED)) => {
                text.push_str(&format!("<failure xmlns='{SASL}'><encryption-required/></failure>"));
            }
            (_, Some(condition)) => {
                text.push_str(&format!("<stream:error><{condition} xmlns='{ERRORS}'/>"));
                if msg == ServerMessage::TlsRequired && condition == NOT_AUTHORIZED {
                    text.push_str(&format!(
                        "<text xmlns='{ERRORS}' xml:lang='en'>STARTTLS comes first</text>"
                    ));
                }
                text.push_str("</stream:error>");
            }
            (_, None) => {}
        }
        if !offer && msg != ServerMessage::Accept {
            text.push_str("</stream:stream>");
            self.sent = Sent::End;
        }
        out.extend_from_slice(text.as_bytes());
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        match from {
            Side::Client => msg.to_vec(),
            Side::Server => {
                features::rewritten(&self.server_header, msg, how).unwrap_or_else(|_| msg.to_vec())
            }
        }
    }

    fn service(&self) -> Option<String> {
        self.asked("to")
    }

    /// RFC 6120 section 8.1.3: the answer to an `<iq/>` repeats its id. A login is answered in its own namespace.
    fn correlation(&self, from: Side, msg: &[u8]) -> Option<Correlation> {
        let header = match from {
            Side::Client => &self.client_header,
            Side::Server => &self.server_header,
        };
        if xml::piece(msg) != Piece::Child {
            return None;
        }
        let root = Reader::new(header, msg).ok()?.next().ok()??;
        match (root.namespace(), root.name()) {
            (SASL | SASL2, _) => Some(Correlation::Kind("login")),
            (_, "iq") => Some(Correlation::Id(root.attribute("id").unwrap_or_default().as_bytes().to_vec())),
            (_, "message" | "presence") => Some(Correlation::Kind("stanza")),
            _ => None,
        }
    }

    /// Returns the client's name between servers. A user's address is not sent in cleartext (RFC 6120 section 4.7.1).
    fn client(&self) -> Option<String> {
        (self.content == TO_SERVERS).then(|| self.asked("from")).flatten()
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }

    fn into_login(self: Box<Self>) -> Option<Box<dyn LoginDialect>> {
        Some(self)
    }
}
