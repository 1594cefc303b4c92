//! A server on paper: it reads the octets of a hello and answers with the octets of a first flight, as the
//! specifications ask for, and with the faults it was given.

use std::collections::{BTreeMap, BTreeSet};

use starttls_hello::{
    Alert, Answer, AnyClientHello, Authentication, CipherSuite, ClientHello, ClientHelloReader,
    ConnectionOutcome, Curve, Extension, Flight, FlightEnd, HelloContext, KeyExchange, NamedGroup, Question,
    ServerFlight, ServerHello, ServerKeyExchange, SignatureScheme, Ssl2Kind, Ssl2ServerHello, StreamEnd,
    SuiteClass, Version, extension_kind,
};

/// How a server refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// With alert 40, and 70 for versions.
    Alert,
    /// With alert 40 for everything.
    OneAlert,
    /// By closing the connection.
    Close,
    /// By sending nothing.
    Silence,
}

/// What the server has, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The suites of SSL 3.0 to TLS 1.2 in the server's order.
    pub(crate) classic: BTreeMap<Version, Vec<CipherSuite>>,
    /// The suites and groups of TLS 1.3 in the server's order.
    pub(crate) modern: Option<(Vec<CipherSuite>, Vec<NamedGroup>)>,
    /// The kinds of SSL 2.0.
    pub(crate) ssl2: Option<Vec<Ssl2Kind>>,
    /// The curves up to TLS 1.2 in the server's order.
    pub(crate) curves: Vec<NamedGroup>,
    /// Whether the server's order decides.
    pub(crate) server_order: bool,
    /// How it refuses.
    pub(crate) style: Style,
    /// The parts of classes that it chooses and cannot do.
    pub(crate) broken: BTreeSet<(SuiteClass, bool)>,
    /// The connections that are turned away before the hello.
    pub(crate) turned_away: Vec<bool>,
    /// Whether it honors TLS_FALLBACK_SCSV.
    pub(crate) scsv: bool,
    /// Whether it marks downgrades.
    pub(crate) mark: bool,
    /// Whether it agrees to compression.
    pub(crate) compression: bool,
    /// Whether it signs with SHA-1 if asked to.
    pub(crate) sha1: bool,
    /// Whether its DH value stays the same.
    pub(crate) reuse: bool,
    /// The length of its DH prime in octets.
    pub(crate) dh_octets: usize,
    /// Whether it objects to an empty key share or GREASE.
    pub(crate) strict: bool,
    /// The most octets of a hello that it answers.
    pub(crate) longest: usize,
    /// Whether it refuses a hello with a version newer than its newest one.
    pub(crate) intolerant: bool,
    /// Explicit curves instead of named ones.
    pub(crate) explicit: bool,
    /// The connections so far.
    pub(crate) connections: usize,
}

/// What a hello gets.
enum Reply {
    Bytes(Vec<u8>),
    Alert(u8),
    Close,
    Silence,
}

impl Server {
    /// A server with TLS 1.2 and 1.3 as they are commonly configured.
    pub(crate) fn usual() -> Self {
        let good = [0xc02f, 0xc030, 0xcca8].map(CipherSuite).to_vec();
        let modern = [0x1301, 0x1302, 0x1303].map(CipherSuite).to_vec();
        let groups = [0x001d, 0x0017].map(NamedGroup).to_vec();
        Self {
            classic: BTreeMap::from([(Version::Tls12, good)]),
            modern: Some((modern, groups.clone())),
            ssl2: None,
            curves: groups,
            server_order: true,
            style: Style::Alert,
            broken: BTreeSet::new(),
            turned_away: Vec::new(),
            scsv: true,
            mark: true,
            compression: false,
            sha1: false,
            reuse: false,
            dh_octets: 256,
            strict: false,
            longest: usize::MAX,
            intolerant: false,
            explicit: false,
            connections: 0,
        }
    }

    /// The part of a class that breaks as one.
    pub(crate) fn part(suite: CipherSuite) -> (SuiteClass, bool) {
        (suite.class(), exchange(suite) == KeyExchange::Dhe)
    }

    /// The suites that a client can use at a version up to TLS 1.2.
    pub(crate) fn usable(&self, version: Version) -> impl Iterator<Item = CipherSuite> {
        let suites = self.classic.get(&version).into_iter().flatten().copied();
        suites.filter(|suite| !self.broken.contains(&Self::part(*suite)))
    }

