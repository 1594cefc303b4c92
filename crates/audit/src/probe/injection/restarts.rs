//! A session that begins anew inside TLS, begun in cleartext in other words than the hello alone.

use starttls::proto::ClientMessage;

use super::trial::{EAGER, End, Form, Shape, Trial, trial};
use super::{Conclusion, Judge, cleartext_reply, dialect_inside, short};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::{Restart, begins};

/// Each restart behind the request in one segment; then silence inside TLS, and the usual questions.
pub(super) async fn probe(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let mut seen = ProbeResult::default();
    for restart in plan.profile.restarts {
        let purpose = format!("the request and {} in one segment", restart.name);
        let form =
            Form { silent: Some(EAGER), ..Form::new(purpose, Shape::Together(written(plan, restart))) };
        let Trial { end, record } = trial(plan, &form).await;
        let all = record.all();
        let at = seen.record(record);
        seen.push(cleartext_reply::judge(plan, judge, &end).at(at, all));
        let (eager, lazy) = compared(plan, judge, &end);
        seen.push(eager.at(at, all));
        seen.push(lazy.at(at, all));
    }
    seen
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
    let [eager, lazy] = ["srv-inject-eager", "srv-inject-lazy"];
    // Nobody logs in inside TLS here.
    let login = |text: &&String| begins(text, plan.profile.took_credentials);
    if let End::Unasked(heard, answers) = end
        && heard.is_empty()
        && let Some(text) = answers.signatures.iter().find(login)
    {
        let why = format!("a login that came in cleartext is answered inside TLS: \"{}\"", short(text));
        return (
            FindingBuilder::pass(eager, "nothing is answered before data comes inside TLS"),
            FindingBuilder::fail(lazy, why),
        );
    }
    match judge.verdict(end) {
        Conclusion::Injected(why) => (
            FindingBuilder::fail(eager, why),
            FindingBuilder::pass(lazy, "the answer does not wait for data inside TLS"),
        ),
        Conclusion::Sound(why) => (FindingBuilder::pass(eager, why.clone()), FindingBuilder::pass(lazy, why)),
        Conclusion::Inconclusive(stop) => {
            (FindingBuilder::inconclusive(eager, &stop), FindingBuilder::inconclusive(lazy, &stop))
        }
    }
}
