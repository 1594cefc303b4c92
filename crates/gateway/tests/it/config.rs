//! The values that result from a configuration.

use std::net::IpAddr;
use std::time::Duration;

use starttls_gateway::Config;
use starttls_gateway::config::{
    Arguments, BackendAddress, Downstream, ListenAddress, Log, NotAdmitted, ProxyVersion, SecretSource,
    TlsStart, UpgradePolicy,
};
use starttls_lab::ca::{Leaf, Usage};

use crate::folder::Folder;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn everything_at_once() {
    let folder = Folder::new();
    let config = folder
        .parse(
            r#"
drain = "1m"
log = "/var/log/gateway.json"
metrics = "127.0.0.1:9464"

[limits]
connections = 500
idle = "1h"

[[listener]]
name = "mx"
listen = "smtp+starttls://:25"
starttls = "optional"
certificates = "DIR/live"
proxy-from = ["192.0.2.7"]
limits = { connections = 100 }
forward = ["smtp://127.0.0.1:2525", { url = "smtp+starttls://[2001:db8::1]:25", server-name = "mx.example.com", ca-file = "DIR/root.pem", send-proxy = "v2" }]

[[listener]]
listen = "imaps://192.0.2.1"
cert = "DIR/mail.pem"
key = "DIR/mail.key"

[[listener.route]]
names = ["a.example.com", "*.b.example.com"]
forward = "imap://unix:/run/imap"

[[listener]]
listen = "smtp://localhost:2525"

[listener.forward]
url = "submission+starttls://smtp.example.com"
login = { user = "device@example.com", mechanism = "xoauth2", password-command = ["token", "device"] }
"#,
        )
        .unwrap();
    assert_eq!((config.connections, config.drain), (500, Duration::from_secs(60)));
    assert_eq!(config.log, Log::File("/var/log/gateway.json".into()));
    assert_eq!(config.metrics, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(config.warnings, Vec::<String>::new());
    let [mx, imaps, device] = &config.listeners[..] else { panic!("{config:?}") };

    assert_eq!((mx.name.as_str(), mx.protocol.name), ("mx", "smtp"));
    assert_eq!(mx.address, ListenAddress::Tcp("[::]:25".parse().unwrap()));
    assert!(matches!(mx.downstream, Downstream::Upgrade(UpgradePolicy::Optional, _)));
    assert_eq!((mx.limits.connections, mx.limits.idle), (100, Duration::from_secs(3600)));
    assert!(mx.expects_proxy_header(ip("192.0.2.7")) && !mx.expects_proxy_header(ip("192.0.2.8")));
    assert!(mx.admits(Some(ip("192.0.2.8"))) && mx.admits(None));
    let [first, second] = &mx.default_route().unwrap().backends[..] else { panic!("{mx:?}") };
    assert_eq!(first.to_string(), "smtp://127.0.0.1:2525");
    assert_eq!(second.to_string(), "smtp+starttls://[2001:db8::1]:25");
    assert_eq!(second.tls().unwrap().server_name, "mx.example.com");
    assert_eq!((first.send_proxy, second.send_proxy), (None, Some(ProxyVersion::V2)));

    assert_eq!(imaps.name, "imaps://192.0.2.1:993");
    assert!(matches!(imaps.downstream, Downstream::Implicit(_)));
    assert!(imaps.default_route().is_none());
    let route = imaps.admit(Some("x.b.example.com"), &[]).unwrap();
    assert!(matches!(route.backends[0].tls_start, TlsStart::Cleartext));
    assert_eq!(route.backends[0].place, BackendAddress::Unix("/run/imap".into()));
    for other in [Some("mail.example.com"), None] {
        assert!(matches!(imaps.admit(other, &[]), Err(NotAdmitted::NoRoute(_))), "{other:?}");
    }

    assert!(matches!(device.downstream, Downstream::Cleartext) && device.tls().is_none());
    let backend = &device.default_route().unwrap().backends[0];
    assert_eq!(backend.place, BackendAddress::Tcp(String::from("smtp.example.com"), 587));
    let login = backend.login().unwrap();
    assert_eq!(login.user(), "device@example.com");
    assert!(matches!(login.secret(), Some(SecretSource::Command(words)) if words.len() == 2));
}

#[test]
fn the_command_line_is_one_listener() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let arguments = |listen: &str, forward: &str| Arguments {
        listen: listen.into(),
        forward: vec![forward.into()],
        certificate: Some((path("mail.pem"), path("mail.key"))),
        ..Arguments::default()
    };
    let one = |arguments| Config::from_arguments(&arguments).map(|mut config| config.listeners.remove(0));

    let bare = one(arguments(":587", "smtp://127.0.0.1:2525")).unwrap();
    assert_eq!((bare.name.as_str(), bare.protocol.name), ("submission+starttls://[::]:587", "submission"));
    assert!(matches!(bare.downstream, Downstream::Upgrade(UpgradePolicy::Required, _)));
    let implicit = one(arguments("127.0.0.1:993", "imap://localhost")).unwrap();
    assert!(matches!(implicit.downstream, Downstream::Implicit(_)));

    let error = one(arguments(":4711", "smtp://127.0.0.1:2525")).unwrap_err();
    assert_eq!(error.to_string(), "\":4711\" has no protocol");
    let error = one(arguments(":587", "smtp://192.0.2.1:2525")).unwrap_err();
    assert_eq!(error.to_string(), "the gateway would send cleartext to another machine, 192.0.2.1:2525");
    let directory = Arguments {
        certificate: None,
        directory: Some(path("live")),
        ..arguments(":587", "smtp://[::1]:2525")
    };
    assert_eq!(one(directory).unwrap().tls().unwrap().certificates.summaries().len(), 2);
}

