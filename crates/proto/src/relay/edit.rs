//! Applies the rules of a relay to one message.

use alloc::vec::Vec;

use super::rule::swapped;
use super::{Due, Edit, EventKind, Outgoing, Relay, RelayRule, Trigger};
use crate::{CleartextPermission, ClientMessage, ReplyTo, ServerMessage, Side};

/// The outcome of the rules for a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Untouched,
    Changed,
    Swallowed,
    Released,
    Granted,
    /// The message was refused, and the relay ended the session.
    Ended,
}

impl Relay {
    /// Applies the rules to a message and sends the result.
    pub(super) fn edit(
        &mut self,
        from: Side,
        reply_to: ReplyTo,
        message: Vec<u8>,
        what: EventKind,
        out: &mut Outgoing,
    ) -> Fate {
        let (mut message, mut fate) = (Some(message), Fate::Untouched);
        let (onward, has_ambiguous_continuation) = (from.peer(), self.dialect.has_ambiguous_continuation());
        let clearance = self.cleartext_permission(what, message.as_deref().unwrap_or_default());
        let applies = |rule: &&RelayRule| match rule.trigger {
            Trigger::Client(meaning) => what == EventKind::Client(meaning),
            Trigger::NeedsTls => clearance != CleartextPermission::Allowed,
            Trigger::Server(meaning) => what == EventKind::Server(meaning),
            Trigger::Reply(to) => from == Side::Server && reply_to == to,
            Trigger::Any(side) => from == side,
        };
        self.applied |= self.rules.iter().any(|rule| applies(&rule));
        for rule in self.rules.iter().filter(applies) {
            let edited = match &rule.edit {
                Edit::Rewrite(how) => {
                    message.as_ref().map(|it| self.dialect.rewrite(from, reply_to, it, *how))
                }
                Edit::Swap(old, new) => message.as_ref().map(|it| swapped(it, old, new)),
                Edit::Replace(with) => Some(with.clone()),
                Edit::Drop => None,
                Edit::Answer(answer) => {
                    self.dialect.write_server(*answer, &mut out.to_client);
                    None
                }
                Edit::AnswerInTurn(answer) => {
                    let mut answered = Vec::new();
                    let ambiguous =
                        rule.trigger == Trigger::NeedsTls && clearance == CleartextPermission::Ambiguous;
                    let ends = has_ambiguous_continuation || ambiguous || self.flow.closes_when_tls_required;
                    self.dialect.write_server(*answer, &mut answered);
                    if ends && !self.flow.closes_when_tls_required {
                        self.dialect.write_server(ServerMessage::Bye, &mut answered);
                    }
                    self.due.push_back(Due::Ours(answered));
                    if ends {
                        (message, fate) = (None, Fate::Ended);
                        continue;
                    }
                    None
                }
                Edit::Reply(words) => {
                    self.dialect.write_answer(0, words, &mut out.to_client);
                    None
                }
                Edit::Before(first) => {
                    out.to(onward).extend_from_slice(first);
                    continue;
                }
                Edit::Release => {
                    fate = Fate::Released;
                    continue;
                }
                Edit::Grant => {
                    (message, fate) = (None, Fate::Granted);
                    continue;
                }
                Edit::After(_) | Edit::PredictReply(..) | Edit::Cut => continue,
            };
            fate = match &edited {
                _ if matches!(fate, Fate::Released | Fate::Granted | Fate::Ended) => fate,
                None => Fate::Swallowed,
                // A swap of text does not change the meaning: a go-ahead with another text is still a go-ahead.
                Some(_) if matches!(rule.edit, Edit::Swap(..)) => fate,
                Some(_) if edited != message => Fate::Changed,
                Some(_) => fate,
            };
            message = edited;
        }
        self.pass(onward, &message.unwrap_or_default(), out);
        for rule in self.rules.iter().filter(applies) {
            match &rule.edit {
                Edit::After(more) => out.to(onward).extend_from_slice(more),
                Edit::PredictReply(ahead, words) => {
                    self.dialect.write_answer(*ahead, words, &mut out.to_client)
                }
                Edit::Cut => out.cuts.push(out.to_client.len()),
                _ => {}
            }
        }
        self.answer(out);
        fate
    }

    /// Returns whether a message may pass where TLS is optional, if a rule depends on it.
    fn cleartext_permission(&self, what: EventKind, message: &[u8]) -> CleartextPermission {
        match what {
            EventKind::Client(ClientMessage::Request | ClientMessage::OnBehalf) => {
                CleartextPermission::Allowed
            }
            EventKind::Client(_) if self.rules.iter().any(|rule| rule.trigger == Trigger::NeedsTls) => {
                self.dialect.cleartext_permission(message)
            }
            _ => CleartextPermission::Allowed,
        }
    }

    /// Sends the relay's own answers that no earlier answer delays.
    pub(super) fn answer(&mut self, out: &mut Outgoing) {
        while let Some(Due::Ours(answer)) = self.due.front() {
            out.to_client.extend_from_slice(answer);
            self.due.pop_front();
        }
    }
}
