//! Data after the request.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use starttls::proto::{
    ClientMessage, Correlation, Dialect, Phase, Protocol, ServerMessage, Side, each_protocol,
};
use starttls_lab::rogue::{Quirk, Rogue, Weakness};

use crate::peer::{PATIENCE, Peer, QUIET, dialect, open_connector, probe};
use crate::{authority, sound};

/// Attacks a server. The time is the limit for an answer: long if there should be one.
type Attack = fn(SocketAddr, &'static Protocol, Duration) -> bool;

/// Sends the request and the data after it.
type Send = fn(&mut Peer<std::net::TcpStream>, &[u8], &[u8]);

/// Sends a request with the part of a probe before `cut`, and the rest inside TLS. Returns whether the server answers
/// the probe there. With `silence`, the answer has to come only after another probe.
fn injected(
    (address, protocol, patience): (SocketAddr, &'static Protocol, Duration),
    send: Send,
    cut: fn(usize) -> usize,
    silence: bool,
) -> bool {
    let mut inside_words = dialect(protocol, Phase::InsideTls);
    let (bytes, reply_to) = probe(protocol, &mut *inside_words);
    let (mut peer, _) = Peer::open(address, protocol);
    let request = peer.words(ClientMessage::Request);
    let (before, inside) = bytes.split_at(cut(bytes.len()));
    send(&mut peer, &request, before);
    if !peer.accepted() {
        return false;
    }
    let Ok(mut peer) = peer.secure(&open_connector(), inside_words) else { return false };
    peer.send(inside);
    let mut answered = |patience| peer.answer(reply_to, patience).is_some_and(|it| expected(protocol, &it));
    if !silence {
        return answered(patience);
    }
    if answered(QUIET) {
        return false;
    }
    if protocol.name == "mysql" {
        // A login cannot be repeated: the second probe is an empty answer to the server's challenge.
        peer.send(&[0, 0, 0, 4]);
        return peer.answer(reply_to, patience).is_some_and(|it| expected(protocol, &it));
    }
    let (again, _) = probe(protocol, &mut *peer.dialect);
    peer.send(&again);
    if !peer.answer(reply_to, patience).is_some_and(|it| expected(protocol, &it)) {
        return false;
    }
    if protocol.name == "postgres" {
        // The dialect expects an answer of one octet only after it has written the question.
        let _ = probe(protocol, &mut *peer.dialect);
    }
    // In XMPP, the answer to a second stream header is an error.
    peer.answer(reply_to, patience).is_some()
}

/// Returns whether a sound server gives this answer to the probe inside TLS.
fn expected(protocol: &'static Protocol, (answer, meaning): &(Vec<u8>, ServerMessage)) -> bool {
    let mut peer = crate::peer::upgraded(sound(protocol), protocol).unwrap();
    let (bytes, reply_to) = probe(protocol, &mut *peer.dialect);
    peer.send(&bytes);
    let (right, right_meaning) = peer.answer(reply_to, PATIENCE).unwrap();
    if protocol.name == "ldap" {
        // The ids differ, and the dialect does not recognize the answer to an earlier question.
        return answer.windows(20).any(|window| window == b"supportedLDAPVersion");
    }
    let [answer, right] = [answer, &right].map(|it| without_id(&*peer.dialect, it));
    // Later octets may differ too. In HTTP and IRC, the meaning alone is not specific.
    *meaning == right_meaning && answer.get(..12) == right.get(..12)
}

/// Returns an answer without the id of its question.
fn without_id(dialect: &dyn Dialect, answer: &[u8]) -> Vec<u8> {
    let Some(Correlation::Id(id)) = dialect.correlation(Side::Server, answer) else { return answer.to_vec() };
    let at = answer.windows(id.len().max(1)).position(|it| it == id);
    at.map_or_else(|| answer.to_vec(), |at| [&answer[..at], &answer[at + id.len()..]].concat())
}

fn together(peer: &mut Peer<std::net::TcpStream>, request: &[u8], behind: &[u8]) {
    peer.send(&[request, behind].concat());
}

fn eager(address: SocketAddr, protocol: &'static Protocol, patience: Duration) -> bool {
    injected((address, protocol, patience), together, |length| length, false)
}

fn lazy(address: SocketAddr, protocol: &'static Protocol, patience: Duration) -> bool {
    injected((address, protocol, patience), together, |length| length, true)
}

fn partial(address: SocketAddr, protocol: &'static Protocol, patience: Duration) -> bool {
    injected((address, protocol, patience), together, |length| length - 3, false)
}

fn split(address: SocketAddr, protocol: &'static Protocol, patience: Duration) -> bool {
    let send: Send = |peer, request, behind| {
        peer.send(request);
        sleep(Duration::from_millis(30));
        peer.send(behind);
    };
    injected((address, protocol, patience), send, |length| length, false)
}

fn variant(address: SocketAddr, protocol: &'static Protocol, patience: Duration) -> bool {
    let forms: [Send; 4] = [
        |peer, request, behind| together(peer, &request.to_ascii_lowercase(), behind),
        |peer, request, behind| together(peer, &[request.trim_ascii_end(), b" \r\n"].concat(), behind),
        |peer, request, behind| together(peer, &[request.trim_ascii_end(), b"\n"].concat(), behind),
        |peer, request, behind| together(peer, &[request.trim_ascii_end(), b" now\r\n"].concat(), behind),
    ];
    forms.into_iter().any(|form| injected((address, protocol, patience), form, |length| length, false))
}

fn plain(address: SocketAddr, protocol: &'static Protocol, patience: Duration) -> bool {
    let (mut peer, _) = Peer::open(address, protocol);
    let mut dialect = dialect(protocol, Phase::InsideTls);
    let (bytes, reply_to) = probe(protocol, &mut *dialect);
    let request = peer.words(ClientMessage::Request);
    together(&mut peer, &request, &bytes);
    if !peer.accepted() {
        return false;
    }
    peer.dialect = dialect;
    peer.answer(reply_to, patience).is_some_and(|it| expected(protocol, &it))
}

const ATTACKS: [(Weakness, Attack); 6] = [
    (Weakness::Eager, eager),
    (Weakness::Lazy, lazy),
    (Weakness::Split, split),
    (Weakness::Partial, partial),
    (Weakness::Variants, variant),
    (Weakness::PlainAnswer, plain),
];

each_protocol! {
    parallel
    each_rogue_falls_for_its_own_attack_and_the_sound_server_for_none
    a_rogue_falls_for_no_other_attack
    sound_reactions_are_no_weakness
}

fn each_rogue_falls_for_its_own_attack_and_the_sound_server_for_none(protocol: &'static Protocol) {
    for (weakness, attack) in ATTACKS {
        if weakness.applies_to(protocol) {
            let rogue = Rogue::start(protocol, weakness, authority()).unwrap();
            assert!(attack(rogue.address(), protocol, PATIENCE), "{weakness:?} {}", protocol.name);
        } else if weakness == Weakness::Partial {
            // Without a part, the client would only send the whole message inside TLS.
            continue;
        }
        assert!(!attack(sound(protocol), protocol, 2 * QUIET), "sound, {weakness:?} {}", protocol.name);
    }
}

fn a_rogue_falls_for_no_other_attack(protocol: &'static Protocol) {
    for weakness in [Weakness::Lazy, Weakness::Partial, Weakness::Variants, Weakness::Fixation] {
        let rogue = Rogue::start(protocol, weakness, authority()).unwrap();
        for (other, attack) in ATTACKS {
            // With `Split`, it depends on timing whether the second segment arrives before TLS.
            let exact = other != weakness && other != Weakness::Split && other.applies_to(protocol);
            if exact && attack(rogue.address(), protocol, 2 * QUIET) {
                panic!("{weakness:?} falls for {other:?}: {}", protocol.name);
            }
        }
    }
}

fn sound_reactions_are_no_weakness(protocol: &'static Protocol) {
    for odd in Quirk::ALL.iter().filter(|odd| odd.is_reaction()) {
        if !odd.applies_to(protocol) {
            continue;
        }
        let peer = odd.start(protocol, authority()).unwrap();
        for (weakness, attack) in ATTACKS.into_iter().filter(|it| it.0.applies_to(protocol)) {
            let fell = attack(peer.address(), protocol, 2 * QUIET);
            assert!(!fell, "{} falls for {weakness:?}: {}", odd.name(), protocol.name);
        }
    }
}
