//! Builds the message, or reads a complete one.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::IsTerminal;
use std::path::Path;

use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;
use starttls::submission::Message;

use crate::args::Send;
use crate::error::Failed;
use crate::input;

/// Returns the message that the arguments describe.
pub(super) fn message(args: &Send) -> Result<Message, Failed> {
    let compose = &args.compose;
    let built = compose.subject.is_some()
        || compose.body.is_some()
        || compose.body_file.is_some()
        || !compose.attach.is_empty()
        || !compose.header.is_empty();
    let bytes = if built { build(args)? } else { ready()? };
    let no_end = if built { Message::new(bytes) } else { Message::from_text(&with_header(args, bytes)) };
    no_end.map_err(|error| {
        let hint = "to fix a file with mixed line endings, use unix2dos or sed 's/\\r*$//'";
        Failed::usage(error.to_string()).hint(Some(String::from(hint)))
    })
}

/// Reads a complete message from standard input.
fn ready() -> Result<Vec<u8>, Failed> {
    if std::io::stdin().is_terminal() {
        crate::console::prompt("enter the message, starting with its header; Ctrl-D ends the input");
    }
    let bytes = read(Path::new("-"))?;
    if bytes.trim_ascii().is_empty() {
        let hint = "build one with --body TEXT or --body-file FILE, or pass a complete one on standard input";
        return Err(Failed::usage("the message on standard input is empty").hint(Some(String::from(hint))));
    }
    Ok(bytes)
}

/// Adds the field TLS-Required (RFC 8689 section 5) to a complete message, if the user wants it.
fn with_header(args: &Send, message: Vec<u8>) -> Vec<u8> {
    let end: &[u8] = if message.contains(&b'\r') { b"\r\n" } else { b"\n" };
    if args.tls_optional { [b"TLS-Required: No", end, &message].concat() } else { message }
}

fn build(args: &Send) -> Result<Vec<u8>, Failed> {
    let compose = &args.compose;
    let domain = args.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    // Two 64-bit values, so that the id has the usual 128 bits.
    let [first, second] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    let id = format!("{first:016x}{second:016x}@{domain}");
    let recipients: Vec<&str> = args.to.iter().map(String::as_str).collect();
    let mut builder = MessageBuilder::new().message_id(id).to(recipients);
    if !args.from.is_empty() {
        builder = builder.from(args.from.as_str());
    }
    if let Some(subject) = &compose.subject {
        builder = builder.subject(one_line("subject", subject)?);
    }
    if args.tls_optional {
        builder = builder.header("TLS-Required", Raw::new("No"));
    }
    for field in &compose.header {
        let (name, value) = header(field)?;
        builder = builder.header(name, mail_builder::headers::text::Text::new(value));
    }
    let body = match (&compose.body, &compose.body_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => String::from_utf8(read(path)?).map_err(|_| {
            Failed::usage(format!("{} is not UTF-8: use --attach for other files", path.display()))
        })?,
        (None, None) => String::new(),
    };
    builder = builder.text_body(body);
    for path in &compose.attach {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        builder = builder.attachment(kind(&name), name, read(path)?);
    }
    builder.write_to_vec().map_err(|error| Failed::usage(format!("cannot build the message: {error}")))
}

fn header(field: &str) -> Result<(&str, &str), Failed> {
    let wrong =
        || Failed::usage(format!("invalid header field \"{}\": expected NAME: VALUE", field.escape_debug()));
    let (name, value) = one_line("header field", field)?.split_once(':').ok_or_else(wrong)?;
    // RFC 5322 section 2.2.
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if named { Ok((name, value.trim())) } else { Err(wrong()) }
}

/// Rejects a line break, which would start another header field.
fn one_line<'a>(what: &str, text: &'a str) -> Result<&'a str, Failed> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(Failed::usage(format!("invalid {what}: expected one line")));
    }
    Ok(text)
}

fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    input::read_or_stdin(path, input::MESSAGE)
}

/// Returns the media type of a file by its name, for the types that mail programs display.
fn kind(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("html" | "htm") => "text/html",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("zip") => "application/zip",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
