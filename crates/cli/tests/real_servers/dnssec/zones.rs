//! The zones: `s.test` is signed, `i.test` is not, the signature of `b.test` is invalid, and that of `e.test` has expired.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::process::Live;
use super::DEADLINE;
use super::network::shell;
use super::servers::Certificates;

/// A server with a valid certificate for `*.s.test` and `*.i.test`, and its whole chain.
const SOUND: &str = "127.0.1.1";
/// A server with a certificate for another name.
const OTHER: &str = "127.0.1.2";
/// A server with an expired certificate.
const EXPIRED: &str = "127.0.1.3";
/// A server without STARTTLS.
const CLEARTEXT: &str = "127.0.1.4";
/// The policy hosts.
const POLICIES: &str = "127.0.0.3";
/// A policy host whose certificate is for another name.
const BAD_POLICIES: &str = "127.0.0.4";

/// The signed zone. Each domain has its exchanger `mx-DOMAIN`, unless it is about something else.
const SIGNED: &str = "
mx              A     {sound}
_25._tcp.mx     TLSA  {311}
ok              MX    10 mx
sha512          MX    10 mx-sha512
mx-sha512       A     {sound}
_25._tcp.mx-sha512 TLSA {312}
certificate     MX    10 mx-certificate
mx-certificate  A     {sound}
_25._tcp.mx-certificate TLSA {301}
full            MX    10 mx-full
mx-full         A     {sound}
_25._tcp.mx-full TLSA {310}
wrong           MX    10 mx-wrong
mx-wrong        A     {sound}
_25._tcp.mx-wrong TLSA {wrong}
spare           MX    10 mx-spare
mx-spare        A     {sound}
_25._tcp.mx-spare TLSA {wrong}
_25._tcp.mx-spare TLSA {311}
agility         MX    10 mx-agility
mx-agility      A     {sound}
_25._tcp.mx-agility TLSA {311}
_25._tcp.mx-agility TLSA {wrong512}
expired         MX    10 mx-expired
mx-expired      A     {expired}
_25._tcp.mx-expired TLSA {expired311}
othername       MX    10 mx-othername
mx-othername    A     {other}
_25._tcp.mx-othername TLSA {other311}
anchor          MX    10 mx-anchor
mx-anchor       A     {sound}
_25._tcp.mx-anchor TLSA {201}
anchorkey       MX    10 mx-anchorkey
mx-anchorkey    A     {sound}
_25._tcp.mx-anchorkey TLSA {211}
anchorname      MX    10 mx-anchorname
mx-anchorname   A     {other}
_25._tcp.mx-anchorname TLSA {201}
anchorwrong     MX    10 mx-anchorwrong
mx-anchorwrong  A     {sound}
_25._tcp.mx-anchorwrong TLSA {anchorwrong}
unusable        MX    10 mx-unusable
mx-unusable     A     {sound}
_25._tcp.mx-unusable TLSA {unusable}
alias           MX    10 mx-alias
mx-alias        CNAME mx
aliasinsecure   MX    10 mx-aliasinsecure
mx-aliasinsecure CNAME mx.i.test.
_25._tcp.mx-aliasinsecure TLSA {311}
tlsaalias       MX    10 mx-tlsaalias
mx-tlsaalias    A     {sound}
_25._tcp.mx-tlsaalias CNAME _25._tcp.mx
tlsabogus       MX    10 mx-tlsabogus
mx-tlsabogus    A     {sound}
_25._tcp.mx-tlsabogus CNAME tlsa.b.test.
addressbogus    MX    10 mx.b.test.
nostarttls      MX    10 mx-nostarttls
mx-nostarttls   A     {cleartext}
_25._tcp.mx-nostarttls TLSA {311}
implicit        A     {sound}
_25._tcp.implicit TLSA {311}
mixed           MX    10 mx
mixed           MX    20 mx-none
mx-none         A     {sound}
none            MX    10 mx-none
stsdane         MX    10 mx
_mta-sts.stsdane TXT  \"v=STSv1; id=1\"
mta-sts.stsdane A     {policies}
";

const UNSIGNED: &str = "
mx              A     {sound}
mx-other        A     {other}
half            MX    10 mx.s.test.
insecure        MX    10 mx
_25._tcp.mx     TLSA  {311}
sts             MX    10 mx
ststesting      MX    10 mx-other
stsname         MX    10 mx-other
stspattern      MX    10 mx-other
stsbadcert      MX    10 mx-other
stsmissing      MX    10 mx-other
stsredirect     MX    10 mx-other
ststype         MX    10 mx-other
stslarge        MX    10 mx-other
stssyntax       MX    10 mx-other
ststwo          MX    10 mx-other
mta-sts.sts     A     {policies}
mta-sts.ststesting A  {policies}
mta-sts.stsname A     {policies}
mta-sts.stspattern A  {policies}
mta-sts.stsbadcert A  {badpolicies}
mta-sts.stsmissing A  {policies}
mta-sts.stsredirect A {policies}
mta-sts.ststype A     {policies}
mta-sts.stslarge A    {policies}
mta-sts.stssyntax A   {policies}
mta-sts.ststwo  A     {policies}
_mta-sts.sts    TXT   \"v=STSv1; id=1\"
_mta-sts.ststesting TXT \"v=STSv1; id=1\"
_mta-sts.stsname TXT  \"v=STSv1; id=1\"
_mta-sts.stspattern TXT \"v=STSv1; id=1\"
_mta-sts.stsbadcert TXT \"v=STSv1; id=1\"
_mta-sts.stsmissing TXT \"v=STSv1; id=1\"
_mta-sts.stsredirect TXT \"v=STSv1; id=1\"
_mta-sts.ststype TXT  \"v=STSv1; id=1\"
_mta-sts.stslarge TXT \"v=STSv1; id=1\"
_mta-sts.stssyntax TXT \"v=STSv1; id=1\"
_mta-sts.ststwo TXT   \"v=STSv1; id=1\"
_mta-sts.ststwo TXT   \"v=STSv1; id=2\"
";

