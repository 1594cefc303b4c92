//! Rule S8: only a backend that receives the client's certificate in a PROXY header may offer EXTERNAL.

use starttls::Connector;
use starttls::proto::smtp::SMTP;
use starttls_gateway::Config;
use starttls_lab::ca::{Authority, Leaf, Usage};

use crate::environment::{Environment, say, within};
use crate::scripted::Scripted;

/// A server that offers EXTERNAL, a login as the owner of the connection.
async fn backend() -> Scripted {
    Scripted::start(b"220 scripted ESMTP\r\n".to_vec(), |line| {
        // A PROXY header may come before the first line.
        Some(match line {
            _ if line.ends_with("EHLO me\r\n") => "250-scripted\r\n250 AUTH PLAIN EXTERNAL\r\n",
            "QUIT\r\n" => "221 2.0.0 bye\r\n",
            _ => "",
        })
    })
    .await
}

/// Returns whether EXTERNAL is offered to a client with a certificate, and whether the backend receives its identity.
async fn offered(terms: &str, send_proxy: &str) -> (bool, bool) {
    let (env, backend) = (Environment::new(), backend().await);
    let authority = Authority::new().unwrap();
    let roots = env.folder.path().join("clients.pem");
    std::fs::write(&roots, authority.root_pem()).unwrap();
    let stem = env.certificate.0.with_extension("");
    let forward = format!("{{ url = \"smtp://{}\"{send_proxy} }}", backend.address);
    let terms = terms.replace("FORWARD", &forward).replace("CLIENTS", &roots.display().to_string());
    let text = format!(
        "[[listener]]\nlisten = \"smtp+starttls://127.0.0.1:0\"\ncert = \"{0}.pem\"\nkey = \"{0}.key\"\n{terms}",
        stem.display()
    );
    let running = env.start(Config::parse(&text, "test").unwrap());
    let own = Leaf { common_name: Some(String::from("device-7")), usage: Usage::Client, ..Leaf::default() };
    let own = authority.issue(&own).unwrap();
    let connector = Connector::builder().no_system_roots().roots_pem(env.root_pem.clone());
    let connector = connector.client_certificate_pem(own.chain_pem, own.key_pem);
    let env = Environment { connector: connector.build().unwrap(), ..env };
    let stream = within(env.connect(&SMTP, running.address, false)).await;
    let heard = say(stream, b"EHLO me\r\nQUIT\r\n").await;
    assert!(heard.contains("AUTH PLAIN"), "{heard}");
    (heard.contains("EXTERNAL"), backend.heard().concat().contains("device-7"))
}

const REQUIRED: &str = "client-auth = \"required\"\nclient-ca = \"CLIENTS\"\nforward = FORWARD\n";

#[tokio::test(flavor = "multi_thread")]
async fn s8_external_is_offered_where_the_backend_receives_the_identity() {
    assert_eq!(offered(REQUIRED, ", send-proxy = \"v2\"").await, (true, true));
    let optional = REQUIRED.replace("required", "optional");
    assert_eq!(offered(&optional, ", send-proxy = \"v2\"").await, (true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_external_is_not_offered_where_the_backend_receives_no_identity() {
    for (terms, send_proxy) in [
        (REQUIRED, ""),
        (REQUIRED, ", send-proxy = \"v1\""),
        // The listener requests no certificate.
        ("forward = FORWARD\n", ", send-proxy = \"v2\""),
        // Another route requests the certificate and has verified it for its own backend.
        (
            "forward = FORWARD\n[[listener.route]]\nnames = \"partner.example\"\nclient-auth = \"optional\"\n\
             client-ca = \"CLIENTS\"\nforward = FORWARD\n",
            ", send-proxy = \"v2\"",
        ),
    ] {
        assert_eq!(offered(terms, send_proxy).await, (false, false), "{terms}{send_proxy}");
    }
}
