//! The HTML page in a browser.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use starttls_audit::filter::is_wrong;
use starttls_audit::render::html;
use starttls_audit::report::{AuditReport, Finding};
use starttls_report::Language;

use crate::{hostile, sample};

const DEADLINE: Duration = Duration::from_secs(180);

/// Returns the DOM of a page in Chromium.
fn dom(page: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path(), page, "--dump-dom")
}

/// Returns the number of pages that Chromium prints.
fn printed_pages(page: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.pdf");
    opened(folder.path(), page, &format!("--print-to-pdf={}", path.display()));
    let pdf = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    pdf.matches("/Type /Page\n").count()
}

/// Opens a page in Chromium, which is stopped after [`DEADLINE`], and returns its output.
fn opened(folder: &Path, page: &str, action: &str) -> String {
    let path = folder.join("report.html");
    std::fs::write(&path, page).unwrap();
    let mut browser = chromium(folder)
        .arg(action)
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
    let dom = dom(&html::render(&report, Language::English));
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
    let dom = dom(&html::render(&sample::all(), Language::English));
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
    let dom = dom(&html::render(&report, Language::English));
    assert_eq!(tags(&dom, " data-check=").len(), findings(&report).count());
    for element in ["<script", "<img", "<a href=\"http"] {
        assert!(!dom.contains(element), "{element} in the page");
    }
}

/// Returns a page with this report in a frame of this width. Its title is what the script returns, which knows the frame's
/// document as `page`.
fn framed(report: &str, width: u32, script: &str) -> String {
    let report = report.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!DOCTYPE html><title>nothing</title><iframe width=\"{width}\" height=\"800\" srcdoc=\"{report}\"></iframe>\
        <script>onload = () => {{ const page = frames[0].document; document.title = (() => {{ {script} }})(); }};</script>"
    )
}

fn title(dom: &str) -> &str {
    dom.split_once("<title>").unwrap().1.split('<').next().unwrap()
}

const OVERFLOW: &str = "for (const it of page.querySelectorAll('details')) it.open = true; \
    const width = page.documentElement.clientWidth; \
    if (page.documentElement.scrollWidth <= width) return 'fits'; \
    return [...page.querySelectorAll('*')].filter(it => it.getBoundingClientRect().right > width + 1) \
        .map(it => it.tagName + '.' + it.className).join(' ');";

/// WCAG 2.2 criterion 1.4.10, with every part of the page open.
#[test]
fn no_page_scrolls_horizontally() {
    for report in [sample::all(), hostile::hostile(), nine()] {
        for width in [320, 900] {
            let dom = dom(&framed(&html::render(&report, Language::English), width, OVERFLOW));
            assert_eq!(title(&dom), "fits", "at {width} px");
        }
    }
}

/// Returns a report of nine endpoints.
fn nine() -> AuditReport {
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.extend([sample::sound(), sample::wrong(), sample::throttled()]);
    }
    sample::report(endpoints)
}

#[test]
fn nine_endpoints_print_on_at_most_nine_pages() {
    let pages = printed_pages(&html::render(&nine(), Language::English));
    assert!((1..=9).contains(&pages), "{pages} pages");
    assert!(printed_pages(&html::render(&sample::report(vec![sample::wrong()]), Language::English)) <= 2);
}

#[test]
fn what_is_wrong_is_first_and_sound_endpoints_are_last() {
    let dom = dom(&html::render(&sample::all(), Language::English));
    let verdicts: Vec<_> =
        tags(&dom, " data-verdict=").into_iter().map(|tag| attribute(tag, "data-verdict")).collect();
    assert_eq!(verdicts, ["findings", "inconclusive", "sound"]);
    let summary = dom.split("class=\"endpoint\"").next().unwrap();
    for part in ["critical", "2031-04-05 12:00:00 UTC", "starttls 0.1.0", "submission://mail.example.com"] {
        assert!(summary.contains(part), "{part} is in the summary");
    }
}

#[test]
fn the_picture_shows_what_crossed_the_boundary() {
    let dom = dom(&html::render(&sample::report(vec![sample::wrong()]), Language::English));
    assert!(dom.contains("<svg class=\"sequence\"") && dom.contains("crossed: srv-inject-eager"), "{dom}");
    // Styles in elements are against the policy of the page.
    assert!(!dom.contains(" style="));
}

/// The policy of the page stops this script; without the policy, the script changes the title.
#[test]
fn the_policy_of_the_page_stops_scripts() {
    let page = html::render(&sample::all(), Language::English);
    let script = "<script>document.title = 'run'</script></body>";
    let with_policy = dom(&page.replace("</body>", script));
    assert!(!with_policy.contains("<title>run</title>"));
    let policy = page.lines().find(|line| line.contains("Content-Security-Policy")).unwrap();
    let without_policy = dom(&page.replace(policy, "").replace("</body>", script));
    assert!(without_policy.contains("<title>run</title>"), "the browser does not run scripts");
}
