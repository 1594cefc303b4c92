//! Answers from attackers and from broken resolvers.

use std::time::{Duration, Instant};

use starttls_dns::{FailureKind, RecordData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::server::{Asked, CNAME, TXT, server, txt};
use crate::{LONG, SHORT, failure, question, run, stub};

fn forged(asked: &Asked) -> Vec<u8> {
    asked.reply().ad().answer("", TXT, 60, &txt(&["forged"])).build()
}

fn genuine(asked: &Asked) -> Vec<u8> {
    asked.reply().answer("", TXT, 60, &txt(&["genuine"])).build()
}

/// Each forged datagram arrives before the genuine one and is ignored.
#[test]
fn datagrams_that_do_not_answer_the_query_are_ignored() {
    type Forgery = fn(&mut Vec<u8>);
    let forgeries: [(&str, Forgery); 6] = [
        ("another id", |octets| octets[0] ^= 1),
        ("another question", |octets| octets[13] ^= 1),
        ("another type", |octets| {
            let end = 12 + octets[12..].iter().position(|it| *it == 0).unwrap();
            octets[end + 2] = 1;
        }),
        ("a query", |octets| octets[2] &= 0x7f),
        ("another opcode", |octets| octets[2] |= 0x20),
        ("no question", |octets| {
            octets[5] = 0;
            octets[7] = 0;
            octets.truncate(12);
        }),
    ];
    run(async {
        for (what, forge) in forgeries {
            let at = server(move |asked| {
                let mut octets = forged(asked);
                forge(&mut octets);
                vec![octets, genuine(asked)]
            })
            .await;
            let answer = stub(at, LONG).ask(&question("example.test", RecordType::Txt)).await;
            assert_eq!(answer.records(), [RecordData::Txt(b"genuine".to_vec())], "{what}");
            assert!(!answer.is_secure(), "{what}");
        }
    });
}

#[test]
fn an_answer_from_another_address_is_ignored() {
    run(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = udp.local_addr().unwrap();
        tokio::spawn(async move {
            let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut buffer = [0; 2048];
            while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
                let asked = Asked { octets: buffer[..length].to_vec(), tcp: false };
                other.send_to(&forged(&asked), client).await.unwrap();
                udp.send_to(&genuine(&asked), client).await.unwrap();
            }
        });
        let answer = stub(at, LONG).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(answer.records(), [RecordData::Txt(b"genuine".to_vec())]);
    });
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    run(async {
        let at = server(|asked| match asked.tcp {
            false => vec![asked.reply().truncated().ad().answer("", TXT, 60, &txt(&["part"])).build()],
            true => {
                let long = "x".repeat(200);
                let all = (0..20).fold(asked.reply().ad(), |it, _| it.answer("", TXT, 60, &txt(&[&long])));
                vec![all.build()]
            }
        })
        .await;
        let answer = stub(at, LONG).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(answer.records().len(), 20);
        let at = server(|asked| vec![asked.reply().truncated().build()]).await;
        let answer = stub(at, LONG).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(failure(&answer), FailureKind::Malformed, "truncated over TCP too");
    });
}

#[test]
fn tcp_answers_must_fit_the_query_too() {
    run(async {
        let at = server(|asked| match asked.tcp {
            false => vec![asked.reply().truncated().build()],
            true => {
                let mut octets = forged(asked);
                octets[13] ^= 1;
                vec![octets]
            }
        })
        .await;
        let answer = stub(at, LONG).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(failure(&answer), FailureKind::Malformed);
    });
}

