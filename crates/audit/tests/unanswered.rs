//! A server that does not know the request may leave it unanswered. The outcome is declined, not unreachable.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::irc::IRC;
use starttls_audit::report::EndpointVerdict;
use starttls_audit::{Audit, Limits};

#[test]
fn a_request_without_an_answer_is_declined() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut answers = client.try_clone().unwrap();
            for line in BufReader::new(client).lines().map_while(Result::ok) {
                if line.starts_with("CAP LS") {
                    answers.write_all(b":irc.example.com CAP * LS :multi-prefix\r\n").unwrap();
                }
            }
        }
    });
    let limits = Limits { reply_timeout: Duration::from_secs(4), ..Limits::default() };
    let audit = Audit::new(|| Connector::builder().no_system_roots().insecure(), limits).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let audited = audit.endpoint(&IRC, "irc://irc.example.com", "irc.example.com", address);
    let endpoint =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap() });
    assert_eq!(
        (endpoint.outcome, endpoint.connections),
        (EndpointVerdict::Declined, 1),
        "{}",
        endpoint.summary
    );
}
