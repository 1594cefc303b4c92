//! HTTP/1.1 Upgrade to TLS: RFC 2817 over RFC 9110 and RFC 9112.

mod head;
mod observed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use head::{Body, Head};

use crate::dialect::sealed::Sealed;
use crate::malformed::malformed;
use crate::message_reader::MAX_MESSAGE;
use crate::name::bracketed;
use crate::probe_credentials;
use crate::{
    AfterUpgrade, CapabilityRewrite, CleartextPermission, ClientMessage, Dialect, DialectContext, Flow,
    ImplicitTls, Malformed, ObservedDialect, OfferPlace, Protocol, ProtocolFamily, Refusal, ReplyTo, Scan,
    ServerMessage, Side,
};

/// HTTP, for the web and for printing. Printing still uses this upgrade.
pub const HTTP: Protocol = Protocol {
    name: "http",
    aliases: &["ipp"],
    title: "HTTP Upgrade",
    port: 80,
    implicit_tls: Some(ImplicitTls { name: "https", port: 443, alpn_required: false }),
    alpn: Some("http/1.1"),
    family: ProtocolFamily::Http,
    spec: "RFC 2817",
    flow: Flow {
        greeting: false,
        offer: OfferPlace::Unannounced,
        after: AfterUpgrade::AnswerPending,
        login_is_optional: false,
        has_peer_credential_auth: true,
        ..Flow::USUAL
    },
    dialect: |context| {
        Box::new(Http {
            context,
            body: Body::None,
            in_body: false,
            behind: ClientMessage::Other,
            answers_head: false,
        })
    },
};

struct Http {
    context: DialectContext,
    /// The body that follows the last request head.
    body: Body,
    /// The last message that was read is a body.
    in_body: bool,
    /// The meaning of a body that follows the last request head.
    behind: ClientMessage,
    /// The last request was HEAD: its response has no body, whatever its fields declare (RFC 9110 section 9.3.2).
    answers_head: bool,
}

impl Sealed for Http {}

impl Dialect for Http {
    fn frame(&self, from: Side, _: ReplyTo, buf: &[u8], scan: &mut Scan) -> Result<Option<usize>, Malformed> {
        match (from, self.body) {
            (Side::Client, Body::None) => head::end(buf, scan, head::is_request_line),
            (Side::Client, body) => head::body_end(body, 0, buf, scan),
            (Side::Server, _) if buf.iter().zip(b"HTTP/1.").any(|(octet, expected)| octet != expected) => {
                Err(malformed("a response of HTTP/1"))
            }
            (Side::Server, _) => head::response_end(buf, scan, self.answers_head),
        }
    }

    fn read_client(&mut self, msg: &[u8]) -> Result<ClientMessage, Malformed> {
        self.in_body = core::mem::take(&mut self.body) != Body::None;
        if self.in_body {
            return Ok(self.behind);
        }
        let head = Head::read(msg)?;
        self.answers_head = head.first.starts_with(b"HEAD ");
        let body = head.body(if self.context.is_inside_tls() { usize::MAX } else { MAX_MESSAGE })?;
        // RFC 9112 section 3.2.
        if head.hosts > 1 || (head.hosts == 0 && head.is_1_1()) {
            return Err(malformed("one Host field"));
        }
        // Inside TLS the application reads the body.
        self.body = if self.context.is_inside_tls() { Body::None } else { body };
        // A request with credentials counts as a login before its body arrives.
        self.behind = if head.login { ClientMessage::Partial } else { ClientMessage::Other };
        let options = head.first == b"OPTIONS * HTTP/1.1";
        Ok(match () {
            () if head.login => ClientMessage::Credentials,
            () if body != Body::None => ClientMessage::Partial,
            () if options && head.only_tls() && head.upgrade_is_meant => ClientMessage::Request,
            () if options && head.upgrade.is_empty() => ClientMessage::Probe,
            () => ClientMessage::Other,
        })
    }

