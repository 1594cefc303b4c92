//! Postfix asks `starttls policy serve`, and delivers or defers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use starttls::Acceptor;
use starttls::proto::{http::HTTP, smtp::SMTP};
use starttls_lab::ca::{Authority, Leaf};
use tempfile::TempDir;

use super::dns_server;
use super::process::{Live, Run, starttls};

const ZONE: &str = "
    .                          NS     ns.test
    .                          SECURE
    all.test                   MX     10 mx.all.test
    all.test                   SECURE
    mx.all.test                A      127.0.0.1
    mx.all.test                SECURE
    _25._tcp.mx.all.test       TLSA   3 1 1 abababababababababababababababababababababababababababababababab
    _25._tcp.mx.all.test       SECURE
    half.test                  MX     10 mx.all.test
    none.test                  MX     10 mx.none.test
    mx.none.test               A      127.0.0.1
    failing.test               SERVFAIL
";

#[test]
fn postfix_reads_every_kind_of_answer() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").unwrap();
    let resolver = dns_server::server(ZONE).to_string();
    let arguments = ["policy", "serve", "--listen", "127.0.0.1:0", "--resolver", &resolver];
    let mut live = Live::start(&mut starttls(arguments));
    live.is_told("listening on ");
    let address = live.stderr().rsplit_once("listening on ").unwrap().1.lines().next().unwrap().to_owned();
    let ask = |key: &str| {
        let mut postmap = Command::new("timeout");
        postmap.args(["30", "/usr/sbin/postmap", "-c"]).arg(folder.path());
        Run::of(postmap.args(["-q", key, &format!("socketmap:inet:{address}:QUERY")]))
    };
    for (key, code, expected) in [
        ("all.test", 0, "dane-only\n"),
        ("half.test", 0, "dane\n"),
        ("none.test", 1, ""),
        ("[192.0.2.1]", 1, ""),
    ] {
        let run = ask(key);
        assert_eq!((run.code, run.stdout.as_str()), (code, expected), "{key}: {}", run.stderr);
        assert!(!run.stderr.contains("error"), "{key}: {}", run.stderr);
    }
    // The administrator finds our reason in the log.
    let failed = ask("failing.test").exits(1);
    let reason = "socketmap server temporary error: failing.test: the MX lookup failed: the resolver answered SERVFAIL";
    assert!(failed.stderr.contains(reason), "{}", failed.stderr);
}

/// The variable that is set inside the namespace.
const INSIDE: &str = "STARTTLS_TEST_NAMESPACE";

/// Domains whose answers Postfix acts on. `{tlsa}` is the record of the exchanger.
const DELIVERY: &str = "
    .                          NS     ns.test
    .                          SECURE
    sound.test                 MX     10 mx.sound.test
    sound.test                 SECURE
    mx.sound.test              A      127.0.0.1
    mx.sound.test              SECURE
    _25._tcp.mx.sound.test     TLSA   {tlsa}
    _25._tcp.mx.sound.test     SECURE
    wrong.test                 MX     10 mx.wrong.test
    wrong.test                 SECURE
    mx.wrong.test              A      127.0.0.1
    mx.wrong.test              SECURE
    _25._tcp.mx.wrong.test     TLSA   3 1 1 abababababababababababababababababababababababababababababababab
    _25._tcp.mx.wrong.test     SECURE
    half.test                  MX     10 mx.sound.test
    unusable.test              MX     10 mx.unusable.test
    unusable.test              SECURE
    mx.unusable.test           A      127.0.0.1
    mx.unusable.test           SECURE
    _25._tcp.mx.unusable.test  TLSA   1 1 1 abababababababababababababababababababababababababababababababab
    _25._tcp.mx.unusable.test  SECURE
    failing.test               MX     10 mx.failing.test
    failing.test               SECURE
    mx.failing.test            A      127.0.0.1
    mx.failing.test            SECURE
    _25._tcp.mx.failing.test   SERVFAIL
    none.test                  MX     10 mx.none.test
    mx.none.test               A      127.0.0.1
    sts.test                   MX     10 mx.sts.test
    mx.sts.test                A      127.0.0.2
    _mta-sts.sts.test          TXT    v=STSv1; id=1
    mta-sts.sts.test           A      127.0.0.1
    name.test                  MX     10 other.sts.test
    other.sts.test             A      127.0.0.1
    _mta-sts.name.test         TXT    v=STSv1; id=1
    mta-sts.name.test          A      127.0.0.1
";

/// The policy of both domains with MTA-STS. The certificate of other.sts.test is not for it.
const POLICY: &str =
    "version: STSv1\r\nmode: enforce\r\nmax_age: 86400\r\nmx: mx.sts.test\r\nmx: other.sts.test\r\n";

