//! A session that begins anew inside TLS, begun in cleartext in other words than the hello alone.

use starttls::proto::ClientMessage;

use super::injection::{Judge, Verdict, dialect_inside, short};
use super::plain;
use super::trial::{EAGER, End, Form, Shape, Trial, trial};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::words::{Restart, begins};

/// Each restart behind the request in one segment; then silence inside TLS, and the usual questions.
pub(super) async fn probe(plan: &Plan, judge: &Judge<'_>) -> Seen {
    let mut seen = Seen::default();
    for restart in plan.words.restarts {
        let purpose = format!("the request and {} in one segment", restart.name);
        let form =
            Form { silent: Some(EAGER), ..Form::new(purpose, Shape::Together(written(plan, restart))) };
        let Trial { end, record } = trial(plan, &form).await;
        let all = record.all();
        let at = seen.record(record);
        seen.push(plain::judge(plan, judge, &end).at(at, all));
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

fn compared(plan: &Plan, judge: &Judge<'_>, end: &End) -> (Draft, Draft) {
    let [eager, lazy] = ["srv-inject-eager", "srv-inject-lazy"];
    // Nobody logs in inside TLS here.
    let login = |text: &&String| begins(text, plan.words.took_credentials);
    if let End::Unasked(heard, answers) = end
        && heard.is_empty()
        && let Some(text) = answers.signatures.iter().find(login)
    {
        let why = format!("a login that came in cleartext is answered inside TLS: \"{}\"", short(text));
        return (
            Draft::pass(eager, "nothing is answered before data comes inside TLS"),
            Draft::fail(lazy, why),
        );
    }
    match judge.verdict(end) {
        Verdict::Injected(why) => {
            (Draft::fail(eager, why), Draft::pass(lazy, "the answer does not wait for data inside TLS"))
        }
        Verdict::Sound(why) => (Draft::pass(eager, why.clone()), Draft::pass(lazy, why)),
        Verdict::Untold(stop) => (Draft::untold(eager, &stop), Draft::untold(lazy, &stop)),
    }
}