    fn read_server(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<ServerMessage, Malformed> {
        let head = Head::read(msg)?;
        let status = head.status()?;
        let asked = reply_to == ReplyTo::Request;
        Ok(match status {
            // RFC 2817 section 3.3. The Connection field is not checked, because real servers send different values.
            101 if asked && head.is_1_1() && head.lists_tls() => ServerMessage::Accept,
            101 if asked => return Err(malformed("101 with TLS in its Upgrade field")),
            101 => ServerMessage::Other,
            100..=199 => ServerMessage::Interim,
            426 if !asked => ServerMessage::TlsRequired,
            _ if !asked => ServerMessage::Other,
            // A response that ends with the connection leaves no connection to continue on.
            _ if head.ends_with_the_connection() => ServerMessage::Bye,
            503 if head.closes => ServerMessage::Bye,
            503 => ServerMessage::Refuse(Refusal::Temporary),
            _ => ServerMessage::Refuse(Refusal::Permanent),
        })
    }

    fn write_client(&mut self, msg: ClientMessage, out: &mut Vec<u8>) {
        // RFC 2817 section 3.2: OPTIONS makes the upgrade mandatory, so that the client does not continue in
        // cleartext.
        let (line, field) = match msg {
            ClientMessage::Request => ("OPTIONS *", "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n"),
            ClientMessage::Probe => ("OPTIONS *", ""),
            ClientMessage::Other => ("GET /", ""),
            ClientMessage::Credentials => (
                "GET /",
                &*format!("Authorization: Basic {}\r\n", probe_credentials::basic(self.context.nonce)),
            ),
            ClientMessage::Hello
            | ClientMessage::Quit
            | ClientMessage::Silent
            | ClientMessage::OnBehalf
            | ClientMessage::Partial => {
                return;
            }
        };
        let host = match &self.context.identity.authority {
            Some(authority) => authority.to_string(),
            None => bracketed(&self.context.identity.server_name),
        };
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{field}\r\n");
        out.extend_from_slice(request.as_bytes());
    }

    fn write_server(&mut self, msg: ServerMessage, out: &mut Vec<u8>) {
        const UPGRADE: &str = "Upgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n";
        const REQUIRED: &str = "426 Upgrade Required";
        let (status, fields) = match msg {
            ServerMessage::Accept => ("101 Switching Protocols", UPGRADE),
            ServerMessage::Other if self.context.is_inside_tls() => ("200 OK", "Allow: OPTIONS\r\n"),
            // RFC 2817 section 4.2.
            ServerMessage::TlsRequired if self.body != Body::None => {
                (REQUIRED, "Upgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade, close\r\n")
            }
            ServerMessage::TlsRequired | ServerMessage::Other => (REQUIRED, UPGRADE),
            ServerMessage::Refuse(Refusal::Temporary) => {
                ("503 TLS Not Available For Now", "Retry-After: 60\r\n")
            }
            ServerMessage::Refuse(Refusal::Permanent) => ("409 TLS Is Active Already", ""),
            // RFC 9110 section 15.6.4.
            ServerMessage::Unavailable => {
                ("503 Service Unavailable", "Retry-After: 60\r\nConnection: close\r\n")
            }
            // A request whose body is not read was already answered when it was refused.
            ServerMessage::Bye if self.body == Body::None => ("400 Bad Request", "Connection: close\r\n"),
            ServerMessage::Bye
            | ServerMessage::Greeting
            | ServerMessage::Offer { .. }
            | ServerMessage::PreAuthenticated
            | ServerMessage::Interim => return,
        };
        let length = if msg == ServerMessage::Accept { "" } else { "Content-Length: 0\r\n" };
        out.extend_from_slice(format!("HTTP/1.1 {status}\r\n{fields}{length}\r\n").as_bytes());
    }

    fn rewrite(&self, from: Side, _: ReplyTo, msg: &[u8], how: CapabilityRewrite) -> Vec<u8> {
        // A proxy adds its fields about the client to each request. A backend that trusts them must therefore see
        // only one request on each connection.
        match (from, how, self.in_body) {
            (Side::Client, CapabilityRewrite::DropOnBehalf, false) => head::isolated(msg),
            _ => msg.to_vec(),
        }
    }

    fn has_ambiguous_continuation(&self) -> bool {
        self.body != Body::None && self.behind == ClientMessage::Partial
    }

    fn cleartext_permission(&self, msg: &[u8]) -> CleartextPermission {
        match self.in_body || self.body != Body::None {
            true => CleartextPermission::Ambiguous,
            false if head::is_public(msg) => CleartextPermission::Allowed,
            false => CleartextPermission::NeedsTls,
        }
    }

    fn observed(&self) -> &dyn ObservedDialect {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, DeclinedReason, Identity, Progress, ServerSession, SessionCommand};

    #[test]
    fn the_request_is_answered_inside_tls_and_cannot_be_repeated_there() {
        let mut out = Vec::new();
        let mut inside = ServerSession::new(&HTTP, Identity::new("mail.example.com"), &mut out);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nAllow: OPTIONS\r\nContent-Length: 0\r\n\r\n");
        let mut request = Vec::new();
        HTTP.new_dialect(Identity::new("::1")).write_client(ClientMessage::Request, &mut request);
        assert!(request.windows(13).any(|it| it == b"Host: [::1]\r\n"));
        out.clear();
        assert!(inside.receive(&request).is_empty());
        assert_eq!(inside.next(&mut out), Ok(Some(SessionCommand::Answered(request))));
        assert!(out.starts_with(b"HTTP/1.1 409 "));
    }

    #[test]
    fn inside_tls_a_body_is_left_to_the_application() {
        let head = b"POST / HTTP/1.1\r\nHost: mail.example.com\r\nContent-Length: 20\r\n\r\n";
        let mut inside = ServerSession::new(&HTTP, Identity::new("mail.example.com"), &mut Vec::new());
        assert!(inside.receive(&[&head[..], b"DELETE / "].concat()).is_empty());
        assert_eq!(inside.next(&mut Vec::new()), Ok(Some(SessionCommand::Message(head.to_vec()))));
        assert_eq!(inside.take_unread(), b"DELETE / ");
    }

    #[test]
    fn a_body_ends_where_its_length_says_in_whatever_pieces_it_comes() {
        let mut client = Client::new(&HTTP, Identity::new("mail.example.com"), &mut Vec::new());
        let pieces = ["HTTP/1.1 404 Not Fo", "und\r\nContent-Length: 10\r\n\r\nabc", "def", "ghi"];
        for piece in pieces {
            let Ok(Progress::Continue(next)) = client.receive(piece.as_bytes(), &mut Vec::new()) else {
                panic!("{piece}: over too early")
            };
            client = next;
        }
        let Ok(Progress::End(declined)) = client.receive(b"j", &mut Vec::new()) else { panic!("no end") };
        assert_eq!(declined.reason, DeclinedReason::Refused(Refusal::Permanent));
        assert!(declined.is_usable_in_cleartext());
    }
}
