/**
 * What one sees: who I am, who is here, what was said, and the road that it takes. All texts of others are set as
 * text, never as HTML.
 */

import { Agent } from "./agent.js";

const LINES_SHOWN = 200;
const REFUSALS_SHOWN = 20;
const DRAW_MS = 80;
const STATUS = {
  queued: "waiting",
  stored: "stored",
  delivered: "arrived",
  processed: "processed",
  expired: "expired unread",
  dead_lettered: "not delivered",
};
const ROADS = { relay: "by the relay", direct: "direct", turn: "through TURN" };
const STATES = {
  connecting: "Looking for a direct way …",
  disconnected: "The direct channel is silent; mail takes the relay.",
};

const query = new URLSearchParams(location.search);
const $ = (id) => document.getElementById(id);
const agent = await Agent.open({ policy: query.get("policy") === "relay" ? "relay" : "all" }).catch((error) => {
  complain(
    "This page cannot be an agent here. It needs https or an address of this machine, Ed25519 in WebCrypto, and leave " +
      `to keep its key. (${error.message})`,
  );
  throw error;
});
/** For the console. */
globalThis.agent = agent;

let chosen = null;
let isDrawn = true;

function draw() {
  if (!isDrawn) return;
  isDrawn = false;
  setTimeout(() => {
    isDrawn = true;
    drawAgents();
    drawPeer();
    drawLines();
  }, DRAW_MS);
}

const short = (did) => `${did.slice(8, 16)}…${did.slice(-4)}`;
/** What went wrong with an agent, by the name that one sees. */
const because = (error, did) => error.message.replaceAll(`'${did}'`, nameOf(did));
const nameOf = (did) => agent.agents.get(did)?.name || short(did);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function drawAgents() {
  const wanted = $("filter").value.toLowerCase();
  const talked = new Set(agent.lines.map((line) => line.peer));
  for (const did of talked) if (!agent.agents.has(did)) agent.agents.set(did, { did, capabilities: [], online: false });
  const others = [...agent.agents.values()].filter((card) => card.did !== agent.did && !card.revoked);
  const found = others.filter((card) =>
    `${card.name ?? ""} ${card.did} ${card.capabilities.join(" ")}`.toLowerCase().includes(wanted),
  );
  found.sort((one, other) => other.online - one.online || nameOf(one.did).localeCompare(nameOf(other.did)));
  $("count").textContent = others.length ? `${others.filter((card) => card.online).length} of ${others.length}` : "";
  $("nobody").hidden = found.length > 0;
  const focused = document.activeElement?.dataset?.did;
  $("agents").replaceChildren(...found.map(agentButton));
  if (focused) $("agents").querySelector(`[data-did="${focused}"]`)?.focus();
}

function agentButton(card) {
  const face = element("span", {
    className: "face",
    textContent: (card.name || "?")[0].toUpperCase(),
    ariaHidden: "true",
  });
  face.style.background = `hsl(${hue(card.did)} 55% 42%)`;
  const peer = agent.peers?.get(card.did);
  const where = card.online ? `here, on ${card.road === "nats" ? "NATS" : "an edge"}` : "away; mail waits for it";
  const button = element(
    "button",
    { type: "button", className: card.online ? "online" : "", onclick: () => choose(card.did) },
    face,
    element("span", { className: "agent-name", textContent: nameOf(card.did) }),
    element("span", peer?.state === "connected" ? { className: "badge", textContent: ROADS[peer.current.road] } : {}),
    element("span", { className: "agent-note", textContent: [where, ...card.capabilities].join(" · ") }),
  );
  button.dataset.did = card.did;
  button.ariaCurrent = String(card.did === chosen);
  return element("li", {}, button);
}

const hue = (did) => [...did].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 0);

function choose(did) {
  chosen = did;
  document.body.dataset.view = "talk";
  drawPeer();
  draw();
  $("text").focus();
}

function drawPeer() {
  $("peer").hidden = $("say").hidden = !chosen;
  if (!chosen) return;
  $("peer-name").textContent = nameOf(chosen);
  $("peer-did").textContent = chosen;
  const peer = agent.peers?.get(chosen);
  const state = peer?.state ?? "closed";
  $("road").dataset.road =
    state === "connected"
      ? peer.current.road
      : state === "disconnected"
        ? "lost"
        : state === "failed"
          ? "failed"
          : "relay";
  $("road").textContent = roadText(peer, state);
  $("direct").textContent = state === "connected" ? "Close channel" : "Connect directly";
  $("direct").disabled = state === "connecting" || agent.edge?.state !== "online";
}

