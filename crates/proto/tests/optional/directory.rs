//! LDAP: only reads of a directory without a login pass.

use starttls_proto::Side;

use crate::Session;

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    [&[tag, contents.len().try_into().unwrap()][..], &contents].concat()
}

/// Returns an LDAPMessage with this operation and these controls.
fn message(operation: &[u8], controls: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, 7], operation, controls])
}

fn bind(name: &[u8], choice: &[u8]) -> Vec<u8> {
    element(0x60, &[&[2, 1, 3], &element(4, &[name]), choice])
}

fn search(filter: &[u8]) -> Vec<u8> {
    let fixed = [0x0a, 1, 2, 0x0a, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0];
    element(0x63, &[&element(4, &[b"dc=test"]), &fixed, filter, &element(0x30, &[])])
}

fn equals(attribute: &[u8], value: &[u8]) -> Vec<u8> {
    element(0xa3, &[&element(4, &[attribute]), &element(4, &[value])])
}

fn control(name: &[u8]) -> Vec<u8> {
    element(0xa0, &[&element(0x30, &[&element(4, &[name])])])
}

#[test]
fn reading_without_a_login_passes() {
    let person = element(0x87, &[b"objectClass"]);
    for said in [
        message(&bind(b"", &[0x80, 0]), &[]),
        message(&search(&person), &[]),
        message(&search(&element(0xa0, &[&person, &equals(b"uid", b"joe")])), &[]),
        message(&search(&person), &control(b"1.2.840.113556.1.4.319")),
        message(&[0x50, 1, 6], &[]),
        message(&[0x42, 0], &[]),
        // Windows writes every length in this form.
        [&[0x30, 0x84, 0, 0, 0, 12, 2, 1, 7][..], &bind(b"", &[0x80, 0])].concat(),
    ] {
        for chunk in [1, 7, said.len()] {
            let (heard, passed) = Session::new("ldap").says_raw(Side::Client, &said, chunk);
            assert_eq!((heard, passed), (Vec::new(), said.clone()), "{}", said.escape_ascii());
        }
    }
}

#[test]
fn s4_whatever_may_hold_a_secret_waits_for_tls() {
    let person = element(0x87, &[b"objectClass"]);
    let mut deep = person.clone();
    for _ in 0..20 {
        deep = element(0xa2, &[&deep]);
    }
    for said in [
        message(&bind(b"cn=joe", b"\x80\x06secret"), &[]),
        message(&bind(b"cn=joe", &[0x80, 0]), &[]),
        message(&bind(b"", &element(0xa3, &[&element(4, &[b"PLAIN"])])), &[]),
        message(&[&bind(b"", &[0x80, 0])[..], &[0x50, 1, 6]].concat(), &[]),
        message(&search(&equals(b"userPassword", b"secret")), &[]),
        message(&search(&equals(b"2.5.4.35", b"secret")), &[]),
        message(&search(&element(0xa2, &[&equals(b"sambaNTPassword;x", b"secret")])), &[]),
        message(&search(&element(0xa9, &[&[0x82, 1, b'a']])), &[]),
        message(&search(&deep), &[]),
        // Proxied authorization.
        message(&search(&person), &control(b"2.16.840.1.113730.3.4.18")),
        message(&search(&person), &[&control(b"1.2.840.113556.1.4.319")[..], &[4, 0]].concat()),
        // Compare, modify, change the password.
        message(&element(0x6e, &[&element(4, &[b"cn=joe"]), &element(0x30, &[])]), &[]),
        message(&element(0x66, &[&element(4, &[b"cn=joe"]), &element(0x30, &[])]), &[]),
        message(&element(0x77, &[&element(0x80, &[b"1.3.6.1.4.1.4203.1.11.1"])]), &[]),
    ] {
        for chunk in [1, 7, said.len()] {
            let mut session = Session::new("ldap");
            let (heard, passed) = session.says_raw(Side::Client, &said, chunk);
            assert_eq!(passed, b"", "{}", said.escape_ascii());
            assert!(!session.is_lost() && !session.relay.is_over(), "{}", said.escape_ascii());
            // confidentialityRequired, with the id of the message.
            assert_eq!((&heard[2..5], &heard[7..10]), (&[2, 1, 7][..], &[0x0a, 1, 13][..]), "{heard:?}");
        }
    }
}