#[test]
fn malformed_messages_are_failures_and_not_missing_records() {
    type Damage = fn(&Asked) -> Vec<u8>;
    let damages: [(&str, Damage); 7] = [
        ("a name that points to itself", |asked| {
            let at = u8::try_from(forged(asked).len() - 7 - 10 - 2).unwrap();
            let mut octets = forged(asked);
            let end = octets.len() - 7 - 10 - 2;
            octets[end..end + 2].copy_from_slice(&[0xc0, at]);
            octets
        }),
        ("a name that points forward", |asked| {
            let mut octets = forged(asked);
            let end = octets.len() - 7 - 10 - 2;
            octets[end..end + 2].copy_from_slice(&[0xc0, 0xff]);
            octets
        }),
        ("an alias that points to itself", |asked| {
            let start = asked.reply().build().len() + 12;
            asked.reply().answer("", CNAME, 60, &[0xc0, u8::try_from(start).unwrap()]).build()
        }),
        ("records that are missing", |asked| {
            let mut octets = forged(asked);
            octets[7] = 9;
            octets
        }),
        ("data that is longer than the message", |asked| {
            let mut octets = forged(asked);
            let length = octets.len();
            octets[length - 8] = 0xff;
            octets
        }),
        ("a message that ends in the header", |asked| asked.octets[..5].to_vec()),
        ("a TLSA record without data", |asked| asked.reply().ad().answer("", 52, 60, &[3]).build()),
    ];
    run(async {
        for (what, damage) in damages {
            let at = server(move |asked| vec![damage(asked)]).await;
            let record = if what.contains("TLSA") { RecordType::Tlsa } else { RecordType::Txt };
            let answer = stub(at, LONG).ask(&question("example.test", record)).await;
            assert_eq!(failure(&answer), FailureKind::Malformed, "{what}");
        }
    });
}

#[test]
fn records_of_other_names_are_not_used() {
    run(async {
        let at = server(|asked| vec![asked.reply().ad().answer("other.test", TXT, 60, &txt(&["x"])).build()])
            .await;
        let answer = stub(at, LONG).ask(&question("example.test", RecordType::Txt)).await;
        assert!(answer.records().is_empty() && answer.failure().is_none(), "{answer:?}");
    });
}

#[test]
fn a_silent_resolver_ends_with_a_timeout() {
    run(async {
        let at = server(|_| Vec::new()).await;
        let started = Instant::now();
        let answer = stub(at, SHORT).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(failure(&answer), FailureKind::Timeout);
        assert!(started.elapsed() >= SHORT);
    });
}

/// The connection stays open and an octet arrives every now and then.
#[test]
fn an_endless_answer_over_tcp_ends_with_a_timeout() {
    run(async {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(at).await;
        let Ok(udp) = udp else { return endless_without_udp(tcp).await };
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
                let asked = Asked { octets: buffer[..length].to_vec(), tcp: false };
                udp.send_to(&asked.reply().truncated().build(), client).await.unwrap();
            }
        });
        tokio::spawn(trickle(tcp));
        let answer = stub(at, SHORT).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(failure(&answer), FailureKind::Timeout);
    });
}

/// Another process has the port for UDP, so its resolver does not answer.
async fn endless_without_udp(tcp: TcpListener) {
    let at = tcp.local_addr().unwrap();
    tokio::spawn(trickle(tcp));
    let answer = stub(at, SHORT).ask(&question("example.test", RecordType::Txt)).await;
    failure(&answer);
}

async fn trickle(tcp: TcpListener) {
    while let Ok((mut stream, _)) = tcp.accept().await {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(&[0xff, 0xff]).await;
            while stream.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
}

#[test]
fn a_flood_of_wrong_datagrams_ends_with_a_timeout() {
    run(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = udp.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            let mut octets = forged(&Asked { octets: buffer[..length].to_vec(), tcp: false });
            octets[0] ^= 1;
            loop {
                // The client may have closed its port.
                let _ = udp.send_to(&octets, client).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let answer = stub(at, SHORT).ask(&question("example.test", RecordType::Txt)).await;
        assert_eq!(failure(&answer), FailureKind::Timeout);
    });
}

#[test]
fn an_unreachable_resolver_is_named() {
    run(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = udp.local_addr().unwrap();
        drop(udp);
        let answer = stub(at, SHORT).ask(&question("example.test", RecordType::Txt)).await;
        // Another process may take the port in the meantime.
        assert!([FailureKind::Unreachable, FailureKind::Timeout].contains(&failure(&answer)), "{answer:?}");
    });
}