function roadText(peer, state) {
  if (state === "connected") {
    const { road, rtt, carried } = peer.current;
    const quality = rtt === null ? "" : rtt < 100 ? "good" : rtt < 300 ? "fair" : "poor";
    return [
      road === "turn" ? "Direct channel through TURN" : "Direct channel",
      rtt === null ? "measuring …" : `${rtt.toFixed(0)} ms, ${quality}`,
      `${(carried / 1024).toFixed(0)} KB`,
    ].join(" · ");
  }
  if (state === "failed") return `No direct channel: ${because(peer.error, chosen)}. Mail takes the relay.`;
  return (
    STATES[state] ??
    (agent.agents.get(chosen)?.online
      ? "Mail by the relay, signed and stored."
      : "It is away: the relay keeps its mail.")
  );
}

function drawLines() {
  const lines = agent.lines.filter((line) => line.peer === chosen).slice(-LINES_SHOWN);
  $("empty").hidden = lines.length > 0;
  $("empty").textContent = chosen
    ? "Nothing was said yet."
    : agent.edge?.state === "online"
      ? "Choose an agent to talk to."
      : "Give the address of an edge and press Connect.";
  const list = $("lines");
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  list.replaceChildren(...lines.map((line) => lineItem(line, known)));
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function lineItem(line, known) {
  const { isMine, id, type, content, at, status, road, problem } = line;
  const key = `${id} ${status} ${road}`;
  if (known.has(key)) return known.get(key);
  const isFailed = ["expired", "dead_lettered"].includes(status);
  const facts = [
    new Date(at).toLocaleTimeString(),
    ROADS[road],
    isMine ? STATUS[status] : "signature verified",
    problem?.replaceAll("_", " "),
  ];
  const what = typeof content === "string" ? content : JSON.stringify(content, writable, 2);
  const item = element(
    "li",
    { className: isMine ? "mine" : "" },
    element("p", { className: "what", dir: "auto", textContent: type === "MESSAGE" ? what : `${type}: ${what}` }),
    element("p", { className: isFailed ? "meta failed" : "meta", textContent: facts.filter(Boolean).join(" · ") }),
  );
  item.dataset.key = key;
  return item;
}

/** What msgpack can say and JSON cannot. */
const writable = (_name, value) =>
  typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? `${value.length} bytes` : value;

function complain(text, isForeign = false) {
  $("alert-text").textContent = text;
  $("forget").hidden = !isForeign;
  $("alert").hidden = false;
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    complain(`That did not work: ${error.message}`);
  }
}

agent.addEventListener("state", ({ detail: { state, text } }) => {
  const rtt = agent.edge.rtt;
  $("state").textContent = state === "online" && rtt !== null ? `Connected · ${rtt.toFixed(0)} ms` : text;
  $("state").dataset.state = state;
  if (state === "connecting") $("alert").hidden = true;
  if (state === "closed") complain(text, text.includes("another platform"));
  draw();
});
agent.addEventListener("refused", ({ detail: { error } }) => {
  $("refusals").textContent = agent.refusals;
  const list = $("refusal-list");
  list.prepend(element("li", { textContent: `${error.problem ?? "error"}: ${error.message}` }));
  while (list.children.length > REFUSALS_SHOWN) list.lastChild.remove();
});
for (const type of ["agents", "line", "peer"]) agent.addEventListener(type, draw);

function on(id, event, action) {
  $(id).addEventListener(event, (happened) => {
    if (event === "submit") happened.preventDefault();
    attempt(() => action(happened));
  });
}

on("rename", "submit", () => agent.rename($("name").value.trim()));
on("connect", "submit", async () => {
  $("alert").hidden = true;
  await agent.store.remember("url", $("url").value.trim());
  await agent.connect($("url").value.trim());
});
on("copy", "click", () => navigator.clipboard.writeText(agent.did));
on("dismiss", "click", () => ($("alert").hidden = true));
on("forget", "click", async () => {
  await agent.forgetPlatform($("url").value.trim());
  $("connect").requestSubmit();
});
on("filter", "input", draw);
on("back", "click", () => (document.body.dataset.view = "agents"));
on("direct", "click", async () => {
  const did = chosen;
  if (agent.peers.get(did)?.state === "connected") return agent.peers.close(did);
  try {
    await agent.peers.connect(did);
  } catch (error) {
    throw new Error(`no direct channel to ${nameOf(did)}: ${because(error, did)}`);
  }
});
on("say", "submit", async () => {
  const text = $("text").value;
  if (!text.trim()) return;
  $("text").value = "";
  await agent.send(chosen, text);
});
on("text", "keydown", (key) => {
  if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  $("say").requestSubmit();
});

$("did").textContent = agent.did;
$("name").value = agent.name;
$("url").value =
  query.get("edge") ?? (await agent.store.fact("url")) ?? `ws://${location.hostname || "127.0.0.1"}:8000/ws`;
draw();
if (query.has("edge") || (await agent.store.fact("url"))) $("connect").requestSubmit();
