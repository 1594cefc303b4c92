//! The pages in a browser.

use std::net::SocketAddr;
use std::path::Path;

use starttls::proto::smtp::SMTP;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use starttls_lab::{Lab, Options as LabOptions};
use starttls_web::ApiKeys;

use crate::devtools::{Browser, LOOKS, Look};
use crate::gate::Gate;
use crate::site::{Options, Site, run};

/// More connections than an audit opens.
const ALL: usize = 1000;

fn smtp(lab: &Lab) -> SocketAddr {
    lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit).unwrap().address
}

/// A sound server, a [`Gate`] in front of it that the test opens, and a service that audits the server.
struct Scene {
    lab: Lab,
    gate: Gate,
    site: Site,
    target: String,
}

impl Scene {
    async fn start() -> Self {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let gate = Gate::start(smtp(&lab)).await;
        let port = gate.address.port();
        let (root, allowed) = (lab.ca_pem(), vec!["127.0.0.0/8"]);
        let site = Site::start(Options { root, ports: vec![port], allowed, ..Options::default() }).await;
        Self { lab, gate, site, target: format!("smtp://127.0.0.1:{port}") }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.site.address)
    }

    /// Starts an audit, whose first connection waits at the gate. Returns its path.
    async fn started(&self) -> String {
        let started = self.site.post("/check", &format!("target={}", self.target)).await;
        started.headers["location"].clone()
    }

    async fn end(self) {
        let lab = self.lab;
        // The lab waits for its threads.
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    }
}

const IS_REPORT: &str = "document.querySelector('.summary') !== null && document.title.startsWith('sound')";
/// Whether the conversation of the first connection has arrived, up to its part inside TLS.
const IS_FOLLOWED: &str =
    "[...document.querySelectorAll('.who')].some(it => it.textContent.includes('server, inside TLS'))";

#[test]
fn a_visitor_follows_an_audit_from_the_form_to_its_link() {
    run(async {
        let (scene, mut browser) = (Scene::start().await, Browser::start().await);
        browser.open(&scene.url("/")).await;
        browser.enter("#target", &scene.target).await;
        browser.until("location.pathname.startsWith('/r/')").await;
        let path = browser.text("location.pathname").await;
        browser.until("document.querySelector('#log h2') !== null").await;
        scene.gate.pass(1);
        browser.until(IS_FOLLOWED).await;
        scene.gate.pass(ALL);
        browser.until(IS_REPORT).await;
        assert_eq!(browser.text("location.pathname").await, path);
        // The report replaces the live page in the history of the browser.
        browser.evaluate("history.back()").await.unwrap();
        browser.until("location.pathname === '/' && document.querySelector('#target') !== null").await;
        browser.open(&scene.url(&path)).await;
        browser.until(IS_REPORT).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.close().await;
        scene.end().await;
    });
}

#[test]
fn a_visitor_without_scripts_follows_an_audit_too() {
    run(async {
        let (scene, mut browser) = (Scene::start().await, Browser::start().await);
        browser.set_scripts(false).await;
        browser.open(&scene.url("/")).await;
        browser.enter("#target", &scene.target).await;
        browser.until("location.pathname.endsWith('/live')").await;
        scene.gate.pass(1);
        browser.until(IS_FOLLOWED).await;
        scene.gate.pass(ALL);
        browser.until("document.body.textContent.includes('Finished: see the report')").await;
        // axe is a script. The page stays as it was loaded.
        browser.set_scripts(true).await;
        assert_eq!(examined(&mut browser, "the page that grew", &axe(), LOOKS).await, Vec::<String>::new());
        browser.set_scripts(false).await;
        browser.click("Finished: see the report").await;
        browser.until(IS_REPORT).await;
        browser.click("Run again").await;
        browser.until("location.pathname.startsWith('/r/')").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.close().await;
        scene.end().await;
    });
}

#[test]
fn a_visitor_stops_an_audit() {
    run(async {
        let (scene, mut browser) = (Scene::start().await, Browser::start().await);
        for scripts in [true, false] {
            browser.set_scripts(scripts).await;
            browser.open(&scene.url("/")).await;
            browser.enter("#target", &scene.target).await;
            browser.until("document.body.textContent.includes('onnection 1')").await;
            browser.click("Stop this audit").await;
            browser.until("document.body.textContent.includes('stopped before it was finished')").await;
            assert_eq!(browser.evaluate("document.title.startsWith('inconclusive')").await.unwrap(), true);
        }
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.close().await;
        scene.end().await;
    });
}

