//! How an embedded server behaves, as data: the sound behavior, and what a rogue does otherwise.

use std::time::Duration;

use starttls::proto::Refusal;

use super::response_patch::ResponsePatch;

/// How a server behaves around its upgrade.
#[derive(Clone, Copy)]
pub(super) struct Behavior {
    /// What reaches the application before TLS.
    pub(super) gate: CleartextAccess,
    /// Whether what belongs inside TLS is listed before it too: mechanisms, and all else.
    pub(super) lists: bool,
    /// Whether the upgrade is offered.
    pub(super) offers: bool,
    /// How a request is refused, if it is.
    pub(super) refuses: Option<Refusal>,
    /// Whether other forms of the request than the exact one do.
    pub(super) sloppy: bool,
    /// Whether a request is taken for one wherever it stands, in the data of other commands too.
    pub(super) hunts: bool,
    /// What becomes of bytes behind the request.
    pub(super) after_request: AfterRequest,
    /// The only form of a new session that is understood there, if only one is.
    pub(super) restart: Option<SessionStart>,
    /// What is said of the upgrade inside TLS.
    pub(super) inside: InnerOffer,
    /// What becomes of a session inside TLS.
    pub(super) session: SessionMode,
    /// Whether what was said in cleartext is said to the application inside TLS once more.
    pub(super) keeps_state: bool,
    /// Whether a failed handshake leads back to cleartext.
    pub(super) falls_back: bool,
    /// Whether what came instead of a handshake is swallowed.
    pub(super) swallows: bool,
    /// Whether an octet is all that a handshake has to bring in time.
    pub(super) restless: bool,
    /// Whether a session is greeted as authenticated.
    pub(super) preauth: bool,
    /// Whether all connections but the first are turned away.
    pub(super) throttles: bool,
    /// Changes to what is said in cleartext.
    pub(super) patches: &'static [ResponsePatch],
    pub(super) pace: Pace,
}

impl Behavior {
    /// As the engine's own server behaves.
    pub(super) const SOUND: Self = Self {
        gate: CleartextAccess::Closed,
        lists: false,
        offers: true,
        refuses: None,
        sloppy: false,
        hunts: false,
        after_request: AfterRequest::Close,
        restart: None,
        inside: InnerOffer::Sound,
        session: SessionMode::Usual,
        keeps_state: false,
        falls_back: false,
        swallows: false,
        restless: false,
        preauth: false,
        throttles: false,
        patches: &[],
        pace: Pace::AT_ONCE,
    };
}

/// What reaches the application before TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CleartextAccess {
    Closed,
    /// What carries credentials.
    Credentials,
    Open,
}

/// What becomes of the bytes behind the request, as far as they came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterRequest {
    /// An error in cleartext, and the end. Sound.
    Close,
    /// The request is refused, and the connection ends. Sound.
    Refuse,
    /// The go-ahead, and nothing is kept. Sound.
    Discard,
    /// The go-ahead, and the end. Sound.
    CloseAfter,
    /// The go-ahead, the handshake, and an error inside TLS. Sound.
    FatalInside,
    /// Whole messages are answered inside TLS at once.
    Eager,
    /// Whole messages are answered inside TLS when something comes there.
    Lazy,
    /// Everything up to the ClientHello is read inside TLS, whenever it came.
    Split,
    /// What is not a whole message is the start of the first one inside TLS.
    Partial,
    /// Eager if the request was not exact, sound otherwise.
    EagerIfSloppy,
    /// Whole messages are answered in cleartext behind the go-ahead.
    Plain,
}

/// How a new session begins after the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionStart {
    /// With a stream header that has an XML declaration before it.
    DeclaredHeader,
    /// With a stream header alone.
    BareHeader,
    /// With a login, in the stream before.
    Login,
}

impl SessionStart {
    /// Whether these bytes begin like that.
    pub(super) fn understands(self, bytes: &[u8]) -> bool {
        match self {
            Self::DeclaredHeader => bytes.starts_with(b"<?xml"),
            Self::BareHeader => bytes.starts_with(b"<stream:stream"),
            Self::Login => bytes.starts_with(b"<auth"),
        }
    }
}

/// What becomes of a session inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionMode {
    Usual,
    /// It is heard and not answered.
    Mute,
    /// It ends before a word.
    Ends,
    /// The first message is answered with the protocol's word for "not now", and the session ends.
    TurnedAway,
}

/// What is said of the upgrade inside TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InnerOffer {
    Sound,
    /// It is offered and accepted again.
    Offered,
    /// The list is the one from before.
    Kept,
}

/// How fast the server speaks in cleartext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Before the first octet.
    pub(super) delay: Duration,
    /// Octets at a time; none for all at once.
    pub(super) octets: usize,
    /// Between one piece and the next.
    pub(super) pause: Duration,
}

impl Pace {
    pub(super) const AT_ONCE: Self = Self { delay: Duration::ZERO, octets: 0, pause: Duration::ZERO };
}