/// Runs itself in a network of its own, with the real ports of DNS, SMTP and HTTPS.
#[test]
#[expect(clippy::print_stderr, reason = "says why it was not run")]
fn postfix_delivers_what_the_policies_allow() {
    if std::env::var_os(INSIDE).is_some() {
        return delivery();
    }
    let namespace = ["-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"];
    let mut allowed = Command::new("unshare");
    if !allowed.args(namespace).arg("true").status().is_ok_and(|it| it.success()) {
        eprintln!("not run: this user or container may not create namespaces (unshare)");
        return;
    }
    let mut inside = Command::new("timeout");
    inside
        .args(["--kill-after", "5", "150", "unshare"])
        .args(namespace)
        .arg(std::env::current_exe().unwrap());
    inside
        .args(["--exact", "policy::postfix_delivers_what_the_policies_allow", "--nocapture"])
        .env(INSIDE, "1");
    let output = inside.output().unwrap();
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn delivery() {
    let folder = TempDir::new().unwrap();
    let shell = |script: &str| {
        let status = Command::new("sh").args(["-ec", script]).current_dir(&folder).status().unwrap();
        assert!(status.success(), "{script}");
    };
    shell(
        "ip link set lo up; ip addr add 127.0.0.9/32 dev lo
         printf 'nameserver 127.0.0.1\\noptions edns0 trust-ad timeout:5 attempts:2\\n' > resolv.conf
         printf 'hosts: files dns\\n' > nsswitch.conf
         mount --bind resolv.conf /etc/resolv.conf; mount --bind nsswitch.conf /etc/nsswitch.conf",
    );
    let authority = Authority::new().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.root_pem()).unwrap();
    exchanger(&authority, "elsewhere.test", "127.0.0.1:25");
    exchanger(&authority, "mx.sts.test", "127.0.0.2:25");
    policy_host(&authority);
    let run =
        Run::of(&mut starttls(["policy", "tlsa", "--name", "x.test", "--live", "smtp://127.0.0.1"])).exits(0);
    let record = run.stdout.trim().rsplit_once("TLSA ").unwrap().1;
    dns_server::server_at(&DELIVERY.replace("{tlsa}", record), "127.0.0.1:53");
    let mut live =
        Live::start(starttls(["policy", "serve", "--listen", "127.0.0.1:8642", "--ca-file"]).arg(&ca));
    live.is_told("listening on ");
    let home = folder.path().display();
    std::fs::write(
        folder.path().join("main.cf"),
        format!(
            "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\ninet_interfaces = 127.0.0.9\ninet_protocols = ipv4\nmyhostname = sender.test\n\
             mydestination =\nalias_maps =\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\n\
             smtp_tls_security_level = dane\nsmtp_tls_dane_insecure_mx_policy = dane\nsmtp_tls_loglevel = 1\n\
             smtp_tls_CAfile = {home}/ca.pem\n\
             smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8642:QUERY\nnotify_classes =\n\
             maillog_file_prefixes = {home}\nmaillog_file = {home}/log\n"
        ),
    )
    .unwrap();
    // No service of this Postfix changes its root folder, and none listens but where mail is handed in.
    shell(
        "chmod 755 .; mkdir queue data; chown postfix data
         sed -E 's/^([a-z]+ +(unix|unix-dgram|inet) +[-ny] +[-ny] +)y/\\1n/; /^smtp +inet/d' /etc/postfix/master.cf > master.cf
         grep -q '^postlog' master.cf || echo 'postlog unix-dgram n - n - 1 postlogd' >> master.cf
         setsid postfix -c \"$PWD\" start
         for domain in sound wrong half unusable failing none sts name; do
             echo text | sendmail -C \"$PWD\" -f sender@sender.test user@$domain.test
         done",
    );
    for (domain, expected) in [
        ("sound", "status=sent"),
        ("wrong", "status=deferred (Server certificate not verified)"),
        ("half", "status=sent"),
        ("unusable", "status=sent"),
        ("failing", "dsn=4.7.5, status=deferred (client TLS configuration problem)"),
        ("none", "status=sent"),
        ("sts", "status=sent"),
        ("name", "status=deferred (Server certificate not verified)"),
    ] {
        let recipient = format!("to=<user@{domain}.test>");
        let line = wait_for(&folder.path().join("log"), &recipient);
        assert!(line.contains(expected), "{domain}: {line}");
    }
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("Verified TLS connection established to mx.sound.test[127.0.0.1]:25"), "{log}");
    assert!(log.contains("Trusted TLS connection established to mx.sound.test[127.0.0.1]:25"), "{log}");
    assert!(log.contains("Verified TLS connection established to mx.sts.test[127.0.0.2]:25"), "{log}");
    shell("postfix -c \"$PWD\" stop");
}

/// Returns the line of the log with the result for this recipient.
fn wait_for(log: &std::path::Path, recipient: &str) -> String {
    let deadline = std::time::Instant::now() + super::process::DEADLINE;
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(line) = text.lines().find(|it| it.contains(recipient) && it.contains("status=")) {
            return line.to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "{recipient} has no result in:\n{text}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Starts the policy host of both domains.
fn policy_host(authority: &Authority) {
    let names = ["mta-sts.sts.test", "mta-sts.name.test"];
    let leaf = Leaf { dns: names.map(str::to_owned).to_vec(), ..Leaf::named(names[0]) };
    let issued = authority.issue(&leaf).unwrap();
    let acceptor =
        Acceptor::builder(&HTTP, names[0]).certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:443").unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(mut session) = acceptor.blocking().accept_implicit(stream) else { continue };
            let (mut request, mut octet) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && matches!(session.read(&mut octet), Ok(1)) {
                request.push(octet[0]);
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                POLICY.len()
            );
            let _ = session.write_all(format!("{head}{POLICY}").as_bytes());
            let _ = session.close();
        }
    });
}

/// Starts a mail exchanger that accepts every mail, inside TLS.
fn exchanger(authority: &Authority, name: &str, address: &str) {
    let issued = authority.issue(&Leaf::named(name)).unwrap();
    let acceptor =
        Acceptor::builder(&SMTP, "mx").certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let acceptor = acceptor.clone();
            std::thread::spawn(move || {
                let Ok(session) = acceptor.blocking().accept(stream) else { return };
                // The client may leave at any time.
                let _ = accept_mail(BufReader::new(session));
            });
        }
    });
}

fn accept_mail(mut session: BufReader<impl Read + Write>) -> std::io::Result<()> {
    let (mut line, mut is_data) = (String::new(), false);
    while session.read_line(&mut line)? > 0 {
        let reply = match line.trim_end() {
            "." if is_data => {
                is_data = false;
                "250 queued"
            }
            _ if is_data => "",
            "DATA" => {
                is_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        if !reply.is_empty() {
            session.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}
