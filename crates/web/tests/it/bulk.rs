//! What the API does for holders of keys.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use starttls::proto::smtp::SMTP;
use starttls_lab::{Lab, Options as LabOptions};
use starttls_web::ApiKeys;
use tokio::time::sleep;

use crate::gate::Gate;
use crate::site::{Options, Reply, Site, run};

fn smtp(lab: &Lab) -> SocketAddr {
    lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit).unwrap().address
}

/// A service with the keys of two holders.
struct Holders {
    site: Site,
    alice: String,
    bob: String,
}

impl Holders {
    async fn start(options: Options<'_>) -> Self {
        let made = |name| ApiKeys::default().create(name).unwrap();
        let (alice, bob) = (made("alice"), made("bob"));
        let keys = format!("{}{}", alice.line, bob.line);
        let site = Site::start(Options { keys: &keys, ..options }).await;
        Self { site, alice: alice.key, bob: bob.key }
    }

    async fn post(&self, path: &str, body: &Value, key: &str) -> Reply {
        let header = format!("Authorization: Bearer {key}\r\n");
        self.site.post_with(path, &body.to_string(), &header).await
    }

    async fn delete(&self, path: &str, key: &str) -> u16 {
        let (host, head) =
            (self.site.address, format!("DELETE {path} HTTP/1.1\r\nAuthorization: Bearer {key}"));
        self.site.request(&format!("{head}\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await.status
    }

    /// Returns a bulk when all of its audits are done.
    async fn finished(&self, path: &str) -> Value {
        loop {
            let bulk: Value = serde_json::from_str(&self.site.get(path).await.body).unwrap();
            if bulk["finished"] == true {
                return bulk;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[test]
fn a_bulk_audits_its_targets() {
    run(async {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let gate = Gate::start(smtp(&lab)).await;
        let port = gate.address.port();
        let options = Options {
            root: lab.ca_pem(),
            ports: vec![port],
            allowed: vec!["127.0.0.0/8"],
            ..Options::default()
        };
        let holders = Holders::start(options).await;
        let target = format!("smtp://127.0.0.1:{port}");
        let body = json!({"targets": [target, "=localhost", format!("{target}/"), "smtp://10.0.0.1"], "preset": "quick"});
        let started = holders.post("/api/v1/bulk", &body, &holders.alice).await;
        assert_eq!(started.status, 202, "{started:?}");
        let path = started.headers["location"].clone();
        // Another bulk of the holder waits for the end of this one. Others do not.
        assert_eq!(holders.post("/api/v1/bulk", &body, &holders.alice).await.status, 429);
        let other = json!({"targets": ["smtp://10.0.0.2"]});
        assert_eq!(holders.post("/api/v1/bulk", &other, &holders.bob).await.status, 202);
        gate.pass(1000);
        let bulk = holders.finished(&path).await;
        assert_eq!((bulk["total"].as_u64(), bulk["done"].as_u64()), (Some(3), Some(3)), "{bulk}");
        let items: Vec<_> = bulk["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["state"].as_str().unwrap(), it["verdict"].as_str(), it["run"].is_string()))
            .collect();
        let expected = [
            ("finished", Some("sound"), true),
            ("invalid", None, false),
            ("finished", Some("inconclusive"), true),
        ];
        assert_eq!(items, expected, "{bulk}");
        let csv = holders.site.get(&format!("{path}.csv")).await.body;
        assert_eq!(csv.lines().next(), Some("target,state,verdict,run,error"));
        assert!(csv.contains(&format!("\"{target}\",\"finished\",\"sound\",")), "{csv}");
        assert!(csv.contains("\n\"'=localhost\",\"invalid\""), "{csv}");
        let lines = holders.site.get(&format!("{path}.jsonl")).await.body;
        assert_eq!(lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 3);
        let page = holders.site.get(&format!("{}?lang=de", bulk["page"].as_str().unwrap())).await;
        for part in ["3 von 3 Zielen sind fertig", "(ungültig)", "/r/", ".csv"] {
            assert!(page.status == 200 && page.body.contains(part), "{part}: {page:?}");
        }
        // Only the holder deletes its reports.
        let check = format!("/api/v1/checks/{}", bulk["items"][0]["run"].as_str().unwrap());
        let pin = async |key: &str| holders.post(&format!("{check}/pin"), &Value::Null, key).await.status;
        assert_eq!([pin(&holders.bob).await, pin(&holders.alice).await], [403, 204]);
        assert_eq!(holders.delete(&check, &holders.bob).await, 403);
        assert_eq!(holders.delete(&check, "starttls_x").await, 401);
        assert_eq!(holders.delete(&check, &holders.alice).await, 204);
        assert_eq!(holders.site.get(&check).await.status, 404);
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    });
}

#[test]
fn only_holders_of_keys_start_bulks_and_full_audits() {
    run(async {
        let holders = Holders::start(Options::default()).await;
        let bulk = |targets: usize| {
            let targets: Vec<_> = (0..targets).map(|it| format!("no target {it}")).collect();
            json!({"targets": targets})
        };
        let full = json!({"target": "smtp://10.0.0.1", "preset": "full"});
        for (path, body) in [("/api/v1/bulk", bulk(1)), ("/api/v1/checks", full.clone())] {
            let refused = holders.site.post(path, &body.to_string()).await;
            assert_eq!((refused.status, refused.headers["www-authenticate"].as_str()), (401, "Bearer"));
            assert_eq!(holders.post(path, &body, "starttls_unknown").await.status, 401);
        }
        assert_eq!(holders.site.post("/check", "target=smtp://10.0.0.1&preset=full").await.status, 403);
        assert_eq!(holders.site.get("/probe?target=smtp://10.0.0.1&module=full").await.status, 400);
        assert_eq!(holders.post("/api/v1/checks", &full, &holders.alice).await.status, 202);
        for (targets, status) in [(0, 422), (1001, 422), (1000, 202)] {
            let reply = holders.post("/api/v1/bulk", &bulk(targets), &holders.alice).await;
            assert_eq!(reply.status, status, "{targets}");
        }
        let long = json!({"targets": ["x".repeat(300_000)]});
        assert_eq!(holders.post("/api/v1/bulk", &long, &holders.alice).await.status, 413);
        for path in ["/api/v1/bulk/none", "/b/none", "/b/aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(holders.site.get(path).await.status, 404, "{path}");
        }
    });
}
