//! The changes of a gateway to a session inside TLS: it rewrites capability lists, answers in place of the server,
//! and then passes everything.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use starttls_proto::{
    CapabilityRewrite, ClientMessage, Edit, EventKind, Identity, OfferPlace, Outgoing, Protocol, Refusal,
    Relay, RelayEvent, RelayRule, ReplyTo, Scan, ServerMessage, Side, Trigger, each_protocol, protocol,
};

fn rewritten(scheme: &str, reply_to: ReplyTo, list: &str, how: CapabilityRewrite) -> String {
    let mut dialect = protocol(scheme).unwrap().new_dialect(Identity::new(""));
    if scheme.starts_with("xmpp") {
        let header = "<stream:stream xmlns='jabber:client' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        dialect.read_server(ReplyTo::Hello, header.as_bytes()).unwrap();
    }
    let changed = dialect.rewrite(Side::Server, reply_to, list.as_bytes(), how);
    assert_eq!(
        changed,
        dialect.rewrite(Side::Server, reply_to, &changed, how),
        "{scheme}: not the same twice"
    );
    if !changed.is_empty() {
        let end = dialect.frame(Side::Server, reply_to, &changed, &mut Scan::default());
        assert_eq!(end, Ok(Some(changed.len())), "{scheme}: {}", changed.escape_ascii());
    }
    assert_eq!(
        dialect.rewrite(Side::Client, reply_to, list.as_bytes(), how),
        list.as_bytes(),
        "{scheme}: a client's"
    );
    String::from_utf8(changed).unwrap()
}

/// A list, and its content after `DropUpgrade`, `DropCredentials`, `DropChannelBinding` and `DropOnBehalf`.
const LISTS: &[(&str, ReplyTo, &str, [&str; 4])] = &[
    (
        "smtp",
        ReplyTo::Hello,
        "250-STARTTLS at your service\r\n250-XCLIENT NAME ADDR\r\n250-auth PLAIN SCRAM-SHA-256-PLUS\r\n250 starttls\r\n",
        [
            "250-STARTTLS at your service\r\n250-XCLIENT NAME ADDR\r\n250 auth PLAIN SCRAM-SHA-256-PLUS\r\n",
            "250-STARTTLS at your service\r\n250-XCLIENT NAME ADDR\r\n250 starttls\r\n",
            "250-STARTTLS at your service\r\n250-XCLIENT NAME ADDR\r\n250-auth PLAIN\r\n250 starttls\r\n",
            "250-STARTTLS at your service\r\n250-auth PLAIN SCRAM-SHA-256-PLUS\r\n250 starttls\r\n",
        ],
    ),
    (
        "imap",
        ReplyTo::Hello,
        "* CAPABILITY IMAP4rev1 STARTTLS ID AUTH=PLAIN AUTH=SCRAM-SHA-1-PLUS\r\n",
        [
            "* CAPABILITY IMAP4rev1 ID AUTH=PLAIN AUTH=SCRAM-SHA-1-PLUS\r\n",
            "* CAPABILITY IMAP4rev1 STARTTLS ID LOGINDISABLED\r\n",
            "* CAPABILITY IMAP4rev1 STARTTLS ID AUTH=PLAIN\r\n",
            "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=SCRAM-SHA-1-PLUS\r\n",
        ],
    ),
    (
        "pop3",
        ReplyTo::Hello,
        "+OK list\r\nUSER\r\nSTLS\r\nSASL PLAIN SCRAM-SHA-256-PLUS\r\n.\r\n",
        [
            "+OK list\r\nUSER\r\nSASL PLAIN SCRAM-SHA-256-PLUS\r\n.\r\n",
            "+OK list\r\nSTLS\r\n.\r\n",
            "+OK list\r\nUSER\r\nSTLS\r\nSASL PLAIN\r\n.\r\n",
            "+OK list\r\nUSER\r\nSTLS\r\nSASL PLAIN SCRAM-SHA-256-PLUS\r\n.\r\n",
        ],
    ),
    (
        "sieve",
        ReplyTo::Hello,
        "\"SASL\" \"PLAIN SCRAM-SHA-1-PLUS\"\r\n\"starttls\"\r\nOK \"there\"\r\n",
        [
            "\"SASL\" \"PLAIN SCRAM-SHA-1-PLUS\"\r\nOK \"there\"\r\n",
            "\"SASL\" \"\"\r\n\"starttls\"\r\nOK \"there\"\r\n",
            "\"SASL\" \"PLAIN\"\r\n\"starttls\"\r\nOK \"there\"\r\n",
            "\"SASL\" \"PLAIN SCRAM-SHA-1-PLUS\"\r\n\"starttls\"\r\nOK \"there\"\r\n",
        ],
    ),
    (
        "irc",
        ReplyTo::Hello,
        ":irc CAP * LS :sasl=PLAIN,SCRAM-SHA-256-PLUS tls\r\n",
        [
            ":irc CAP * LS :sasl=PLAIN,SCRAM-SHA-256-PLUS\r\n",
            ":irc CAP * LS :tls\r\n",
            ":irc CAP * LS :sasl=PLAIN tls\r\n",
            ":irc CAP * LS :sasl=PLAIN,SCRAM-SHA-256-PLUS tls\r\n",
        ],
    ),
    (
        "xmpp",
        ReplyTo::Hello,
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms \
         xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism> SCRAM-SHA-1-PLUS \
         </mechanism></mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'/></stream:features>",
        [
            "<stream:features><mechanisms \
             xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism> SCRAM-SHA-1-PLUS \
             </mechanism></mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'/></stream:features>",
            "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><sasl-channel-binding \
             xmlns='urn:xmpp:sasl-cb:0'/></stream:features>",
            "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms \
             xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
            "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms \
             xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism> SCRAM-SHA-1-PLUS \
             </mechanism></mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'/></stream:features>",
        ],
    ),
];