#[test]
fn s8_a_route_admits_only_certificates_of_its_own_authority() {
    let folder = Folder::new();
    let other = Folder::empty();
    other.authority.write_to(other.path()).unwrap();
    let listener = |text: &str| folder.parse(text).unwrap().listeners.remove(0);
    let listener = listener(&format!(
        r#"
[[listener]]
listen = "imaps://127.0.0.1"
cert = "DIR/mail.pem"
key = "DIR/mail.key"
forward = "imap://127.0.0.1"
client-auth = "required"
client-ca = "DIR/root.pem"

[[listener.route]]
names = ["a.example.com"]
client-auth = "optional"
client-ca = "{}/root.pem"
forward = "imap://127.0.0.1"
"#,
        other.path().display()
    ));
    let chain = |folder: &Folder, leaf: Leaf| {
        use starttls::rustls::pki_types::{CertificateDer, pem::PemObject};
        let issued = folder.authority.issue(&Leaf { usage: Usage::Client, ..leaf }).unwrap();
        CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap()
    };
    let (ours, theirs) = (chain(&folder, Leaf::named("device")), chain(&other, Leaf::named("device")));
    let expired =
        Leaf { not_after: std::time::SystemTime::now() - Duration::from_secs(60), ..Leaf::named("device") };
    let expired = chain(&folder, expired);

    assert!(listener.admit(None, &ours).is_ok());
    assert!(matches!(listener.admit(None, &theirs), Err(NotAdmitted::Certificate(_))));
    // A resumed session can present a certificate that has expired meanwhile.
    assert!(matches!(listener.admit(None, &expired), Err(NotAdmitted::Certificate(_))));
    assert!(matches!(listener.admit(None, &[]), Err(NotAdmitted::NoCertificate)));
    let named = Some("a.example.com");
    assert!(listener.admit(named, &theirs).is_ok() && listener.admit(named, &[]).is_ok());
    assert!(matches!(listener.admit(named, &ours), Err(NotAdmitted::Certificate(_))));
}

#[tokio::test]
async fn secrets_are_first_lines() {
    let folder = Folder::new();
    let file = |name: &str| SecretSource::File(folder.path().join(name));
    let command = |text: &str| SecretSource::Command(["sh", "-c", text].map(String::from).into());
    assert_eq!(file("password").read().await.unwrap(), "secret");
    assert_eq!(command("printf 'token\\r\\nmore\\n'").read().await.unwrap(), "token");
    for bad in [command("exit 1"), command("true"), command("printf '\\033[31m'"), file("none")] {
        let error = bad.read().await.unwrap_err().to_string();
        assert!(!error.contains('\x1b'), "{error}");
    }
}

#[test]
fn what_works_and_should_not_stay_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let open = |name: &str| {
        std::fs::set_permissions(folder.path().join(name), PermissionsExt::from_mode(0o644)).unwrap();
    };
    let past = std::time::SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60 + 60);
    let expired = folder.authority.issue(&Leaf { not_after: past, ..Leaf::default() }).unwrap();
    expired.write_to(folder.path(), "old").unwrap();
    open("password");
    open("mail.key");
    let text = r#"
[[listener]]
listen = "smtps://127.0.0.1"
cert = "DIR/mail.pem"
key = "DIR/mail.key"
forward = [
    { url = "smtp+starttls://smtp.example.com", insecure = true },
    { url = "smtps://smtp.example.com", login = { user = "me", password-file = "DIR/password" } },
]
[[listener]]
listen = "imaps://127.0.0.1"
cert = "DIR/old.pem"
key = "DIR/old.key"
forward = "imap://127.0.0.1"
[[listener]]
name = "sql"
listen = "postgres+starttls://:5432"
cert = "DIR/mail.pem"
key = "DIR/mail.key"
forward = { url = "postgres+starttls://db.example.com", cert = "DIR/mail.pem", key = "DIR/mail.key" }
"#;
    let warnings = folder.parse(text).unwrap().warnings.join("\n");
    let (_, after) = warnings.split_once("expired on ").unwrap();
    let date = after.lines().next().unwrap();
    assert!(starttls_x509::validity::unix(date).is_some(), "{date}");
    // The listeners share a key, and its warning appears only once.
    assert_eq!(
        warnings.replace(folder.path().to_str().unwrap(), "DIR").replace(date, "DATE"),
        "the key DIR/mail.key is accessible to every user: run chmod o-rwx DIR/mail.key\n\
         the certificate of smtp+starttls://smtp.example.com:25 is not verified (insecure): an attacker can impersonate it\n\
         the password file DIR/password is accessible to every user: run chmod o-rwx DIR/password\n\
         the certificate DIR/old.pem expired on DATE\n\
         the certificate DIR/old.pem has no host name (subject alternative name)\n\
         the gateway presents its certificate to postgres+starttls://db.example.com:5432 for every client of sql. \
         If the backend logs in by certificate, every client acts as the gateway: set \"allow\" to the networks that \
         may connect"
    );
}
