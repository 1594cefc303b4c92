//! What an observer of cleartext reads: logins, content, names. It takes no part in the connection.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::sealed::Sealed;
use crate::{Malformed, Side};

/// The facts of a protocol that an observer of its cleartext needs, beside the meaning of the messages.
///
/// Every method but [`opening`](Self::opening) reads one complete message that the [`Dialect`](super::Dialect) has read before, so
/// that a dialect with state knows what it belongs to. A protocol without such facts uses the defaults.
/// [`Dialect::observed`](super::Dialect::observed) returns the facts.
///
/// No secret leaves: the results contain names of mechanisms and users, never a password, a token or a response.
pub trait ObservedDialect: Sealed {
    /// Returns how the first octets that a side sends, on any port, fit this protocol. There are at least five, or a line. The
    /// side is the one that speaks first.
    fn opening(&self, _from: Side, _first: &[u8]) -> OpeningFit {
        OpeningFit::Other
    }

    /// Returns whether this message of a client carries or requests content: mail, directory entries, queries.
    fn carries_content(&self, _msg: &[u8]) -> bool {
        false
    }

    /// Returns what this message of the client contributes to a login: of a message that means
    /// [`Credentials`](crate::ClientMessage::Credentials). `None` if it has no known form; then assume that it shows a password.
    fn login_part(&self, _msg: &[u8]) -> Option<LoginPart> {
        None
    }

    /// Returns whether this message of the server asks the client for the next response of its mechanism, in a message that is
    /// not a command (RFC 4422 section 3).
    fn is_challenge(&self, _msg: &[u8]) -> bool {
        false
    }

    /// Returns what the client's response to a challenge shows. `step` is the number of the response in its mechanism, from 1;
    /// an initial response counts.
    fn login_response(&self, _mechanism: &str, _step: u32, _msg: &[u8]) -> LoginResponse {
        LoginResponse { user: None, exposure: LoginExposure::Readable }
    }

    /// Returns whether this message of the server accepts or refuses the login that the client has completed. `None` if it
    /// does neither.
    fn login_result(&self, _msg: &[u8]) -> Option<bool> {
        None
    }

    /// Returns the user that this message of the client names for the login with this mechanism before it: NICK after PASS in
    /// IRC (RFC 2812 section 3.1).
    fn later_user<'a>(&self, _mechanism: &str, _msg: &'a [u8]) -> Option<&'a [u8]> {
        None
    }

    /// Returns the name that this message of the client contains: the client's name in EHLO (RFC 5321 section 4.1.1.1), the
    /// user's in the cookie of RDP (MS-RDPBCGR section 2.2.1.1). The names of [`Dialect::client`](super::Dialect::client) and
    /// [`Dialect::service`](super::Dialect::service) are not repeated.
    fn hello_name<'a>(&self, _msg: &'a [u8]) -> Option<&'a [u8]> {
        None
    }

    /// Returns whether some servers answer this message of the client with their list although it is no correct hello: EHLO
    /// without a name, which RFC 5321 section 4.1.1.1 requires.
    fn is_incomplete_hello(&self, _msg: &[u8]) -> bool {
        false
    }

    /// Returns what the server's answer to a hello shows.
    fn hello_answer(&self, _msg: &[u8]) -> HelloAnswer {
        HelloAnswer::default()
    }

    /// Returns the number of octets that follow this command of the client as content, if the server implements the command
    /// (BDAT, RFC 3030 section 2). `None` if the message is another one.
    ///
    /// # Errors
    /// [`Malformed`] if the number cannot be read, so that the next command cannot be found.
    fn chunk(&self, _msg: &[u8]) -> Result<Option<usize>, Malformed> {
        Ok(None)
    }

    /// Returns whether servers disagree about the end of the content that the client sent last, so that only their answers
    /// show what they read as commands.
    fn has_ambiguous_content(&self) -> bool {
        false
    }

    /// Returns what a server waits for if it sends this message and nothing after it. `None` if that is not known.
    fn awaited_input(&self, _msg: &[u8]) -> Option<AwaitedInput> {
        None
    }

    /// Returns whether a reader can continue after missing octets: with the client's first message after an answer for which
    /// [`awaited_input`](Self::awaited_input) is a command. `chunks` is the [`HelloAnswer::lists_chunks`] of the server's list;
    /// `None` if no list was seen.
    fn can_resume(&self, _chunks: Option<bool>) -> bool {
        false
    }
}

