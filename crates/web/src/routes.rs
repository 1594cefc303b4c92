//! Which request gets which response.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderName};
use hyper::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use starttls_audit::render;
use starttls_audit::report::Severity;
use starttls_report::Text;
use starttls_report::diagram::Theme;
use starttls_report::html::Html;

use crate::http::{self, BodyError, HTML, JSON, Reply, SVG, TEXT, later, reply, see_other, set};
use crate::live;
use crate::pages::Transcripts;
use crate::preset::Preset;
use crate::service::{NotStarted, Requester, Started, now};
use crate::site::{Site, is_id, stored};
use crate::store::{RunStoreError, StoredRun};
use crate::view::{self, View};
use crate::{api, assets, badge, exporter, pages, words};

/// The most runs in a history.
const MAX_HISTORY: usize = 100;

/// Answers a request.
pub(crate) async fn respond(site: &Site, peer: IpAddr, request: Request<Incoming>) -> Reply {
    if !site.is_ours(http::host(request.headers())) {
        return reply(StatusCode::MISDIRECTED_REQUEST, TEXT, "this service has another name\n");
    }
    let client = http::client(peer, request.headers(), &site.access.proxies);
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().to_owned();
    if (changes || path == "/probe") && !http::is_own(request.headers()) {
        return reply(StatusCode::FORBIDDEN, TEXT, "this request comes from another site\n");
    }
    let query = Query::new(request.uri().query().unwrap_or_default().as_bytes());
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let ["api", "v1", rest @ ..] = segments.as_slice() {
        return api::respond(site, client, rest, request).await;
    }
    let location = view::location(&path, query.fields());
    let view = View::new(query.get("lang"), request.headers(), location);
    let reply = match (request.method().as_str(), segments.as_slice()) {
        ("GET" | "HEAD", rest) => get(site, &view, client, rest, &path, &query, &request).await,
        ("POST", ["check"]) => check(site, &view, client, request).await,
        ("POST", ["r", id, "stop"]) => stop(site, &view, id),
        _ => not_found(&view),
    };
    http::in_language(reply, view.language)
}

async fn get(
    site: &Site,
    view: &View,
    client: IpAddr,
    segments: &[&str],
    path: &str,
    query: &Query,
    request: &Request<Incoming>,
) -> Reply {
    let service = &site.service;
    match segments {
        [""] => reply(StatusCode::OK, HTML, pages::home(view, query.get("target"), None)),
        ["about"] => {
            let settings = service.settings();
            reply(StatusCode::OK, HTML, pages::about(view, &settings.generator, settings.is_public))
        }
        ["assets", _] => match assets::asset(path) {
            Some(asset) => {
                let mut reply = reply(StatusCode::OK, asset.media, asset.content.as_str());
                set(&mut reply, CACHE_CONTROL, "public, max-age=31536000, immutable");
                reply
            }
            None => not_found(view),
        },
        ["health"] => reply(StatusCode::OK, TEXT, "ok\n"),
        ["metrics"] => reply(StatusCode::OK, METRICS, exporter::metrics(service, site.viewers.count())),
        ["probe"] => probe(site, client, query, request.headers()).await,
        ["robots.txt"] => reply(StatusCode::OK, TEXT, ROBOTS),
        ["r", id, "events"] => events(site, view, client, id, request),
        ["r", id, "live"] => growing(site, view, client, id),
        ["r", id, "transcripts"] => {
            found(view, stored(service, id), |run| report(site, view, &run, Transcripts::All))
        }
        ["r", id, "conversation.svg"] => {
            found(view, stored(service, id), |run| conversation(view, &run, query))
        }
        ["r", name] => match name.split_once('.') {
            None => match service.running(name) {
                Some(run) => reply(StatusCode::OK, HTML, pages::running(view, &run.id, &run.target)),
                None => {
                    found(view, stored(service, name), |run| report(site, view, &run, Transcripts::Relevant))
                }
            },
            Some((id, extension)) => found(view, stored(service, id), |run| rendered(view, &run, extension)),
        },
        ["b", id] => match if is_id(id) { service.stored_bulk(id) } else { Ok(None) } {
            Ok(Some((_, items))) => reply(StatusCode::OK, HTML, pages::bulk(view, id, &items)),
            Ok(None) => not_found(view),
            Err(error) => broken(view, &error),
        },
        ["t", target] => match service.history(target, MAX_HISTORY) {
            Ok(runs) => reply(StatusCode::OK, HTML, pages::history(view, target, &runs)),
            Err(error) => broken(view, &error),
        },
        ["t", target, "badge.svg"] => match service.store().newest(target) {
            Ok(newest) => {
                let mut reply = reply(
                    StatusCode::OK,
                    SVG,
                    badge::badge(newest.as_ref(), now(), view.chosen().unwrap_or_default()),
                );
                set(&mut reply, CACHE_CONTROL, "public, max-age=300");
                reply
            }
            Err(error) => broken(view, &error),
        },
        ["compare"] => match (stored(service, query.get("a")), stored(service, query.get("b"))) {
            (Ok(Some(before)), Ok(Some(after))) => {
                reply(StatusCode::OK, HTML, pages::compare(view, &before, &after))
            }
            (Err(error), _) | (_, Err(error)) => broken(view, &error),
            _ => not_found(view),
        },
        _ => not_found(view),
    }
}

