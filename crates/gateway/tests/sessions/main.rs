//! Whole sessions: a real client, the gateway, a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

/// Defines a test for each protocol with sessions in cleartext, except those in which a backend's greeting is relayed.
macro_rules! each_protocol_with_own_greeting {
    ($($property:ident)+) => {
        starttls::proto::each_protocol! {
            async if |it| it.flow.has_cleartext_sessions && !it.flow.login_needs_greeting =>
            $($property)+
        }
    };
}

mod backends;
mod broken;
mod check;
mod client_name;
mod conversions;
mod doors;
mod early_dial;
mod endless;
mod environment;
mod external;
mod ftp;
mod host_header;
mod inside;
mod legs;
mod line_ends;
mod mysql;
mod observation;
mod optional;
mod parked;
mod relayed_greeting;
mod required;
mod scripted;
mod ways;