/// The browser names the last event that it has, and receives the others.
#[test]
fn a_page_that_loses_its_connection_continues() {
    run(async {
        let (scene, mut browser) = (Scene::start().await, Browser::start().await);
        let door = Gate::start(scene.site.address).await;
        door.pass(ALL);
        let path = scene.started().await;
        browser.open(&format!("http://{}{path}", door.address)).await;
        scene.gate.pass(1);
        browser.until(IS_FOLLOWED).await;
        door.hold();
        door.cut();
        browser.until("document.querySelector('#status').textContent.includes('lost')").await;
        door.pass(ALL);
        scene.gate.pass(2);
        browser.until("document.querySelectorAll('#log details').length >= 3").await;
        let headings = "document.querySelectorAll('#log h2').length";
        assert_eq!(browser.evaluate(headings).await.unwrap(), 1);
        let first = "[...document.querySelectorAll('#log summary')].filter(it => it.textContent.startsWith('Connection 1:')).length";
        assert_eq!(browser.evaluate(first).await.unwrap(), 1);
        let greetings = "document.querySelectorAll('#log details:first-of-type .server.clear').length";
        let before = browser.evaluate(greetings).await.unwrap();
        scene.gate.pass(ALL);
        browser.until(IS_REPORT).await;
        assert!(before.as_u64().unwrap() > 0);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.close().await;
        scene.end().await;
    });
}

/// Returns what is wrong with the open page.
async fn examined(browser: &mut Browser, name: &str, axe: &str, looks: &[Look]) -> Vec<String> {
    let mut problems = browser.complaints().await;
    for look in looks {
        browser.set_look(look).await;
        problems.extend(browser.violations(axe).await.into_iter().map(|it| format!("{}: {it}", look.name)));
        let is_wide = "document.documentElement.scrollWidth > innerWidth";
        if browser.evaluate(is_wide).await.unwrap() == true {
            problems.push(format!("{}: it is too wide", look.name));
        }
    }
    problems.into_iter().map(|it| format!("{name}: {it}")).collect()
}

/// Returns the source of axe-core.
fn axe() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/axe-core/package/axe.min.js");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("{} is missing: cargo xtask setup", path.display()))
}

/// Every page in every look, with scripts and without.
#[test]
fn no_page_violates_its_policy_or_a_rule_of_accessibility() {
    let axe = axe();
    run(async move {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let rogue = Rogue::start(&SMTP, Weakness::Eager, &Authority::new().unwrap()).unwrap();
        let gate = Gate::start(smtp(&lab)).await;
        let ports = [smtp(&lab), rogue.address(), gate.address].map(|address| address.port());
        let [sound, weak, _] = ports.map(|port| format!("smtp://127.0.0.1:{port}"));
        let holder = ApiKeys::default().create("holder").unwrap();
        let options = Options {
            root: lab.ca_pem(),
            ports: ports.to_vec(),
            allowed: vec!["127.0.0.0/8"],
            keys: &holder.line,
            ..Options::default()
        };
        let site = Site::start(options).await;
        let authorization = format!("Authorization: Bearer {}\r\n", holder.key);
        let targets = "{\"targets\": [\"smtp://10.0.0.1\", \"no target\"]}";
        let bulk = site.post_with("/api/v1/bulk", targets, &authorization).await;
        let bulk = bulk.headers["location"].replace("/api/v1/bulk/", "/b/");
        let good = site.audited(&sound).await;
        let [older, bad] = [site.audited(&weak).await, site.audited(&weak).await];
        let refused = site.audited("smtp://10.0.0.1").await;
        let history = format!("/t/smtp%3A%2F%2F127.0.0.1%3A{}", ports[1]);
        let compared = format!("/compare?a={}&b={}", &older[3..], &bad[3..]);
        let complete = format!("{good}/transcripts");
        let pages: [&str; 12] = [
            "/",
            "/?target=example.com",
            "/about",
            "/none",
            &good,
            &complete,
            &bad,
            &refused,
            &history,
            "/t/example.com",
            &compared,
            &bulk,
        ];
        let url = |path: &str| format!("http://{}{path}", site.address);
        let mut browser = Browser::start().await;
        let mut problems = Vec::new();
        let running = site.post("/check", &format!("target=smtp://127.0.0.1:{}", ports[2])).await;
        browser.open(&url(&running.headers["location"])).await;
        browser.until("document.querySelector('#log h2') !== null").await;
        problems.extend(examined(&mut browser, "a run in progress", &axe, LOOKS).await);
        browser.open(&url("/")).await;
        browser.enter("#target", "localhost").await;
        browser.until("document.title.startsWith('Error')").await;
        problems.extend(examined(&mut browser, "an error in the form", &axe, LOOKS).await);
        for path in pages {
            browser.open(&url(path)).await;
            problems.extend(examined(&mut browser, path, &axe, LOOKS).await);
        }
        // The other languages have longer words, which narrow screens show.
        for language in ["de", "fr", "es"] {
            for path in pages {
                let separator = if path.contains('?') { '&' } else { '?' };
                let path = format!("{path}{separator}lang={language}");
                browser.set_scripts(false).await;
                browser.open(&url(&path)).await;
                // axe is a script. The page stays as it was loaded.
                browser.set_scripts(true).await;
                problems.extend(examined(&mut browser, &path, &axe, &LOOKS[1..2]).await);
            }
        }
        assert_eq!(problems, Vec::<String>::new());
        browser.close().await;
        tokio::task::spawn_blocking(move || drop((lab, rogue))).await.unwrap();
    });
}
