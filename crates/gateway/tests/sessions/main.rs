//! Whole sessions: a real client, the gateway, a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

/// Makes a module with one test for each protocol, so that a failure names its protocol and hides no other. The list has to
/// contain every protocol for which the condition holds.
macro_rules! each_protocol {
    ($name:ident = $check:path, if $applies:expr; $($protocol:ident)+) => {
        mod $name {
            use starttls::proto::{PROTOCOLS, Protocol};

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $protocol() {
                    let name = stringify!($protocol).replace('_', "-");
                    $check(starttls::proto::protocol(&name).unwrap()).await;
                }
            )+

            #[test]
            fn no_protocol_is_missing() {
                let applies: fn(&Protocol) -> bool = $applies;
                let names = PROTOCOLS.iter().filter(|it| applies(it)).map(|it| it.name.replace('-', "_"));
                let expected: std::collections::BTreeSet<_> = names.collect();
                assert_eq!(expected, [$(stringify!($protocol)),+].map(String::from).into());
            }
        }
    };
}

/// The same for all protocols except those in which a backend's greeting is relayed.
macro_rules! each_protocol_with_own_greeting {
    ($name:ident = $check:path) => {
        each_protocol! {
            $name = $check, if |it| it.flow.after != starttls::proto::AfterUpgrade::SequenceContinues;
            ftp http imap irc ldap lmtp nbd nntp nut pop3 postgres sieve smtp submission xmpp xmpp_server
        }
    };
}

mod backends;
mod broken;
mod check;
mod client_name;
mod conversions;
mod doors;
mod endless;
mod environment;
mod external;
mod ftp;
mod host_header;
mod inside;
mod line_ends;
mod mysql;
mod optional;
mod required;
mod scripted;
mod ways;
