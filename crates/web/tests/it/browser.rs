//! The pages in a browser.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use starttls::proto::smtp::SMTP;
use starttls_lab::{Lab, Options as LabOptions};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::site::{Options, Site, run};

const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the DOM of a page in Chromium, and what its console says about refused parts of the page.
async fn opened(url: &str, options: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .args(["--enable-logging=stderr", "--dump-dom"])
        .args(options)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("chromium is not installed: cargo xtask setup");
    let (mut stdout, mut stderr) = (browser.stdout.take().unwrap(), browser.stderr.take().unwrap());
    let (mut dom, mut log) = (String::new(), Vec::new());
    let reading = async { tokio::join!(stdout.read_to_string(&mut dom), stderr.read_to_end(&mut log)) };
    tokio::time::timeout(DEADLINE, reading).await.expect("the browser took too long").0.unwrap();
    browser.kill().await.unwrap();
    let log = String::from_utf8_lossy(&log).into_owned();
    let refused =
        log.lines().filter(|line| line.contains("Content Security Policy") || line.contains("TypeError"));
    (dom, refused.map(str::to_owned).collect())
}

fn smtp_port(lab: &Lab) -> u16 {
    lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit).unwrap().address.port()
}

/// Opens the page of a run while it is in progress. The server of the run keeps its connections without an answer until the
/// browser follows the run, and then closes them. Returns the DOM.
async fn followed(suffix: &str) -> String {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let keeping = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(connection) = server.accept().await {
            kept.push(connection);
        }
    });
    let site =
        Site::start(Options { ports: vec![port], allowed: vec!["127.0.0.0/8"], ..Options::default() }).await;
    let started = site.post("/check", &format!("target=smtp://127.0.0.1:{port}")).await;
    let path = &started.headers["location"];
    let page = site.get(path).await.body;
    assert!(
        page.contains(&format!("<noscript><meta http-equiv=\"refresh\" content=\"0; url={path}/live\"")),
        "{page}"
    );
    let url = format!("http://{}{path}{suffix}", site.address);
    let following = async {
        while !site.get("/metrics").await.body.contains("starttls_web_viewers 1\n") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Dropping the task closes its connections.
        keeping.abort();
    };
    let ((dom, refused), ()) = tokio::join!(opened(&url, &[]), following);
    assert_eq!(refused, "");
    dom
}

#[test]
fn the_page_that_grows_ends_with_a_link_to_the_report() {
    run(async {
        let dom = followed("/live").await;
        assert!(dom.contains("Finished: see the report") && dom.contains("connection 1: "), "{dom}");
    });
}

#[test]
fn no_page_violates_its_policy_or_a_rule_of_accessibility() {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/axe-core/package/axe.min.js");
    let axe = std::fs::read_to_string(&axe)
        .unwrap_or_else(|_| panic!("{} is missing: cargo xtask setup", axe.display()))
        .replace("</script", "<\\/script");
    run(async move {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let port = smtp_port(&lab);
        let options = Options {
            root: lab.ca_pem(),
            ports: vec![port],
            allowed: vec!["127.0.0.0/8"],
            ..Options::default()
        };
        let site = Site::start(options).await;
        let report = site.audited(&format!("smtp://127.0.0.1:{port}")).await;
        let history = format!("/t/smtp%3A%2F%2F127.0.0.1%3A{port}");
        for path in
            ["/", "/about", "/none", &report, &history, &format!("/compare?a={0}&b={0}", &report[3..])]
        {
            let (_, refused) = opened(&format!("http://{}{path}", site.address), &[]).await;
            assert_eq!(refused, "", "{path}");
            let page = examined(&site, path, &axe).await;
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("page.html");
            std::fs::write(&file, page).unwrap();
            let url = format!("file://{}", file.display());
            let (dom, _) = opened(&url, &["--virtual-time-budget=30000"]).await;
            assert!(dom.contains("<title>violations: </title>"), "{path}: {:?}", dom.get(..300));
        }
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    });
}

/// Returns a page with its style inside and a script that counts the violations of WCAG 2.2 A and AA. Its title is the result.
async fn examined(site: &Site, path: &str, axe: &str) -> String {
    let page = site.get(path).await.body;
    let link = page.split('<').find(|tag| tag.starts_with("link ")).unwrap();
    let style = site.get(link.split('"').find(|it| it.starts_with("/assets/")).unwrap()).await.body;
    let (link, _) = link.split_once('>').unwrap();
    let script = format!(
        "<script>{axe}</script><script>axe.run(document, {{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', \
        'best-practice'] }}).then(result => {{ document.title = result.passes.length < 15 ? 'too few rules' : \
        'violations: ' + result.violations.map(it => it.id + ' ' + it.nodes[0].target).join(', '); }});</script></body>"
    );
    page.replace(&format!("<{link}>"), &format!("<style>{style}</style>")).replace("</body>", &script)
}
