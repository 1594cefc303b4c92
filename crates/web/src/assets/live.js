// Shows a run while it happens. All text is set as text, never as markup.
const run = location.pathname;
const status = document.getElementById("status");
const log = document.getElementById("log");
const connections = new Map();
// The page has the words in its language.
const words = log.dataset;
let count = 0;

function element(name, className, text) {
  const it = document.createElement(name);
  if (className) it.className = className;
  if (text !== undefined) it.textContent = text;
  return it;
}

// A name of a peer and text in English. Neither is in the language of the page.
function named(name, className, target, text) {
  const it = element(name, className);
  const peer = element("bdi", "", target);
  peer.lang = "";
  peer.translate = false;
  const rest = element("span", "", text);
  rest.lang = "en";
  it.append(peer, " ", rest);
  log.append(it);
}

const handlers = {
  endpoint: (it) => named("h2", "", it.target, `(${it.address})`),
  "left-out": (it) => named("p", "hint", it.target, it.reason),
  verdict: (it) => named("p", "verdict", it.target, it.summary),
  connection: (it) => {
    const details = element("details", "transcript");
    details.open = it.number === 1;
    const [before, after] = words.connection.replace("{number}", it.number).split("{why}");
    const summary = element("summary", "", before);
    const purpose = element("span", "", it.purpose);
    purpose.lang = "en";
    summary.append(purpose, after);
    details.append(summary);
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
    const who = { client: words.client, server: words.server, "client-inside": words.clientInside,
      "server-inside": words.serverInside }[it.kind];
    const item = element("li", side);
    item.append(element("span", "when", `${it.at_ms.toFixed(1)} ms`));
    const said = element("div", "said");
    if (who) said.append(element("span", "who", who));
    const name = who ? "code" : "span";
    for (const line of who ? it.text.split(/(?<=\\n)(?=.)/) : [it.text]) {
      const shown = element(name, "", line);
      shown.translate = false;
      shown.lang = who ? "" : "en";
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
  status.textContent = words.finished;
  location.replace(run + location.search);
});
source.onerror = () => {
  status.textContent = source.readyState === EventSource.CLOSED ? words.refused : words.lost;
};

// Screen readers announce the status, so it changes rarely.
setInterval(() => {
  if (source.readyState === EventSource.OPEN) {
    const isOne = count === 1 || (count === 0 && words.singularZero === "true");
    const text = (isOne ? words.one : words.many).replace("{count}", count);
    if (status.textContent !== text) status.textContent = text;
  }
}, 3000);
