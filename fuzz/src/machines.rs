//! Clients and servers.

use std::fmt;

use starttls_proto::{
    Client, DeclinedReason, Error, Escaped, Progress, Quit, Server, ServerSession, TlsSupport,
};

use crate::{choose, identity};

/// Runs a client against an arbitrary server: it must not panic, its output must be short, and smaller pieces must
/// not change the outcome.
pub fn client(input: &[u8]) {
    let Some((protocol, size, octets)) = choose(input) else { return };
    compare(octets, size, true, |pieces| {
        let mut said = Vec::new();
        let client = Client::new(protocol, identity(), &mut said);
        let run = drive(client, said, pieces);
        assert!(run.said.len() < 4096, "{}: {} octets of questions", protocol.name, run.said.len());
        run
    });
}

/// Runs a server against an arbitrary client: it must not panic, its output must be in proportion to the input, and
/// smaller pieces must not change the outcome.
pub fn server(input: &[u8]) {
    let Some((protocol, size, octets)) = choose(input) else { return };
    for tls in [TlsSupport::Available, TlsSupport::Unavailable] {
        compare(octets, size, false, |pieces| {
            let mut said = Vec::new();
            let server = Server::new(protocol, identity(), tls, &mut said);
            let mut run = drive(server, said, pieces);
            // Rule B2: the machine drops white space before TLS in the segment of the request; the drivers drop it in
            // later segments.
            if let End::Upgrade(tls) = &mut run.end {
                let space =
                    tls.iter().take_while(|octet| protocol.flow.space_before_tls.contains(octet)).count();
                tls.drain(..space);
            }
            let bound = 4096 + 256 * octets.len();
            assert!(run.said.len() < bound, "{}: {} octets of answers", protocol.name, run.said.len());
            run
        });
    }
    let mut out = Vec::new();
    let mut inside = ServerSession::new(protocol, identity(), &mut out);
    let _rest = inside.receive(octets);
    while let Ok(Some(_)) = inside.next(&mut out) {}
}

/// The output of a machine, and its outcome.
#[derive(PartialEq)]
struct Run {
    said: Vec<u8>,
    end: End,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, having said \"{}\"", self.end, Escaped(&self.said))
    }
}

#[derive(Debug, PartialEq)]
enum End {
    Open,
    /// With all bytes for TLS.
    Upgrade(Vec<u8>),
    Declined(DeclinedReason, Option<bool>, Vec<u8>),
    Quit(Quit),
    Error(Box<Error>),
}

/// Runs the octets whole, in pieces and in single octets. Larger pieces may be an error where smaller pieces are not,
/// because bytes in the same segment as the request are not TLS. With `haste`, smaller pieces may also be an error,
/// because an answer counts only after its question. Apart from such errors, the cuts change nothing.
fn compare(octets: &[u8], size: usize, haste: bool, run: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> Run) {
    let runs = [usize::MAX, size + 2, 1].map(|size| run(&mut octets.chunks(size)));
    let failed = |run: &Run| matches!(run.end, End::Error(_));
    for pair in runs.windows(2) {
        let tolerated = failed(&pair[0]) || (haste && failed(&pair[1]));
        if !tolerated {
            assert_eq!(pair[0], pair[1], "the outcome depends on the pieces");
        }
    }
}

trait Machine: Sized {
    fn feed(self, piece: &[u8], out: &mut Vec<u8>) -> Result<Self, End>;
}

impl Machine for Client {
    fn feed(self, piece: &[u8], out: &mut Vec<u8>) -> Result<Self, End> {
        match self.receive(piece, out) {
            Ok(Progress::Continue(machine)) => Ok(machine),
            Ok(Progress::Upgrade(proof)) => Err(End::Upgrade(proof.into_early_tls())),
            Ok(Progress::End(end)) => Err(End::Declined(end.reason, end.offered, end.answer)),
            Err(error) => Err(End::Error(error)),
        }
    }
}

impl Machine for Server {
    fn feed(self, piece: &[u8], out: &mut Vec<u8>) -> Result<Self, End> {
        match self.receive(piece, out) {
            Ok(Progress::Continue(machine)) => Ok(machine),
            Ok(Progress::Upgrade(proof)) => Err(End::Upgrade(proof.into_early_tls())),
            Ok(Progress::End(quit)) => Err(End::Quit(quit)),
            Err(error) => Err(End::Error(error)),
        }
    }
}

fn drive<M: Machine>(mut machine: M, mut said: Vec<u8>, pieces: &mut dyn Iterator<Item = &[u8]>) -> Run {
    while let Some(piece) = pieces.next() {
        let mut out = Vec::new();
        let fed = machine.feed(piece, &mut out);
        said.append(&mut out);
        match fed {
            Ok(next) => machine = next,
            Err(mut end) => {
                if let End::Upgrade(tls) = &mut end {
                    pieces.for_each(|piece| tls.extend_from_slice(piece));
                }
                return Run { said, end };
            }
        }
    }
    Run { said, end: End::Open }
}
