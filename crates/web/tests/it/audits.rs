//! Audits from the form to the report.

use std::time::{Duration, Instant};

use starttls::proto::smtp::SMTP;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use starttls_lab::{Lab, Options as LabOptions};
use tokio::net::TcpListener;

use crate::site::{Options, Site, run};

const LOOPBACK: &str = "127.0.0.0/8";

/// Returns the port of the lab's SMTP server.
fn smtp_port(lab: &Lab) -> u16 {
    let smtp = lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit);
    smtp.unwrap().address.port()
}

/// Starts a service that audits servers on these loopback ports and trusts the lab.
async fn site(lab: &Lab, ports: Vec<u16>) -> Site {
    Site::start(Options { root: lab.ca_pem(), ports, allowed: vec![LOOPBACK], ..Options::default() }).await
}

#[test]
fn an_audit_is_followed_and_its_report_stays() {
    run(async {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let port = smtp_port(&lab);
        let site = site(&lab, vec![port]).await;
        let home = site.get("/").await;
        assert!(
            home.status == 200 && home.body.contains("<form method=\"post\" action=\"/check\">"),
            "{home:?}"
        );
        let started =
            site.post("/check", &format!("target=smtp%3A%2F%2F127.0.0.1%3A{port}&preset=quick")).await;
        assert_eq!(started.status, 303);
        let path = started.headers["location"].as_str();
        let live = site.get(&format!("{path}/live")).await;
        if live.status == 200 {
            assert!(
                live.body.contains("STARTTLS") && live.body.contains("Finished: see the report"),
                "{live:?}"
            );
        }
        let report = site.get(path).await;
        assert_eq!(report.status, 200);
        for part in ["class=\"sequence\"", "TLS starts here", "EHLO", "Run again", "History of this target"] {
            assert!(report.body.contains(part), "{part}: {}", report.body);
        }
        let complete = site.get(&format!("{path}/transcripts")).await.body;
        assert!(
            complete.matches("class=\"transcript\"").count()
                >= report.body.matches("class=\"transcript\"").count()
        );
        for (extension, part) in [
            ("html", "<style>"),
            ("json", "\"schema_version\""),
            ("txt", "smtp://127.0.0.1"),
            ("csv", "smtp"),
            ("sarif", "2.1.0"),
            ("xml", "<testsuites"),
        ] {
            let other = site.get(&format!("{path}.{extension}")).await;
            assert!(other.status == 200 && other.body.contains(part), "{extension}: {other:?}");
        }
        let picture = site.get(&format!("{path}/conversation.svg?theme=dark")).await;
        assert_eq!(picture.headers["content-type"], "image/svg+xml");
        assert!(picture.body.starts_with("<svg") && picture.body.contains("#12161c"), "{picture:?}");
        // The same target again shows the recent report.
        let again = site.post("/check", &format!("target=127.0.0.1:{port}")).await;
        assert_eq!(again.status, 422, "port {port} belongs to no protocol");
        let target = format!("target=smtp://127.0.0.1:{port}");
        let again = site.post("/check", &format!("{target}&preset=quick")).await;
        assert_eq!(again.headers["location"], path);
        // It does not answer a request for more.
        let more = site.post("/check", &target).await;
        assert_ne!(more.headers["location"], path);
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    });
}

/// A page with all transcripts is almost four times as long.
#[test]
fn a_usual_report_is_at_most_60_kb_long() {
    run(async {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let port = smtp_port(&lab);
        let site = site(&lab, vec![port]).await;
        let path = site.audited(&format!("smtp://127.0.0.1:{port}")).await;
        let report = site.get(&path).await.body;
        assert!(report.len() <= 60_000, "{} octets", report.len());
        assert_eq!(report.matches("class=\"transcript\"").count(), 1);
        // Every link of the page leads to something in it.
        for link in report.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(report.contains(&format!("id=\"{link}\"")), "{link}");
        }
        let complete = site.get(&format!("{path}/transcripts")).await.body;
        assert!(complete.matches("class=\"transcript\"").count() > 10, "{complete}");
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    });
}

#[test]
fn events_arrive_once_and_from_where_the_client_was() {
    run(async {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let port = smtp_port(&lab);
        let site = site(&lab, vec![port]).await;
        let started = site.post("/check", &format!("target=smtp://127.0.0.1:{port}")).await;
        let path = started.headers["location"].clone();
        let events = site.get(&format!("{path}/events")).await;
        assert_eq!(events.headers["content-type"], "text/event-stream");
        assert!(events.body.ends_with("event: done\ndata: {}\n\n"), "{events:?}");
        let ids: Vec<usize> =
            events.body.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
        assert_eq!(ids, (0..ids.len()).collect::<Vec<_>>());
        for part in ["\"type\":\"endpoint\"", "\"type\":\"connection\"", "\"type\":\"verdict\"", "EHLO"] {
            assert!(events.body.contains(part), "{part}");
        }
        let late = site.get(&format!("{path}/events")).await;
        assert_eq!(late.body, "event: done\ndata: {}\n\n");
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    });
}