/// How the first octets of a connection fit a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpeningFit {
    /// They are of another protocol.
    Other,
    /// More octets are needed.
    Undecided,
    /// They may be of this protocol, and of others that start with the same words.
    Possible,
    /// They are of this protocol and no other.
    Certain,
}

impl OpeningFit {
    pub(crate) fn possible(fits: bool) -> Self {
        if fits { Self::Possible } else { Self::Other }
    }

    pub(crate) fn certain(fits: bool) -> Self {
        if fits { Self::Certain } else { Self::Other }
    }
}

/// A message of a client as a part of a login. It contains no password, token or response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginPart {
    /// The mechanism, or the command of the protocol's own login. Empty if the part does not name it.
    pub mechanism: String,
    /// The user that the part names, as received: it is not escaped.
    pub user: Option<Vec<u8>>,
    /// What a reader of the network learns from the part alone.
    pub exposure: LoginExposure,
    /// The login to which the part belongs.
    pub part_of: PartOf,
    /// The number of responses of a SASL mechanism in the part: 1 with an initial response (RFC 4422 section 3).
    pub steps: u32,
}

impl LoginPart {
    /// Returns the first part of a login, in which the client sends no response of a SASL mechanism yet. If `user` is empty, the
    /// part names no user.
    pub fn new(mechanism: &str, user: Option<&[u8]>, exposure: LoginExposure) -> Self {
        let user = user.filter(|user| !user.is_empty()).map(<[u8]>::to_vec);
        Self { mechanism: mechanism.to_owned(), user, exposure, part_of: PartOf::NewLogin, steps: 0 }
    }

    /// Returns the part as one of this login.
    pub(crate) fn part_of(self, part_of: PartOf) -> Self {
        Self { part_of, ..self }
    }
}

/// The login to which a part belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartOf {
    /// A login that the part begins.
    NewLogin,
    /// The login before it: PASS after USER.
    LastLogin,
    /// The login that is going on, if the mechanism is the same; otherwise a login that the part begins. In LDAP, each step of
    /// a mechanism is a bind of its own (RFC 4511 section 4.2). [`ObservedDialect::login_response`] then reads it as a response.
    SameMechanism,
}

/// What a response to a challenge shows. It does not contain the response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginResponse {
    /// The user that the response names, as received: it is not escaped.
    pub user: Option<Vec<u8>>,
    /// What a reader of the network learns.
    pub exposure: LoginExposure,
}

impl LoginResponse {
    pub(crate) fn new(user: Option<Vec<u8>>, exposure: LoginExposure) -> Self {
        Self { user, exposure }
    }
}

/// What a reader of the network learns from a login, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoginExposure {
    /// The login was announced, and no secret was sent.
    Attempted,
    /// Only who the user is.
    Identity,
    /// A response that allows to guess the password offline.
    Guessable,
    /// The password or token itself.
    Readable,
}

/// What a server's answer to a hello shows, beside the offer of the upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct HelloAnswer {
    /// The server refused to list its capabilities, so that the lack of an offer means nothing.
    pub is_refusal: bool,
    /// A firewall has overwritten a keyword of the list.
    pub is_masked: bool,
    /// The list lets clients send content before they get an answer (CHUNKING, RFC 3030 section 2).
    pub lists_chunks: bool,
}

impl HelloAnswer {
    /// Returns an answer that lists capabilities, or refuses to.
    pub(crate) fn refusal(is_refusal: bool) -> Self {
        Self { is_refusal, ..Self::default() }
    }
}

/// What a server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AwaitedInput {
    /// A command.
    Command,
    /// What is not a command: content, or the next part of a login.
    Content,
}

/// The facts of a protocol without any.
pub(super) struct Unobserved;

impl Sealed for Unobserved {}

impl ObservedDialect for Unobserved {}
