//! Chromium, controlled over a pipe with the DevTools protocol.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// The longest wait for the browser, also on a machine that does other work.
const DEADLINE: Duration = Duration::from_secs(120);

/// Reports what the page was not permitted to do.
const WATCH: &str = "document.addEventListener('securitypolicyviolation', \
    it => complain(`${it.violatedDirective} ${it.blockedURI} ${it.sourceFile}:${it.lineNumber} ${it.sample}`));";

/// How a page is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    pub(crate) features: &'static [(&'static str, &'static str)],
}

/// The usual look, and those that pages have to support.
pub(crate) const LOOKS: &[Look] = &[
    Look { name: "light", width: 1280, features: &[("prefers-color-scheme", "light")] },
    Look { name: "dark, 320 pixels", width: 320, features: &[("prefers-color-scheme", "dark")] },
    Look {
        name: "forced colors",
        width: 640,
        features: &[("forced-colors", "active"), ("prefers-reduced-motion", "reduce")],
    },
];

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// The session of the page.
    session: Option<String>,
    /// The id of the last call.
    last: u64,
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from descriptor 3 and writes answers to descriptor 4. A pipe needs no port, and ends with
        // the test.
        let mut process = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "chromium"])
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            // The shared memory of a container is small.
            .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-extensions"])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sh is missing");
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let (last, events) = (0, Vec::new());
        let mut browser = Self { process, to, from, session: None, last, events, _profile: profile };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"})).await.unwrap();
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await.unwrap();
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await.unwrap();
        }
        browser.call("Page.setLifecycleEventsEnabled", json!({"enabled": true})).await.unwrap();
        browser.call("Runtime.addBinding", json!({"name": "complain"})).await.unwrap();
        let watch = json!({"source": WATCH});
        browser.call("Page.addScriptToEvaluateOnNewDocument", watch).await.unwrap();
        browser
    }

    pub(crate) async fn close(mut self) {
        self.session = None;
        let _ = self.call("Browser.close", json!({})).await;
        timeout(DEADLINE, self.process.wait()).await.expect("the browser does not end").unwrap();
    }

    /// Calls a method. Returns its result, or its error as text.
    async fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut message = message.to_string().into_bytes();
        message.push(0);
        self.to.write_all(&message).await.expect("chromium is not installed: cargo xtask setup");
        loop {
            let mut message = self.receive().await;
            if message["id"] == self.last {
                return match message.get("error") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(message["result"].take()),
                };
            }
            self.events.push(message);
        }
    }

    async fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        let read = timeout(DEADLINE, self.from.read_until(0, &mut message)).await;
        read.expect("the browser does not answer").unwrap();
        assert_eq!(message.pop(), Some(0), "chromium has ended, or is not installed: cargo xtask setup");
        serde_json::from_slice(&message).unwrap()
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&mut self, url: &str) {
        assert!(self.open_or_download(url).await, "the browser downloaded {url} instead of showing it");
    }

    /// Opens a page as [`open`](Self::open) does. Returns whether it is one: the browser does not show every file.
    pub(crate) async fn open_or_download(&mut self, url: &str) -> bool {
        let opened = self.call("Page.navigate", json!({"url": url})).await.unwrap();
        if let Some(error) = opened.get("errorText") {
            assert_eq!(error, "net::ERR_ABORTED", "{url}: {opened}");
            return false;
        }
        // A page before it may still load: each has a loader of its own.
        let is_loaded = |event: &Value| {
            let event = (&event["method"], &event["params"]["name"], &event["params"]["loaderId"]);
            event == (&json!("Page.lifecycleEvent"), &json!("load"), &opened["loaderId"])
        };
        while !self.events.iter().any(is_loaded) {
            let event = self.receive().await;
            self.events.push(event);
        }
        true
    }

    /// Returns the value of an expression, or the error.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        match answer.get("exceptionDetails") {
            Some(exception) => Err(exception.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    pub(crate) async fn text(&mut self, expression: &str) -> String {
        self.evaluate(expression).await.unwrap().as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true. A new page in between is no error.
    pub(crate) async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        loop {
            let value = self.evaluate(expression).await;
            if value == Ok(Value::Bool(true)) {
                return;
            }
            if start.elapsed() > DEADLINE {
                let page = self.evaluate("location.href + document.documentElement.outerHTML").await;
                panic!("{expression}: {value:?} in {page:?}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types a text into an empty field, and presses Enter.
    pub(crate) async fn enter(&mut self, selector: &str, text: &str) {
        self.evaluate(&format!("document.querySelector('{selector}').focus()")).await.unwrap();
        self.call("Input.insertText", json!({"text": text})).await.unwrap();
        for (kind, text) in [("keyDown", "\r"), ("keyUp", "")] {
            let key = json!({
                "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": text,
            });
            self.call("Input.dispatchKeyEvent", key).await.unwrap();
        }
    }

    /// Clicks the button or link with this text.
    pub(crate) async fn click(&mut self, text: &str) {
        let find = format!(
            "[...document.querySelectorAll('a, button')].find(it => it.textContent.includes({text:?})).click()"
        );
        self.evaluate(&find).await.unwrap();
    }

    /// Switches the scripts of pages that are opened from now on.
    pub(crate) async fn set_scripts(&mut self, enabled: bool) {
        let disabled = json!({"value": !enabled});
        self.call("Emulation.setScriptExecutionDisabled", disabled).await.unwrap();
    }

    pub(crate) async fn set_look(&mut self, look: &Look) {
        let features: Vec<Value> =
            look.features.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.call("Emulation.setEmulatedMedia", json!({"features": features})).await.unwrap();
        let size = json!({"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    }

    /// Returns what pages were not permitted to do since the last call, their exceptions and their dialogs.
    pub(crate) async fn complaints(&mut self) -> Vec<String> {
        // The events of what happened before this call arrive before its answer.
        self.evaluate("0").await.unwrap();
        let events = std::mem::take(&mut self.events);
        let complaint = |event: Value| {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.bindingCalled" => Some(params["payload"].to_string()),
                "Runtime.exceptionThrown" | "Page.javascriptDialogOpening" | "Page.windowOpen" => {
                    Some(event.to_string())
                }
                "Log.entryAdded" => {
                    let entry = &params["entry"];
                    let source = entry["source"].as_str().unwrap_or_default();
                    ["security", "javascript", "violation"].contains(&source).then(|| entry.to_string())
                }
                _ => None,
            }
        };
        events.into_iter().filter_map(complaint).collect()
    }

    /// Returns the violations of WCAG 2.2 A and AA and of good practice in the page.
    pub(crate) async fn violations(&mut self, axe: &str) -> Vec<String> {
        self.evaluate(&format!("{axe};0")).await.unwrap();
        let run = "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], \
            resultTypes: ['violations'] }).then(result => result.passes.length < 15 ? ['too few rules'] : \
            result.violations.flatMap(it => it.nodes.map(node => `${it.id} ${node.target}: ${node.failureSummary}`)))";
        let found = self.evaluate(run).await.unwrap();
        found.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    }
}
