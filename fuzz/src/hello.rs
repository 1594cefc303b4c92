//! First flights and ClientHellos.

use starttls_hello::{
    Answer, AnyClientHello, ClientHelloReader, ConnectionOutcome, Flight, FlightEnd, MalformedTls, Question,
    StreamEnd, Topic, Version, Walk, WalkSize, WalkStep,
};

/// Reads input of a client or a server. The first octet chooses a cut. The result is the same at every cut, a parsed
/// hello is written back unchanged, and every walk ends, whatever the answers are.
pub fn hello(input: &[u8]) {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let parts = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    let answer = flight(&[bytes]);
    assert_eq!(answer, flight(&[parts.0, parts.1]), "a flight depends on its cut");
    if let Answer::Hello(flight) = &answer {
        // Incomplete input must not be reported as complete.
        let again = self::flight(&[bytes, b"\0"]);
        let closed = matches!(flight.end, FlightEnd::Closed | FlightEnd::Malformed(MalformedTls::Truncated));
        assert!(closed || again == answer, "a complete flight went on");
    }
    client(bytes, parts);
    walk(&answer);
}

fn flight(parts: &[&[u8]]) -> Answer {
    let mut flight = Flight::new();
    for part in parts {
        let _ = flight.receive(part);
    }
    flight.finish(StreamEnd::Closed)
}

fn client(bytes: &[u8], (first, second): (&[u8], &[u8])) {
    let whole = ClientHelloReader::new().receive(bytes);
    let mut reader = ClientHelloReader::new();
    let cut = match reader.receive(first) {
        Ok(None) => reader.receive(second),
        ended => ended,
    };
    assert_eq!(cut, whole, "a hello depends on its cut");
    let written = match &whole {
        Ok(Some(AnyClientHello::Tls(hello))) => hello.to_bytes(),
        Ok(Some(AnyClientHello::Ssl2(hello))) => hello.to_bytes(),
        _ => return,
    };
    assert_eq!(ClientHelloReader::new().receive(&written), whole, "a hello is not written as it was read");
}

/// Checks that a walk ends with a server that always gives the same answer, and that the walk rejects answers that it
/// did not request.
fn walk(answer: &Answer) {
    let mut walk = Walk::new(WalkSize::Brief);
    while let WalkStep::Ask(question) = walk.next() {
        walk.record(question, ConnectionOutcome::Answered(answer.clone()));
        assert!(walk.connections() <= 8, "a brief walk is longer than allowed");
    }
    let facts = walk.facts();
    let offers = Version::ALL.iter().filter(|version| facts.version(**version).value().is_some()).count();
    let believable = match answer {
        Answer::Ssl2(_) => true,
        Answer::Hello(flight) => {
            let mut questions = walk.exchanges().iter().map(|it| &it.question);
            questions.any(|question: &Question| question.topic != Topic::Custom && question.offers(flight))
        }
        _ => false,
    };
    assert!(believable || offers == 0, "an answer that proves nothing became a fact");
}
