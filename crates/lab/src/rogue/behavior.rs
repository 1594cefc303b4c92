//! The behavior of an embedded server, as data: that of a sound server, and the differences of a rogue.

use std::time::Duration;

use starttls::proto::Refusal;

use super::response_patch::ResponsePatch;

/// The timeout of a handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The behavior of a server before, during and after its upgrade.
#[derive(Clone, Copy)]
pub(super) struct Behavior {
    /// The commands that reach the application before TLS.
    pub(super) gate: CleartextAccess,
    /// Whether capabilities that belong inside TLS are also listed before it, such as mechanisms.
    pub(super) lists: bool,
    /// Whether the upgrade is offered.
    pub(super) offers: bool,
    /// How the server refuses a request; `None` to accept it.
    pub(super) refuses: Option<Refusal>,
    /// Whether the server accepts other forms of the request than the exact one.
    pub(super) sloppy: bool,
    /// Whether the server accepts a request inside the data of another command.
    pub(super) hunts: bool,
    /// What the server does with bytes that follow the request.
    pub(super) after_request: AfterRequest,
    /// The only form of a new session that the server reads after the request; `None` for every form.
    pub(super) restart: Option<SessionStart>,
    /// How the server treats the upgrade inside TLS.
    pub(super) inside: InnerOffer,
    /// How the server serves a session inside TLS.
    pub(super) session: SessionMode,
    /// Whether the application receives the cleartext commands again inside TLS.
    pub(super) keeps_state: bool,
    /// Whether the server returns to cleartext after a failed handshake.
    pub(super) falls_back: bool,
    /// Whether the server then discards the bytes that arrived instead of a handshake.
    pub(super) swallows: bool,
    /// Whether each octet of the handshake restarts its timeout.
    pub(super) restless: bool,
    /// Whether the server waits for the ClientHello without a timeout.
    pub(super) stalls: bool,
    /// Whether the greeting states that the client is logged in.
    pub(super) preauth: bool,
    /// Whether the server rejects all connections after the first.
    pub(super) throttles: bool,
    /// Changes to the responses in cleartext.
    pub(super) patches: &'static [ResponsePatch],
    pub(super) pace: Pace,
}

impl Behavior {
    /// The behavior of the server in `starttls-proto`.
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
        stalls: false,
        preauth: false,
        throttles: false,
        patches: &[],
        pace: Pace::AT_ONCE,
    };
}

/// The commands that reach the application before TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CleartextAccess {
    Closed,
    /// Commands with credentials.
    Credentials,
    Open,
}

/// What a server does with the bytes that follow the request in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterRequest {
    /// It sends an error in cleartext and closes. Sound.
    Close,
    /// It refuses the request and closes. Sound.
    Refuse,
    /// It accepts the request and discards the bytes. Sound.
    Discard,
    /// It accepts the request and closes. Sound.
    CloseAfter,
    /// It accepts the request, and sends an error inside TLS. Sound.
    FatalInside,
    /// It answers complete messages inside TLS at once.
    Eager,
    /// It answers complete messages inside TLS after the client has sent a message there.
    Lazy,
    /// It reads everything before the ClientHello inside TLS, whenever it arrived.
    Split,
    /// It joins an incomplete message with the first message inside TLS.
    Partial,
    /// It is eager if the request was not exact, and sound otherwise.
    EagerIfSloppy,
    /// It answers complete messages in cleartext after the acceptance.
    Plain,
}

/// The start of a new session after the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionStart {
    /// A stream header with an XML declaration.
    DeclaredHeader,
    /// A stream header without an XML declaration.
    BareHeader,
    /// A login in the stream from before TLS.
    Login,
}

impl SessionStart {
    /// Returns whether these bytes start like that.
    pub(super) fn understands(self, bytes: &[u8]) -> bool {
        match self {
            Self::DeclaredHeader => bytes.starts_with(b"<?xml"),
            Self::BareHeader => bytes.starts_with(b"<stream:stream"),
            Self::Login => bytes.starts_with(b"<auth"),
        }
    }
}

/// How a server serves a session inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionMode {
    Usual,
    /// It receives, and does not answer.
    Mute,
    /// It closes at once.
    Ends,
    /// It answers the first message with the protocol's temporary error, and closes.
    TurnedAway,
}

/// How a server treats the upgrade inside TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InnerOffer {
    Sound,
    /// It offers and accepts the upgrade again.
    Offered,
    /// It sends the list from before TLS.
    Kept,
}

/// The pace of the server in cleartext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The delay before the first octet.
    pub(super) delay: Duration,
    /// The octets at a time; 0 for all at once.
    pub(super) octets: usize,
    /// The pause between two pieces.
    pub(super) pause: Duration,
}

impl Pace {
    pub(super) const AT_ONCE: Self = Self { delay: Duration::ZERO, octets: 0, pause: Duration::ZERO };
}
