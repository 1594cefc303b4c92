//! The mail exchangers, the policy hosts, and the Postfix that sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use starttls::Acceptor;
use starttls::proto::{http::HTTP, smtp::SMTP};
use starttls_lab::ca::{Authority, Issued, Leaf};

use super::super::process::{Run, starttls};
use super::DEADLINE;
use super::network::shell;

/// The certificates of the exchangers, and their TLSA records.
pub(super) struct Certificates {
    sound: Issued,
    other: Issued,
    expired: Issued,
    records: Vec<(String, String)>,
}

impl Certificates {
    pub(super) fn new(authority: &Authority, folder: &Path) -> Self {
        let day = Duration::from_secs(86_400);
        let with_root = |mut issued: Issued| {
            issued.chain_pem.push_str(&authority.root_pem());
            issued
        };
        let names = ["*.s.test", "*.i.test"].map(str::to_owned).to_vec();
        let sound = with_root(authority.issue(&Leaf { dns: names, ..Leaf::named("mx") }).unwrap());
        let other = with_root(authority.issue(&Leaf::named("elsewhere.test")).unwrap());
        let now = SystemTime::now();
        let expired = Leaf {
            not_before: now - 20 * day,
            not_after: now - 10 * day,
            ..Leaf::named("mx-expired.s.test")
        };
        let expired = with_root(authority.issue(&expired).unwrap());
        let record = |issued: &Issued, parameters: [&str; 3]| {
            let path = folder.join("chain.pem");
            std::fs::write(&path, &issued.chain_pem).unwrap();
            let [usage, selector, matching] = parameters;
            let mut tlsa =
                starttls(["policy", "tlsa", "--name", "x.test", "--usage", usage, "--selector", selector]);
            let run = Run::of(tlsa.args(["--matching", matching, "--from"]).arg(path)).exits(0);
            run.stdout.trim().rsplit_once("TLSA ").unwrap().1.to_owned()
        };
        let mut records: Vec<(String, String)> = Vec::new();
        for (key, parameters) in [
            ("311", ["3", "1", "1"]),
            ("312", ["3", "1", "2"]),
            ("301", ["3", "0", "1"]),
            ("310", ["3", "1", "0"]),
            ("201", ["2", "0", "1"]),
            ("211", ["2", "1", "1"]),
        ] {
            records.push((key.to_owned(), record(&sound, parameters)));
        }
        records.push((String::from("other311"), record(&other, ["3", "1", "1"])));
        records.push((String::from("expired311"), record(&expired, ["3", "1", "1"])));
        for (key, parameters, octets) in [
            ("wrong", "3 1 1", 32),
            ("wrong512", "3 1 2", 64),
            ("anchorwrong", "2 0 1", 32),
            ("unusable", "1 1 1", 32),
        ] {
            records.push((key.to_owned(), format!("{parameters} {}", "ab".repeat(octets))));
        }
        Self { sound, other, expired, records }
    }

    /// Writes the records in the places with their names.
    pub(super) fn fill(&self, text: &str) -> String {
        self.records
            .iter()
            .fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value))
    }
}

/// Starts the exchangers, which accept every mail.
pub(super) fn exchangers(certificates: &Certificates) {
    let Certificates { sound, other, expired, .. } = certificates;
    exchanger(Some(sound), "127.0.1.1:25");
    exchanger(Some(other), "127.0.1.2:25");
    exchanger(Some(expired), "127.0.1.3:25");
    exchanger(None, "127.0.1.4:25");
}

fn exchanger(certificate: Option<&Issued>, address: &str) {
    let acceptor = certificate.map(|issued| {
        let builder = Acceptor::builder(&SMTP, "mx");
        builder.certificate_pem(issued.chain_pem.clone(), issued.key_pem.clone()).build().unwrap()
    });
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let acceptor = acceptor.clone();
            std::thread::spawn(move || {
                // The client may leave at any time.
                let _ = match acceptor {
                    Some(acceptor) => match acceptor.blocking().accept(stream) {
                        Ok(session) => accept_mail(BufReader::new(session)),
                        Err(_) => Ok(()),
                    },
                    None => {
                        stream.write_all(b"220 mx\r\n").and_then(|()| accept_mail(BufReader::new(stream)))
                    }
                };
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
            "STARTTLS" => "502 not here",
            _ => "250 ok",
        };
        if !reply.is_empty() {
            session.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

/// Starts the policy hosts. The answer depends on the name of the host.
pub(super) fn policy_hosts(authority: &Authority) {
    let names = ["*.i.test", "*.s.test"];
    let hosts = [
        "sts.i",
        "ststesting.i",
        "stsname.i",
        "stspattern.i",
        "stsmissing.i",
        "stsredirect.i",
        "ststype.i",
        "stslarge.i",
        "stssyntax.i",
        "ststwo.i",
        "stsdane.s",
    ];
    let hosts = hosts.iter().map(|it| format!("mta-sts.{it}.test"));
    let leaf = Leaf { dns: hosts.chain(names.map(str::to_owned)).collect(), ..Leaf::named("x") };
    policy_host(authority, &leaf, "127.0.0.3:443");
    policy_host(authority, &Leaf::named("elsewhere.test"), "127.0.0.4:443");
}

fn policy_host(authority: &Authority, leaf: &Leaf, address: &str) {
    let issued = authority.issue(leaf).unwrap();
    let acceptor = Acceptor::builder(&HTTP, "policies")
        .certificate_pem(issued.chain_pem, issued.key_pem)
        .build()
        .unwrap();
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let acceptor = acceptor.clone();
            std::thread::spawn(move || {
                let Ok(mut session) = acceptor.blocking().accept_implicit(stream) else { return };
                let (mut request, mut octet) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && matches!(session.read(&mut octet), Ok(1)) {
                    request.push(octet[0]);
                }
                let request = String::from_utf8_lossy(&request).to_lowercase();
                let host = request.split("host: mta-sts.").nth(1).unwrap_or_default();
                let host = host.split('.').next().unwrap_or_default();
                // The client may stop reading at its limit.
                let _ = session.write_all(response(host).as_bytes());
                let _ = session.close();
            });
        }
    });
}

