//! The JSON API. Its description is `openapi.json`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use starttls_audit::report::AuditReport;

use crate::bulk::{self, BulkItem};
use crate::bulk_audit::{MAX_TARGETS, NoBulk};
use crate::http::{self, BodyError, JSON, PROBLEM, Reply, later, reply, set};
use crate::keys::ApiKey;
use crate::preset::Preset;
use crate::service::{NotStarted, Requester, Started};
use crate::site::{Site, is_id, stored};
use crate::store::{RunEnd, RunStore, RunStoreError, StoredRun};

const OPENAPI: &str = include_str!("assets/openapi.json");
/// The largest body of a request for a bulk.
const MAX_BULK: usize = 256 << 10;
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

/// A request for audits of many targets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBulk {
    targets: Vec<String>,
    #[serde(default)]
    preset: String,
}

/// The audits of many targets.
#[derive(Debug, Serialize)]
struct BulkStatus<'a> {
    id: &'a str,
    /// The path of its page.
    page: String,
    /// Whether no audit waits or runs.
    finished: bool,
    /// The number of targets, and of those that are done.
    total: usize,
    done: usize,
    items: &'a [BulkItem],
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
        ("DELETE", ["checks", id]) => {
            change(site, id, &request, |store, run| store.delete(&run.id).map(|_| ()))
        }
        ("POST", ["checks", id, "pin"]) => change(site, id, &request, RunStore::pin),
        ("POST", ["bulk"]) => start_bulk(site, request).await,
        ("GET", ["bulk", name]) => bulk(site, name),
        ("GET", ["targets", target, "checks"]) => match site.service.history(target, MAX_LISTED) {
            Ok(runs) => json(StatusCode::OK, &runs),
            Err(error) => broken(&error.to_string()),
        },
        _ => problem(StatusCode::NOT_FOUND, "Not found", "this resource does not exist"),
    }
}

/// Why a request is refused before anything is done.
struct Refusal {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Refusal {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into() }
    }

    fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", detail)
    }

    fn reply(self) -> Reply {
        let mut reply = problem(self.status, self.title, &self.detail);
        if self.status == StatusCode::UNAUTHORIZED {
            set(&mut reply, WWW_AUTHENTICATE, "Bearer");
        }
        reply
    }
}

/// Returns the key of a request, if it has one.
fn key(site: &Site, request: &Request<Incoming>) -> Result<Option<Arc<ApiKey>>, Refusal> {
    if !request.headers().contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let key = http::bearer(request.headers()).and_then(|key| site.service.settings().keys.find(key));
    key.map(Some).ok_or_else(|| Refusal::unauthorized("this key is unknown"))
}

fn required_key(site: &Site, request: &Request<Incoming>) -> Result<Arc<ApiKey>, Refusal> {
    key(site, request)?.ok_or_else(|| Refusal::unauthorized("this request needs a key"))
}

/// Reads the body of a request: JSON of at most this length.
async fn read<T: DeserializeOwned>(request: Request<Incoming>, longest: usize) -> Result<T, Refusal> {
    let body = http::body(request, longest).await.map_err(|error| match error {
        BodyError::TooLong => {
            let detail = format!("the body is longer than {longest} octets");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Too long", detail)
        }
        BodyError::Broken => Refusal::new(StatusCode::BAD_REQUEST, "Broken", "the body is incomplete"),
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "Invalid JSON", error.to_string()))
}

fn preset(name: &str) -> Result<Preset, Refusal> {
    let expected = "expected quick, standard, tls or full";
    Preset::named(name).ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "Unknown preset", expected))
}

