//! A server can refuse a login in cleartext because TLS is required or because the credentials are wrong. The same
//! login inside TLS distinguishes the two.

use std::net::SocketAddr;
use std::time::Duration;

use starttls::proto::{Protocol, ftp::FTP, imap::IMAP, pop3::POP3};
use starttls::{Acceptor, Connector};
use starttls_audit::report::{CheckOutcome, EndpointVerdict, Finding};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::{Authority, Leaf};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Returns the answer to a line, in cleartext or inside TLS; the tag is that of IMAP.
type Answer = fn(line: &str, inside: bool) -> String;

/// Answers lines until the client requests TLS or closes.
async fn converse(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: Answer,
    inside: bool,
) -> Option<()> {
    let mut io = BufReader::new(io);
    loop {
        let mut line = String::new();
        io.read_line(&mut line).await.ok().filter(|len| *len > 0)?;
        let said = answer(line.trim_end(), inside);
        io.write_all(said.as_bytes()).await.ok()?;
        let asks = ["STLS", "AUTH TLS", "STARTTLS"].iter().any(|it| line.trim_end().ends_with(it));
        if asks && !inside {
            return Some(());
        }
    }
}

async fn session(mut tcp: TcpStream, acceptor: Acceptor, greeting: &str, answer: Answer) -> Option<()> {
    tcp.set_nodelay(true).ok()?;
    tcp.write_all(greeting.as_bytes()).await.ok()?;
    converse(&mut tcp, answer, false).await?;
    let mut tls = acceptor.accept_implicit(tcp).await.ok()?;
    converse(&mut tls, answer, true).await
}

async fn server(
    protocol: &'static Protocol,
    authority: &Authority,
    (greeting, answer): (&'static str, Answer),
) -> SocketAddr {
    let leaf = Leaf { dns: vec![String::from("localhost")], ..Leaf::default() };
    let issued = authority.issue(&leaf).unwrap();
    let builder = Acceptor::builder(protocol, "localhost");
    let acceptor = builder.certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { session(tcp, acceptor, greeting, answer).await });
        }
    });
    address
}

/// Returns the finding about logins in cleartext, and the verdict.
async fn login(
    protocol: &'static Protocol,
    authority: &Authority,
    script: (&'static str, Answer),
) -> (Finding, EndpointVerdict) {
    let address = server(protocol, authority, script).await;
    let root = authority.root_pem();
    let builder = || Connector::builder().no_system_roots().roots_pem(root.as_str());
    let audit = Audit::new(builder, Limits::default()).unwrap();
    let audited = audit.endpoint(protocol, protocol.name, "localhost", address);
    let report = tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap();
    let found = report.findings.into_iter().find(|it| it.id == "srv-auth-before").unwrap();
    (found, report.outcome)
}

fn pop3(line: &str, inside: bool, user: &str) -> String {
    match (line, inside) {
        ("CAPA", false) => String::from("+OK\r\nSTLS\r\n.\r\n"),
        ("CAPA", true) => String::from("+OK\r\nUSER\r\n.\r\n"),
        ("STLS", false) => String::from("+OK go\r\n"),
        ("QUIT", _) => String::from("+OK bye\r\n"),
        (user_name, _) if user_name.starts_with("USER") => format!("{user}\r\n"),
        _ => String::from("-ERR no\r\n"),
    }
}

fn imap(line: &str, inside: bool, refusal: &str) -> String {
    let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
    match (command.split(' ').next().unwrap_or_default(), inside) {
        ("CAPABILITY", false) => {
            format!("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n{tag} OK done\r\n")
        }
        ("CAPABILITY", true) => format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n"),
        ("STARTTLS", false) | ("NOOP", _) => format!("{tag} OK fine\r\n"),
        ("LOGOUT", _) => format!("* BYE\r\n{tag} OK bye\r\n"),
        ("LOGIN", _) => format!("{tag} {refusal}\r\n"),
        _ => format!("{tag} BAD no\r\n"),
    }
}

fn ftp(line: &str, inside: bool, user: &str) -> String {
    let said = match (line.split(' ').next().unwrap_or_default(), inside) {
        ("FEAT", false) => "211-Features\r\n AUTH TLS\r\n211 End",
        ("FEAT", true) => "211-Features\r\n PBSZ\r\n211 End",
        ("AUTH", false) => "234 go",
        ("NOOP", _) => "200 ok",
        ("QUIT", _) => "221 bye",
        ("USER", _) => user,
        _ => "503 no",
    };
    format!("{said}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_words_inside_tls_prove_nothing() {
    let authority = Authority::new().unwrap();
    let scripts: [(&'static Protocol, &'static str, Answer); 3] = [
        (&POP3, "+OK hi\r\n", |line, inside| pop3(line, inside, "-ERR never heard of starttls-probe")),
        (&IMAP, "* OK hi\r\n", |line, inside| imap(line, inside, "NO Login failed.")),
        (&FTP, "220 hi\r\n", |line, inside| ftp(line, inside, "530 Permission denied.")),
    ];
    for (protocol, greeting, answer) in scripts {
        let (found, outcome) = login(protocol, &authority, (greeting, answer)).await;
        assert_eq!(found.outcome, CheckOutcome::Inconclusive, "{}: {}", protocol.name, found.summary);
        assert!(found.summary.contains("inside TLS"), "{}: {}", protocol.name, found.summary);
        assert_ne!(outcome, EndpointVerdict::Sound, "{}", protocol.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_words_inside_tls_prove_that_tls_is_wanted() {
    let authority = Authority::new().unwrap();
    let scripts: [(&'static Protocol, &'static str, Answer); 3] = [
        (&POP3, "+OK hi\r\n", |line, inside| {
            pop3(line, inside, if inside { "+OK" } else { "-ERR not here" })
        }),
        (&IMAP, "* OK hi\r\n", |line, inside| {
            imap(line, inside, if inside { "NO Login failed." } else { "NO Not now" })
        }),
        (&FTP, "220 hi\r\n", |line, inside| {
            ftp(line, inside, if inside { "331 password" } else { "530 Permission denied." })
        }),
    ];
    for (protocol, greeting, answer) in scripts {
        let (found, _) = login(protocol, &authority, (greeting, answer)).await;
        assert_eq!(found.outcome, CheckOutcome::Pass, "{}: {}", protocol.name, found.summary);
    }
}
