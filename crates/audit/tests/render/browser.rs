//! The HTML page in a browser.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use starttls_audit::filter::is_wrong;
use starttls_audit::render::html;
use starttls_audit::report::{AuditReport, Finding};

use crate::{hostile, sample};

const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the DOM of a page in Chromium, which is stopped after [`DEADLINE`].
fn dom(page: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, page).unwrap();
    let mut browser = chromium(folder.path())
        .arg("--dump-dom")
        .arg(format!("file://{}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium is not installed: apt-get install chromium");
    let mut stdout = browser.stdout.take().unwrap();
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        let mut dom = String::new();
        let read = stdout.read_to_string(&mut dom).map(|_| dom);
        let _ = done.send(read);
    });
    let dom = finished.recv_timeout(DEADLINE);
    let _ = browser.kill();
    browser.wait().unwrap();
    dom.expect("the browser took too long").unwrap()
}

fn chromium(folder: &Path) -> Command {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command
}

/// Returns the tags of the elements with this attribute.
fn tags<'a>(dom: &'a str, attribute: &str) -> Vec<&'a str> {
    dom.split('<').filter_map(|rest| rest.split('>').next()).filter(|tag| tag.contains(attribute)).collect()
}

fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let value = tag.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {tag}")).1;
    value.split('"').next().unwrap()
}

fn findings(report: &AuditReport) -> impl Iterator<Item = &Finding> {
    report.endpoints.iter().flat_map(|endpoint| &endpoint.findings)
}

#[test]
fn the_findings_can_be_read_from_the_page() {
    let report = sample::all();
    let dom = dom(&html::render(&report));
    let mut shown: Vec<_> = tags(&dom, " data-check=")
        .into_iter()
        .map(|tag| (attribute(tag, "data-check").to_owned(), attribute(tag, "data-outcome").to_owned()))
        .collect();
    let mut expected: Vec<_> = findings(&report)
        .map(|finding| {
            let outcome = serde_json::to_value(finding.outcome).unwrap();
            (finding.id.clone(), outcome.as_str().unwrap().to_owned())
        })
        .collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
    for finding in findings(&report).filter(|finding| is_wrong(finding)) {
        assert!(dom.contains(&finding.summary), "{}", finding.summary);
    }
    let boundaries = tags(&dom, "class=\"boundary").len();
    assert!(boundaries >= 3, "expected a boundary for each connection that reached TLS, found {boundaries}");
}

#[test]
fn every_link_refers_to_an_id_of_the_page() {
    let dom = dom(&html::render(&sample::all()));
    let ids: Vec<_> = tags(&dom, " id=\"").into_iter().map(|tag| attribute(tag, "id")).collect();
    let links: Vec<_> = tags(&dom, " href=").into_iter().map(|tag| attribute(tag, "href")).collect();
    assert!(!links.is_empty());
    for link in links {
        let id = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leaves the page"));
        assert!(ids.contains(&id), "{link} has no target");
    }
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "ids are unique");
    for loading in ["http:", "https:", " src=", "url(", "@import", "<link", "<script", "<iframe", "<object"] {
        assert!(!dom.contains(loading), "{loading} in the page");
    }
}

#[test]
fn the_browser_shows_hostile_text_as_text() {
    let report = hostile::hostile();
    let dom = dom(&html::render(&report));
    assert_eq!(tags(&dom, " data-check=").len(), findings(&report).count());
    for element in ["<script", "<img", "<a href=\"http"] {
        assert!(!dom.contains(element), "{element} in the page");
    }
}

/// The policy of the page stops this script; without the policy, the script changes the title.
#[test]
fn the_policy_of_the_page_stops_scripts() {
    let page = html::render(&sample::all());
    let script = "<script>document.title = 'run'</script></body>";
    let with_policy = dom(&page.replace("</body>", script));
    assert!(!with_policy.contains("<title>run</title>"));
    let policy = page.lines().find(|line| line.contains("Content-Security-Policy")).unwrap();
    let without_policy = dom(&page.replace(policy, "").replace("</body>", script));
    assert!(without_policy.contains("<title>run</title>"), "the browser does not run scripts");
}
