//! Every kind of answer is told from the others, with its AD bit and its time to live.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use starttls_dns::{
    AdTrust, Answers, DnsAnswer, FailureKind, Mx, MxTarget, RecordData, RecordType, Stub, StubError,
};

use crate::server::{Asked, CNAME, MX, TLSA, TXT, name, server, txt};
use crate::{LONG, failure, question, run, stub};

#[test]
fn records_are_read() {
    run(async {
        let at = server(|asked| {
            assert!(asked.has_ad() && !asked.has_cd(), "{:?}", asked.octets);
            let reply = asked.reply().ad();
            vec![match asked.record() {
                MX => reply
                    .answer("", MX, 300, &[&[0, 10][..], &name("MX1.Example.test")].concat())
                    .answer("", MX, 200, &[&[0, 20][..], &name("192.0.2.1")].concat())
                    .answer("", MX, 400, &[0, 0, 0])
                    .build(),
                TXT => reply.answer("", TXT, 60, &txt(&["v=STS", "v1; id=1"])).build(),
                TLSA => reply.answer("", TLSA, 60, &[[3, 1, 1].as_slice(), &[7; 32]].concat()).build(),
                _ => unreachable!(),
            }]
        })
        .await;
        let stub = stub(at, LONG);
        let mx = |preference, target| RecordData::Mx(Mx { preference, target });
        let DnsAnswer::Found { records, secure: true, ttl: 200, .. } =
            stub.ask(&question("example.test", RecordType::Mx)).await
        else {
            panic!()
        };
        let expected = [
            mx(10, MxTarget::Host("mx1.example.test".parse().unwrap())),
            mx(20, MxTarget::Invalid(String::from("192.0.2.1."))),
            mx(0, MxTarget::Null),
        ];
        assert_eq!(records, expected);
        let answer = stub.ask(&question("_mta-sts.example.test", RecordType::Txt)).await;
        assert_eq!(answer.records(), [RecordData::Txt(b"v=STSv1; id=1".to_vec())]);
        let answer = stub.ask(&question("_25._tcp.mx.test", RecordType::Tlsa)).await;
        assert!(matches!(answer.records(), [RecordData::Tlsa(tlsa)] if tlsa.data == [7; 32]), "{answer:?}");
    });
}

#[test]
fn negative_answers_and_failures_are_distinguished() {
    run(async {
        let at = server(|asked| {
            let reply = asked.reply();
            vec![match asked.label().as_str() {
                "nodata" => reply.soa(300, 60).build(),
                "nodata-secure" => reply.ad().soa(30, 60).build(),
                "noname" => reply.code(3).soa(300, 60).build(),
                "noname-secure" => reply.code(3).ad().soa(300, 60).build(),
                "bare" => reply.build(),
                "servfail" => reply.code(2).build(),
                // Without validation the resolver has an answer.
                "bogus" if asked.has_cd() => reply.answer("", TXT, 60, &txt(&["x"])).build(),
                "bogus" => reply.code(2).build(),
                "refused" => reply.code(5).build(),
                "notimp" => reply.code(4).build(),
                other => panic!("{other}"),
            }]
        })
        .await;
        let stub = stub(at, LONG);
        for (label, expected) in [
            ("nodata", DnsAnswer::NoData { secure: false, ttl: 60 }),
            ("nodata-secure", DnsAnswer::NoData { secure: true, ttl: 30 }),
            ("noname", DnsAnswer::NoName { secure: false, ttl: 60 }),
            ("noname-secure", DnsAnswer::NoName { secure: true, ttl: 60 }),
            ("bare", DnsAnswer::NoData { secure: false, ttl: 60 }),
        ] {
            let answer = stub.ask(&question(&format!("{label}.test"), RecordType::Txt)).await;
            assert_eq!(answer, expected, "{label}");
        }
        for (label, expected) in [
            ("servfail", FailureKind::ServFail),
            ("bogus", FailureKind::Bogus),
            ("refused", FailureKind::Refused),
            ("notimp", FailureKind::Refused),
        ] {
            let answer = stub.ask(&question(&format!("{label}.test"), RecordType::Txt)).await;
            assert_eq!(failure(&answer), expected, "{label}");
        }
    });
}

#[test]
fn aliases_are_followed_and_one_insecure_link_makes_all_insecure() {
    run(async {
        let at = server(|asked| {
            let reply = asked.reply();
            vec![match asked.label().as_str() {
                "whole" => reply
                    .ad()
                    .answer("", CNAME, 300, &name("middle.test"))
                    .answer("MIDDLE.test", CNAME, 20, &name("last.test"))
                    .answer("last.test", TXT, 60, &txt(&["x"]))
                    .build(),
                // The answer ends at an alias: its target is asked for.
                "part" => reply.ad().answer("", CNAME, 300, &name("target.test")).build(),
                "target" => reply.answer("", TXT, 60, &txt(&["x"])).build(),
                "gone" => reply.ad().code(3).answer("", CNAME, 300, &name("none.test")).soa(60, 60).build(),
                other => panic!("{other}"),
            }]
        })
        .await;
        let stub = stub(at, LONG);
        let found = |secure, aliases: &[&str], ttl| DnsAnswer::Found {
            records: vec![RecordData::Txt(b"x".to_vec())],
            secure,
            aliases: aliases.iter().map(|it| it.parse().unwrap()).collect(),
            ttl,
        };
        let ask = async |label: &str| stub.ask(&question(&format!("{label}.test"), RecordType::Txt)).await;
        assert_eq!(ask("whole").await, found(true, &["middle.test", "last.test"], 20));
        assert_eq!(ask("part").await, found(false, &["target.test"], 60));
        assert_eq!(ask("gone").await, DnsAnswer::NoName { secure: true, ttl: 60 });
        let alias = stub.ask(&question("part.test", RecordType::Cname)).await;
        assert_eq!(alias.records(), [RecordData::Name("target.test".parse().unwrap())]);
        assert!(alias.is_secure());
    });
}

