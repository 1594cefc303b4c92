//! Invalid configurations: each mistake has a message of its own, with its line and a hint.

use crate::folder::Folder;

/// A valid listener, to which a test adds its mistake.
const TLS: &str = "[[listener]]\nlisten = \"smtp+starttls://127.0.0.1:25\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\n";

/// A valid backend.
const FORWARD: &str = "forward = \"smtp://127.0.0.1:2525\"\n";

/// A cleartext listener on this machine; the table of the backend is not closed.
const DEVICE: &str = "[[listener]]\nlisten = \"smtp://127.0.0.1:25\"\nforward = { url = \"submission+starttls://smtp.example.com\"";

const LOGIN: &str = "login = { user = \"me\", password-file = \"DIR/password\" }";

#[test]
fn each_mistake_has_its_message() {
    let folder = Folder::new();
    folder.write("keyless/mail.pem", &folder.issue(&["mail.example.com"], Default::default()).chain_pem);
    folder.write("bad-ocsp/mail.pem", &std::fs::read_to_string(folder.path().join("mail.pem")).unwrap());
    folder.write("bad-ocsp/mail.key", &std::fs::read_to_string(folder.path().join("mail.key")).unwrap());
    folder.write("bad-ocsp/mail.ocsp", "OCSP");
    folder.write("empty/README", "");
    folder.write("empty.pem", "");
    let listener = |body: &str| format!("[[listener]]\n{body}\n");
    let tls = |more: &str| format!("{TLS}{FORWARD}{more}\n");
    let optional = |scheme: &str| {
        let listen = format!("listen = \"{scheme}+starttls://127.0.0.1:9000\"\nstarttls = \"optional\"");
        let cert = "cert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"";
        listener(&format!("{listen}\n{cert}\nforward = \"{scheme}://127.0.0.1:9001\""))
    };
    let device = |more: &str| format!("{DEVICE}{more} }}\n");
    let mistakes = [
        // Syntax of the file.
        String::new(),
        "listener = \n".into(),
        "drian = \"1s\"\n".into(),
        "drain = 30\n".into(),
        "drain = \"30\"\n".into(),
        "metrics = \":9464\"\n".into(),
        "[limits]\nconnections = 0\n".into(),
        "[limits]\nper-address = 3\n".into(),
        "listener = 3\n".into(),
        // Keys of a listener.
        listener(FORWARD),
        listener("listen = \"smtp+starttls://:25\""),
        tls("sertificates = \"DIR/live\""),
        tls("colour = \"green\""),
        tls("name = \"two words\""),
        tls("starttls = \"maybe\""),
        tls("allow = [\"192.0.2.1/24\"]"),
        tls("allow = \"everybody\""),
        tls("proxy-from = [25]"),
        tls("proxy-from = [\"10.0.0.0/8\", \"0.0.0.0/0\"]"),
        tls("limits = { dial = 3 }"),
        tls("data-resumption = \"required\""),
        tls("data-ports = \"50000-50100\""),
        tls("data-address = \"203.0.113.5\""),
        tls("data-ports = \"50000\""),
        tls("data-ports = \"50100-50000\""),
        tls("data-ports = \"20-21\""),
        tls("data-address = \"2001:db8::1\""),
        tls("data-address = \"ftp.example.com\""),
        format!("{}{}", tls(""), tls("name = \"other\"")),
        // Dialing during the handshake.
        tls("early-dial = \"yes\""),
        tls("early-dial = true\nstarttls = \"optional\""),
        tls("early-dial = true\nclient-auth = \"optional\"\nclient-ca = \"DIR/root.pem\""),
        format!(
            "{TLS}early-dial = true\nforward = {{ url = \"smtp://127.0.0.1:2525\", send-proxy = \"v2\" }}\n"
        ),
        format!(
            "{TLS}early-dial = true\nforward = {{ url = \"smtp+starttls://smtp.example.com\", {LOGIN} }}\n"
        ),
        listener(
            "listen = \"xmpp+starttls://:5222\"\nearly-dial = true\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"xmpp://127.0.0.1:5322\"",
        ),
        listener(
            "listen = \"mysql+starttls://:3306\"\nearly-dial = true\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"mysql://127.0.0.1:3307\"",
        ),
        format!("{DEVICE} }}\nearly-dial = true\n"),
        // URLs.
        listener("listen = \":25\"\nforward = \"smtp://127.0.0.1:2525\""),
        listener("listen = \"smpt+starttls://:25\"\nforward = \"smtp://127.0.0.1:2525\""),
        listener("listen = \"smtps+starttls://:465\"\nforward = \"smtp://127.0.0.1:2525\""),
        listener("listen = \"smtps://mail.example.com\"\nforward = \"smtp://127.0.0.1:2525\""),
        format!("{TLS}forward = \"smtp://::1:25\"\n"),
        format!("{TLS}forward = \"smtp://me@localhost\"\n"),
        format!("{TLS}forward = \"smtp://:2525\"\n"),
        format!("{TLS}forward = \"smtp://two words\"\n"),
        format!("{TLS}forward = \"smtp://unix:relative\"\n"),
        format!("{TLS}forward = \"imap://127.0.0.1\"\n"),
        format!("{TLS}forward = \"lmtp://127.0.0.1:24\"\n"),
        // Certificates (rule G6).
        listener("listen = \"smtp+starttls://:25\"\nforward = \"smtp://127.0.0.1:2525\""),
        listener(
            "listen = \"smtp+starttls://:25\"\ncert = \"DIR/mail.pem\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncert = \"DIR/none.pem\"\nkey = \"DIR/mail.key\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncert = \"DIR/empty.pem\"\nkey = \"DIR/mail.key\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/root.pem\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/live/wild/privkey.pem\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncertificates = \"DIR/none\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncertificates = \"DIR/empty\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncertificates = \"DIR/keyless\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        listener(
            "listen = \"smtp+starttls://:25\"\ncertificates = \"DIR/bad-ocsp\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        tls("default-certificate = \"other.example\""),
        // Client certificates.
        tls("client-auth = \"required\""),
        tls("client-ca = \"DIR/root.pem\""),
        tls("client-auth = \"required\"\nclient-ca = \"DIR/empty.pem\""),
        // A required key is misspelled.
        listener(
            "listen = \"smtps://127.0.0.1\"\ncertt = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"smtp://127.0.0.1\"",
        ),
        tls("client-caa = \"DIR/root.pem\"\nclient-auth = \"required\""),
        device(", login = { user = \"me\", pasword-file = \"DIR/password\" }"),
        // A listener that forwards to itself.
        listener(
            "listen = \"smtp+starttls://:2525\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        // Unix sockets on which the backend would authenticate the gateway's user instead of the client.
        listener(
            "listen = \"ldap+starttls://:389\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"ldap://unix:/run/slapd/ldapi\"",
        ),
        listener(
            "listen = \"postgres+starttls://:5432\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nallow = [\"0.0.0.0/0\"]\nforward = \"postgres://unix:/run/postgresql/.s.PGSQL.5432\"",
        ),
        // Protocols in which TLS cannot be optional.
        optional("irc"),
        optional("xmpp"),
        optional("xmpp-server"),
        optional("postgres"),
        optional("mysql"),
        // Sessions without TLS that cannot be relayed.
        listener("listen = \"rdp://127.0.0.1\"\nforward = \"rdp+starttls://desk.example.com\""),
        listener(
            "listen = \"rdp+starttls://127.0.0.1\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"rdp://127.0.0.1:3390\"",
        ),
        // A client could never be served, or a client certificate could be avoided.
        tls("starttls = \"optional\"\nclient-auth = \"required\"\nclient-ca = \"DIR/root.pem\""),
        format!("{TLS}starttls = \"optional\"\n[[listener.route]]\nnames = [\"a.example.com\"]\n{FORWARD}"),
        listener(
            "listen = \"mysql+starttls://127.0.0.1\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"mysql://127.0.0.1:3307\"\n\
             [[listener.route]]\nnames = [\"a.example.com\"]\nforward = \"mysql://127.0.0.1:3308\"",
        ),
        // Routes.
        tls("[[listener.route]]\nforward = \"smtp://127.0.0.1:2525\""),
        tls("[[listener.route]]\nnames = []\nforward = \"smtp://127.0.0.1:2525\""),
        tls("[[listener.route]]\nnames = [\"mail.*.com\"]\nforward = \"smtp://127.0.0.1:2525\""),
        tls("[[listener.route]]\nnames = \"a.example\"\nforward = []"),
        tls(
            "[[listener.route]]\nnames = [\"a.example\", \"A.example\"]\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        // Keys that exclude each other.
        listener(
            "listen = \"smtps://:465\"\nstarttls = \"optional\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\nforward = \"smtp://127.0.0.1:2525\"",
        ),
        format!("{DEVICE} }}\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\n"),
        format!(
            "{TLS}forward = {{ url = \"smtp://127.0.0.1:2525\", client-name = \"gateway.example.com\" }}\n"
        ),
        device(", client-name = \"gateway\\r\\nRSET\""),
        format!("{TLS}forward = {{ url = \"smtp://127.0.0.1:2525\", insecure = true }}\n"),
        format!("{TLS}forward = {{ url = \"smtp+starttls://unix:/run/smtp\" }}\n"),
        device(", cert = \"DIR/mail.pem\""),
        device(", no-system-roots = true"),
        device(", server-name = \"not a name\""),
        device(", send-proxy = \"v3\""),
        // Cleartext that would leave the machine.
        format!("{TLS}forward = \"smtp://192.0.2.1:2525\"\n"),
        listener("listen = \"smtp://:25\"\nforward = \"smtp+starttls://smtp.example.com\""),
        listener("listen = \"smtp://systemd:mail\"\nforward = \"smtp+starttls://smtp.example.com\""),
        listener("listen = \"smtp://127.0.0.1:25\"\nforward = \"smtp://127.0.0.1:2525\""),
        // Logins (rule G5).
        device(", login = { password-file = \"DIR/password\" }"),
        device(", login = { user = \"me\" }"),
        device(", login = { user = \"me\", password = \"secret\" }"),
        device(", login = { user = \"me\", password-file = \"DIR/none\" }"),
        device(", login = { user = \"me\", password-file = \"DIR/password\", password-command = [\"x\"] }"),
        device(", login = { user = \"me\", mechanism = \"xoauth\", password-file = \"DIR/password\" }"),
        format!(
            "[[listener]]\nlisten = \"ldap://127.0.0.1\"\nforward = {{ url = \"ldaps://ldap.example.com\", {LOGIN} }}\n"
        ),
    ];
    let mut all = String::new();
    for mistake in &mistakes {
        let error = folder.parse(mistake).map(|_| ()).expect_err(mistake);
        all += &format!("{}\nerror: {error}\n", mistake.trim_end());
        if let Some(cure) = error.hint() {
            all += &format!("hint: {cure}\n");
        }
        all += "\n";
    }
    let all = all.replace(folder.path().to_str().unwrap(), "DIR");
    assert!(!all.contains('\x1b'));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("mistakes", all);
    });
}

/// No combination of options sends a login to an unverified backend, or on behalf of a client of another machine.
#[test]
fn g5_a_login_needs_a_local_listener_and_a_verified_backend() {
    let folder = Folder::new();
    let listens = [
        ("smtp://127.0.0.1:25", true),
        ("smtp://[::1]:25", true),
        ("smtp://unix:/run/smtp", true),
        ("smtp://:25", false),
        ("smtp://192.0.2.1:25", false),
        ("smtp://[::ffff:192.0.2.1]:25", false),
        ("smtp://systemd:mail", false),
        ("smtp+starttls://:587", false),
        ("smtps://:465", false),
        ("smtps://127.0.0.1:465", true),
    ];
    let allows = [
        ("", None),
        ("allow = [\"192.0.2.0/24\"]\n", Some(true)),
        ("allow = [\"0.0.0.0/0\"]\n", Some(false)),
        ("allow = [\"192.0.2.0/24\", \"::/0\"]\n", Some(false)),
        ("allow = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\n", Some(false)),
    ];
    let proxies = [
        ("", Some(true)),
        ("proxy-from = [\"127.0.0.1\"]\n", Some(false)),
        ("proxy-from = [\"::/0\"]\n", None),
    ];
    let backends = [
        ("smtp+starttls://smtp.example.com", "", true),
        ("smtps://127.0.0.1:1465", "", true),
        ("smtp+starttls://smtp.example.com", ", insecure = true", false),
        ("smtps://smtp.example.com", ", insecure = true", false),
        ("smtp://127.0.0.1:2525", "", false),
        ("smtp://192.0.2.1:2525", ", allow-cleartext = true", false),
        ("smtp://unix:/run/backend", "", false),
    ];
    for (listen, local) in listens {
        for (allow, few) in allows {
            for (proxy, direct) in proxies {
                for (url, more, verified) in backends {
                    let certificate = match listen.starts_with("smtp://") {
                        true => "",
                        false => "cert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\n",
                    };
                    let text = format!(
                        "[[listener]]\nlisten = \"{listen}\"\n{certificate}{allow}{proxy}\
                         forward = {{ url = \"{url}\"{more}, {LOGIN} }}\n"
                    );
                    let sound = verified && direct.is_some_and(|direct| few.unwrap_or(local && direct));
                    assert_eq!(folder.parse(&text).is_ok(), sound, "{text}");
                }
            }
        }
    }
}
