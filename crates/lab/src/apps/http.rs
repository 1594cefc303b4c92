//! HTTP/1.1 (RFC 9112): one page, connections that persist.

use super::context::{AppContext, Serving};
use crate::session::SessionError;

const PAGE: &str = "You read this inside TLS.\n";

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, .. }: AppContext<'_>) -> Result<(), SessionError> {
    while let Some(request) = session.next_command().await? {
        let text = String::from_utf8_lossy(&request).into_owned();
        let mut lines = text.lines();
        let mut start = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
        let old = start.next() != Some("HTTP/1.1");
        let header = |name: &str| {
            let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
            fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        // The server does not read bodies. It closes the connection after a message with one, since the body must not be parsed
        // as a request (RFC 9112 section 9.3).
        let body =
            header("transfer-encoding").is_some() || header("content-length").is_some_and(|it| it != "0");
        let close =
            old || body || header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let (status, more, content) = match (method, target) {
            ("OPTIONS", _) => ("200 OK", "Allow: GET, HEAD, OPTIONS\r\n", ""),
            ("GET" | "HEAD", "/") => ("200 OK", "Content-Type: text/plain\r\n", PAGE),
            ("GET" | "HEAD", _) => ("404 Not Found", "", "There is / and nothing else.\n"),
            _ => ("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n", ""),
        };
        let persistence = if close { "Connection: close\r\n" } else { "" };
        session.send(format!(
            "HTTP/1.1 {status}\r\n{more}{persistence}Content-Length: {}\r\n\r\n",
            content.len()
        ));
        if method != "HEAD" {
            session.send(content);
        }
        if close {
            break;
        }
    }
    Ok(())
}
