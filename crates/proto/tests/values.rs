//! Values that a user chose, such as a client name or a password, never become a second message, in every protocol of
//! the registry. No test here names a protocol.

use proptest::prelude::*;
use starttls_proto::{
    Capability, ClientMessage, ClientName, Dialect, DialectContext, Identity, PROTOCOLS, Phase, Protocol,
    ReplyTo, Scan, ServerMessage, ServiceName, Side, UrlAuthority, UserName,
};

const MESSAGES: [ClientMessage; 6] = [
    ClientMessage::Hello,
    ClientMessage::Request,
    ClientMessage::Probe,
    ClientMessage::Credentials,
    ClientMessage::Other,
    ClientMessage::Quit,
];

const ANSWERS: [ServerMessage; 7] = [
    ServerMessage::Greeting,
    ServerMessage::Offer { starttls: true },
    ServerMessage::Accept,
    ServerMessage::TlsRequired,
    ServerMessage::PreAuthenticated,
    ServerMessage::Unavailable,
    ServerMessage::Bye,
];

/// Stands for the number of messages if the peer cannot parse them.
const UNREADABLE: usize = usize::MAX;

/// Returns the number of messages in these bytes, as a peer parses them.
fn messages(protocol: &Protocol, from: Side, bytes: &[u8]) -> usize {
    let dialect: Box<dyn Dialect> = protocol.new_dialect(Identity::new("mail.example.com"));
    let (mut rest, mut count) = (bytes, 0);
    while !rest.is_empty() {
        let cut = dialect.frame(from, ReplyTo::Other, rest, &mut Scan::default());
        // PostgreSQL's answer to the request is a single octet, which is a message only in that place.
        let Ok(Some(length)) = cut else { return UNREADABLE };
        rest = &rest[length..];
        count += 1;
    }
    count
}

/// Returns the number of messages in each message of the client and the server, with this identity.
fn counts(protocol: &'static Protocol, context: &DialectContext) -> Vec<usize> {
    let client = MESSAGES.iter().map(|&message| {
        let mut out = Vec::new();
        protocol.new_dialect(context.clone()).write_client(message, &mut out);
        messages(protocol, Side::Client, &out)
    });
    let server = ANSWERS.iter().map(|&message| {
        let mut out = Vec::new();
        protocol.new_dialect(context.clone()).write_server(message, &mut out);
        messages(protocol, Side::Server, &out)
    });
    client.chain(server).collect()
}

/// Any text, and text that looks like the end of a message.
fn any_value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[a-z0-9.-]{1,12}",
        Just(String::from("\r\n")),
        Just(String::from("\n")),
        Just(String::from("\r")),
        Just(String::from("\0")),
        Just(String::from("\u{85}")),
        Just(String::from("'/><x a='")),
        Just(String::from("{3}")),
        Just(String::from("\"\\")),
        Just(String::from("[")),
        Just(String::from("]")),
        Just(String::from(" ")),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_of_an_identity_is_never_a_second_message(
        client_name in any_value(),
        server_name in any_value(),
        authority in any_value(),
        port: u16,
        capability in any_value(),
        inside_tls: bool,
    ) {
        let plain = Identity {
            capabilities: vec!["\"SIZE\"".parse().unwrap()],
            ..Identity::new("mail.example.com")
        };
        let mut chosen = plain.clone();
        if let Ok(name) = client_name.parse() {
            chosen.client_name = name;
        }
        if let Ok(name) = server_name.parse() {
            chosen.server_name = name;
        }
        chosen.authority = authority.parse().or_else(|_| UrlAuthority::new(&authority, port, 80)).ok();
        if let Ok(name) = capability.parse() {
            chosen.capabilities = vec![name];
        }
        let phase = if inside_tls { Phase::InsideTls } else { Phase::Cleartext };
        let [chosen, plain] = [chosen, plain].map(|identity| identity.in_phase(phase).with_nonce(1));
        for protocol in PROTOCOLS {
            // A message that the peer cannot parse is not a second message either.
            for (chosen, plain) in counts(protocol, &chosen).into_iter().zip(counts(protocol, &plain)) {
                prop_assert!(chosen == plain || chosen == UNREADABLE, "{}: {chosen} {plain}", protocol.name);
            }
        }
    }

    #[test]
    fn no_value_holds_a_control_character(text in any_value()) {
        let control = |text: &str| text.chars().any(char::is_control);
        prop_assert!(!text.parse::<ClientName>().is_ok_and(|it| control(&it)));
        prop_assert!(!text.parse::<ServiceName>().is_ok_and(|it| control(&it)));
        prop_assert!(!text.parse::<UrlAuthority>().is_ok_and(|it| control(&it)));
        prop_assert!(!text.parse::<Capability>().is_ok_and(|it| control(&it)));
        prop_assert!(!text.parse::<UserName>().is_ok_and(|it| control(&it)));
        prop_assert!(!control(&ServiceName::from_peer(&text)));
    }
}