/// The media type of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const EVENTS: &str = "text/event-stream";
const ROBOTS: &str = "User-agent: *\nDisallow: /r/\nDisallow: /t/\nDisallow: /b/\nDisallow: /compare\nDisallow: /api/\nDisallow: /probe\n";

/// Starts a run for the form.
async fn check(site: &Site, view: &View, client: IpAddr, request: Request<Incoming>) -> Reply {
    let headers = request.headers().clone();
    let view = view.at(String::from("/"));
    let form = match http::body(request, http::MAX_BODY).await {
        Ok(body) => Query::new(&body),
        Err(BodyError::TooLong) => {
            return error(&view, StatusCode::PAYLOAD_TOO_LARGE, words::TOO_LONG, words::FORM_TOO_LONG);
        }
        Err(BodyError::Broken) => {
            return error(&view, StatusCode::BAD_REQUEST, words::BROKEN, words::FORM_BROKEN);
        }
    };
    let text = form.get("target");
    let location = view::location("/", [("target", text)].into_iter());
    let view = match form.get("lang") {
        "" => view.at(location),
        chosen => View::new(chosen, &headers, location),
    };
    let reply = started(site, &view, client, &form);
    // The form may name another language than the address does.
    http::in_language(reply, view.language)
}

fn started(site: &Site, view: &View, client: IpAddr, form: &Query) -> Reply {
    let text = form.get("target");
    let Some(preset) = Preset::named(form.get("preset")) else {
        return error(view, StatusCode::BAD_REQUEST, words::UNKNOWN_EXTENT, words::EXTENTS);
    };
    match site.service.start(text, preset, form.get("fresh") == "1", &Requester::Visitor(client)) {
        Ok(Started::New(id) | Started::Known(id)) => see_other(&view.link(&format!("/r/{id}"))),
        Err(NotStarted::Target(invalid)) => {
            reply(StatusCode::UNPROCESSABLE_ENTITY, HTML, pages::home(view, text, Some(&invalid)))
        }
        Err(NotStarted::NeedsKey) => {
            error(view, StatusCode::FORBIDDEN, words::NOT_PERMITTED, words::NEEDS_KEY)
        }
        Err(NotStarted::Client(wait)) => {
            let minutes = wait.as_secs().div_ceil(60);
            let mut text = Html::default();
            text.sentence(view.language, words::TRY_AGAIN, &[("count", &minutes.to_string())]);
            let page = pages::error(view, words::TOO_MANY, &text);
            later(reply(StatusCode::TOO_MANY_REQUESTS, HTML, page), wait)
        }
        Err(NotStarted::Busy) => {
            let busy = error(view, StatusCode::SERVICE_UNAVAILABLE, words::BUSY, words::AUDITS_WAIT);
            later(busy, Duration::from_secs(60))
        }
        Err(NotStarted::Broken(text)) => broken(view, &text),
    }
}

fn stop(site: &Site, view: &View, id: &str) -> Reply {
    if let Some(run) = site.service.running(id) {
        run.stop();
    }
    see_other(&view.link(&format!("/r/{}", pages::segment(id))))
}

fn events(site: &Site, view: &View, client: IpAddr, id: &str, request: &Request<Incoming>) -> Reply {
    let Some(run) = site.service.running(id) else {
        return found(view, stored(&site.service, id), |_| reply(StatusCode::OK, EVENTS, live::DONE));
    };
    let Some(viewer) = site.viewers.add(client) else { return too_many_viewers(view) };
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let from = last.map_or(0, |last: usize| last.saturating_add(1));
    let (sender, mut reply) = http::stream(EVENTS);
    set(&mut reply, HeaderName::from_static("x-accel-buffering"), "no");
    tokio::spawn(live::events(run, from, sender, viewer));
    reply
}

fn growing(site: &Site, view: &View, client: IpAddr, id: &str) -> Reply {
    let Some(run) = site.service.running(id) else {
        return see_other(&view.link(&format!("/r/{}", pages::segment(id))));
    };
    let Some(viewer) = site.viewers.add(client) else { return too_many_viewers(view) };
    let (sender, mut reply) = http::stream(HTML);
    set(&mut reply, HeaderName::from_static("x-accel-buffering"), "no");
    tokio::spawn(live::page(view.clone(), run, sender, viewer));
    reply
}