const INVALID: &str = "
mx              A     {sound}
tlsa            TLSA  {311}
bogus           MX    10 mx.s.test.
";

const OLD: &str = "
old             MX    10 mx.s.test.
";

/// Writes and signs the zones, child first.
pub(super) fn write(folder: &Path, certificates: &Certificates) {
    let fill = |text: &str| {
        let addresses = [
            ("{sound}", SOUND),
            ("{other}", OTHER),
            ("{expired}", EXPIRED),
            ("{cleartext}", CLEARTEXT),
            ("{policies}", POLICIES),
            ("{badpolicies}", BAD_POLICIES),
        ];
        let text = addresses.into_iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
        certificates.fill(&text)
    };
    for (name, records) in [
        ("s.test", fill(SIGNED)),
        ("i.test", fill(UNSIGNED)),
        ("b.test", fill(INVALID)),
        ("e.test", fill(OLD)),
        ("test", String::from("s NS ns\ni NS ns\nb NS ns\ne NS ns\nns A 127.0.0.1\n")),
        (".", String::from("test. NS ns.test.\nns.test. A 127.0.0.1\n")),
    ] {
        let file = if name == "." { "root" } else { name };
        let head = "@ 300 IN SOA ns.test. admin.test. 1 3600 600 86400 60\n@ NS ns.test.\n";
        let origin = if name == "." { String::from(".") } else { format!("{name}.") };
        std::fs::write(
            folder.join(format!("{file}.zone")),
            format!("$ORIGIN {origin}\n$TTL 300\n{head}{records}"),
        )
        .unwrap();
    }
    shell(
        folder,
        "new() { ldns-keygen -a ECDSAP256SHA256 -k \"$1\"; }
         k=$(new s.test); ldns-signzone -n -f s.test.signed s.test.zone $k; cat $k.ds >> test.zone
         k=$(new b.test); ldns-signzone -n -f b.test.signed b.test.zone $k; cat $k.ds >> test.zone
         sed -i -E 's/^(mx\\.b\\.test\\..*[[:space:]]A[[:space:]]+)127\\.0\\.1\\.1$/\\1127.0.1.2/
                    s/^(tlsa\\.b\\.test\\..*TLSA[[:space:]]+3 1 )1/\\12/
                    s/^(bogus\\.b\\.test\\..*MX[[:space:]]+)10/\\111/' b.test.signed
         k=$(new e.test); ldns-signzone -n -i 20200101000000 -e 20200201000000 -f e.test.signed e.test.zone $k; cat $k.ds >> test.zone
         cp i.test.zone i.test.signed
         k=$(new test); ldns-signzone -n -f test.signed test.zone $k; cat $k.ds >> root.zone
         k=$(new .); ldns-signzone -n -f root.signed root.zone $k; cp $k.key anchor.key",
    );
    let zones = [
        (".", "root"),
        ("test", "test"),
        ("s.test", "s.test"),
        ("i.test", "i.test"),
        ("b.test", "b.test"),
        ("e.test", "e.test"),
    ];
    let home = folder.display();
    let mut configuration = format!(
        "server:\n  directory: \"{home}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"{home}/unbound.pid\"\n  \
         logfile: \"{home}/unbound.log\"\n  use-syslog: no\n  do-ip6: no\n  interface: 127.0.0.1@53\n  \
         access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n  module-config: \"validator iterator\"\n  \
         trust-anchor-file: \"{home}/anchor.key\"\n  local-zone: \"test.\" nodefault\n  val-log-level: 2\n\
         remote-control:\n  control-enable: no\n"
    );
    for (name, file) in zones {
        configuration.push_str(&format!(
            "auth-zone:\n  name: \"{name}\"\n  zonefile: \"{home}/{file}.signed\"\n  for-downstream: no\n  \
             for-upstream: yes\n  fallback-enabled: no\n"
        ));
    }
    std::fs::write(folder.join("unbound.conf"), configuration).unwrap();
}

/// Starts unbound, and waits until it answers.
pub(super) fn serve(folder: &Path) -> Live {
    let live = Live::start(Command::new("unbound").args(["-d", "-c"]).arg(folder.join("unbound.conf")));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let deadline = Instant::now() + DEADLINE;
    // NS of the root, with AD.
    let question = [0, 1, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let mut reply = [0; 512];
    loop {
        let sent = socket.send_to(&question, "127.0.0.1:53");
        if sent.is_ok() && socket.recv(&mut reply).is_ok() && reply[3] & 0x2f == 0x20 {
            return live;
        }
        assert!(Instant::now() < deadline, "unbound does not answer:\n{}\n{}", live.stderr(), log(folder));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns the last lines of unbound's log.
pub(super) fn log(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("unbound.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
