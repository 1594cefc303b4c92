//! What the service refuses.

use std::net::TcpListener;
use std::time::Duration;

use crate::site::{Options, Site, run};

/// A server on this machine sees no connection, whatever its address is called.
#[test]
fn servers_of_this_machine_are_not_asked() {
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    run(async move {
        let site = Site::start(Options { ports: vec![port], ..Options::default() }).await;
        for host in [
            "127.0.0.9",
            "[::ffff:127.0.0.9]",
            "[64:ff9b::7f00:9]",
            "[2002:7f00:9::1]",
            "10.0.0.1",
            "169.254.169.254",
            "[fe80::1]",
            "[::]",
            "0.0.0.0",
        ] {
            let path = site.audited(&format!("smtp://{host}:{port}")).await;
            let report = site.get(&path).await;
            assert!(
                report.body.contains("not audited: ") && report.body.contains("inconclusive"),
                "{host}: {report:?}"
            );
            let probed = site.get(&format!("/probe?target=smtp://{host}:{port}")).await;
            assert!(probed.body.contains("probe_success 0"), "{host}: {probed:?}");
        }
        for target in [
            "localhost",
            "smtp://127.1",
            "smtp://0x7f.1",
            "smtp://2130706433",
            "smtp://%E2%91%A0%E2%91%A1%E2%91%A6.0.0.1",
            "file:///etc/passwd",
            "",
            "smtp://mail.example.com:22",
            "unix:/x",
        ] {
            let refused = site.post("/check", &format!("target={target}")).await;
            assert_eq!(refused.status, 422, "{target}");
            assert!(
                refused.body.contains("role=\"alert\"") && refused.body.contains("<title>Error"),
                "{refused:?}"
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    assert!(listener.accept().is_err(), "a connection arrived");
}

#[test]
fn other_sites_cannot_use_the_service() {
    run(async {
        let site = Site::start(Options::default()).await;
        let body = "target=example.com";
        for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: https://evil.example\r\n"] {
            assert_eq!(site.post_with("/check", body, header).await.status, 403, "{header}");
            assert_eq!(site.post_with("/api/v1/checks", "{}", header).await.status, 403, "{header}");
        }
        // The attacker's name leads to this machine.
        let rebound = site.request("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
        assert_eq!(rebound.status, 421);
        let probe =
            "GET /probe?target=example.com HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n";
        assert_eq!(site.request(&format!("{probe}Connection: close\r\n\r\n")).await.status, 403);
    });
}

#[test]
fn every_response_has_the_policy() {
    run(async {
        let site = Site::start(Options::default()).await;
        for path in [
            "/",
            "/about",
            "/none",
            "/r/none",
            "/t/example.com",
            "/health",
            "/metrics",
            "/robots.txt",
            "/api/v1/openapi.json",
            "/compare?a=1&b=2",
            "/r/..%2f..%2fetc",
            "/t/%3Cscript%3E",
        ] {
            let reply = site.get(path).await;
            let policy = &reply.headers["content-security-policy"];
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
            assert!(!reply.body.contains("<script>"), "{path}");
        }
        let badge = site.get("/t/example.com/badge.svg").await;
        assert_eq!(badge.headers["cross-origin-resource-policy"], "cross-origin");
        let home = site.get("/").await.body;
        let style = home
            .split("href=\"")
            .find_map(|rest| rest.starts_with("/assets/").then(|| rest.split('"').next()));
        let style = site.get(style.flatten().unwrap()).await;
        assert!(style.status == 200 && style.headers["cache-control"].contains("immutable"));
        assert_eq!(site.get("/assets/0.css").await.status, 404);
    });
}

#[test]
fn a_public_service_limits_a_client() {
    run(async {
        let site = Site::start(Options { is_public: true, ..Options::default() }).await;
        let mut statuses = Vec::new();
        for host in 1..=5 {
            statuses.push(site.post("/check", &format!("target=smtp://10.0.0.{host}")).await.status);
        }
        assert_eq!(statuses, [303, 303, 303, 429, 429]);
        let long = "x".repeat(10_000);
        assert_eq!(site.post("/check", &format!("target={long}")).await.status, 413);
    });
}