#[test]
fn lists_lose_what_must_not_pass() {
    const HOW: [CapabilityRewrite; 4] = [
        CapabilityRewrite::DropUpgrade,
        CapabilityRewrite::DropCredentials,
        CapabilityRewrite::DropChannelBinding,
        CapabilityRewrite::DropOnBehalf,
    ];
    for (scheme, reply_to, list, left) in LISTS {
        for (how, left) in HOW.into_iter().zip(left) {
            assert_eq!(rewritten(scheme, *reply_to, list, how), *left, "{scheme} {how:?}");
        }
    }
}

#[test]
fn s8_external_is_taken_out_of_every_list() {
    for (scheme, list, left) in [
        ("smtp", "250-a\r\n250 AUTH external PLAIN\r\n", "250-a\r\n250 AUTH PLAIN\r\n"),
        ("smtp", "250-a\r\n250-AUTH EXTERNAL\r\n250 SIZE\r\n", "250-a\r\n250 SIZE\r\n"),
        ("smtp", "250-a\r\n250 AUTH=PLAIN EXTERNAL\r\n", "250-a\r\n250 AUTH=PLAIN\r\n"),
        ("smtp", "250-a\r\n250-AUTH=EXTERNAL\r\n250 SIZE\r\n", "250-a\r\n250 SIZE\r\n"),
        ("imap", "* CAPABILITY AUTH=PLAIN AUTH=External\r\n", "* CAPABILITY AUTH=PLAIN\r\n"),
        ("pop3", "+OK\r\nSASL EXTERNAL PLAIN\r\n.\r\n", "+OK\r\nSASL PLAIN\r\n.\r\n"),
        ("sieve", "\"SASL\" \"EXTERNAL\"\r\nOK\r\n", "\"SASL\" \"\"\r\nOK\r\n"),
        ("irc", ":irc CAP * LS :sasl=EXTERNAL,PLAIN\r\n", ":irc CAP * LS :sasl=PLAIN\r\n"),
        (
            "xmpp",
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>\
             <mechanism>PLAIN</mechanism></mechanisms></stream:features>",
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>\
             </mechanisms></stream:features>",
        ),
    ] {
        assert_eq!(
            rewritten(scheme, ReplyTo::Hello, list, CapabilityRewrite::DropExternal),
            left,
            "{scheme}"
        );
    }
}

