//! The judge on records that are built by hand: each proof is found where it is, and not found where it is not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use starttls::proto::{ClientMessage, Side};

use super::{ClientBaseline, Observations, baseline, control, judge};
use crate::canary::Canary;
use crate::outcome::{Judgment, ScenarioOutcome};
use crate::record::{ConnectionRecord, Layer, RunRecords};
use crate::scenario::{Degree, Proof, Scenario, SessionAction, Transfer};
use crate::subject::{ClientExit, ClientOutput, ClientRun};

const USER: &str = "test";
const PASSWORD: &str = "sesame-open";

/// One message, for a record.
type Message<'a> = (Side, Layer, Option<ClientMessage>, &'a [u8]);

const GREETING: Message<'_> = (Side::Server, Layer::Cleartext, None, b"* OK ready\r\n");
const HELLO: Message<'_> = (Side::Client, Layer::Cleartext, Some(ClientMessage::Hello), b"a CAPABILITY\r\n");
const REQUEST: Message<'_> =
    (Side::Client, Layer::Cleartext, Some(ClientMessage::Request), b"b STARTTLS\r\n");
const ANSWER: Message<'_> = (Side::Server, Layer::Cleartext, None, b"OK\r\n");
const HANDSHAKE: Message<'_> = (Side::Client, Layer::Tls, None, b"\x16\x03\x01\x00\x05");
const QUIT: Message<'_> = (Side::Client, Layer::Inside, Some(ClientMessage::Quit), b"LOGOUT\r\n");

/// A command of the client inside TLS.
fn inside(text: &str) -> Message<'_> {
    (Side::Client, Layer::Inside, Some(ClientMessage::Other), text.as_bytes())
}

/// A command of the client in cleartext.
fn cleartext(meaning: ClientMessage, text: &str) -> Message<'_> {
    (Side::Client, Layer::Cleartext, Some(meaning), text.as_bytes())
}

