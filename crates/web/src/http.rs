//! Requests and responses: what all of them have in common.

use std::convert::Infallible;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HOST,
    HeaderName, HeaderValue, LOCATION, ORIGIN, RETRY_AFTER, VARY,
};
use hyper::{HeaderMap, Request, Response, StatusCode};
use starttls_dns::IpPrefix;
use starttls_report::Language;

/// The body of a response.
pub(crate) type Body = BoxBody<Bytes, Infallible>;
/// A response.
pub(crate) type Reply = Response<Body>;

/// The shortest content that is compressed.
const MIN_COMPRESSED: u64 = 1 << 10;
/// The largest body of a request of a visitor.
pub(crate) const MAX_BODY: usize = 8 << 10;

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const PROBLEM: &str = "application/problem+json";
pub(crate) const SVG: &str = "image/svg+xml";

/// Forbids everything that the pages do not use. `require-trusted-types-for` makes the browser refuse scripts that write markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
/// An image has its style inside.
const IMAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Returns a response with this content.
pub(crate) fn reply(status: StatusCode, media: &'static str, content: impl Into<Bytes>) -> Reply {
    with_body(status, media, Full::new(content.into()).boxed())
}

/// Returns a response whose content is written later.
pub(crate) fn stream(media: &'static str) -> (Sender<Bytes>, Reply) {
    let (sender, body) = Channel::new(16);
    (sender, with_body(StatusCode::OK, media, body.boxed()))
}

fn with_body(status: StatusCode, media: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    let is_image = media == SVG;
    let policy = if is_image { IMAGE_POLICY } else { POLICY };
    let sharing = if is_image { "cross-origin" } else { "same-origin" };
    for (name, value) in [
        (CONTENT_TYPE.as_str(), media),
        (CACHE_CONTROL.as_str(), "no-store"),
        ("content-security-policy", policy),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", sharing),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

/// Compresses the content of a response for a client that accepts it. A page has no secret that an attacker could guess from its
/// compressed length.
pub(crate) async fn compressed(reply: Reply, accepts: bool) -> Reply {
    // A stream has no known length, and its parts must not wait for each other.
    let is_long = reply.body().size_hint().exact().is_some_and(|length| length >= MIN_COMPRESSED);
    if !accepts || !is_long {
        return reply;
    }
    let (mut parts, body) = reply.into_parts();
    let Ok(content) = body.collect().await;
    let content = content.to_bytes();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(&content).and_then(|()| encoder.finish());
    // Writing to memory does not fail.
    let Ok(written) = written else { return Response::from_parts(parts, Full::new(content).boxed()) };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, Full::new(Bytes::from(written)).boxed())
}

/// Returns whether the client accepts gzip (RFC 9110 section 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// Returns a redirection that a browser follows with GET.
pub(crate) fn see_other(path: &str) -> Reply {
    let mut reply = reply(StatusCode::SEE_OTHER, TEXT, "");
    set(&mut reply, LOCATION, path);
    reply
}

/// Adds the time after which a client may try again.
pub(crate) fn later(mut reply: Reply, wait: Duration) -> Reply {
    set(&mut reply, RETRY_AFTER, &wait.as_secs().max(1).to_string());
    reply
}

/// Adds the language of a page, unless it has one. A cache must not show it to a browser that prefers another one.
pub(crate) fn in_language(mut reply: Reply, language: Language) -> Reply {
    let is_page = reply.headers().get(CONTENT_TYPE).is_some_and(|media| media == HTML);
    if is_page && !reply.headers().contains_key(CONTENT_LANGUAGE) {
        set(&mut reply, CONTENT_LANGUAGE, language.tag());
        reply.headers_mut().append(VARY, HeaderValue::from_static("accept-language"));
    }
    reply
}

/// Sets a header whose value may contain text from elsewhere. A value that no header can contain is left out.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Why a body cannot be read.
pub(crate) enum BodyError {
    TooLong,
    Broken,
}

/// Reads the body of a request, which is at most this long.
pub(crate) async fn body(request: Request<Incoming>, longest: usize) -> Result<Bytes, BodyError> {
    let collected = Limited::new(request.into_body(), longest).collect().await;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLong),
        Err(_) => Err(BodyError::Broken),
    }
}

/// Returns whether a request that changes something comes from a page of this service, or from no page. Another page could
/// otherwise make its visitors start audits.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match text(ORIGIN.as_str()) {
        None => true,
        Some(origin) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some() && authority == text(HOST.as_str())
        }
    }
}

/// Returns the key of a request: `Authorization: Bearer KEY` (RFC 6750 section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// Returns the host of a request without its port.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    let authority = headers.get(HOST)?.to_str().ok()?;
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|end| end + 2)?,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..end)
}

/// Returns the client: the peer, or the last address that a trusted proxy has added.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpPrefix]) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.iter().any(|net| net.contains(peer)) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn other_pages_cannot_change_anything() {
        for (pairs, own) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site"), ("host", "a"), ("origin", "http://a")], false),
            (&[("host", "a:8080"), ("origin", "http://a:8080")], true),
            (&[("host", "a:8080"), ("origin", "http://b:8080")], false),
            (&[("host", "a:8080"), ("origin", "null")], false),
            (&[("host", "a:8080")], true),
        ] {
            assert_eq!(is_own(&headers(pairs)), own, "{pairs:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let named = headers(&[("x-forwarded-for", "198.51.100.1, 203.0.113.5")]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(client(address("10.1.1.1"), &named, &proxies), address("203.0.113.5"));
        assert_eq!(client(address("::ffff:10.1.1.1"), &named, &proxies), address("203.0.113.5"));
        assert_eq!(client(address("192.0.2.1"), &named, &proxies), address("192.0.2.1"));
        assert_eq!(client(address("10.1.1.1"), &headers(&[]), &proxies), address("10.1.1.1"));
    }

    #[test]
    fn gzip_is_for_clients_that_want_it() {
        for (value, accepts) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=x", false),
            ("br", false),
            ("", false),
            ("*", false),
        ] {
            assert_eq!(accepts_gzip(&headers(&[("accept-encoding", value)])), accepts, "{value}");
        }
        assert!(!accepts_gzip(&headers(&[])));
    }

    #[test]
    fn a_host_has_no_port() {
        for (value, expected) in [("a.example:80", "a.example"), ("[::1]:80", "[::1]"), ("a", "a")] {
            let mut map = HeaderMap::new();
            map.insert(HOST, HeaderValue::from_static(value));
            assert_eq!(host(&map), Some(expected));
        }
    }
}