/// Returns the lists that a server of this protocol writes, with and without the upgrade.
fn offers(protocol: &Protocol) -> [Vec<u8>; 2] {
    [true, false].map(|starttls| {
        let mut dialect = protocol.new_dialect(Identity::new("mail.example.com").with_nonce(0));
        let (mut hello, mut offer) = (Vec::new(), Vec::new());
        let mut client = protocol.new_dialect(Identity::new("mail.example.com").with_nonce(0));
        client.write_client(ClientMessage::Hello, &mut hello);
        if !hello.is_empty() {
            dialect.read_client(&hello).unwrap();
        }
        dialect.write_server(ServerMessage::Offer { starttls }, &mut offer);
        offer
    })
}

each_protocol! {
    if |it| it.flow.offer != super::OfferPlace::Unannounced =>
    an_upgrade_that_is_put_in_is_offered
}

fn an_upgrade_that_is_put_in_is_offered(protocol: &'static Protocol) {
    let reply_to =
        if protocol.flow.offer == OfferPlace::InGreeting { ReplyTo::Connect } else { ReplyTo::Hello };
    for offer in offers(protocol) {
        let mut dialect = protocol.new_dialect(Identity::new("mail.example.com").with_nonce(0));
        let mut hello = Vec::new();
        dialect.write_client(ClientMessage::Hello, &mut hello);
        let (mut rest, mut offered) = (offer.as_slice(), false);
        while let Ok(Some(end)) = dialect.frame(Side::Server, reply_to, rest, &mut Scan::default()) {
            let rewritten =
                dialect.rewrite(Side::Server, reply_to, &rest[..end], CapabilityRewrite::AddUpgrade);
            let whole = dialect.frame(Side::Server, reply_to, &rewritten, &mut Scan::default());
            assert_eq!(whole, Ok(Some(rewritten.len())), "{}: {}", protocol.name, rewritten.escape_ascii());
            let meaning = dialect.read_server(reply_to, &rewritten).unwrap();
            offered |= meaning == ServerMessage::Offer { starttls: true };
            rest = &rest[end..];
        }
        assert!(offered, "{}: {}", protocol.name, offer.escape_ascii());
    }
}

const INSIDE: [(Trigger, Edit); 5] = [
    (Trigger::Client(ClientMessage::Request), Edit::AnswerInTurn(ServerMessage::Refuse(Refusal::Permanent))),
    (Trigger::Client(ClientMessage::OnBehalf), Edit::AnswerInTurn(ServerMessage::Other)),
    (Trigger::Client(ClientMessage::Other), Edit::Release),
    (Trigger::Client(ClientMessage::Credentials), Edit::Release),
    (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::DropUpgrade)),
];

struct Middle {
    relay: Relay,
    events: Vec<RelayEvent>,
}

impl Middle {
    fn new(scheme: &str, rules: &[(Trigger, Edit)]) -> Self {
        let rules =
            rules.iter().map(|(trigger, edit)| RelayRule { trigger: *trigger, edit: edit.clone() }).collect();
        let identity = Identity::new("mail.example.com").inside_tls();
        Self { relay: Relay::for_session(protocol(scheme).unwrap(), identity, rules), events: Vec::new() }
    }

    /// Returns the bytes for the client, and the bytes for the server.
    fn says(&mut self, from: Side, text: &str) -> (String, String) {
        let mut out = Outgoing::default();
        self.relay.receive(from, text.as_bytes(), &mut out, &mut self.events);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out.to_client), text(out.to_server))
    }
}

