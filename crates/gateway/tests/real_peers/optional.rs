//! Listeners with optional TLS before real servers: no login reaches the server in cleartext, other commands do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use starttls_testkit::real::RealEndpoint;

use crate::client::client;
use crate::cyrus::Cyrus;
use crate::real_backend::{Backend, TlsMode, Visit};

/// A relay to a server that records what the client sends.
struct Tap {
    address: SocketAddr,
    told: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let kept = told.clone();
        thread::spawn(move || {
            while let (Ok((front, _)), Ok(back)) = (listener.accept(), TcpStream::connect(server)) {
                let (from, to) = (front.try_clone().unwrap(), back.try_clone().unwrap());
                let kept = kept.clone();
                thread::spawn(move || pipe(from, to, |bytes| kept.lock().unwrap().extend_from_slice(bytes)));
                thread::spawn(move || pipe(back, front, |_| ()));
            }
        });
        Self { address, told }
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&self.told.lock().unwrap()).into_owned()
    }
}

fn pipe(mut from: TcpStream, mut to: TcpStream, keep: impl Fn(&[u8])) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        keep(&chunk[..count]);
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    // The peer may have closed the connection already.
    let _ = to.shutdown(Shutdown::Write);
}

/// Sends `said` after the greeting and returns everything up to the end of the connection.
fn tell(address: SocketAddr, said: &str) -> String {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    let greeted = |heard: &[u8]| heard.starts_with(b"* OK") || heard.windows(3).any(|it| it == b"\nOK");
    let mut asked = false;
    loop {
        if !asked && greeted(&heard) && heard.ends_with(b"\n") {
            tcp.write_all(said.as_bytes()).unwrap();
            asked = true;
        }
        match tcp.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {}", heard.escape_ascii()),
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// A login in a literal that a relay could take for an argument of another command.
struct Hidden {
    protocol: &'static str,
    command: &'static str,
    login: &'static str,
    /// A part of the response of a server that has read the login.
    answer: &'static str,
    refusal: &'static str,
    goodbye: &'static str,
}

const IMAP: Hidden = Hidden {
    protocol: "imap",
    command: "a NOOP",
    login: "b LOGIN joe secret",
    answer: "\r\nb ",
    refusal: "a NO [PRIVACYREQUIRED]",
    goodbye: "* BYE ",
};

const SIEVE: Hidden = Hidden {
    protocol: "sieve",
    command: "NOOP",
    login: "AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"",
    answer: "uthentication",
    refusal: "NO (ENCRYPT-NEEDED)",
    goodbye: "BYE ",
};

/// All forms of a literal. Servers differ in the forms that they accept.
const FORMS: [&str; 4] = ["{N+}", "{N-}", "{N}", "~{N+}"];

/// Without a gateway, the server reads the hidden login in at least one form. With a gateway, it never does.
fn hides_no_login(backend: &Backend, server: SocketAddr, hidden: &Hidden) {
    let Hidden { protocol, command, login, answer, refusal, goodbye } = *hidden;
    let tap = Tap::before(server);
    let endpoint = RealEndpoint { protocol, address: tap.address, server_name: String::from("localhost") };
    let routes = format!("starttls = \"optional\"\nforward = \"{protocol}://{}\"", tap.address);
    let visit = Visit::by(backend, &endpoint, &routes);
    let front = ([127, 0, 0, 1], visit.port).into();
    let tag = command.strip_suffix("NOOP").unwrap();
    let logout = format!("{tag}LOGOUT\r\n");
    let mut taken = 0;
    for form in FORMS {
        let literal = form.replace('N', &(login.len() + 2).to_string());
        let said = format!("{command} {literal}\r\n{login}\r\n\r\n{logout}");
        taken += usize::from(tell(server, &said).contains(answer));
        let heard = tell(front, &said);
        assert!(heard.contains(refusal) && heard.contains(goodbye), "{form}: {heard}");
        assert!(!heard.contains(answer), "{form}: {heard}");
    }
    assert!(taken > 0, "the server reads no login here in any form");
    let asked = format!("{tag}CAPABILITY\r\n{logout}");
    // The greeting contains capabilities too.
    let heard = tell(front, &asked);
    assert!(heard.contains("STARTTLS") && !heard.contains("PLAIN"), "{heard}");
    assert_eq!(tap.told(), asked);
}

#[test]
fn s4_no_login_is_hidden_from_a_gateway_before_dovecot() {
    let backend = Backend::start("dovecot", TlsMode::Cleartext);
    for hidden in [IMAP, SIEVE] {
        let server = backend.running.endpoint(hidden.protocol).unwrap().address;
        hides_no_login(&backend, server, &hidden);
    }
}

#[test]
fn s4_no_login_is_hidden_from_a_gateway_before_cyrus() {
    // The Dovecot server is here only for its folder.
    let (backend, cyrus) = (Backend::start("dovecot", TlsMode::Cleartext), Cyrus::start());
    hides_no_login(&backend, cyrus.imap, &IMAP);
    hides_no_login(&backend, cyrus.sieve, &SIEVE);
}

/// Runs `talk` with a gateway with optional TLS before the server of this name.
fn optional(name: &str, protocol: &str, talk: impl FnOnce(&Visit<'_>)) {
    let backend = Backend::start(name, TlsMode::Cleartext);
    let endpoint = backend.running.endpoint(protocol).unwrap();
    let routes = format!("starttls = \"optional\"\nforward = {}", backend.forward(endpoint));
    talk(&Visit::by(&backend, endpoint, &routes));
}

#[test]
fn news_is_read_in_cleartext_without_login_or_posting() {
    optional("inn", "nntp", |visit| {
        // INN reads this file for each connection.
        let anybody = "auth \"any\" {\n hosts: \"*\"\n default: \"guest\"\n}\n\
            access \"any\" {\n users: \"guest\"\n newsgroups: \"*\"\n access: RP\n}\n";
        std::fs::write(visit.backend.running.folder().join("readers.conf"), anybody).unwrap();
        visit.python(
            "
import nntplib
news = nntplib.NNTP('localhost', port, timeout=20)
assert 'STARTTLS' in news.getcapabilities() and 'AUTHINFO' not in news.getcapabilities(), news.getcapabilities()
assert news.group('local.test')[4] == 'local.test'
assert [group.group for group in news.list()[1]] == ['local.test']
for refused in [lambda: news.login(user, password, usenetrc=False), lambda: news.post(b'Subject: x\\r\\n\\r\\nx')]:
    try:
        refused()
        assert False
    except nntplib.NNTPError as error:
        assert str(error).startswith('483'), error
assert news.date()
news.quit()",
        );
    });
}

#[test]
fn mail_is_delivered_in_cleartext_without_a_login() {
    optional("postfix", "smtp", |visit| {
        visit.python(
            "
import smtplib
smtp = smtplib.SMTP('localhost', port, timeout=20)
smtp.ehlo('client.example')
assert smtp.has_extn('starttls') and smtp.has_extn('size') and not smtp.has_extn('auth'), smtp.esmtp_features
assert not smtp.has_extn('chunking'), smtp.esmtp_features
assert smtp.docmd('AUTH', 'PLAIN AHUAcA==')[0] == 530
message = 'Subject: optional\\r\\n\\r\\n.\\r\\nAUTH PLAIN x\\r\\n..' + 5000 * 'x' + '\\r\\n'
assert smtp.sendmail('a@example.test', ['b@example.test'], message) == {}
smtp.quit()",
        );
        visit.finds("mail/inbox/new", "\nAUTH PLAIN x\n");
    });
}

#[test]
fn a_directory_is_read_in_cleartext_without_a_login() {
    optional("openldap", "ldap", |visit| {
        let uri = format!("ldap://localhost:{}", visit.port);
        let search =
            || client("ldapsearch", "ldap-utils").args(["-x", "-H", &uri, "-LLL", "-b", "", "-s", "base"]);
        search().args(["(objectClass=*)", "namingContexts"]).run().with(&["namingContexts"]);
        let said = search().args(["-D", visit.user(), "-w", visit.password()]).run();
        assert!(!said.ok && said.err.contains("Confidentiality required"), "{} {}", said.out, said.err);
        let said = search().args(["(userPassword=secret)"]).run();
        assert!(!said.ok && said.out.is_empty(), "{} {}", said.out, said.err);
    });
}
