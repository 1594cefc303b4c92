//! FTP (RFC 959, RFC 4217, RFC 2428, RFC 3659): one folder, and data over TLS only unless the server has no TLS.

use starttls::proto::SessionCommand;

use super::context::{AppContext, Serving, World};
use super::ftp_data::DataConnection;
use crate::session::{Session, SessionError};

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, world, acceptor }: AppContext<'_>) -> Result<(), SessionError> {
    let mut user = String::new();
    let mut authenticated = false;
    // RFC 4217 section 9: PBSZ comes before PROT, and data is in cleartext until PROT P.
    let (mut pbsz, mut protected) = (false, world.clear);
    let acceptor = (!world.clear).then_some(acceptor);
    let mut data = DataConnection::default();
    while let Some(command) = session.next().await? {
        let line = match command {
            SessionCommand::Message(line) => line,
            SessionCommand::Answered(_) => continue,
            SessionCommand::Quit => break,
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        let line = line.trim_end_matches(['\r', '\n']);
        let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
        let name = name.to_ascii_uppercase();
        match (name.as_str(), argument) {
            ("USER", _) => {
                (authenticated, user) = (false, argument.to_owned());
                session.say("331 And the password?");
            }
            ("PASS", _) if user.is_empty() => session.say("503 USER first"),
            ("PASS", _) => {
                authenticated = world.admits(user.as_bytes(), argument.as_bytes());
                session.say(if authenticated { "230 Welcome" } else { "530 Wrong user or password" });
            }
            ("PBSZ" | "PROT", _) if world.clear => session.say("502 There is no TLS here"),
            ("PBSZ", _) => {
                pbsz = true;
                session.say("200 PBSZ=0");
            }
            ("PROT", _) if !pbsz => session.say("503 PBSZ first"),
            ("PROT", "P" | "p") => {
                protected = true;
                session.say("200 Data goes over TLS");
            }
            ("PROT", "C" | "c") => session.say("534 Data goes over TLS or not at all"),
            ("PROT", "S" | "s" | "E" | "e") => session.say("536 There is P and nothing else"),
            ("PROT", _) => session.say("504 There is P and nothing else"),
            ("CCC", _) => session.say("534 Commands go over TLS or not at all"),
            ("REIN", _) => session.say("502 Connect again instead"),
            ("OPTS", _) if argument.to_ascii_uppercase().starts_with("UTF8") => session.say("200 Always"),
            ("SYST", _) => session.say("215 UNIX Type: L8"),
            _ if !authenticated => session.say("530 Log in first"),
            ("PWD" | "XPWD", _) => session.say("257 \"/\" is where you are"),
            ("CWD" | "XCWD", "/" | "." | "") | ("CDUP", _) => session.say("250 /"),
            ("CWD" | "XCWD", _) => session.say("550 There is / and nothing else"),
            ("TYPE", _) => session.say("200 Octets are octets"),
            ("MODE", "S" | "s") | ("STRU", "F" | "f") | ("ALLO", _) => session.say("200 OK"),
            ("PASV" | "EPSV", _) => data.listen(session, &name, argument).await?,
            ("PORT" | "EPRT", _) => session.say("502 Use EPSV or PASV"),
            ("LIST" | "NLST" | "MLSD" | "RETR" | "STOR", _) if !protected => {
                session.say("522 PROT P first");
            }
            ("LIST" | "NLST" | "MLSD", _) => {
                let listing = listing(world, &name);
                data.send(session, acceptor, &listing).await?;
            }
            ("RETR", _) => match world.store.file(path(argument)) {
                Some(file) => data.send(session, acceptor, &file).await?,
                None => session.say("550 No such file"),
            },
            ("STOR", _) if path(argument).is_empty() || path(argument).contains('/') => {
                session.say("553 Not a name for a file here");
            }
            ("STOR", _) => {
                if let Some(content) = data.receive(session, acceptor).await? {
                    let kept = world.store.put_file(path(argument), &content);
                    session.say(if kept { "226 Kept" } else { "552 There are too many" });
                }
            }
            ("SIZE" | "MDTM" | "MLST" | "DELE", _) => about(session, world, &name, path(argument)),
            _ => session.say("502 Unknown command"),
        }
    }
    Ok(())
}

fn path(argument: &str) -> &str {
    argument.trim_start_matches('/')
}

/// Answers a command about one file.
fn about(session: &mut Session, world: &World, name: &str, path: &str) {
    let Some(file) = world.store.file(path) else {
        return session.say("550 No such file");
    };
    session.say(match name {
        "SIZE" => format!("213 {}", file.len()),
        "MDTM" => String::from("213 20260101000000"),
        // RFC 3659 section 7.2: a reply of three lines, the fact between them after a space.
        "MLST" => format!("250-Facts\r\n {}250 End", fact(path, file.len())),
        _ => {
            world.store.delete_file(path);
            String::from("250 Deleted")
        }
    });
}

fn listing(world: &World, name: &str) -> Vec<u8> {
    let lines = world.store.files().into_iter().map(|(path, size)| match name {
        "NLST" => format!("{path}\r\n"),
        "MLSD" => fact(&path, size),
        _ => format!("-rw-r--r--   1 lab      lab      {size:>8} Jan 01 00:00 {path}\r\n"),
    });
    lines.collect::<String>().into_bytes()
}

fn fact(path: &str, size: usize) -> String {
    format!("type=file;size={size};modify=20260101000000; {path}\r\n")
}
