// Shows a run while it happens. All text is set as text, never as markup.
const run = location.pathname;
const status = document.getElementById("status");
const log = document.getElementById("log");
const connections = new Map();
let count = 0;

function element(name, className, text) {
  const it = document.createElement(name);
  if (className) it.className = className;
  if (text !== undefined) it.textContent = text;
  return it;
}

function heading(text) {
  log.append(element("h2", "", text));
}

const handlers = {
  endpoint: (it) => heading(`${it.target} (${it.address})`),
  "left-out": (it) => log.append(element("p", "hint", `${it.target}: ${it.reason}`)),
  verdict: (it) => log.append(element("p", "verdict", `${it.target}: ${it.summary}`)),
  connection: (it) => {
    const details = element("details", "transcript");
    details.open = it.number === 1;
    details.append(element("summary", "", `Connection ${it.number}: ${it.purpose}`));
    const list = element("ol", "messages");
    details.append(list);
    log.append(details);
    connections.set(`${it.endpoint}/${it.number}`, list);
    count += 1;
  },
  entry: (it) => {
    const list = connections.get(`${it.endpoint}/${it.number}`);
    if (!list) return;
    const side = { client: "client clear", server: "server clear", "client-inside": "client inside",
      "server-inside": "server inside", boundary: "boundary", event: "event" }[it.kind];
    const who = { client: "client, cleartext", server: "server, cleartext", "client-inside": "client, inside TLS",
      "server-inside": "server, inside TLS" }[it.kind];
    const item = element("li", side);
    item.append(element("span", "when", `${it.at_ms.toFixed(1)} ms`));
    const said = element("div", "said");
    if (who) said.append(element("span", "who", who));
    const name = who ? "code" : "span";
    for (const line of who ? it.text.split(/(?<=\\n)(?=.)/) : [it.text]) {
      const shown = element(name, "", line);
      shown.translate = false;
      said.append(shown);
    }
    item.append(said);
    list.append(item);
  },
};

const source = new EventSource(`${run}/events`);
source.onmessage = (message) => {
  const event = JSON.parse(message.data);
  handlers[event.type]?.(event);
};
source.addEventListener("done", () => {
  source.close();
  status.textContent = "Finished. The report follows.";
  location.replace(run);
});
source.onerror = () => {
  status.textContent = source.readyState === EventSource.CLOSED
    ? "The audit cannot be followed here. Load this page again for its report."
    : "The connection to this service was lost. It is tried again.";
};

// Screen readers announce the status, so it changes rarely.
setInterval(() => {
  if (source.readyState === EventSource.OPEN) {
    const text = count === 1 ? "1 connection so far" : `${count} connections so far`;
    if (status.textContent !== text) status.textContent = text;
  }
}, 3000);