#[test]
fn client_names() {
    for good in ["client.example.com", "localhost", "[127.0.0.1]", "[IPv6:2001:db8::1]", "my_host"] {
        assert_eq!(good.parse::<ClientName>().unwrap(), good);
    }
    assert_eq!("client.example.com".parse::<ClientName>().unwrap().domain(), Some("client.example.com"));
    assert_eq!(ClientName::default().domain(), None);
    let long = "a".repeat(256);
    for bad in
        ["", "[]", "[", "]", "[::1", "::1]", "a b", "a\r\nMAIL FROM:<>", "a\nb", "a\0", "a\tb", "<a>", &long]
    {
        let error = bad.parse::<ClientName>().unwrap_err().to_string();
        assert!(error.starts_with("invalid client name \""), "{error}");
        assert!(!error.contains(['\r', '\n', '\0']), "{error:?}");
    }
}

#[test]
fn authorities_of_urls() {
    for (host, port, expected) in [
        ("mail.example.com", 80, "mail.example.com"),
        ("mail.example.com", 8080, "mail.example.com:8080"),
        ("mail.example.com.", 443, "mail.example.com.:443"),
        ("my_host", 80, "my_host"),
        ("192.0.2.1", 8080, "192.0.2.1:8080"),
        ("2001:db8::1", 80, "[2001:db8::1]"),
        ("2001:db8::1", 8080, "[2001:db8::1]:8080"),
        ("[2001:db8::1]", 8080, "[2001:db8::1]:8080"),
        ("fe80::1%eth0", 80, "[fe80::1]"),
    ] {
        let authority = UrlAuthority::new(host, port, 80).unwrap();
        assert_eq!(authority, expected);
        assert_eq!(expected.parse::<UrlAuthority>().unwrap(), authority);
    }
    let long = "a".repeat(256);
    for bad in [
        "",
        ":80",
        "a b",
        "a\r\nX: y",
        "a\nb",
        "a\0",
        "user@host",
        "host/path",
        "host?",
        "host#",
        "a,b",
        "m\u{fc}ller.example",
        "[::1",
        "::1]",
        "[]",
        "[host]",
        "::1:x",
        &long,
    ] {
        let error = UrlAuthority::new(bad, 80, 80).unwrap_err().to_string();
        assert!(error.starts_with("invalid authority of a URL \""), "{error}");
        assert!(!error.contains(['\r', '\n', '\0']), "{error:?}");
    }
    for bad in ["host:", "host:+1", "host:65536", "host:80:80", "[::1]80", "[::1]:", "::1"] {
        assert!(bad.parse::<UrlAuthority>().is_err(), "{bad}");
    }
}

/// RFC 9110 section 7.2: `Host` is the authority of the URL, and not the name that TLS verifies.
#[test]
fn every_request_of_http_has_the_authority_as_its_host() {
    let mut identity = Identity::new("mail.example.com");
    for (authority, expected) in [
        (None, "mail.example.com"),
        (Some("192.0.2.1:8080"), "192.0.2.1:8080"),
        (Some("[2001:db8::1]:8080"), "[2001:db8::1]:8080"),
    ] {
        identity.authority = authority.map(|it| it.parse().unwrap());
        for phase in [Phase::Cleartext, Phase::InsideTls] {
            for message in MESSAGES {
                let mut out = Vec::new();
                let identity = identity.clone().in_phase(phase);
                starttls_proto::http::HTTP.new_dialect(identity).write_client(message, &mut out);
                let out = String::from_utf8(out).unwrap();
                let hosts: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("Host: ")).collect();
                assert!(out.is_empty() || hosts == [expected], "{out}");
            }
        }
    }
}
