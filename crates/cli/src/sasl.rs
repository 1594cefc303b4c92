//! `starttls sasl`: prints and decodes the messages of a SASL mechanism.

use std::io::{BufRead, IsTerminal, Write};

use starttls::login::{Account, MechanismClient};
use starttls::proto::{Escaped, base64};

use crate::args::Sasl;
use crate::error::Failed;
use crate::exit;
use crate::login::secret;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Sasl) -> Result<u8, Failed> {
    let mechanism = args.mechanism.to_ascii_uppercase();
    if args.decode { decode(&mechanism) } else { encode(args, &mechanism).await }
}

async fn encode(args: &Sasl, mechanism: &str) -> Result<u8, Failed> {
    // Checked before the user is prompted for a secret.
    if !Account::mechanisms().any(|known| known == mechanism) {
        let known = Account::mechanisms().collect::<Vec<_>>().join(", ");
        return Err(Failed::usage(format!("unknown mechanism \"{}\"", mechanism.escape_debug()))
            .hint(Some(format!("known mechanisms: {known}"))));
    }
    let token = matches!(mechanism, "OAUTHBEARER" | "XOAUTH2");
    let account = if mechanism == "EXTERNAL" {
        Account::certificate()
    } else {
        let hint = || Some(String::from("specify the user with --user NAME"));
        let user =
            args.principal.user.as_ref().ok_or_else(|| Failed::usage("no user is specified").hint(hint()))?;
        let what = if token { "token" } else { "password" };
        let secret = secret::read(&args.principal, what).await?;
        if token { Account::token(user, secret) } else { Account::password(user, secret) }
    };
    let account =
        args.principal.authorize_as.iter().fold(account.mechanism(mechanism), |it, name| it.acting_as(name));
    let mut tokens =
        MechanismClient::new(&account, None).map_err(|error| Failed::usage(error.to_string()))?;
    if let Some(first) = tokens.begin().map_err(|fault| Failed::usage(fault.to_string()))? {
        print(&first)?;
    }
    // LOGIN has two challenges, and their text does not matter.
    if mechanism == "LOGIN" {
        for _ in 0..2 {
            print(&tokens.respond(b"").map_err(|fault| Failed::usage(fault.to_string()))?)?;
        }
        return Ok(exit::DONE);
    }
    // The other mechanisms have no challenge.
    if !mechanism.starts_with("SCRAM-") && !mechanism.starts_with("CRAM-") {
        return Ok(exit::DONE);
    }
    if std::io::stdin().is_terminal() {
        crate::console::prompt("enter the server's challenge in Base64; Ctrl-D ends the input");
    }
    for line in std::io::stdin().lock().lines() {
        print(&tokens.respond(&read(&line?)?).map_err(|fault| Failed::usage(fault.to_string()))?)?;
    }
    Ok(exit::DONE)
}

fn print(token: &[u8]) -> Result<(), Failed> {
    // RFC 4954 section 4: an empty initial response is sent as "=".
    let text = if token.is_empty() { String::from("=") } else { base64::encode(token) };
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

fn read(line: &str) -> Result<Vec<u8>, Failed> {
    let text = line.trim();
    // The line may be copied from a session, with "334" or "+" before the challenge.
    let text = text.rsplit(' ').next().unwrap_or_default();
    let text = if text == "=" { "" } else { text };
    base64::decode(text.as_bytes())
        .ok_or_else(|| Failed::usage(format!("invalid Base64: \"{}\"", Escaped(text.as_bytes()))))
}

fn decode(mechanism: &str) -> Result<u8, Failed> {
    for line in std::io::stdin().lock().lines() {
        let token = read(&line?)?;
        let shown = |part: &[u8]| match Escaped(part).to_string() {
            empty if empty.is_empty() => String::from("(none)"),
            text => text,
        };
        let mut out = std::io::stdout().lock();
        let parts: Vec<&[u8]> = token.split(|&byte| byte == 0).collect();
        match (mechanism, parts.as_slice()) {
            ("PLAIN", [as_whom, user, password]) => {
                writeln!(out, "acting as  {}", shown(as_whom))?;
                writeln!(out, "user       {}", shown(user))?;
                writeln!(out, "password   {}", shown(password))?;
            }
            ("PLAIN", _) => {
                let hint = String::from(
                    "the authorization identity, the user and the password are separated by NUL",
                );
                return Err(Failed::usage(format!(
                    "invalid PLAIN message: expected three parts, found {}",
                    parts.len()
                ))
                .hint(Some(hint)));
            }
            // Fields between octets of value one (RFC 7628 section 3.1).
            ("OAUTHBEARER" | "XOAUTH2", _) => {
                for field in token.split(|&byte| byte == 1).filter(|field| !field.is_empty()) {
                    writeln!(out, "{}", Escaped(field))?;
                }
            }
            _ if mechanism.starts_with("SCRAM-") => {
                for attribute in token.split(|&byte| byte == b',') {
                    writeln!(out, "{}", shown(attribute))?;
                }
            }
            _ => writeln!(out, "{}", shown(&token))?,
        }
    }
    Ok(exit::DONE)
}
