//! Stream features (RFC 6120 section 4.3.2) and changes to them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{SASL, SASL2, STREAMS, TLS};
use crate::rewrite::drops;
use crate::xml::{self, Element, Reader};
use crate::{Capability, CapabilityRewrite, Malformed};

/// The channel bindings that a server supports (XEP-0440).
const SASL_CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";

/// Logins and registrations without SASL (XEP-0078, XEP-0077).
const IQ_AUTH_FEATURE: &str = "http://jabber.org/features/iq-auth";
const IQ_REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";

/// Appends the features. STARTTLS is marked as required if it is the only choice (RFC 6120 sections 4.3.2, 5.3.1,
/// 6.3.3).
pub(super) fn write(mechanisms: &[Capability], starttls: bool, out: &mut String) {
    if !starttls && mechanisms.is_empty() {
        out.push_str("<stream:features/>");
        return;
    }
    out.push_str("<stream:features>");
    if starttls {
        let required = if mechanisms.is_empty() { "<required/>" } else { "" };
        out.push_str(&format!("<starttls xmlns='{TLS}'>{required}</starttls>"));
    }
    if !mechanisms.is_empty() {
        out.push_str(&format!("<mechanisms xmlns='{SASL}'>"));
        for mechanism in mechanisms {
            out.push_str("<mechanism>");
            xml::escape(mechanism, out);
            out.push_str("</mechanism>");
        }
        out.push_str("</mechanisms>");
    }
    out.push_str("</stream:features>");
}

/// Returns the features with this change. All other bytes stay the same.
pub(super) fn rewritten(header: &str, msg: &[u8], how: CapabilityRewrite) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(header, msg)?;
    if !reader.next()?.is_some_and(|root| root.is(STREAMS, "features")) {
        return Ok(msg.to_vec());
    }
    let (mut kept, mut from, mut offered) = (Vec::new(), 0, false);
    while let Some(child) = reader.next()? {
        offered |= child.depth == 1 && child.is(TLS, "starttls");
        if !concerns(&child, how) {
            continue;
        }
        let end = reader.end_of(&child)?;
        let dropped = || content(msg.get(child.start..end)?).map(|name| drops(how, name));
        if !is_mechanism(&child) || dropped() == Some(true) {
            kept.extend_from_slice(&msg[from..child.start]);
            from = end;
        }
    }
    kept.extend_from_slice(&msg[from..]);
    if how == CapabilityRewrite::AddUpgrade && !offered {
        let offer = format!("<starttls xmlns='{TLS}'/>");
        let name = kept[1..].split(|byte| b" \t\r\n/>".contains(byte)).next().unwrap_or_default().to_vec();
        let end = match kept.strip_suffix(b"/>") {
            Some(open) => [open, b">"].concat(),
            None => kept[..kept.iter().rposition(|&byte| byte == b'<').unwrap_or_default()].to_vec(),
        };
        kept = [&end, offer.as_bytes(), b"</", &name, b">"].concat();
    }
    Ok(kept)
}

/// Returns whether this change may affect this element. For a mechanism, its name decides afterwards.
fn concerns(child: &Element<'_>, how: CapabilityRewrite) -> bool {
    let (top, is) = (child.depth == 1, |namespace, name| child.is(namespace, name));
    match how {
        CapabilityRewrite::DropUpgrade => top && is(TLS, "starttls"),
        CapabilityRewrite::DropCredentials => {
            let listed = is(SASL, "mechanisms") || is(SASL2, "authentication");
            top && (listed || is(IQ_AUTH_FEATURE, "auth") || is(IQ_REGISTER_FEATURE, "register"))
        }
        CapabilityRewrite::DropChannelBinding => {
            is_mechanism(child) || (top && is(SASL_CHANNEL_BINDING, "sasl-channel-binding"))
        }
        CapabilityRewrite::DropExternal => is_mechanism(child),
        CapabilityRewrite::AddUpgrade | CapabilityRewrite::DropOnBehalf => false,
    }
}

fn is_mechanism(child: &Element<'_>) -> bool {
    child.is(SASL, "mechanism") || child.is(SASL2, "mechanism")
}

/// Returns the content between an element's tags.
fn content(element: &[u8]) -> Option<&[u8]> {
    let start = element.iter().position(|&byte| byte == b'>')? + 1;
    let end = element.iter().rposition(|&byte| byte == b'<')?;
    element.get(start..end).map(<[u8]>::trim_ascii)
}