    /// One connection: the hello of the question, and what the reader makes of the answer at this cut.
    pub(crate) fn connect(&mut self, question: &Question, cut: usize) -> ConnectionOutcome {
        self.connections += 1;
        if self.turned_away.get(self.connections - 1).copied().unwrap_or_default() {
            return ConnectionOutcome::TurnedAway;
        }
        let context = HelloContext {
            server_name: Some("mail.example.com"),
            alpn: None,
            random: [u8::try_from(self.connections % 251).unwrap_or_default(); 32],
            session_id: [7; 32],
        };
        let bytes = question.to_bytes(&context);
        if bytes.len() > self.longest {
            return ConnectionOutcome::Answered(Answer::Silent);
        }
        let hello = ClientHelloReader::new().receive(&bytes).expect("a hello").expect("a whole hello");
        let bytes = match self.answer(&hello) {
            Reply::Bytes(bytes) => bytes,
            Reply::Alert(description) => Alert::fatal(description).to_bytes().to_vec(),
            Reply::Close => Vec::new(),
            Reply::Silence => return ConnectionOutcome::Answered(Answer::Silent),
        };
        ConnectionOutcome::Answered(read(&bytes, cut))
    }

    fn answer(&self, hello: &AnyClientHello) -> Reply {
        let hello = match hello {
            AnyClientHello::Tls(hello) => hello,
            AnyClientHello::Ssl2(hello) => {
                let Some(kinds) = &self.ssl2 else { return self.refuse(Alert::PROTOCOL_VERSION) };
                let kinds = kinds.iter().copied().filter(|kind| hello.kinds.contains(kind)).collect();
                let hello = Ssl2ServerHello {
                    version: 2,
                    kinds,
                    certificate: vec![0x30; 40],
                    connection_id: vec![1; 16],
                };
                return Reply::Bytes(hello.to_bytes());
            }
        };
        let versions = hello.supported_versions();
        match &self.modern {
            Some((suites, groups)) if versions.contains(&Version::Tls13.code()) => {
                self.modern(hello, suites, groups)
            }
            // A server that knows `supported_versions` does not take an older version from elsewhere.
            Some(_) if !versions.is_empty() => self.refuse(Alert::PROTOCOL_VERSION),
            _ => self.classic(hello),
        }
    }