#[test]
fn g2_answers_keep_their_order_and_the_first_other_command_ends_the_reading() {
    let mut middle = Middle::new("smtp", &INSIDE);
    let pipelined = "EHLO me\r\nSTARTTLS\r\nXCLIENT ADDR=192.0.2.1\r\nMAIL FROM:<>\r\nSTARTTLS\r\n";
    let (answered, passed) = middle.says(Side::Client, pipelined);
    // The relay's own answers wait for their turn. The backend handles everything after MAIL.
    assert_eq!(answered, "");
    assert_eq!(passed, "EHLO me\r\nMAIL FROM:<>\r\nSTARTTLS\r\n");
    assert!(!middle.relay.is_opaque());
    let (answered, passed) = middle.says(Side::Server, "250-there\r\n250-SIZE\r\n250 STARTTLS\r\n250 OK\r\n");
    let ours = "503 5.5.1 TLS is active already\r\n550 5.7.0 This command is not accepted from clients\r\n";
    assert_eq!(answered, format!("250-there\r\n250 SIZE\r\n{ours}250 OK\r\n"));
    assert_eq!(passed, "");
    assert!(middle.relay.is_opaque());
    let (answered, _) = middle.says(Side::Server, "250-x\r\n250 STARTTLS\r\n");
    assert_eq!(answered, "250-x\r\n250 STARTTLS\r\n");
}

#[test]
fn g3_a_client_does_not_say_on_whose_behalf_it_speaks() {
    let cases = [
        ("smtp", "XFORWARD NAME=x\r\n", "550 5.7.0 This command is not accepted from clients\r\n"),
        ("imap", "a ID (\"x-originating-ip\" \"192.0.2.1\")\r\n", "* ID NIL\r\na OK Pleased\r\n"),
    ];
    for (scheme, said, answer) in cases {
        let mut middle = Middle::new(scheme, &INSIDE);
        assert_eq!(middle.says(Side::Client, said), (String::from(answer), String::new()), "{scheme}");
    }
    let rules = [
        (Trigger::Any(Side::Client), Edit::Rewrite(CapabilityRewrite::DropOnBehalf)),
        (Trigger::Client(ClientMessage::Other), Edit::Release),
    ];
    let mut middle = Middle::new("http", &rules);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                   Upgrade: h2c\r\nConnection: Upgrade, keep-alive\r\nAccept: */*\r\n\r\n";
    let passed = "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    assert_eq!(middle.says(Side::Client, request), (String::new(), String::from(passed)));
    assert!(middle.relay.is_opaque());
}

#[test]
fn b1_a_granted_request_is_an_upgrade_unless_something_is_behind_it() {
    let rules = [
        (Trigger::Client(ClientMessage::Request), Edit::Grant),
        (Trigger::Any(Side::Server), Edit::Rewrite(CapabilityRewrite::AddUpgrade)),
    ];
    let mut middle = Middle::new("smtp", &rules);
    let (_, passed) = middle.says(Side::Client, "EHLO me\r\nSTARTTLS\r\n");
    assert_eq!(passed, "EHLO me\r\n");
    assert!(!middle.relay.is_granted(), "the list comes first");
    let (answered, _) = middle.says(Side::Server, "250-there\r\n250 SIZE\r\n");
    assert_eq!(answered, "250-there\r\n250-SIZE\r\n250 STARTTLS\r\n");
    assert!(middle.relay.is_granted());
    let mut out = Vec::new();
    let _proof = middle.relay.upgrade(&mut out).unwrap();
    assert_eq!(out, b"220 2.0.0 Ready to start TLS\r\n");

    let mut middle = Middle::new("smtp", &rules);
    let _ = middle.says(Side::Client, "STARTTLS\r\nMAIL");
    assert!(middle.relay.is_granted());
    let mut out = Vec::new();
    let error = middle.relay.upgrade(&mut out).unwrap_err();
    assert_eq!(error.received, b"MAIL");
    assert!(!middle.events.iter().any(|event| event.kind == EventKind::Boundary));
}
