//! Injected bytes that begin the session inside TLS in other ways than the hello alone.

use starttls::proto::ClientMessage;

use super::trial::{EAGER, End, Form, Shape, Trial, trial};
use super::{Conclusion, Judge, cleartext_reply, dialect_inside, short};
use crate::check::id;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::{Restart, begins};

/// Sends each restart and the request in one segment, is silent inside TLS, and then sends the usual commands.
pub(super) async fn probe(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let mut result = ProbeResult::default();
    for restart in plan.profile.restarts {
        let purpose = format!("the request and {} in one segment", restart.name);
        let form =
            Form { silent: Some(EAGER), ..Form::new(purpose, Shape::Together(written(plan, restart))) };
        let Trial { end, log } = trial(plan, &form).await;
        let at = result.record(&log);
        result.push(cleartext_reply::judge(plan, judge, &end).at_all(at));
        let (eager, lazy) = compared(plan, judge, &end);
        result.push(eager.at_all(at));
        result.push(lazy.at_all(at));
    }
    result
}

fn written(plan: &Plan, restart: &Restart) -> Vec<u8> {
    let mut dialect = dialect_inside(plan);
    let [hello, login] = [ClientMessage::Hello, ClientMessage::Credentials].map(|message| {
        let mut bytes = Vec::new();
        dialect.write_client(message, &mut bytes);
        bytes
    });
    (restart.written)(&hello, &login)
}

fn compared(plan: &Plan, judge: &Judge<'_>, end: &End) -> (FindingBuilder, FindingBuilder) {
    let [eager, lazy] = [id::SRV_INJECT_EAGER, id::SRV_INJECT_LAZY];
    // The client does not log in inside TLS here.
    let login = |text: &&String| begins(text, plan.profile.took_credentials);
    if let End::Unasked(received, answers) = end
        && received.is_empty()
        && let Some(text) = answers.signatures.iter().find(login)
    {
        let why = format!("the server answers a login from the cleartext inside TLS: \"{}\"", short(text));
        return (
            FindingBuilder::pass(eager, "the server answers nothing before data arrives inside TLS"),
            FindingBuilder::fail(lazy, why),
        );
    }
    match judge.verdict(end) {
        Conclusion::Injected(why) => (
            FindingBuilder::fail(eager, why),
            FindingBuilder::pass(lazy, "the answer does not wait for data inside TLS"),
        ),
        Conclusion::Sound(why) => (FindingBuilder::pass(eager, why.clone()), FindingBuilder::pass(lazy, why)),
        Conclusion::Inconclusive(error) => {
            (FindingBuilder::inconclusive(eager, &error), FindingBuilder::inconclusive(lazy, &error))
        }
    }
}
