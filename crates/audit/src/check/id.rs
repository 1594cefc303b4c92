//! The checks as constants, so that an id cannot be mistyped.

use super::{CHECKS, Check};

/// Returns the row of the table with this id. A constant with an unknown id does not compile.
const fn row(id: &str) -> &'static Check {
    let mut index = 0;
    while index < CHECKS.len() {
        if is_same(CHECKS[index].id.as_bytes(), id.as_bytes()) {
            return &CHECKS[index];
        }
        index += 1;
    }
    panic!("the table has no check with this id")
}

/// Returns whether two ids are equal. `==` is not available at compile time.
pub(crate) const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

/// `srv-reachable`
pub const SRV_REACHABLE: &Check = row("srv-reachable");
/// `srv-mx-name`
pub const SRV_MX_NAME: &Check = row("srv-mx-name");
/// `srv-throttled`
pub const SRV_THROTTLED: &Check = row("srv-throttled");
/// `srv-plain-tls`
pub const SRV_PLAIN_TLS: &Check = row("srv-plain-tls");
/// `srv-preauth`
pub const SRV_PREAUTH: &Check = row("srv-preauth");
/// `srv-referral`
pub const SRV_REFERRAL: &Check = row("srv-referral");
/// `srv-alert`
pub const SRV_ALERT: &Check = row("srv-alert");
/// `srv-mangled`
pub const SRV_MANGLED: &Check = row("srv-mangled");
/// `srv-offered`
pub const SRV_OFFERED: &Check = row("srv-offered");
/// `srv-upgrade`
pub const SRV_UPGRADE: &Check = row("srv-upgrade");
/// `srv-not-enforced`
pub const SRV_NOT_ENFORCED: &Check = row("srv-not-enforced");
/// `srv-auth-before`
pub const SRV_AUTH_BEFORE: &Check = row("srv-auth-before");
/// `srv-offer-inside`
pub const SRV_OFFER_INSIDE: &Check = row("srv-offer-inside");
/// `srv-caps-kept`
pub const SRV_CAPS_KEPT: &Check = row("srv-caps-kept");
/// `srv-inject-eager`
pub const SRV_INJECT_EAGER: &Check = row("srv-inject-eager");
/// `srv-inject-lazy`
pub const SRV_INJECT_LAZY: &Check = row("srv-inject-lazy");
/// `srv-inject-split`
pub const SRV_INJECT_SPLIT: &Check = row("srv-inject-split");
/// `srv-inject-partial`
pub const SRV_INJECT_PARTIAL: &Check = row("srv-inject-partial");
/// `srv-inject-variants`
pub const SRV_INJECT_VARIANTS: &Check = row("srv-inject-variants");
/// `srv-reply-plain`
pub const SRV_REPLY_PLAIN: &Check = row("srv-reply-plain");
/// `srv-fixation`
pub const SRV_FIXATION: &Check = row("srv-fixation");
/// `srv-hs-fallback`
pub const SRV_HS_FALLBACK: &Check = row("srv-hs-fallback");
/// `srv-stall`
pub const SRV_STALL: &Check = row("srv-stall");
/// `srv-alpn`
pub const SRV_ALPN: &Check = row("srv-alpn");
/// `srv-xproto`
pub const SRV_XPROTO: &Check = row("srv-xproto");
/// `cert-chain`
pub const CERT_CHAIN: &Check = row("cert-chain");
/// `cert-incomplete`
pub const CERT_INCOMPLETE: &Check = row("cert-incomplete");
/// `cert-self-signed`
pub const CERT_SELF_SIGNED: &Check = row("cert-self-signed");
/// `cert-name`
pub const CERT_NAME: &Check = row("cert-name");
/// `cert-dates`
pub const CERT_DATES: &Check = row("cert-dates");
/// `cert-expiry`
pub const CERT_EXPIRY: &Check = row("cert-expiry");
/// `cert-key`
pub const CERT_KEY: &Check = row("cert-key");
/// `cert-signature`
pub const CERT_SIGNATURE: &Check = row("cert-signature");
/// `cert-usage`
pub const CERT_USAGE: &Check = row("cert-usage");
/// `cert-san`
pub const CERT_SAN: &Check = row("cert-san");
/// `cert-ocsp`
pub const CERT_OCSP: &Check = row("cert-ocsp");
/// `cert-transparency`
pub const CERT_TRANSPARENCY: &Check = row("cert-transparency");
/// `cert-no-sni`
pub const CERT_NO_SNI: &Check = row("cert-no-sni");
/// `cert-unknown-sni`
pub const CERT_UNKNOWN_SNI: &Check = row("cert-unknown-sni");
/// `cert-types`
pub const CERT_TYPES: &Check = row("cert-types");
/// `tls-handshake`
pub const TLS_HANDSHAKE: &Check = row("tls-handshake");
/// `tls-large-hello`
pub const TLS_LARGE_HELLO: &Check = row("tls-large-hello");
/// `tls-version`
pub const TLS_VERSION: &Check = row("tls-version");
/// `tls-old`
pub const TLS_OLD: &Check = row("tls-old");
/// `tls-suite`
pub const TLS_SUITE: &Check = row("tls-suite");
/// `tls-group`
pub const TLS_GROUP: &Check = row("tls-group");
/// `tls-resumption`
pub const TLS_RESUMPTION: &Check = row("tls-resumption");
/// `tls-alpn`
pub const TLS_ALPN: &Check = row("tls-alpn");
/// `tls-renegotiation`
pub const TLS_RENEGOTIATION: &Check = row("tls-renegotiation");
/// `tls-early-data`
pub const TLS_EARLY_DATA: &Check = row("tls-early-data");
/// `tls-inventory`
pub const TLS_INVENTORY: &Check = row("tls-inventory");
/// `tls-profile`
pub const TLS_PROFILE: &Check = row("tls-profile");
/// `tls-ssl`
pub const TLS_SSL: &Check = row("tls-ssl");
/// `tls-deprecated`
pub const TLS_DEPRECATED: &Check = row("tls-deprecated");
/// `tls-null`
pub const TLS_NULL: &Check = row("tls-null");
/// `tls-anon`
pub const TLS_ANON: &Check = row("tls-anon");
/// `tls-export`
pub const TLS_EXPORT: &Check = row("tls-export");
/// `tls-weak`
pub const TLS_WEAK: &Check = row("tls-weak");
/// `tls-none`
pub const TLS_NONE: &Check = row("tls-none");
/// `tls-block`
pub const TLS_BLOCK: &Check = row("tls-block");
/// `tls-static`
pub const TLS_STATIC: &Check = row("tls-static");
/// `tls-cbc`
pub const TLS_CBC: &Check = row("tls-cbc");
/// `tls-dhe`
pub const TLS_DHE: &Check = row("tls-dhe");
/// `tls-dh-size`
pub const TLS_DH_SIZE: &Check = row("tls-dh-size");
/// `tls-dh-reuse`
pub const TLS_DH_REUSE: &Check = row("tls-dh-reuse");
/// `tls-curve`
pub const TLS_CURVE: &Check = row("tls-curve");
/// `tls-hash`
pub const TLS_HASH: &Check = row("tls-hash");
/// `tls-order`
pub const TLS_ORDER: &Check = row("tls-order");
/// `tls-compression`
pub const TLS_COMPRESSION: &Check = row("tls-compression");
/// `tls-master`
pub const TLS_MASTER: &Check = row("tls-master");
/// `tls-fallback`
pub const TLS_FALLBACK: &Check = row("tls-fallback");
/// `tls-heartbeat`
pub const TLS_HEARTBEAT: &Check = row("tls-heartbeat");
/// `tls-client-auth`
pub const TLS_CLIENT_AUTH: &Check = row("tls-client-auth");
/// `tls-broken`
pub const TLS_BROKEN: &Check = row("tls-broken");
/// `tls-intolerant`
pub const TLS_INTOLERANT: &Check = row("tls-intolerant");
/// `tls-random`
pub const TLS_RANDOM: &Check = row("tls-random");
/// `leak-banner`
pub const LEAK_BANNER: &Check = row("leak-banner");
/// `leak-internal`
pub const LEAK_INTERNAL: &Check = row("leak-internal");
/// `time-steps`
pub const TIME_STEPS: &Check = row("time-steps");
