//! The JSON API. Its description is `openapi.json`.

use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::LOCATION;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use starttls_audit::report::AuditReport;

use crate::http::{self, BodyError, JSON, PROBLEM, Reply, later, reply, set};
use crate::service::{NotStarted, Preset, Started};
use crate::site::{Site, stored};
use crate::store::RunEnd;

const OPENAPI: &str = include_str!("assets/openapi.json");
/// The most runs in a list.
const MAX_LISTED: usize = 100;

/// A request for an audit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCheck {
    target: String,
    #[serde(default)]
    preset: String,
    /// Whether a recent report is no answer.
    #[serde(default)]
    fresh: bool,
}

/// An audit.
#[derive(Debug, Serialize)]
struct Check<'a> {
    id: &'a str,
    target: &'a str,
    state: State,
    /// The path of its page.
    page: String,
    /// The report of a finished audit.
    report: Option<&'a AuditReport>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Running,
    Finished,
    Stopped,
    Postponed,
    BrokenOff,
}

impl From<RunEnd> for State {
    fn from(end: RunEnd) -> Self {
        match end {
            RunEnd::Finished => Self::Finished,
            RunEnd::Stopped => Self::Stopped,
            RunEnd::Postponed => Self::Postponed,
            RunEnd::BrokenOff => Self::BrokenOff,
        }
    }
}

/// An error (RFC 9457).
#[derive(Debug, Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
}

pub(crate) async fn respond(
    site: &Site,
    client: IpAddr,
    segments: &[&str],
    request: Request<Incoming>,
) -> Reply {
    match (request.method().as_str(), segments) {
        ("GET", ["openapi.json"]) => reply(StatusCode::OK, JSON, OPENAPI),
        ("POST", ["checks"]) => start(site, client, request).await,
        ("GET", ["checks", id]) => check(site, id),
        ("GET", ["targets", target, "checks"]) => match site.service.history(target, MAX_LISTED) {
            Ok(runs) => json(StatusCode::OK, &runs),
            Err(error) => broken(&error.to_string()),
        },
        _ => problem(StatusCode::NOT_FOUND, "Not found", "this resource does not exist"),
    }
}

async fn start(site: &Site, client: IpAddr, request: Request<Incoming>) -> Reply {
    let body = match http::body(request).await {
        Ok(body) => body,
        Err(BodyError::TooLong) => {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "Too long", "the body is too long");
        }
        Err(BodyError::Broken) => {
            return problem(StatusCode::BAD_REQUEST, "Broken", "the body is incomplete");
        }
    };
    let new: NewCheck = match serde_json::from_slice(&body) {
        Ok(new) => new,
        Err(error) => return problem(StatusCode::BAD_REQUEST, "Invalid JSON", &error.to_string()),
    };
    let Some(preset) = Preset::named(&new.preset) else {
        return problem(StatusCode::BAD_REQUEST, "Unknown preset", "expected quick, standard or tls");
    };
    let (status, id) = match site.service.start(&new.target, preset, new.fresh, client) {
        Ok(Started::New(id)) => (StatusCode::ACCEPTED, id),
        Ok(Started::Known(id)) => (StatusCode::OK, id),
        Err(NotStarted::Target(invalid)) => {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "Invalid target", &invalid.to_string());
        }
        Err(NotStarted::Client(wait)) => {
            let reply =
                problem(StatusCode::TOO_MANY_REQUESTS, "Too many audits", "this client's budget is used up");
            return later(reply, wait);
        }
        Err(NotStarted::Busy) => {
            let reply = problem(StatusCode::SERVICE_UNAVAILABLE, "Busy", "too many audits are waiting");
            return later(reply, Duration::from_secs(60));
        }
        Err(NotStarted::Broken(text)) => return broken(&text),
    };
    let mut reply = check(site, &id);
    if reply.status().is_success() {
        *reply.status_mut() = status;
    }
    set(&mut reply, LOCATION, &format!("/api/v1/checks/{id}"));
    reply
}

fn check(site: &Site, id: &str) -> Reply {
    if let Some(run) = site.service.running(id) {
        let (page, target) = (format!("/r/{}", run.id), run.target.as_str());
        return json(StatusCode::OK, &Check { id, target, state: State::Running, page, report: None });
    }
    match stored(&site.service, id) {
        Ok(Some(run)) => {
            let state = run.end.into();
            let page = format!("/r/{}", run.id);
            json(StatusCode::OK, &Check { id, target: &run.target, state, page, report: Some(&run.report) })
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "Not found", "this audit does not exist"),
        Err(error) => broken(&error.to_string()),
    }
}

fn broken(text: &str) -> Reply {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "Error", text)
}

fn problem(status: StatusCode, title: &str, detail: &str) -> Reply {
    written(status, PROBLEM, &Problem { title, status: status.as_u16(), detail })
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    written(status, JSON, value)
}

fn written(status: StatusCode, media: &'static str, value: &impl Serialize) -> Reply {
    match serde_json::to_string(value) {
        Ok(text) => reply(status, media, starttls_report::json(&text) + "\n"),
        // These types have no maps with other keys than strings.
        Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, PROBLEM, "{}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every resource, with the statuses that it answers with.
    const RESOURCES: &[(&str, &str, &[u16])] = &[
        ("/api/v1/openapi.json", "get", &[200]),
        ("/api/v1/checks", "post", &[200, 202, 400, 403, 413, 422, 429, 500, 503]),
        ("/api/v1/checks/{id}", "get", &[200, 404, 500]),
        ("/api/v1/targets/{target}/checks", "get", &[200, 500]),
    ];

    #[test]
    fn the_description_has_every_resource_and_status() {
        let description: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let paths = description["paths"].as_object().unwrap();
        assert_eq!(paths.len(), RESOURCES.len());
        for (path, method, statuses) in RESOURCES {
            let responses = paths[*path][*method]["responses"].as_object().unwrap();
            let described: Vec<u16> = responses.keys().map(|status| status.parse().unwrap()).collect();
            assert_eq!(&described, statuses, "{path}");
        }
    }
}
