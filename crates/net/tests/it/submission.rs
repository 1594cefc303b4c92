//! Delivery of mail to scripted servers.

use starttls::proto::smtp::{LMTP, SMTP};
use starttls::proto::{Protocol, TranscriptEntry};
use starttls::submission::{Delivered, Delivery, Message, Notify, SubmissionError, Until};
use tokio::time::timeout;

use crate::authority::DEADLINE;
use crate::login::Turn::{self, Hears, Says};
use crate::login::{inside, play};

async fn send(
    protocol: &'static Protocol,
    delivery: Delivery,
    turns: &[Turn<'_>],
) -> Result<Delivered, SubmissionError> {
    let (mut client, server) = inside(protocol).await;
    let sending = async {
        let done = delivery.send(protocol, &mut client, None).await;
        drop(client);
        done
    };
    timeout(DEADLINE, async { tokio::join!(sending, play(server, turns)) }).await.unwrap().0
}

fn delivery(text: &str) -> Delivery {
    Delivery::new("a@example.com", ["b@example.org", "c@example.org"], Message::new(text).unwrap()).unwrap()
}

const EHLO: Turn<'_> = Hears("EHLO [127.0.0.1]\r\n");

#[tokio::test]
async fn without_extensions_each_command_waits_for_its_reply() {
    let turns = [
        EHLO,
        Says("250 hi\r\n"),
        Hears("MAIL FROM:<a@example.com>\r\n"),
        Says("250 ok\r\n"),
        Hears("RCPT TO:<b@example.org>\r\n"),
        Says("550 who?\r\n"),
        Hears("RCPT TO:<c@example.org>\r\n"),
        Says("250 ok\r\n"),
        Hears("DATA\r\n"),
        Says("354 go\r\n"),
        Hears("Subject: x\r\n\r\n..\r\n.\r\n"),
        Says("250 2.0.0 queued\r\n"),
    ];
    let done = send(&SMTP, delivery("Subject: x\r\n\r\n.\r\n"), &turns).await.unwrap();
    let accepted: Vec<bool> = done.recipients.iter().map(|it| it.is_accepted()).collect();
    assert_eq!(accepted, [false, true]);
    assert_eq!((done.reply.unwrap().to_string(), done.used.len()), (String::from("250 2.0.0 queued"), 0));
}

#[tokio::test]
async fn with_pipelining_and_chunking_commands_and_message_go_in_one_piece() {
    let message = "Subject: \u{fc}\r\n\r\n.no end";
    let octets = message.len();
    let mail = format!("MAIL FROM:<a@example.com> SIZE={octets} BODY=8BITMIME SMTPUTF8 REQUIRETLS\r\n");
    let chunk = format!("BDAT {octets} LAST\r\n{message}");
    let turns = [
        EHLO,
        Says(
            "250-hi\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8bitmime\r\n250-SMTPUTF8\r\n250-REQUIRETLS\r\n250-DSN\r\n250 CHUNKING\r\n",
        ),
        Hears(&mail),
        Hears(
            "RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY\r\nRCPT TO:<c@example.org> NOTIFY=SUCCESS,DELAY\r\n",
        ),
        Says("250 ok\r\n250 ok\r\n250 ok\r\n"),
        Hears(&chunk),
        Says("250 queued\r\n"),
    ];
    let delivery = delivery(message).require_tls().notify(&[Notify::Success, Notify::Delay]);
    let done = send(&SMTP, delivery, &turns).await.unwrap();
    let used = ["SIZE", "8BITMIME", "SMTPUTF8", "REQUIRETLS", "DSN", "PIPELINING", "CHUNKING"];
    assert_eq!(done.used, used);
    assert!(done.recipients.iter().all(|it| it.is_accepted()));
}

#[tokio::test]
async fn lmtp_replies_for_each_recipient() {
    let turns = [
        Hears("LHLO [127.0.0.1]\r\n"),
        Says("250-hi\r\n250 PIPELINING\r\n"),
        Hears("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"),
        Says("250 ok\r\n250 ok\r\n250 ok\r\n"),
        Hears("DATA\r\n"),
        Says("354 go\r\n"),
        Hears("x\r\n.\r\n"),
        Says("250 in\r\n452 full\r\n"),
    ];
    let done = send(&LMTP, delivery("x\r\n"), &turns).await.unwrap();
    let replies: Vec<u16> = done.recipients.iter().map(|it| it.reply.as_ref().unwrap().code).collect();
    assert_eq!((replies, done.reply), (vec![250, 452], None));
}

#[tokio::test]
async fn a_missing_extension_that_the_message_needs_is_an_error() {
    for (message, extension) in [("\u{fc}\r\n", "8BITMIME"), ("x\r\n", "REQUIRETLS"), ("x\r\n", "DSN")] {
        let delivery = match extension {
            "REQUIRETLS" => delivery(message).require_tls(),
            "DSN" => delivery(message).notify(&[Notify::Never]),
            _ => delivery(message),
        };
        let error = send(&SMTP, delivery, &[EHLO, Says("250 hi\r\n")]).await.unwrap_err();
        assert!(
            matches!(&error, SubmissionError::Lacks { extension: lacks, .. } if *lacks == extension),
            "{error}"
        );
    }
    let error =
        send(&SMTP, delivery("long\r\n"), &[EHLO, Says("250-hi\r\n250 SIZE 5\r\n")]).await.unwrap_err();
    assert_eq!(error.to_string(), "the message has 6 octets, and the server accepts at most 5");
    let to = ["\u{fc}@example.org"];
    let utf8 = Delivery::new("", to, Message::new("x\r\n").unwrap()).unwrap();
    let error = send(&SMTP, utf8, &[EHLO, Says("250-hi\r\n250 8BITMIME\r\n")]).await.unwrap_err();
    assert!(matches!(error, SubmissionError::Lacks { extension: "SMTPUTF8", .. }), "{error}");
}

#[tokio::test]
async fn a_delivery_stops_at_its_last_step() {
    let hello = [EHLO, Says("250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n")];
    let done = send(&SMTP, delivery("x\r\n").until(Until::Hello), &hello).await.unwrap();
    assert!(done.extensions.has("chunking") && !done.extensions.has("hi"));
    let named = "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n";
    let answers = "250 ok\r\n250 ok\r\n451 later\r\n";
    let turns = || [EHLO, Says("250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n"), Hears(named), Says(answers)];
    let done = send(&SMTP, delivery("x\r\n").until(Until::Recipients), &turns()).await.unwrap();
    assert!(done.recipients[1].reply.as_ref().unwrap().is_temporary());
    let data: Vec<_> = turns().into_iter().chain([Hears("DATA\r\n"), Says("354 go\r\n")]).collect();
    // No octet of the message follows.
    let done = send(&SMTP, delivery("x\r\n").until(Until::Data), &data).await.unwrap();
    assert_eq!(done.reply.unwrap().code, 354);
}

#[tokio::test]
async fn errors_contain_the_reply_of_the_server() {
    let mail = Hears("MAIL FROM:<a@example.com>\r\n");
    let error =
        send(&SMTP, delivery("x\r\n"), &[EHLO, Says("250 hi\r\n"), mail, Says("530 no\x1b[31m\r\n")]).await;
    assert_eq!(error.unwrap_err().to_string(), "the server refused MAIL: \"530 no\\x1b[31m\"");
    let error = send(&SMTP, delivery("x\r\n"), &[EHLO, Says("250-hi\r\n")]).await.unwrap_err();
    assert!(error.to_string().contains("expected the list of extensions"), "{error}");
    let error = send(&SMTP, delivery("x\r\n"), &[EHLO, Says("hello\r\n")]).await.unwrap_err();
    assert!(matches!(error, SubmissionError::Protocol(_)), "{error}");
}

#[test]
fn addresses_are_what_they_seem() {
    let message = || Message::new("x").unwrap();
    for bad in ["", "a b@c", "a>@c", "a\r\nRCPT TO:<d@e>", "a\0@c"] {
        assert!(Delivery::new("", [bad], message()).is_err(), "{bad:?}");
        assert!(bad.is_empty() || Delivery::new(bad, ["a@b"], message()).is_err(), "{bad:?}");
    }
    assert!(Delivery::new("", Vec::<String>::new(), message()).is_err());
}

#[tokio::test]
async fn the_listener_does_not_get_the_message() {
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = std::sync::Arc::clone(&said);
    let listener =
        move |it: &TranscriptEntry| keep.lock().unwrap().push(String::from_utf8_lossy(&it.text).into_owned());
    let turns = [
        EHLO,
        Says("250-hi\r\n250 CHUNKING\r\n"),
        Hears("MAIL FROM:<a@example.com>\r\n"),
        Says("250 ok\r\n"),
        Hears("RCPT TO:<b@example.org>\r\n"),
        Says("250 ok\r\n"),
        Hears("RCPT TO:<c@example.org>\r\n"),
        Says("250 ok\r\n"),
        Hears("BDAT 8 LAST\r\nsecret\r\n"),
        Says("250 in\r\n"),
    ];
    send(&SMTP, delivery("secret\r\n").on_message(listener), &turns).await.unwrap();
    let said = said.lock().unwrap().concat();
    assert!(said.contains("<8 octets of message>") && !said.contains("secret"), "{said}");
}
