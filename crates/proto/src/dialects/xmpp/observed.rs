//! What an observer of cleartext reads: how connections begin, what carries content, and logins.

use super::login::text;
use super::{DIALBACK, IQ_AUTH, IQ_REGISTER, SASL, SASL2, TO_CLIENTS, TO_SERVERS, Xmpp};
use crate::credentials::{initial, response, sasl};
use crate::xml::{self, Element, Piece, Reader};
use crate::{LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, PartOf, Side};

/// The most octets of a stream header before its namespaces.
const HEADER: usize = 1024;

impl ObservedDialect for Xmpp {
    fn opening(&self, from: Side, first: &[u8]) -> OpeningFit {
        let names = |namespace: &str| first.windows(namespace.len()).any(|it| it == namespace.as_bytes());
        let starts = match from {
            Side::Server => first.starts_with(b"<?xml") || first.starts_with(b"<stream"),
            Side::Client => first.starts_with(b"<"),
        };
        // The namespace distinguishes clients from servers.
        match (names(TO_SERVERS), names(TO_CLIENTS)) {
            (false, false) if first.starts_with(b"<") && first.len() < HEADER => OpeningFit::Undecided,
            (between_servers, _) => {
                OpeningFit::possible(starts && between_servers == (self.content == TO_SERVERS))
            }
        }
    }

    fn carries_content(&self, msg: &[u8]) -> bool {
        [&b"<message"[..], b"<presence", b"<iq"].iter().any(|start| msg.starts_with(start))
    }

    /// Reads the start of a login: SASL (RFC 6120 section 6), SASL2 (XEP-0388), `jabber:iq:auth` (XEP-0078), registration
    /// (XEP-0077), dialback (XEP-0220).
    fn login_part(&self, msg: &[u8]) -> Option<LoginPart> {
        let (root, mut reader) = child(&self.client_header, msg)?;
        if let Some(mechanism) = root.attribute("mechanism").filter(|_| is_sasl(&root)) {
            let mut word = text(msg);
            // SASL2 has an element for it, beside others.
            if root.namespace() == SASL2 {
                word = b"";
                while let Ok(Some(element)) = reader.next() {
                    if element.is(SASL2, "initial-response") {
                        word = within(&mut reader, &element, msg)?;
                    }
                }
            }
            let word = Some(word.trim_ascii()).filter(|word| !word.is_empty());
            return Some(sasl(mechanism.as_bytes(), word.map(initial)));
        }
        if root.namespace() == DIALBACK {
            let from = root.attribute("from").map(str::as_bytes);
            return Some(LoginPart::new("dialback", from, LoginExposure::Identity));
        }
        if root.name() != "iq" {
            let is_abort = root.name() == "abort";
            let exposure = if is_abort { LoginExposure::Attempted } else { LoginExposure::Readable };
            return Some(LoginPart::new("", None, exposure).part_of(PartOf::LastLogin));
        }
        let (mut user, mut exposure) = (None, LoginExposure::Identity);
        while let Ok(Some(element)) = reader.next() {
            if ![IQ_AUTH, IQ_REGISTER].contains(&element.namespace()) {
                continue;
            }
            exposure = exposure.max(match element.name() {
                "password" => LoginExposure::Readable,
                "digest" => LoginExposure::Guessable,
                _ => LoginExposure::Identity,
            });
            if element.name() == "username" {
                user = within(&mut reader, &element, msg);
            }
        }
        Some(LoginPart::new("jabber:iq:auth", user, exposure))
    }

    fn is_challenge(&self, msg: &[u8]) -> bool {
        self.sasl_answer(msg).is_some_and(|root| root.name() == "challenge")
    }

    fn login_response(&self, mechanism: &str, step: u32, msg: &[u8]) -> LoginResponse {
        match child(&self.client_header, msg) {
            Some((root, _)) if root.name() == "abort" => LoginResponse::new(None, LoginExposure::Attempted),
            _ => response(mechanism, step, text(msg)),
        }
    }

    fn login_result(&self, msg: &[u8]) -> Option<bool> {
        match self.sasl_answer(msg)?.name() {
            "success" => Some(true),
            "failure" => Some(false),
            _ => None,
        }
    }
}

impl Xmpp {
    /// Returns the server's message if it belongs to SASL.
    fn sasl_answer<'a>(&'a self, msg: &'a [u8]) -> Option<Element<'a>> {
        child(&self.server_header, msg).map(|(root, _)| root).filter(is_sasl)
    }
}

fn is_sasl(root: &Element<'_>) -> bool {
    [SASL, SASL2].contains(&root.namespace())
}

/// Returns a child of the stream, and the reader of the elements in it.
fn child<'a>(header: &'a str, msg: &'a [u8]) -> Option<(Element<'a>, Reader<'a>)> {
    let mut reader = (xml::piece(msg) == Piece::Child).then(|| Reader::new(header, msg).ok())??;
    let root = reader.next().ok()??;
    Some((root, reader))
}

/// Returns the text of an element that contains only text.
fn within<'a>(reader: &mut Reader<'a>, element: &Element<'a>, msg: &'a [u8]) -> Option<&'a [u8]> {
    let end = reader.end_of(element).ok()?;
    msg.get(element.start..end).map(text)
}