fn too_many_viewers(view: &View) -> Reply {
    let busy = error(view, StatusCode::SERVICE_UNAVAILABLE, words::BUSY, words::PAGES_FOLLOW);
    later(busy, Duration::from_secs(60))
}

/// Audits a target for Prometheus. The modules are the presets.
async fn probe(site: &Site, client: IpAddr, query: &Query, headers: &HeaderMap) -> Reply {
    let Some(limit) = exporter::limit(headers) else {
        let text = "invalid X-Prometheus-Scrape-Timeout-Seconds: expected a positive number of seconds\n";
        return reply(StatusCode::BAD_REQUEST, TEXT, text);
    };
    let preset = Preset::named(query.get("module")).filter(|preset| *preset != Preset::Full);
    let Some(preset) = preset else {
        return reply(StatusCode::BAD_REQUEST, TEXT, "unknown module: expected quick, standard or tls\n");
    };
    let target = match site.service.parse(query.get("target")) {
        Ok(target) => target,
        Err(invalid) => return reply(StatusCode::BAD_REQUEST, TEXT, format!("{invalid}\n")),
    };
    if let Err(wait) = site.service.admit_client(client) {
        return later(reply(StatusCode::TOO_MANY_REQUESTS, TEXT, "too many audits\n"), wait);
    }
    let (report, is_timed_out) = site.service.probe(&target, preset, limit).await;
    reply(StatusCode::OK, METRICS, exporter::probe(&report, is_timed_out))
}

fn report(site: &Site, view: &View, run: &StoredRun, transcripts: Transcripts) -> Reply {
    match site.service.history(&run.target, MAX_HISTORY) {
        Ok(history) => reply(StatusCode::OK, HTML, pages::report(view, run, &history, now(), transcripts)),
        Err(error) => broken(view, &error),
    }
}

/// Returns the report in another format.
fn rendered(view: &View, run: &StoredRun, extension: &str) -> Reply {
    let (media, content) = match extension {
        "json" => (JSON, render::json::render(&run.report)),
        "txt" => (TEXT, render::text::render(&run.report, render::text::Style::default())),
        "csv" => ("text/csv; charset=utf-8", render::csv::render(&run.report)),
        "sarif" => ("application/sarif+json", render::sarif::render(&run.report, None)),
        "xml" => ("application/xml", render::junit::render(&run.report, Severity::Warning)),
        "html" => (HTML, render::html::render(&run.report, view.language)),
        _ => return not_found(view),
    };
    let mut reply = reply(StatusCode::OK, media, content);
    if matches!(extension, "html" | "xml") {
        // The policy of the pages forbids the style inside the one, and that of the browser's view of the other.
        let file = format!("attachment; filename=\"report.{extension}\"");
        set(&mut reply, CONTENT_DISPOSITION, &file);
    }
    reply
}

/// Returns the picture of a conversation: `endpoint` and `n` choose it, `theme` its colors.
fn conversation(view: &View, run: &StoredRun, query: &Query) -> Reply {
    let theme = match query.get("theme") {
        "light" => Theme::Light,
        "dark" => Theme::Dark,
        _ => Theme::Auto,
    };
    let index: usize = query.get("endpoint").parse().unwrap_or(0);
    let diagram = run.report.endpoints.get(index).and_then(|endpoint| {
        let transcript = query.get("n").parse().ok().or_else(|| render::html::featured(endpoint))?;
        // Another site shows the picture, so that its address decides.
        render::html::diagram(endpoint, transcript, view.chosen().unwrap_or_default())
    });
    diagram.map_or_else(|| not_found(view), |diagram| reply(StatusCode::OK, SVG, diagram.to_svg(theme)))
}

fn found(
    view: &View,
    run: Result<Option<StoredRun>, RunStoreError>,
    respond: impl FnOnce(StoredRun) -> Reply,
) -> Reply {
    match run {
        Ok(Some(run)) => respond(run),
        Ok(None) => not_found(view),
        Err(error) => broken(view, &error),
    }
}

fn error(view: &View, status: StatusCode, title: Text, text: Text) -> Reply {
    let mut sentence = Html::default();
    sentence.text(text.of(view.language));
    reply(status, HTML, pages::error(view, title, &sentence))
}

fn broken(view: &View, failure: &dyn Display) -> Reply {
    let mut sentence = Html::default();
    sentence.english(view.language, failure);
    reply(StatusCode::INTERNAL_SERVER_ERROR, HTML, pages::error(view, words::ERROR, &sentence))
}

fn not_found(view: &View) -> Reply {
    error(view, StatusCode::NOT_FOUND, words::NOT_FOUND, words::NO_PAGE)
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The fields of a form or of a query.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn new(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Returns the names and values.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the value of a field; empty if it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}