    fn modern(&self, hello: &ClientHello, suites: &[CipherSuite], groups: &[NamedGroup]) -> Reply {
        let grease = hello.suites.iter().any(|suite| suite.is_grease());
        if self.strict && (grease || hello.key_shares().is_empty()) {
            return self.refuse(Alert::ILLEGAL_PARAMETER);
        }
        let suite = self.choose(suites, &hello.suites);
        let group = self.choose(groups, &hello.groups());
        let (Some(suite), Some(group)) = (suite, group) else { return self.refuse(Alert::HANDSHAKE_FAILURE) };
        let shared = hello.key_shares().iter().any(|(shared, _)| *shared == group);
        let mut share = group.0.to_be_bytes().to_vec();
        if shared {
            share.extend([0, 1, 4]);
        }
        let extensions = vec![
            Extension { kind: extension_kind::SUPPORTED_VERSIONS, data: vec![3, 4] },
            Extension { kind: extension_kind::KEY_SHARE, data: share },
        ];
        let hello = ServerHello {
            legacy_version: 0x0303,
            random: if shared { [5; 32] } else { ServerHello::RETRY },
            session_id: hello.session_id.clone(),
            suite,
            compression: 0,
            extensions,
        };
        let mut bytes = hello.to_bytes();
        if shared {
            bytes.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 2, 9, 9]);
        }
        Reply::Bytes(bytes)
    }

    fn classic(&self, hello: &ClientHello) -> Reply {
        let newest = Version::from_code(hello.version).expect("a version of ours");
        let best = self.classic.keys().copied().filter(|version| *version <= newest).max();
        let Some(version) = best else { return self.refuse(Alert::PROTOCOL_VERSION) };
        let is_unknown = self.modern.is_none() && self.classic.keys().all(|own| *own < newest);
        if self.intolerant && is_unknown {
            return self.refuse(Alert::PROTOCOL_VERSION);
        }
        let newer = self.modern.is_some() || self.classic.keys().any(|other| *other > version);
        if self.scsv && newer && hello.suites.contains(&CipherSuite::FALLBACK_SCSV) {
            return self.refuse(Alert::INAPPROPRIATE_FALLBACK);
        }
        let suites: Vec<_> =
            self.classic[&version].iter().copied().filter(|suite| self.can(hello, version, *suite)).collect();
        let Some(suite) = self.choose(&suites, &hello.suites) else {
            return self.refuse(Alert::HANDSHAKE_FAILURE);
        };
        if self.broken.contains(&Self::part(suite)) {
            return if self.style == Style::Close {
                Reply::Close
            } else {
                Reply::Alert(Alert::INTERNAL_ERROR)
            };
        }
        Reply::Bytes(self.flight(hello, version, suite))
    }

    /// Whether there is a curve and a signature scheme for the suite.
    fn can(&self, hello: &ClientHello, version: Version, suite: CipherSuite) -> bool {
        let curve = exchange(suite) != KeyExchange::Ecdhe || self.curve(hello).is_some();
        let signed = matches!(exchange(suite), KeyExchange::Ecdhe | KeyExchange::Dhe)
            && authentication(suite) != Authentication::Anonymous;
        let scheme = !signed || version != Version::Tls12 || self.scheme(hello, suite).is_some();
        curve && scheme
    }

    fn curve(&self, hello: &ClientHello) -> Option<NamedGroup> {
        match hello.extensions.is_some() {
            true => self.choose(&self.curves, &hello.groups()),
            false => self.curves.first().copied(),
        }
    }

    fn scheme(&self, hello: &ClientHello, suite: CipherSuite) -> Option<SignatureScheme> {
        let key = match authentication(suite) {
            Authentication::Rsa => 1,
            Authentication::Dss => 2,
            _ => 3,
        };
        let hashes = if self.sha1 { &[4, 2][..] } else { &[4][..] };
        let mut schemes = hashes.iter().map(|hash| SignatureScheme(hash << 8 | key));
        schemes.find(|scheme| hello.signature_schemes().contains(scheme))
    }

    fn flight(&self, hello: &ClientHello, version: Version, suite: CipherSuite) -> Vec<u8> {
        let mut random = [self.connections.to_be_bytes()[7]; 32];
        if self.mark && self.modern.is_some() {
            let mark: &[u8; 8] = if version == Version::Tls12 { b"DOWNGRD\x01" } else { b"DOWNGRD\x00" };
            random[24..].copy_from_slice(mark);
        }
        let extended = hello.extension(extension_kind::EXTENDED_MASTER_SECRET).is_some();
        let server_hello = ServerHello {
            legacy_version: version.code(),
            random,
            session_id: Vec::new(),
            suite,
            compression: u8::from(self.compression && hello.compression.contains(&1)),
            extensions: extended
                .then(|| Extension::empty(extension_kind::EXTENDED_MASTER_SECRET))
                .into_iter()
                .collect(),
        };
        let anonymous = authentication(suite) == Authentication::Anonymous;
        let scheme = self.scheme(hello, suite).filter(|_| version == Version::Tls12 && !anonymous);
        let key_exchange = match exchange(suite) {
            KeyExchange::Ecdhe => Some(ServerKeyExchange::Ecdhe {
                curve: match self.explicit {
                    true => Curve::ExplicitPrime { bits: 32 },
                    false => Curve::Named(self.curve(hello).unwrap_or(NamedGroup::SECP256R1)),
                },
                point: vec![4, 1, self.connections.to_be_bytes()[7]],
                scheme,
            }),
            KeyExchange::Dhe => {
                let value = if self.reuse { 1 } else { self.connections };
                let (prime, generator) = (vec![0xff; self.dh_octets], vec![2]);
                Some(ServerKeyExchange::Dhe {
                    prime,
                    generator,
                    public: value.to_be_bytes().to_vec(),
                    scheme,
                })
            }
            _ => None,
        };
        let certificate = vec![0x30 | authentication(suite) as u8; 40];
        let flight = ServerFlight {
            certificates: if anonymous { Vec::new() } else { vec![certificate] },
            key_exchange,
            end: FlightEnd::Done,
            ..ServerFlight::new(server_hello)
        };
        flight.to_bytes()
    }

    fn choose<T: Copy + PartialEq>(&self, ours: &[T], theirs: &[T]) -> Option<T> {
        let (first, second) = if self.server_order { (ours, theirs) } else { (theirs, ours) };
        first.iter().copied().find(|it| second.contains(it))
    }

    fn refuse(&self, alert: u8) -> Reply {
        match (self.style, alert) {
            (_, Alert::INAPPROPRIATE_FALLBACK | Alert::ILLEGAL_PARAMETER) => Reply::Alert(alert),
            (Style::Alert, _) => Reply::Alert(alert),
            (Style::OneAlert, _) => Reply::Alert(Alert::HANDSHAKE_FAILURE),
            (Style::Close, _) => Reply::Close,
            (Style::Silence, _) => Reply::Silence,
        }
    }
}

fn exchange(suite: CipherSuite) -> KeyExchange {
    suite.info().expect("a known suite").key_exchange
}

fn authentication(suite: CipherSuite) -> Authentication {
    suite.info().expect("a known suite").authentication
}

/// Reads an answer in two pieces.
pub(crate) fn read(bytes: &[u8], cut: usize) -> Answer {
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    let mut flight = Flight::new();
    for part in [first, second] {
        let _ = flight.receive(part);
    }
    flight.finish(StreamEnd::Closed)
}
