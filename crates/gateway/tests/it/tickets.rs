//! Which listeners resume which sessions.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use starttls::rustls::CipherSuite;
use starttls::rustls::HandshakeKind::{Full, Resumed};
use starttls::rustls::pki_types::UnixTime;
use starttls_gateway::config::{Listener, NotAdmitted};
use starttls_lab::ca::{Leaf, Usage};

use crate::client::{Forgetful, config, meet};
use crate::folder::Folder;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

/// Returns a listener of another gateway with these additional keys.
fn listener(folder: &Folder, more: &str) -> Listener {
    let text = format!(
        "ticket-keys = \"DIR/tickets\"\n[[listener]]\nname = \"imaps\"\nlisten = \"imaps://127.0.0.1\"\n\
         certificates = \"DIR/live\"\nforward = \"imap://127.0.0.1\"\n{more}\n"
    );
    folder.parse(&text).unwrap().listeners.remove(0)
}

#[tokio::test]
async fn s9_gateways_that_share_keys_resume_each_others_sessions_and_no_others() {
    let folder = Folder::new();
    folder.write("tickets", KEY);
    let [one, two] = [listener(&folder, ""), listener(&folder, "")];
    let client = config(&folder, None, None);
    let kind = async |listener: &Listener, name: &str| {
        meet(&listener.tls().unwrap().acceptor, &client, name).await.unwrap().kind
    };
    assert_eq!(kind(&one, "a.example.com").await, Full);
    assert_eq!(kind(&two, "a.example.com").await, Resumed);
    assert_eq!(kind(&one, "a.example.com").await, Resumed);

    let stricter = listener(&folder, "client-auth = \"optional\"\nclient-ca = \"DIR/root.pem\"");
    assert_eq!(kind(&stricter, "a.example.com").await, Full);
    folder.write("tickets", &KEY.replace('0', "1"));
    let stranger = listener(&folder, "");
    assert_eq!(kind(&stranger, "a.example.com").await, Full);
    assert_eq!(kind(&one, "a.example.com").await, Full);
}

#[tokio::test]
async fn a_file_of_keys_is_read_anew() {
    let folder = Folder::new();
    let path = folder.write("tickets", KEY);
    let text = "ticket-keys = \"DIR/tickets\"\n[[listener]]\nname = \"imaps\"\nlisten = \"imaps://127.0.0.1\"\n\
         certificates = \"DIR/live\"\nforward = \"imap://127.0.0.1\"\n";
    let gateway = folder.parse(text).unwrap();
    let watched = gateway.watched();
    let keys = watched.iter().find(|it| it.files().contains(&path)).unwrap();
    let client = config(&folder, None, None);
    let kind = async || {
        let acceptor = &gateway.listeners[0].tls().unwrap().acceptor;
        meet(acceptor, &client, "a.example.com").await.unwrap().kind
    };
    assert_eq!((kind().await, kind().await), (Full, Resumed));
    // A new key before the old one; later the new key alone.
    let new = KEY.replace('0', "1");
    folder.write("tickets", &format!("{new}{KEY}"));
    keys.reload().unwrap();
    assert_eq!(kind().await, Resumed);
    folder.write("tickets", "no key\n");
    assert!(keys.reload().unwrap_err().to_string().contains("64 hexadecimal digits"));
    assert_eq!(kind().await, Resumed);
    folder.write("tickets", &KEY.replace('0', "2"));
    keys.reload().unwrap();
    assert_eq!((kind().await, kind().await), (Full, Resumed));
}

/// Without a file, the keys live as long as the process and survive a change of the configuration.
#[tokio::test]
async fn sessions_survive_a_new_configuration() {
    let folder = Folder::new();
    let text = "[[listener]]\nlisten = \"imaps://127.0.0.1\"\ncertificates = \"DIR/live\"\nforward = \"imap://127.0.0.1\"\n";
    let client = config(&folder, None, None);
    for expected in [Full, Resumed] {
        let listener = folder.parse(text).unwrap().listeners.remove(0);
        let met = meet(&listener.tls().unwrap().acceptor, &client, "a.example.com").await.unwrap();
        assert_eq!(met.kind, expected);
    }
}

#[tokio::test]
async fn s8_a_client_certificate_is_looked_at_again_when_its_session_is_resumed() {
    let folder = Folder::new();
    folder.write("tickets", KEY);
    let expiry = SystemTime::now() + Duration::from_secs(3600);
    let own =
        folder.authority.issue(&Leaf { usage: Usage::Client, not_after: expiry, ..Leaf::named("device") });
    let client = config(&folder, None, Some(&own.unwrap()));
    let listener = listener(&folder, "client-auth = \"required\"\nclient-ca = \"DIR/root.pem\"");
    let acceptor = &listener.tls().unwrap().acceptor;
    let first = meet(acceptor, &client, "a.example.com").await.unwrap();
    assert_eq!(first.kind, Full);
    assert!(listener.admit(Some("a.example.com"), &first.client_chain).is_ok());
    let second = meet(acceptor, &client, "a.example.com").await.unwrap();
    assert_eq!((second.kind, second.client_chain.len()), (Resumed, 2));
    assert!(listener.admit(Some("a.example.com"), &second.client_chain).is_ok());
    let later = (expiry + Duration::from_secs(2)).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let later = UnixTime::since_unix_epoch(later);
    let admitted = listener.admit_at(Some("a.example.com"), &second.client_chain, later);
    assert!(matches!(admitted, Err(NotAdmitted::Certificate(_))), "{admitted:?}");
}

/// RFC 6066 section 3: a session is resumed only for the name that it was established for.
#[tokio::test]
async fn s9_a_session_belongs_to_one_host() {
    let folder = Folder::new();
    folder.write("tickets", KEY);
    let listener = listener(&folder, "");
    let acceptor = &listener.tls().unwrap().acceptor;
    for suite in [None, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)] {
        let mut client = (*config(&folder, suite, None)).clone();
        // A client of rustls keeps the sessions of each name apart; this session cache does not.
        client.resumption = Forgetful::resumption();
        let client = Arc::new(client);
        for (name, expected) in [
            ("a.example.com", Full),
            ("a.example.com", Resumed),
            ("www.example.com", Full),
            ("www.example.com", Resumed),
        ] {
            assert_eq!(meet(acceptor, &client, name).await.unwrap().kind, expected, "{name} {suite:?}");
        }
    }
}
