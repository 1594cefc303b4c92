//! Checks that a backend can be dialed while the client completes its handshake.

use starttls::proto::{AfterUpgrade, Protocol};

use super::types::{Downstream, ProxyVersion, Route, UpgradePolicy};
use crate::setup_error::SetupError;

/// Rejects listeners whose clients have to complete the handshake before a backend is dialed, and those that dial before TLS
/// anyway.
///
/// The backend must depend on the ClientHello alone, and must get nothing that the handshake still has to prove.
pub(super) fn check(
    protocol: &Protocol,
    downstream: &Downstream,
    routes: &[Route],
) -> Result<(), SetupError> {
    const REMOVE: &str = "remove \"early-dial\"";
    let title = protocol.title;
    if protocol.flow.after == AfterUpgrade::StreamRestart {
        return Err(SetupError::new(format!(
            "\"early-dial\" is not possible for {title}, whose clients name their service after the handshake"
        ))
        .with_hint(REMOVE));
    }
    if protocol.flow.login_needs_greeting {
        return Err(SetupError::new(format!(
            "\"early-dial\" has no effect for {title}, because the backend is dialed before TLS begins"
        ))
        .with_hint(REMOVE));
    }
    if matches!(downstream, Downstream::Upgrade(UpgradePolicy::Optional, _)) {
        return Err(SetupError::new(
            "\"early-dial\" excludes starttls = \"optional\", whose clients already have a backend before the handshake",
        )
        .with_hint("set starttls = \"required\", or remove \"early-dial\""));
    }
    if routes.iter().any(|route| route.client_auth.is_some()) {
        return Err(SetupError::new(
            "\"early-dial\" excludes \"client-auth\": the client's certificate decides whether it gets a backend, and it arrives \
             at the end of the handshake",
        )
        .with_hint("remove \"early-dial\", or set \"client-auth\" on a listener of its own"));
    }
    for backend in routes.iter().flat_map(|route| &route.backends) {
        if backend.send_proxy == Some(ProxyVersion::V2) {
            return Err(SetupError::new(format!(
                "\"early-dial\" excludes send-proxy = \"v2\", which reports the client's TLS session to {backend} first"
            ))
            .with_hint("set send-proxy = \"v1\", which contains addresses only, or remove \"early-dial\""));
        }
        if backend.login().is_some() {
            return Err(SetupError::new(format!(
                "\"early-dial\" excludes \"login\": the gateway would log in to {backend} for clients that complete no handshake"
            ))
            .with_hint(REMOVE));
        }
    }
    Ok(())
}