/// Returns the answer of the policy host of a domain, by its first label.
fn response(domain: &str) -> String {
    let policy =
        |mode: &str, mx: &str| format!("version: STSv1\r\nmode: {mode}\r\nmax_age: 1209600\r\nmx: {mx}\r\n");
    let enforce = policy("enforce", "mx.i.test");
    let (status, media, text) = match domain {
        "ststesting" => ("200 OK", "text/plain", policy("testing", "mx.i.test")),
        "stsname" => ("200 OK", "text/plain", policy("enforce", "mx-other.i.test")),
        "stsmissing" => ("404 Not Found", "text/plain", enforce),
        "stsredirect" => (
            "301 Moved\r\nLocation: https://mta-sts.sts.i.test/.well-known/mta-sts.txt",
            "text/plain",
            enforce,
        ),
        "ststype" => ("200 OK", "text/html", enforce),
        "stslarge" => ("200 OK", "text/plain", format!("{enforce}x: {}\r\n", "y".repeat(70_000))),
        "stssyntax" => ("200 OK", "text/plain", enforce.replace("mode: enforce", "mode: always")),
        _ => ("200 OK", "text/plain", enforce),
    };
    format!("HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

/// Writes the configuration of a Postfix that asks `policy serve`.
pub(super) fn configure_postfix(folder: &Path) {
    let home = folder.join("postfix");
    std::fs::create_dir(&home).unwrap();
    let (home, ca) = (home.display(), folder.join("ca.pem"));
    std::fs::write(
        folder.join("postfix/main.cf"),
        format!(
            "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\ninet_interfaces = 127.0.0.9\ninet_protocols = ipv4\nmyhostname = sender.test\n\
             mydestination =\nalias_maps =\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\n\
             smtp_tls_security_level = dane\nsmtp_tls_dane_insecure_mx_policy = dane\nsmtp_tls_loglevel = 1\n\
             smtp_tls_CAfile = {}\n\
             smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8642:QUERY\nnotify_classes =\n\
             maillog_file_prefixes = {home}\nmaillog_file = {home}/log\n",
            ca.display()
        ),
    )
    .unwrap();
    // No service of this Postfix changes its root folder, and none listens but where mail is handed in.
    shell(
        &folder.join("postfix"),
        "chmod 755 .. .
         sed -E 's/^([a-z]+ +(unix|unix-dgram|inet) +[-ny] +[-ny] +)y/\\1n/; /^smtp +inet/d' /etc/postfix/master.cf > master.cf
         grep -q '^postlog' master.cf || echo 'postlog unix-dgram n - n - 1 postlogd' >> master.cf",
    );
}

/// Sends a mail to each domain with Postfix, and returns where it did not deliver or defer as expected.
pub(super) fn deliver<'a>(
    folder: &Path,
    expected: impl Iterator<Item = (&'a str, bool)> + Clone,
) -> Vec<String> {
    let domains: Vec<&str> = expected.clone().map(|(domain, _)| domain).collect();
    shell(
        &folder.join("postfix"),
        &format!(
            "mkdir queue data; chown postfix data
             setsid postfix -c \"$PWD\" start
             for domain in {}; do
                 echo text | sendmail -C \"$PWD\" -f sender@sender.test user@$domain
             done",
            domains.join(" ")
        ),
    );
    let mut problems = Vec::new();
    for (domain, delivers) in expected {
        let line = wait_for(&folder.join("postfix/log"), &format!("to=<user@{domain}>"));
        let status = if delivers { "status=sent" } else { "status=deferred" };
        if !line.contains(status) {
            problems.push(format!("{domain}: expected {status}: {line}"));
        }
    }
    shell(&folder.join("postfix"), "postfix -c \"$PWD\" stop");
    problems
}

/// Returns the line of the log with the result for this recipient.
fn wait_for(log: &Path, recipient: &str) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(line) = text.lines().find(|it| it.contains(recipient) && it.contains("status=")) {
            return line.to_owned();
        }
        if Instant::now() > deadline {
            return format!("no result in:\n{text}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