#[test]
fn history_and_comparison_show_what_changed() {
    run(async {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let sound = smtp_port(&lab);
        let rogue = Rogue::start(&SMTP, Weakness::Eager, &Authority::new().unwrap()).unwrap();
        let port = rogue.address().port();
        let site = site(&lab, vec![sound, port]).await;
        let first = site.audited(&format!("smtp://127.0.0.1:{port}")).await;
        let second = site.audited(&format!("smtp://127.0.0.1:{port}")).await;
        assert_ne!(first, second);
        let report = site.get(&second).await;
        assert!(
            report.body.contains("srv-inject-eager") && report.body.contains("crossed: "),
            "{}",
            report.body
        );
        let history = site.get(&format!("/t/smtp%3A%2F%2F127.0.0.1%3A{port}")).await;
        assert_eq!(history.body.matches("not sound").count(), 2, "{}", history.body);
        let (a, b) = (&first[3..], &second[3..]);
        let compared = site.get(&format!("/compare?a={a}&b={b}")).await;
        // A busy machine may add a check that could not tell.
        let line = compared.body.lines().find(|line| line.contains("srv-inject-eager</code>"));
        assert!(line.is_some_and(|line| line.contains("still there: ")), "{compared:?}");
        let badge = site.get(&format!("/t/smtp%3A%2F%2F127.0.0.1%3A{port}/badge.svg")).await;
        assert!(badge.body.contains("not sound · today"), "{badge:?}");
        let listed = site.get(&format!("/api/v1/targets/smtp%3A%2F%2F127.0.0.1%3A{port}/checks")).await;
        let listed: serde_json::Value = serde_json::from_str(&listed.body).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        let probed = site.get(&format!("/probe?target=smtp://127.0.0.1:{sound}&module=quick")).await;
        assert!(probed.body.contains("protocol=\"smtp\"} 1\n"), "{probed:?}");
        assert!(probed.body.ends_with("\nstarttls_probe_timed_out 0\n"), "{probed:?}");
        assert_eq!(probed.body.matches("# TYPE probe_success ").count(), 1, "{probed:?}");
        let metrics = site.get("/metrics").await;
        assert!(metrics.body.contains("starttls_web_runs_total 2"), "{metrics:?}");
        tokio::task::spawn_blocking(move || drop((lab, rogue))).await.unwrap();
    });
}

/// Without the limit, the audit would wait 60 s for the greeting.
#[test]
fn a_probe_ends_before_prometheus_gives_up() {
    run(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let site =
            Site::start(Options { ports: vec![port], allowed: vec![LOOPBACK], ..Options::default() }).await;
        let start = Instant::now();
        let limited = |seconds: &str| {
            format!(
                "GET /probe?target=smtp://127.0.0.1:{port} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 X-Prometheus-Scrape-Timeout-Seconds: {seconds}\r\n\r\n"
            )
        };
        let probed = site.request(&limited("1.5")).await;
        assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
        assert_eq!(probed.status, 200, "{probed:?}");
        assert!(probed.body.ends_with("\nstarttls_probe_timed_out 1\n"), "{probed:?}");
        assert!(probed.body.contains("protocol=\"smtp\"} 0\n"), "{probed:?}");
        assert_eq!(site.request(&limited("soon")).await.status, 400);
    });
}

#[test]
fn the_api_starts_audits_and_returns_reports() {
    run(async {
        let rogue = Rogue::start(&SMTP, Weakness::Eager, &Authority::new().unwrap()).unwrap();
        let port = rogue.address().port();
        let site =
            Site::start(Options { ports: vec![port], allowed: vec![LOOPBACK], ..Options::default() }).await;
        let body = format!("{{\"target\":\"smtp://127.0.0.1:{port}\",\"preset\":\"quick\"}}");
        let started = site.post("/api/v1/checks", &body).await;
        assert_eq!(started.status, 202, "{started:?}");
        let location = started.headers["location"].clone();
        let page = format!("/r/{}", location.rsplit('/').next().unwrap());
        site.get(&format!("{page}/live")).await;
        let finished = site.get(&location).await;
        let check: serde_json::Value = serde_json::from_str(&finished.body).unwrap();
        assert_eq!(
            (check["state"].as_str(), check["page"].as_str()),
            (Some("finished"), Some(page.as_str()))
        );
        assert_eq!(check["report"]["schema_version"], 1);
        for (body, status) in [("{}", 400), ("no", 400), ("{\"target\":\"localhost\"}", 422)] {
            let refused = site.post("/api/v1/checks", body).await;
            assert_eq!(
                (refused.status, refused.headers["content-type"].as_str()),
                (status, "application/problem+json")
            );
        }
        assert_eq!(site.get("/api/v1/checks/none").await.status, 404);
        tokio::task::spawn_blocking(move || drop(rogue)).await.unwrap();
    });
}
