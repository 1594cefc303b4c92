//! The manual matches the code.

use starttls_gateway::Config;
use starttls_gateway::SessionOutcome;

use crate::folder::Folder;

const MANUAL: &str = include_str!("../../../../docs/gateway.md");
const FTP: &str = include_str!("../../../../docs/gateway-ftp.md");

/// Every example is valid as written, except for the paths of its files.
#[test]
fn the_examples_work() {
    let folder = Folder::new();
    let mail = |ending| std::fs::read_to_string(folder.path().join("mail").with_extension(ending)).unwrap();
    for name in ["ldap", "db", "desk", "certificates/mail"] {
        folder.write(&format!("{name}.pem"), &mail("pem"));
        folder.write(&format!("{name}.key"), &mail("key"));
    }
    folder.write("company.pem", &folder.authority.root_pem());
    folder.write("printer.password", "secret");
    folder.write("ticket-keys", &"0123456789abcdef".repeat(4));
    let dir = folder.path().to_str().unwrap();
    let examples: Vec<_> = [MANUAL, FTP]
        .iter()
        .flat_map(|it| it.split("```toml\n").skip(1))
        .map(|it| it.split("```").next().unwrap())
        .collect();
    assert!(examples.len() > 5);
    for example in examples {
        let text =
            example.replace("/etc/letsencrypt/live", &format!("{dir}/live")).replace("/etc/starttls", dir);
        let config = Config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(config.warnings.is_empty(), "{:?}\n{text}", config.warnings);
    }
}

/// The manual contains every key of every table.
#[test]
fn every_key_is_explained() {
    let folder = Folder::new();
    let tls = "[[listener]]\nlisten = \"smtps://:465\"\ncert = \"DIR/mail.pem\"\nkey = \"DIR/mail.key\"\n";
    let unknown = "zzzzzz = 1";
    let mut count = 0;
    for text in [
        format!("{unknown}\n"),
        format!("[limits]\n{unknown}\n"),
        format!("{tls}{unknown}\n"),
        format!("{tls}forward = {{ url = \"smtps://smtp.example.com\", {unknown} }}\n"),
        format!(
            "{tls}[[listener.route]]\nnames = \"a.example\"\nforward = \"smtp://127.0.0.1\"\n{unknown}\n"
        ),
        format!(
            "{tls}forward = {{ url = \"smtps://smtp.example.com\", login = {{ user = \"me\", \
             password-file = \"DIR/password\", {unknown} }} }}\n"
        ),
    ] {
        let error = folder.parse(&text).unwrap_err();
        let keys = error.hint().unwrap().strip_prefix("known keys: ").unwrap_or_else(|| panic!("{error}"));
        // The parser knows the key `password` only to reject it.
        for key in keys.split(", ").filter(|key| *key != "password") {
            assert!(MANUAL.contains(&format!("`{key}`")), "the manual says nothing of {key}");
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn every_verdict_is_explained() {
    for verdict in SessionOutcome::ALL {
        assert!(MANUAL.contains(&format!("| `{}` |", verdict.name())), "{}", verdict.name());
    }
}
