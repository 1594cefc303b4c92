//! The codec of Postfix's socketmap protocol.

use proptest::prelude::*;
use starttls_policy::dane::NextHop;
use starttls_policy::decide::Decision;
use starttls_policy::socketmap::{MapFault, MapReader, MapReply, MapRequest, next_hop, reply};
use starttls_policy::sts::parse_policy;

fn requests(input: &[u8]) -> Result<Vec<String>, MapFault> {
    let mut reader = MapReader::default();
    reader.receive(input);
    let mut found = Vec::new();
    while let Some(MapRequest { map, key }) = reader.next_request()? {
        found.push(format!("{map} {key}"));
    }
    Ok(found)
}

#[test]
fn requests_are_read() {
    assert_eq!(requests(b"18:QUERY example.test,"), Ok(vec!["QUERY example.test".into()]));
    assert_eq!(requests(b"7:QUERY a,7:QUERY b,"), Ok(vec!["QUERY a".into(), "QUERY b".into()]));
    assert_eq!(requests(b"9:postfix a,5:x y z,"), Ok(vec!["postfix a".into(), "x y z".into()]));
    for incomplete in ["", "1", "18", "18:", "18:QUERY exa", "18:QUERY example.test"] {
        assert_eq!(requests(incomplete.as_bytes()), Ok(Vec::new()), "{incomplete}");
    }
}

#[test]
fn requests_that_break_the_protocol_are_refused() {
    for (input, fault) in [
        (":x,", MapFault::Length),
        ("01:x,", MapFault::Length),
        ("-1:x,", MapFault::Length),
        ("10001:x", MapFault::Length),
        ("999999999999999999999999:x", MapFault::Length),
        ("GET / HTTP/1.1\r\n", MapFault::Length),
        ("7:QUERY a;", MapFault::Comma),
        ("5:QUERY,", MapFault::Payload),
        ("0:,", MapFault::Payload),
    ] {
        assert_eq!(requests(input.as_bytes()), Err(fault), "{input}");
    }
    assert_eq!(requests(b"8:QUERY \xff\xfe,"), Err(MapFault::Payload));
}

#[test]
fn replies_are_netstrings() {
    for (reply, expected) in [
        (MapReply::Found("dane-only".into()), "12:OK dane-only,"),
        (MapReply::NotFound, "9:NOTFOUND ,"),
        (MapReply::Temporary("why".into()), "8:TEMP why,"),
        (MapReply::Permanent("why".into()), "8:PERM why,"),
        (MapReply::Found("x".repeat(200_000)), "27:TEMP the answer is too long,"),
    ] {
        let mut out = Vec::new();
        reply.write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    let mut out = Vec::new();
    MapReply::Temporary("ü".repeat(200_000)).write(&mut out);
    assert!(out.len() < 3_000, "{}", out.len());
}

#[test]
fn keys_are_next_hops() {
    let domain = |name: &str, port| Some((NextHop::Domain(name.parse().unwrap()), port));
    let host = |name: &str, port| Some((NextHop::Host(name.parse().unwrap()), port));
    for (key, expected) in [
        ("example.test", domain("example.test", 25)),
        ("Example.TEST.", domain("example.test", 25)),
        ("example.test:26", domain("example.test", 26)),
        ("müller.example", domain("xn--mller-kva.example", 25)),
        ("[relay.example.test]", host("relay.example.test", 25)),
        ("[relay.example.test]:smtp", host("relay.example.test", 25)),
        ("[relay.example.test]:587", host("relay.example.test", 587)),
        ("[relay.example.test]587", None),
        (".example.test", None),
        ("[127.0.0.2]", None),
        ("[127.0.0.2]:25", None),
        ("[2001:db8::1]", None),
        ("[IPv6:2001:db8::1]:25", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("*", None),
        ("", None),
        ("[", None),
        ("user@example.test", None),
        ("unix:/run/x", None),
        ("_25._tcp.example.test", None),
    ] {
        assert_eq!(next_hop(key), expected, "{key}");
    }
}

#[test]
fn decisions_become_replies() {
    let domain = "example.test".parse().unwrap();
    let text = "version: STSv1\r\nmode: enforce\r\nmax_age: 604800\r\nmx: mx.example.test\r\nmx: *.example.net\r\n\
                note: {x}\r\n";
    let policy = parse_policy(text.as_bytes()).policy.unwrap();
    let secure = Decision::Secure(vec!["mx.example.test".into(), ".example.net".into()]);
    for (decision, tlsrpt, expected) in [
        (&Decision::DaneOnly, true, MapReply::Found("dane-only".into())),
        (&Decision::Dane, true, MapReply::Found("dane".into())),
        (&Decision::NoPolicy, true, MapReply::NotFound),
        (&Decision::Defer("why".into()), true, MapReply::Temporary("example.test: why".into())),
        (
            &secure,
            false,
            MapReply::Found("secure match=mx.example.test:.example.net servername=hostname".into()),
        ),
        (
            &secure,
            true,
            MapReply::Found(
                "secure match=mx.example.test:.example.net servername=hostname policy_type=sts \
                 policy_domain=example.test mx_host_pattern=mx.example.test mx_host_pattern=*.example.net \
                 { policy_string = version: STSv1 } { policy_string = mode: enforce } \
                 { policy_string = max_age: 604800 } { policy_string = mx: mx.example.test } \
                 { policy_string = mx: *.example.net }"
                    .into(),
            ),
        ),
    ] {
        assert_eq!(reply(decision, &domain, Some(&policy), tlsrpt), expected);
    }
}

proptest! {
    #[test]
    fn requests_survive_every_cut(keys in proptest::collection::vec("[a-z.]{0,20}", 1..5), cut in 0_usize..100) {
        let mut input = Vec::new();
        for key in &keys {
            input.extend_from_slice(format!("{}:QUERY {key},", key.len() + 6).as_bytes());
        }
        let (first, second) = input.split_at(cut.min(input.len()));
        let mut reader = MapReader::default();
        let mut found = Vec::new();
        for part in [first, second] {
            reader.receive(part);
            while let Some(request) = reader.next_request().unwrap() {
                found.push(request.key);
            }
        }
        prop_assert_eq!(found, keys);
        prop_assert!(!reader.is_within_request());
    }

    #[test]
    fn no_input_panics(input in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = requests(&input);
    }
}