fn connection(messages: &[Message<'_>]) -> ConnectionRecord {
    let records = RunRecords::default();
    let number = records.open().unwrap();
    for (from, layer, meaning, bytes) in messages {
        records.with(number, |record| record.push(*from, *layer, *meaning, bytes, None));
    }
    records.taken().remove(0)
}

/// A connection on which the attack was triggered, the request was accepted and TLS is up.
fn upgraded(messages: &[Message<'_>]) -> ConnectionRecord {
    let negotiation = [GREETING, HELLO, ANSWER, REQUEST, ANSWER, HANDSHAKE];
    let record = connection(&[&negotiation, messages].concat());
    with(record, |record| {
        (record.applied, record.encrypted, record.answered) = (true, true, true);
        record.answered_hello = Some(Instant::now());
    })
}

fn with(mut record: ConnectionRecord, change: impl FnOnce(&mut ConnectionRecord)) -> ConnectionRecord {
    change(&mut record);
    record
}

/// A client that sends this many messages inside TLS, not all of which are recorded.
fn talkative(messages: usize) -> ConnectionRecord {
    connection(&vec![inside("x"); messages])
}

/// One run and what it is compared with.
struct Case {
    scenario: Scenario,
    baseline: ClientBaseline,
    canary: Canary,
    exit: ClientExit,
    output: ClientOutput,
}

impl Case {
    fn new(proof: &[Proof]) -> Self {
        let mut scenario = Scenario::control(SessionAction::Pass);
        scenario.proof = proof.to_vec();
        Self {
            scenario,
            baseline: ClientBaseline::default(),
            canary: Canary::new(USER, PASSWORD),
            exit: ClientExit::Failure(1),
            output: ClientOutput::default(),
        }
    }

    fn exit(self, exit: ClientExit) -> Self {
        Self { exit, ..self }
    }

    fn prints(self, text: &str) -> Self {
        Self { output: ClientOutput::from(text.as_bytes().to_vec()), ..self }
    }

    fn judged(&self, records: &[ConnectionRecord]) -> Judgment {
        let client = ClientRun { exit: self.exit, output: self.output.clone() };
        let seen = Observations { records, client: &client, canary: &self.canary };
        judge(&self.scenario, &seen, &self.baseline)
    }

    /// Returns the outcome of a run with one connection.
    fn outcome(&self, record: ConnectionRecord) -> ScenarioOutcome {
        self.judged(&[record]).outcome
    }

    fn control(&self, records: &[ConnectionRecord]) -> ScenarioOutcome {
        let client = ClientRun { exit: self.exit, output: self.output.clone() };
        control(&Observations { records, client: &client, canary: &self.canary }).outcome
    }
}

use ScenarioOutcome::{Crashed, Fooled, Hung, Inconclusive, Refused, Silent, Sound, Weak};

#[test]
fn gain_password() {
    let case = Case::new(&[]);
    let login = |password| format!("c LOGIN {USER} {password}\r\n");
    assert_eq!(
        case.outcome(connection(&[GREETING, cleartext(ClientMessage::Other, &login(PASSWORD))])),
        Fooled
    );
    assert_eq!(case.outcome(upgraded(&[inside(&login(PASSWORD))])), Sound);
}

#[test]
fn gain_credentials_of_another_user() {
    let case = Case::new(&[]);
    let credentials = cleartext(ClientMessage::Credentials, "AUTH PLAIN AHgAeQ==\r\n");
    assert_eq!(case.outcome(connection(&[GREETING, credentials])), Fooled);
    let question = cleartext(ClientMessage::Probe, "AUTH\r\n");
    assert_eq!(case.outcome(connection(&[GREETING, question])), Refused);
}

#[test]
fn gain_command_in_cleartext() {
    let mut case = Case::new(&[]);
    let command = cleartext(ClientMessage::Other, "MAIL FROM:<x@example.test>\r\n");
    assert_eq!(case.outcome(connection(&[GREETING, command])), Fooled);
    // A client that does so without the attack too is not fooled by it.
    case.baseline.in_cleartext = 1;
    assert_eq!(case.outcome(connection(&[GREETING, command])), Refused);
    assert_eq!(case.outcome(connection(&[GREETING, command, command])), Fooled);
}

#[test]
fn gain_redirect() {
    let mut case = Case::new(&[]);
    let redirected = |messages: &[_]| with(connection(messages), |record| record.redirected = true);
    assert_eq!(case.outcome(redirected(&[HANDSHAKE])), Fooled);
    assert_eq!(case.outcome(connection(&[HANDSHAKE])), Refused);
    // Where TLS from the first byte protects the other session, following is allowed.
    case.scenario.redirects_to_tls = true;
    assert_eq!(case.outcome(redirected(&[HANDSHAKE])), Refused);
    assert_eq!(case.outcome(redirected(&[HELLO])), Fooled);
}

#[test]
fn proof_mark_in_a_message() {
    let case = Case::new(&[Proof::Mark]);
    let command = |mark: &str| format!("c SELECT {mark}\r\n");
    let marked = command(&case.canary.mark.to_lowercase());
    assert_eq!(case.outcome(upgraded(&[inside(&marked)])), Fooled);
    assert_eq!(case.outcome(upgraded(&[inside(&command("MARK000000000000"))])), Sound);
    // Before TLS the mark proves nothing: the client may quote what it received.
    let quoted = cleartext(ClientMessage::Probe, &marked);
    assert_eq!(case.outcome(connection(&[GREETING, quoted])), Refused);
}

#[test]
fn proof_mark_in_the_output() {
    let shown = |after: bool, messages: &[Message<'_>], traces: bool| {
        let mut case = Case::new(&[Proof::Mark]);
        case.baseline.traces = traces;
        if !after {
            case.output.push(case.canary.mark.as_bytes());
            sleep(Duration::from_millis(1));
        }
        let record = upgraded(messages);
        if after {
            case.output.push(case.canary.mark.as_bytes());
        }
        case.outcome(record)
    };
    let session = [inside("c NOOP\r\n")];
    assert_eq!(shown(true, &session, false), Fooled);
    assert_eq!(shown(false, &session, false), Sound, "printed before the handshake");
    assert_eq!(shown(true, &[], false), Sound, "no session inside TLS");
    assert_eq!(shown(true, &session, true), Sound, "the client prints all cleartext");
}

#[test]
fn proof_terminal() {
    let case = || Case::new(&[Proof::Terminal]);
    let mark = case().canary.mark;
    let with = |text: String| {
        let mut case = case().prints(&text);
        case.canary.mark.clone_from(&mark);
        case.outcome(upgraded(&[]))
    };
    assert_eq!(with(format!("\x1b]2;{mark}\x07")), Fooled);
    assert_eq!(with(format!("\u{9d}2;{mark}\x07")), Fooled);
    assert_eq!(with(format!("\x1b[31m{mark}\x1b[0m")), Sound, "a color of the client itself");
    assert_eq!(with(format!("\\x1b]2;{mark}")), Sound, "an escaped control character");
}

#[test]
fn proof_desynced_extra() {
    let mut case = Case::new(&[Proof::DesyncedExtra]);
    case.baseline.unanswered = 2;
    let session = [inside("c CAPABILITY\r\n"), inside("d LOGIN\r\n"), inside("e SELECT\r\n")];
    assert_eq!(case.outcome(upgraded(&session)), Fooled);
    assert_eq!(case.outcome(upgraded(&session[..2])), Sound);
    assert_eq!(case.outcome(upgraded(&[session[0], session[1], QUIT])), Sound, "a goodbye does not count");
    // Messages count that are not recorded.
    case.baseline.unanswered = 600;
    assert_eq!(case.outcome(talkative(800)), Fooled);
    assert_eq!(case.outcome(talkative(600)), Sound);
}

#[test]
fn proof_desynced_short() {
    let session = [inside("c CAPABILITY\r\n"), inside("d LOGIN\r\n")];
    let mut case = Case::new(&[Proof::DesyncedShort]);
    case.baseline = baseline(&[upgraded(&session)], &[], &[]);
    assert_eq!(case.outcome(upgraded(&session[..1])), Fooled);
    assert_eq!(case.outcome(upgraded(&session)), Sound);
    assert_eq!(case.outcome(upgraded(&[])), Sound, "the client gave up");
    let case = case.exit(ClientExit::TimedOut);
    assert_eq!(case.outcome(upgraded(&session[..1])), Hung, "a client that waits has not ended early");
}

#[test]
fn proof_desynced_short_counts_messages_that_are_not_recorded() {
    let mut case = Case::new(&[Proof::DesyncedShort]);
    case.baseline = baseline(&[talkative(800)], &[], &[]);
    assert_eq!(case.outcome(talkative(600)), Fooled);
    assert_eq!(case.outcome(talkative(800)), Sound);
}

#[test]
fn proof_handshake() {
    let mut case = Case::new(&[Proof::Handshake]);
    let waits = [GREETING, HELLO, ANSWER, REQUEST, HANDSHAKE];
    assert_eq!(case.outcome(connection(&waits)), Fooled);
    assert_eq!(case.outcome(connection(&[REQUEST, HANDSHAKE])), Fooled);
    assert_eq!(
        case.outcome(connection(&[GREETING, HELLO, REQUEST, ANSWER, HANDSHAKE])),
        Refused,
        "pipelined"
    );
    assert_eq!(case.outcome(connection(&[HANDSHAKE])), Refused, "a handshake on another port");
    let answered = with(connection(&waits), |record| record.answered = true);
    assert_eq!(case.outcome(answered), Refused);
    case.baseline.pipelines = true;
    assert_eq!(case.outcome(connection(&waits)), Refused, "the client never waits for an answer");
}

#[test]
fn proof_certificate() {
    let case = Case::new(&[Proof::Certificate]);
    assert_eq!(case.outcome(upgraded(&[inside("c SELECT INBOX\r\n")])), Fooled);
    let hello = (Side::Client, Layer::Inside, Some(ClientMessage::Hello), b"c CAPABILITY\r\n".as_slice());
    assert_eq!(case.outcome(upgraded(&[hello])), Sound, "a hello may precede the verification");
    assert_eq!(case.outcome(upgraded(&[])), Inconclusive, "the baseline has no message that would show it");
    let mut case = Case::new(&[Proof::Certificate]);
    case.baseline.answered = vec![String::from("c LOGIN")];
    assert_eq!(case.outcome(upgraded(&[])), Sound);
}

#[test]
fn proof_key_exchange() {
    let case = Case::new(&[Proof::KeyExchange]);
    let record = |bytes| connection(&[GREETING, REQUEST, (Side::Client, Layer::Tls, None, bytes)]);
    assert_eq!(case.outcome(record(b"\x16\x03\x01\x00\x06\x10\x00\x00\x02")), Fooled, "TLS 1.0");
    assert_eq!(case.outcome(record(b"\x16\x03\x03\x00\x06\x10\x00\x00\x02")), Fooled, "TLS 1.2");
    assert_eq!(case.outcome(record(b"\x15\x03\x03\x00\x02\x02\x46")), Refused, "an alert");
    assert_eq!(case.outcome(record(b"\x16\x03\x01\x00\x06\x01\x00\x00\x02")), Refused, "a ClientHello");
}

#[test]
fn proof_truncated() {
    let cut = || with(upgraded(&[inside("c FETCH 1 BODY[]\r\n")]), |record| record.truncated = true);
    let succeeds = Case::new(&[Proof::Truncated]).exit(ClientExit::Success);
    assert_eq!(succeeds.outcome(cut()), Fooled);
    assert_eq!(Case::new(&[Proof::Truncated]).outcome(cut()), Sound, "the client reports a failure");
    assert_eq!(succeeds.outcome(upgraded(&[inside("c FETCH 1 BODY[]\r\n")])), Sound, "nothing was cut off");
    let answer = (Side::Server, Layer::Inside, None, b"c OK\r\n".as_slice());
    let again = [inside("c FETCH 1 BODY[]\r\n"), answer];
    assert_eq!(succeeds.judged(&[cut(), upgraded(&again)]).outcome, Sound, "the client asks again");
    assert_eq!(succeeds.judged(&[cut(), cut()]).outcome, Fooled, "the second answer is cut off as well");
    assert_eq!(
        succeeds.judged(&[cut(), upgraded(&again[..1])]).outcome,
        Fooled,
        "the second request has no answer"
    );
    assert_eq!(succeeds.judged(&[upgraded(&again), cut()]).outcome, Fooled, "the last answer is cut off");
    let unknown = with(cut(), |record| record.inside_is_cut = true);
    assert_eq!(
        succeeds.judged(&[unknown, upgraded(&again)]).outcome,
        Fooled,
        "the last message is not recorded"
    );
    let mut twice = Case::new(&[Proof::Truncated]).exit(ClientExit::Success);
    twice.baseline.sessions = 2;
    assert_eq!(
        twice.judged(&[cut(), upgraded(&again)]).outcome,
        Fooled,
        "the client sends this message in each of its two sessions"
    );
}

#[test]
fn proof_unprotected() {
    let mut case = Case::new(&[Proof::Unprotected]);
    case.scenario.transfer = Some(Transfer {
        commands: vec![String::from("LIST"), String::from("RETR ")],
        protected_by: String::from("PROT P"),
    });
    assert_eq!(case.outcome(upgraded(&[inside("USER x\r\n"), inside("list\r\n")])), Fooled);
    assert_eq!(case.outcome(upgraded(&[inside("prot p\r\n"), inside("LIST\r\n")])), Sound);
    assert_eq!(case.outcome(upgraded(&[inside("PROT C\r\n"), inside("RETR a\r\n")])), Fooled);
    assert_eq!(case.outcome(upgraded(&[inside("NOOP\r\n")])), Sound, "no transfer");
}

#[test]
fn a_proof_of_the_scenario_is_weak_and_a_gain_is_fooled() {
    let mut case = Case::new(&[Proof::Handshake]);
    case.scenario.degree = Degree::Weak;
    let waits = [GREETING, HELLO, ANSWER, REQUEST, HANDSHAKE];
    assert_eq!(case.outcome(connection(&waits)), Weak);
    let credentials = cleartext(ClientMessage::Credentials, "LOGIN x y\r\n");
    let judged = case.judged(&[connection(&[&waits[..], &[credentials]].concat())]);
    assert_eq!(judged.outcome, Fooled);
    // The gain comes first, and both are evidence.
    assert_eq!(judged.evidence.len(), 2);
    assert_eq!(judged.summary, judged.evidence[0].text);
    let entry = judged.evidence[0].entry.unwrap();
    assert_eq!((judged.evidence[0].transcript, entry), (Some(0), waits.len()));
}

#[test]
fn evidence_names_its_connection() {
    let case = Case::new(&[]);
    let command = cleartext(ClientMessage::Other, "QUIT NOW\r\n");
    let judged = case.judged(&[upgraded(&[]), connection(&[GREETING, command])]);
    assert_eq!((judged.evidence[0].transcript, judged.evidence[0].entry), (Some(1), Some(1)));
    assert!(judged.summary.ends_with("QUIT NOW\\r\\n"), "{}", judged.summary);
}

#[test]
fn a_signal_is_a_crash() {
    let case = Case::new(&[Proof::Mark]).exit(ClientExit::Signal(11)).prints("panic\n");
    let judged = case.judged(&[upgraded(&[])]);
    assert_eq!((judged.outcome, judged.summary.as_str()), (Crashed, "SIGSEGV ended the client: panic"));
}

#[test]
fn a_timeout_is_a_hang_unless_there_is_a_proof() {
    let case = Case::new(&[Proof::Mark]).exit(ClientExit::TimedOut);
    assert_eq!(case.outcome(connection(&[GREETING])), Hung);
    let marked = format!("c SELECT {}\r\n", case.canary.mark);
    assert_eq!(case.outcome(upgraded(&[inside(&marked)])), Fooled);
}

#[test]
fn success_without_a_session_is_silent() {
    let mut case = Case::new(&[]).exit(ClientExit::Success);
    assert_eq!(case.outcome(connection(&[GREETING, HELLO])), Silent);
    // A client that never sends a message inside TLS delivers nothing there without the attack either.
    assert_eq!(case.outcome(upgraded(&[])), Sound);
    case.baseline.answered = vec![String::from("c LOGIN")];
    assert_eq!(case.outcome(upgraded(&[])), Silent);
}

#[test]
fn a_client_that_gives_up_is_sound_after_the_trigger_and_refused_before_it() {
    let case = Case::new(&[]);
    assert_eq!(case.outcome(connection(&[GREETING])), Refused);
    assert_eq!(case.outcome(with(connection(&[GREETING]), |record| record.applied = true)), Sound);
}

#[test]
fn tls_with_the_server_after_a_refusal_is_sound() {
    let application_data: Message<'_> = (Side::Client, Layer::Tls, None, b"\x17\x03\x03\x00\x05");
    let judged = Case::new(&[]).judged(&[connection(&[REQUEST, HANDSHAKE, application_data])]);
    assert_eq!(judged.outcome, Sound);
    assert!(judged.summary.contains("not decrypted"), "{}", judged.summary);
}

#[test]
fn a_run_without_a_connection_or_with_trouble_is_inconclusive() {
    let case = Case::new(&[]);
    assert_eq!(case.judged(&[]).outcome, Inconclusive);
    let trouble = Some(String::from("the upstream server is unreachable"));
    let judged = case.judged(&[with(connection(&[GREETING]), |record| record.trouble = trouble)]);
    assert_eq!(
        (judged.outcome, judged.summary.as_str()),
        (Inconclusive, "the upstream server is unreachable")
    );
}

#[test]
fn a_session_that_is_not_fully_recorded_is_not_sound() {
    let mut case = Case::new(&[]);
    assert_eq!(case.outcome(talkative(600)), Sound);
    case.scenario.proof = vec![Proof::Mark];
    assert_eq!(case.outcome(talkative(400)), Sound);
    assert_eq!(case.outcome(talkative(600)), Inconclusive);
    let sent = |octets: usize| {
        let text = vec![b'x'; octets];
        connection(&[GREETING, (Side::Client, Layer::Cleartext, None, &text)])
    };
    assert_eq!(case.outcome(sent(2000)), Refused);
    assert_eq!(case.outcome(sent(3000)), Inconclusive);
}

#[test]
fn an_output_that_is_not_fully_kept_is_not_sound() {
    let long = "x".repeat(200_000);
    assert_eq!(Case::new(&[Proof::Terminal]).prints(&long).outcome(upgraded(&[])), Inconclusive);
    assert_eq!(Case::new(&[]).prints(&long).outcome(upgraded(&[])), Sound);
}

#[test]
fn the_control_run_is_sound_with_a_session() {
    let case = Case::new(&[]).exit(ClientExit::Success);
    assert_eq!(case.control(&[upgraded(&[inside("c NOOP\r\n")])]), Sound);
    assert_eq!(case.control(&[upgraded(&[])]), Sound);
    let unread = with(connection(&[GREETING, REQUEST]), |record| record.unread = true);
    assert_eq!(case.control(&[unread]), Sound);
}

#[test]
fn the_control_run_is_inconclusive_without_a_session() {
    let case = Case::new(&[]).exit(ClientExit::Success);
    assert_eq!(case.control(&[]), Inconclusive);
    assert_eq!(case.control(&[connection(&[GREETING, HELLO])]), Inconclusive);
    let login = cleartext(ClientMessage::Credentials, "LOGIN x y\r\n");
    assert_eq!(case.control(&[upgraded(&[inside("c NOOP\r\n")]), connection(&[login])]), Inconclusive);
    let session = || upgraded(&[inside("c NOOP\r\n")]);
    assert_eq!(Case::new(&[]).exit(ClientExit::Failure(1)).control(&[session()]), Inconclusive);
    assert_eq!(Case::new(&[]).exit(ClientExit::Signal(6)).control(&[session()]), Inconclusive);
    assert_eq!(Case::new(&[]).exit(ClientExit::TimedOut).control(&[session()]), Inconclusive);
}

#[test]
fn the_baseline_describes_the_client() {
    let banner: Message<'_> = (Side::Server, Layer::Cleartext, None, b"220 a banner of the server\r\n");
    let command = cleartext(ClientMessage::Other, "NOOP\r\n");
    let of = |messages: &[_], output: &str| baseline(&[connection(messages)], output.as_bytes(), &[]);
    assert!(of(&[banner], "220 a banner of the server\n").traces);
    assert!(!of(&[banner], "connected\n").traces);
    assert!(of(&[GREETING, HELLO, REQUEST, ANSWER], "").pipelines);
    assert!(!of(&[GREETING, HELLO, ANSWER, REQUEST], "").pipelines);
    assert_eq!(of(&[GREETING, command, REQUEST], "").in_cleartext, 1);
    let session = [inside("c LOGIN\r\n"), inside("d LIST\r\n"), QUIT];
    assert_eq!(of(&session, "").answered, ["c LOGIN\\r\\n", "d LIST\\r\\n"]);
    assert_eq!(baseline(&[], &[], &[connection(&session)]).unanswered, 2);
}
