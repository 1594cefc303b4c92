//! FreeRDP.

use starttls_testkit::display::Display;

use crate::client::{Said, client};
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "xfreerdp verifies and reaches the login window", protocol: "rdp", talk: login_window },
    Talk { name: "xfreerdp without TLS, or with NLA only, is refused", protocol: "rdp", talk: refused },
    Talk { name: "xfreerdp does not accept another name", protocol: "rdp", talk: another_name },
];

/// Runs xfreerdp up to the login window. Its certificates are those in the CA file.
fn xfreerdp(visit: &Visit<'_>, args: &[&str]) -> Said {
    let display = Display::start().unwrap();
    client("xfreerdp", "freerdp2-x11")
        .env("DISPLAY", display.name())
        .env("HOME", display.home())
        .env("SSL_CERT_FILE", &visit.ca_file)
        .args([format!("/v:localhost:{}", visit.port)])
        // By default it waits for 9 s, which is too short on a busy machine.
        .args(["/u:test", "/p:test", "/cert:deny", "+auth-only", "/timeout:20000"])
        .args(args)
        .run()
}

fn login_window(visit: &Visit<'_>) {
    // By default the client requests TLS and CredSSP, and the gateway selects TLS.
    for args in [&[][..], &["/sec:tls"]] {
        xfreerdp(visit, args).with(&[]);
    }
}

fn refused(visit: &Visit<'_>) {
    // A client that insists on CredSSP requests TLS too, and leaves when the gateway selects that.
    let ends = [
        ("/sec:rdp", ": connection request for Standard RDP Security"),
        ("/sec:nla", "broke, waiting for the TLS handshake"),
    ];
    for (security, expected) in ends {
        assert!(!xfreerdp(visit, &[security]).ok, "{security}");
        let session = visit.ended();
        assert_eq!((session.front, session.upstream), (false, None), "{security}: {session:?}");
        assert!(session.failure.as_ref().is_some_and(|it| it.ends_with(expected)), "{session:?}");
    }
    // The client itself is in order.
    xfreerdp(visit, &["/sec:tls"]).with(&[]);
}

fn another_name(visit: &Visit<'_>) {
    let said = xfreerdp(visit, &["/cert:deny,name:elsewhere.example.com"]);
    assert!(!said.ok, "{}", said.out);
    visit.ended();
    xfreerdp(visit, &[]).with(&[]);
}