async fn start(site: &Site, client: IpAddr, request: Request<Incoming>) -> Reply {
    let wanted = async {
        let requester = key(site, &request)?.map_or(Requester::Visitor(client), Requester::KeyHolder);
        let new: NewCheck = read(request, http::MAX_BODY).await?;
        let preset = preset(&new.preset)?;
        Ok((requester, new, preset))
    };
    let (requester, new, preset) = match wanted.await {
        Ok(wanted) => wanted,
        Err(refusal) => return Refusal::reply(refusal),
    };
    let (status, id) = match site.service.start(&new.target, preset, new.fresh, &requester) {
        Ok(Started::New(id)) => (StatusCode::ACCEPTED, id),
        Ok(Started::Known(id)) => (StatusCode::OK, id),
        Err(NotStarted::Target(invalid)) => {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "Invalid target", &invalid.to_string());
        }
        Err(error @ NotStarted::NeedsKey) => return Refusal::unauthorized(error.to_string()).reply(),
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

/// Returns the run with this id, if the key of the request has started it.
fn own_run(site: &Site, id: &str, request: &Request<Incoming>) -> Result<StoredRun, Refusal> {
    let key = required_key(site, request)?;
    if site.service.running(id).is_some() {
        return Err(Refusal::new(StatusCode::CONFLICT, "Running", "the audit is running"));
    }
    match stored(&site.service, id) {
        Ok(Some(run)) if run.holder.as_ref() == Some(&key.name) => Ok(run),
        Ok(Some(_)) => {
            let detail = "this audit was not started with this key";
            Err(Refusal::new(StatusCode::FORBIDDEN, "Not permitted", detail))
        }
        Ok(None) => Err(Refusal::new(StatusCode::NOT_FOUND, "Not found", "this audit does not exist")),
        Err(error) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Error", error.to_string())),
    }
}

/// Changes a run that was started with the key of the request.
fn change(
    site: &Site,
    id: &str,
    request: &Request<Incoming>,
    change: impl FnOnce(&RunStore, &StoredRun) -> Result<(), RunStoreError>,
) -> Reply {
    match own_run(site, id, request).map(|run| change(site.service.store(), &run)) {
        Ok(Ok(())) => reply(StatusCode::NO_CONTENT, JSON, ""),
        Ok(Err(error)) => broken(&error.to_string()),
        Err(refusal) => refusal.reply(),
    }
}

async fn start_bulk(site: &Site, request: Request<Incoming>) -> Reply {
    let wanted = async {
        let key = required_key(site, &request)?;
        let new: NewBulk = read(request, MAX_BULK).await?;
        let preset = preset(&new.preset)?;
        Ok((key, new, preset))
    };
    let (key, new, preset) = match wanted.await {
        Ok(wanted) => wanted,
        Err(refusal) => return Refusal::reply(refusal),
    };
    let id = match site.service.start_bulk(&new.targets, preset, key) {
        Ok(id) => id,
        Err(NoBulk::Size) => {
            let detail = format!("expected 1 to {MAX_TARGETS} targets, found {}", new.targets.len());
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "Invalid number of targets", &detail);
        }
        Err(NoBulk::Busy) => {
            let reply = problem(StatusCode::TOO_MANY_REQUESTS, "Busy", "a bulk of this key is in progress");
            return later(reply, Duration::from_secs(60));
        }
        Err(NoBulk::Broken(text)) => return broken(&text),
    };
    let mut reply = bulk(site, &id);
    if reply.status().is_success() {
        *reply.status_mut() = StatusCode::ACCEPTED;
    }
    set(&mut reply, LOCATION, &format!("/api/v1/bulk/{id}"));
    reply
}

/// Returns the audits of a bulk: as JSON, or in the format of the extension.
fn bulk(site: &Site, name: &str) -> Reply {
    let (id, extension) = name.split_once('.').unwrap_or((name, ""));
    let found = if is_id(id) { site.service.stored_bulk(id) } else { Ok(None) };
    let items = match found {
        Ok(Some((_, items))) => items,
        Ok(None) => return problem(StatusCode::NOT_FOUND, "Not found", "this bulk does not exist"),
        Err(error) => return broken(&error.to_string()),
    };
    match extension {
        "" => {
            let done = items.iter().filter(|item| item.state.is_final()).count();
            let (total, items) = (items.len(), items.as_slice());
            let page = format!("/b/{id}");
            json(StatusCode::OK, &BulkStatus { id, page, finished: done == total, total, done, items })
        }
        "csv" => reply(StatusCode::OK, "text/csv; charset=utf-8", bulk::csv(&items)),
        "jsonl" => {
            let lines = items.iter().filter_map(|item| serde_json::to_string(item).ok());
            let lines: String = lines.map(|line| starttls_report::json(&line) + "\n").collect();
            reply(StatusCode::OK, "application/jsonl", lines)
        }
        _ => problem(StatusCode::NOT_FOUND, "Not found", "the formats of a bulk are csv and jsonl"),
    }
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
        ("/api/v1/checks", "post", &[200, 202, 400, 401, 403, 413, 422, 429, 500, 503]),
        ("/api/v1/checks/{id}", "get", &[200, 404, 500]),
        ("/api/v1/checks/{id}", "delete", &[204, 401, 403, 404, 409, 500]),
        ("/api/v1/checks/{id}/pin", "post", &[204, 401, 403, 404, 409, 500]),
        ("/api/v1/bulk", "post", &[202, 400, 401, 403, 413, 422, 429, 500]),
        ("/api/v1/bulk/{id}", "get", &[200, 404, 500]),
        ("/api/v1/bulk/{id}.csv", "get", &[200, 404, 500]),
        ("/api/v1/bulk/{id}.jsonl", "get", &[200, 404, 500]),
        ("/api/v1/targets/{target}/checks", "get", &[200, 500]),
    ];

    #[test]
    fn the_description_has_every_resource_and_status() {
        let description: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let paths = description["paths"].as_object().unwrap();
        let methods: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(methods, RESOURCES.len());
        for (path, method, statuses) in RESOURCES {
            let responses = paths[*path][*method]["responses"].as_object().unwrap();
            let described: Vec<u16> = responses.keys().map(|status| status.parse().unwrap()).collect();
            assert_eq!(&described, statuses, "{path}");
        }
    }
}
