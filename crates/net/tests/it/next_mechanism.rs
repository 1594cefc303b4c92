//! After a refusal for another reason than the password the client tries the next mechanism in the same session.

use std::time::Duration;

use starttls::login::{Account, LoggedIn, LoginError};
use starttls::proto::{Denial, base64, sieve::SIEVE, smtp::SMTP};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::authority::DEADLINE;
use crate::login::inside;

/// Logs in to a server that expects lines with these prefixes and answers each. Returns the result, and the number of lines
/// that the client did not send.
async fn log_in(offers: &str, turns: &[(&str, &str)]) -> (Result<LoggedIn, LoginError>, usize) {
    let (mut client, server) = inside(&SMTP).await;
    let login = async {
        let done = Account::password("john", "sesame").log_in(&SMTP, &mut client).await;
        drop(client);
        done
    };
    let list = format!("250-hi\r\n250 AUTH {offers}\r\n");
    let serve = async {
        let mut server = BufReader::new(server);
        let mut all = vec![("EHLO ", list.as_str())];
        all.extend(turns);
        for (at, (start, answer)) in all.iter().enumerate() {
            let mut line = String::new();
            if server.read_line(&mut line).await.unwrap_or(0) == 0 {
                return all.len() - at;
            }
            assert!(line.starts_with(start), "{line:?} instead of {start:?}");
            server.write_all(answer.as_bytes()).await.unwrap();
            server.flush().await.unwrap();
        }
        let mut more = String::new();
        // The client sends nothing else.
        let _ = server.read_line(&mut more).await;
        assert_eq!(more, "");
        0
    };
    timeout(DEADLINE, async { tokio::join!(login, serve) }).await.unwrap()
}

fn error_value(value: &str) -> String {
    format!("334 {}\r\n", base64::encode(format!("e={value}").as_bytes()))
}

#[tokio::test]
async fn after_an_unavailable_mechanism_the_next_one_is_tried() {
    for no in ["504 5.5.4 not here\r\n", "454 4.7.0 not now\r\n", "534 5.7.9 too weak\r\n"] {
        let turns = [("AUTH SCRAM-SHA-256 ", no), ("AUTH PLAIN ", "235 in\r\n")];
        let (done, unheard) = log_in("PLAIN SCRAM-SHA-256", &turns).await;
        let done = done.unwrap();
        assert_eq!((done.mechanism, unheard), ("PLAIN", 0));
        let refused: Vec<_> = done.refused.iter().map(|it| it.mechanism.as_str()).collect();
        assert_eq!(refused, ["SCRAM-SHA-256"]);
    }
}

#[tokio::test]
async fn after_a_wrong_password_no_other_mechanism_is_tried() {
    let (done, unheard) = log_in("PLAIN SCRAM-SHA-256", &[("AUTH SCRAM-SHA-256 ", "535 5.7.8 no\r\n")]).await;
    assert_eq!(unheard, 0);
    assert!(matches!(done, Err(LoginError::Refused { denial: Denial::Credentials, .. })), "{done:?}");
}

#[tokio::test]
async fn at_most_three_mechanisms_are_tried() {
    let no = "454 4.7.0 not now\r\n";
    let turns = [("AUTH SCRAM-SHA-512 ", no), ("AUTH SCRAM-SHA-256 ", no), ("AUTH SCRAM-SHA-1 ", no)];
    let (done, unheard) = log_in("PLAIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512", &turns).await;
    let error = done.unwrap_err();
    assert!(
        matches!(&error, LoginError::Refused { denial: Denial::Temporary, before, .. } if before.len() == 2)
    );
    let text = error.to_string();
    for name in ["(SCRAM-SHA-512)", "(SCRAM-SHA-256)", "(SCRAM-SHA-1)"] {
        assert!(text.contains(name), "{text}");
    }
    assert_eq!(unheard, 0);
}

#[tokio::test]
async fn after_a_refused_binding_the_password_is_not_sent() {
    let dont_match = error_value("channel-bindings-dont-match");
    let plus = [("AUTH SCRAM-SHA-256-PLUS ", dont_match.as_str()), ("*", "501 5.7.0 aborted\r\n")];
    let (done, unheard) = log_in("PLAIN SCRAM-SHA-256-PLUS", &plus).await;
    let error = done.unwrap_err();
    assert!(matches!(&error, LoginError::Refused { denial: Denial::ChannelBinding, .. }), "{error:?}");
    assert_eq!(unheard, 0);
    // SCRAM does not send the password.
    let turns = [plus[0], plus[1], ("AUTH SCRAM-SHA-256 ", "535 5.7.8 no\r\n")];
    let (done, unheard) = log_in("PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", &turns).await;
    let error = done.unwrap_err();
    assert!(
        matches!(&error, LoginError::Refused { before, .. } if before[0].denial == Denial::ChannelBinding),
        "{error:?}"
    );
    assert!(error.to_string().starts_with("the server refused the channel binding (SCRAM-SHA-256-PLUS)"));
    assert_eq!(unheard, 0);
}

#[tokio::test]
async fn a_wrong_proof_is_a_wrong_password() {
    let turns = [("AUTH SCRAM-SHA-256 ", &*error_value("invalid-proof")), ("*", "501 5.7.0 aborted\r\n")];
    let (done, _) = log_in("PLAIN SCRAM-SHA-256", &turns).await;
    assert!(matches!(done, Err(LoginError::Refused { denial: Denial::Credentials, .. })), "{done:?}");
}

/// A ManageSieve server inside TLS that lists its capabilities on request, and with `late` also without one.
async fn sieve(late: bool) -> Result<LoggedIn, LoginError> {
    let (mut client, server) = inside(&SIEVE).await;
    let account = Account::password("john", "sesame").timeout(Duration::from_secs(20));
    let login = async { account.log_in(&SIEVE, &mut client).await };
    let list = "\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n";
    let serve = async {
        let mut server = BufReader::new(server);
        let mut line = String::new();
        server.read_line(&mut line).await.unwrap();
        assert_eq!(line, "CAPABILITY\r\n");
        let lists = if late { list.repeat(2) } else { list.to_owned() };
        server.write_all(lists.as_bytes()).await.unwrap();
        server.flush().await.unwrap();
        line.clear();
        server.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("AUTHENTICATE \"PLAIN\""), "{line}");
        server.write_all(b"NO \"wrong\"\r\n").await.unwrap();
        server.flush().await.unwrap();
    };
    timeout(DEADLINE, async { tokio::join!(login, serve) }).await.unwrap().0
}

#[tokio::test]
async fn a_server_that_does_not_list_its_mechanisms_gets_a_request() {
    let done = sieve(false).await;
    assert!(matches!(done, Err(LoginError::Refused { denial: Denial::Credentials, .. })), "{done:?}");
}

#[tokio::test]
async fn a_list_that_arrives_twice_grants_nothing() {
    let done = sieve(true).await;
    assert!(matches!(done, Err(LoginError::Refused { denial: Denial::Credentials, .. })), "{done:?}");
}
