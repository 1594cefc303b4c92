//! Tests of LDAP that a vector cannot express.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use crate::Identity;

fn dialect() -> Box<dyn Dialect> {
    LDAP.new_dialect(Identity::new("mail.example.com").with_nonce(0))
}

/// Returns the answer to a search of the root DSE, and the client dialect that reads it.
fn searched(msg: ServerMessage) -> (Box<dyn Dialect>, Vec<u8>) {
    let (mut client, mut server) = (dialect(), dialect());
    let (mut question, mut answer) = (Vec::new(), Vec::new());
    client.write_client(ClientMessage::Hello, &mut question);
    assert_eq!(server.read_client(&question), Ok(ClientMessage::Hello));
    server.write_server(msg, &mut answer);
    (client, answer)
}

#[test]
fn the_offer_is_the_whole_answer_to_the_search_and_can_be_taken_out() {
    let (mut client, answer) = searched(ServerMessage::Offer { starttls: true });
    let mut scan = Scan::default();
    for end in 1..answer.len() {
        assert_eq!(client.frame(Side::Server, ReplyTo::Hello, &answer[..end], &mut scan), Ok(None));
    }
    assert_eq!(client.read_server(ReplyTo::Hello, &answer), Ok(ServerMessage::Offer { starttls: true }));
    let stripped = client.rewrite(Side::Server, ReplyTo::Hello, &answer, CapabilityRewrite::DropUpgrade);
    let (mut client, without) = searched(ServerMessage::Offer { starttls: false });
    assert_eq!(stripped, without);
    let offer = client.read_server(ReplyTo::Hello, &stripped);
    assert_eq!(offer, Ok(ServerMessage::Offer { starttls: false }));
}

#[test]
fn each_question_has_one_answer_even_if_more_is_asked_before_it() {
    let (mut server, [mut first, mut second]) = (dialect(), [const { Vec::new() }; 2]);
    let (mut watched, mut answers) = (dialect(), Vec::new());
    let mut client = dialect();
    for question in [&mut first, &mut second] {
        client.write_client(ClientMessage::Hello, question);
        assert_eq!(watched.read_client(question), Ok(ClientMessage::Hello));
        assert_eq!(server.read_client(question), Ok(ClientMessage::Hello));
        let mut answer = Vec::new();
        server.write_server(ServerMessage::Offer { starttls: true }, &mut answer);
        answers.push(answer);
    }
    for answer in &answers {
        let read = watched.read_server(ReplyTo::Hello, answer);
        assert_eq!(read, Ok(ServerMessage::Offer { starttls: true }));
    }
    assert!(watched.read_server(ReplyTo::Hello, &answers[1]).is_err());
}

#[test]
fn messages_are_described_in_words() {
    let mut request = Vec::new();
    dialect().write_client(ClientMessage::Request, &mut request);
    let told = dialect().describe(Side::Client, &request);
    assert_eq!(told.as_deref(), Some("ExtendedRequest 1 StartTLS"));
    let text = encode(7, &outcome(tag::DONE, 32, "no\x1b[31m", &[]));
    let told = dialect().describe(Side::Server, &text);
    assert_eq!(told.as_deref(), Some("SearchResultDone 7: 32 no\\x1b[31m"));
}

#[test]
fn ids_come_from_the_nonce() {
    for nonce in [0x7fff_fffe, u64::MAX, 1 << 40] {
        let mut dialect = LDAP.new_dialect(Identity::new("mail.example.com").with_nonce(nonce));
        for _ in 0..3 {
            let mut request = Vec::new();
            dialect.write_client(ClientMessage::Request, &mut request);
            assert_eq!(dialect.read_client(&request), Ok(ClientMessage::Request));
        }
    }
}