#[test]
fn alias_loops_end() {
    run(async {
        let at = server(|asked| {
            let reply = asked.reply();
            vec![match asked.label().as_str() {
                "one" => reply.answer("", CNAME, 60, &name("one.test")).build(),
                "two" => reply
                    .answer("", CNAME, 60, &name("other.test"))
                    .answer("other.test", CNAME, 60, &name("two.test"))
                    .build(),
                // A new name each time, one message after the other.
                label => reply
                    .answer("", CNAME, 60, &name(&format!("{}x.test", &label[..label.len().min(40)])))
                    .build(),
            }]
        })
        .await;
        for label in ["one", "two", "many"] {
            let answer = stub(at, LONG).ask(&question(&format!("{label}.test"), RecordType::Txt)).await;
            assert_eq!(failure(&answer), FailureKind::AliasLoop, "{label}");
        }
    });
}

#[test]
fn ad_counts_only_from_a_resolver_that_is_trusted() {
    run(async {
        let signed = server(|asked| vec![asked.reply().ad().answer("", TXT, 60, &txt(&["x"])).build()]).await;
        let question = question("example.test", RecordType::Txt);
        for (trust, expected) in
            [(AdTrust::Loopback, true), (AdTrust::Declared, true), (AdTrust::Never, false)]
        {
            let stub = Stub::new(vec![signed], trust).unwrap();
            assert_eq!(stub.ask(&question).await.is_secure(), expected, "{trust:?}");
        }
        let elsewhere = "192.0.2.1:53".parse().unwrap();
        let trusted = |trust| Stub::new(vec![signed, elsewhere], trust).unwrap().is_trusted();
        assert_eq!([AdTrust::Loopback, AdTrust::Declared].map(trusted), [false, true]);
        assert!(matches!(Stub::new(Vec::new(), AdTrust::Loopback), Err(StubError::NoResolver(_))));
    });
}

#[test]
fn the_self_test_finds_a_resolver_that_does_not_validate() {
    run(async {
        let root = |asked: &Asked| {
            assert_eq!(asked.octets[12], 0, "the question is for the root");
            asked.reply().answer("", 2, 60, &name("ns.test"))
        };
        let validating = server(move |asked| vec![root(asked).ad().build()]).await;
        let plain = server(move |asked| vec![root(asked).build()]).await;
        let failing = server(|asked| vec![asked.reply().code(2).build()]).await;
        assert_eq!(stub(validating, LONG).self_test().await, Ok(()));
        assert_eq!(stub(plain, LONG).self_test().await, Err(StubError::NotValidating(plain)));
        assert!(matches!(stub(failing, LONG).self_test().await, Err(StubError::NoAnswer(_))));
        let untrusted = Stub::new(vec![validating], AdTrust::Never).unwrap();
        assert_eq!(untrusted.self_test().await, Err(StubError::NotTrusted(validating)));
        let both = Stub::new(vec![validating, plain], AdTrust::Loopback).unwrap();
        assert_eq!(both.self_test().await, Err(StubError::NotValidating(plain)));
    });
}

#[test]
fn the_next_resolver_is_asked_after_a_failure() {
    run(async {
        let failing = server(|asked| vec![asked.reply().code(2).build()]).await;
        let good = server(|asked| vec![asked.reply().ad().answer("", TXT, 60, &txt(&["x"])).build()]).await;
        let stub = Stub::new(vec![failing, good], AdTrust::Loopback).unwrap().timeout(LONG);
        assert!(stub.ask(&question("example.test", RecordType::Txt)).await.is_secure());
    });
}

#[test]
fn a_lost_datagram_is_sent_again() {
    run(async {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let at = server(move |asked| {
            if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                return Vec::new();
            }
            vec![asked.reply().answer("", TXT, 60, &txt(&["x"])).build()]
        })
        .await;
        // A third of the time limit passes before the repetition.
        let stub = stub(at, std::time::Duration::from_secs(6));
        assert_eq!(stub.ask(&question("example.test", RecordType::Txt)).await.records().len(), 1);
        assert!(count.load(Ordering::SeqCst) > 1);
    });
}

#[test]
fn several_questions_are_asked_at_once() {
    run(async {
        let at =
            server(|asked| vec![asked.reply().answer("", TXT, 60, &txt(&[&asked.label()])).build()]).await;
        let questions: Vec<_> =
            (0..100).map(|it| question(&format!("n{it}.test"), RecordType::Txt)).collect();
        let mut answers = Answers::default();
        stub(at, LONG).ask_all(questions.clone(), &mut answers).await;
        for (index, question) in questions.iter().enumerate() {
            let answer = answers.get(&question.name, RecordType::Txt).unwrap();
            assert_eq!(answer.records(), [RecordData::Txt(format!("n{index}").into_bytes())]);
        }
    });
}
