/**
 * An agent in a page: who it is, its road, its mail and its direct channels, and what there is to show.
 *
 * Events (all `CustomEvent`): `state` {state, text}, `agents`, `line` {line}, `peer` {did}, `refused` {error}.
 */

import { bodyOf, checkStored, endOf, seal } from "./envelope.js";
import { Identity, keyOf } from "./did.js";
import { Edge } from "./edge.js";
import { Mailbox } from "./mailbox.js";
import { Outbox } from "./outbox.js";
import { Peers } from "./peer.js";
import { Problem } from "./problems.js";
import { Receipts } from "./receipts.js";
import { Store } from "./store.js";

const BATCH = 256;
const LINES_MAX = 2000;
const SIGNALS = new Set(["OFFER", "ANSWER", "ICE_CANDIDATE", "BYE"]);

export class Agent extends EventTarget {
  /** The agents of the platform, by DID, as identity describes them. */
  agents = new Map();
  /** What was said lately, oldest first: `{peer, isMine, id, type, content, at, status, road, problem}`. */
  lines = [];
  /** What came and was not believed. */
  refusals = 0;

  #arrivals = [];
  #isTaking = false;
  #seen = new Map();
  #count = 0;

  /**
   * The agent of this browser; the first time it makes itself a key.
   *
   * @param {{policy?: "all" | "relay"}} options of direct connections
   */
  static async open(options = {}) {
    const store = await Store.open();
    let pair = await store.fact("key");
    if (!pair) {
      ({ pair } = await Identity.create());
      await store.remember("key", pair);
    }
    const agent = new Agent(store, await Identity.of(pair), options);
    await agent.#recall();
    return agent;
  }

  constructor(store, identity, options) {
    super();
    Object.assign(this, { store, identity, did: identity.did, options, name: "" });
  }

  /**
   * Connect to an edge and stay connected; the one before is left.
   *
   * @param {string} url
   */
  async connect(url) {
    if (this.edge) {
      await this.edge.stop();
      // Another edge may belong to another platform, whose mailbox counts for itself.
      if (url !== this.edge.url) this.mailbox.rewind();
      this.edge.url = url;
    } else await this.#assemble(url);
    this.edge.start();
  }

  async #assemble(url) {
    const { store, identity } = this;
    const edge = (this.edge = new Edge({
      url,
      identity,
      card: () => (this.name ? { name: this.name } : {}),
      trust: (did) => this.#trust(did),
      onState: (state, text) => this.#state(state, text),
      onEnvelope: (envelope, place) => this.#take(envelope, place),
      onRefused: (error) => this.refuse(error),
    }));
    this.peers = new Peers({ agent: this, policy: this.options.policy ?? "all" });
    this.outbox = new Outbox({ store, identity, edge, onChange: (entry) => this.#mark(entry) });
    this.receipts = new Receipts({
      store,
      identity,
      edge,
      hand: (did, id, sealed) => this.peers.hand(did, id, sealed),
    });
    this.mailbox = new Mailbox({
      ask: (...question) => edge.ask(...question),
      isOnline: () => edge.state === "online",
      take: (envelope, done) => this.arrive(envelope, "relay", done),
      onRefused: (error) => this.refuse(error),
    });
    await this.outbox.open();
    for (const row of this.#seen.values()) if (!row.told) this.receipts.tell(row);
  }

  /** Say something; resolves once it is written down, and its line tells how far it comes. */
  async send(did, content) {
    keyOf(did);
    const entry = await this.outbox.put(did, "MESSAGE", { content });
    const { id, status, road } = entry;
    const line = {
      n: ++this.#count,
      peer: did,
      isMine: true,
      id,
      type: "MESSAGE",
      content,
      at: Date.now(),
      status,
      road,
    };
    this.#show(line);
    await this.#keep(line);
    return line;
  }

  /** Give a live envelope to whoever is here. */
  async signal(did, type, body, more = {}) {
    const { id, sealed } = await seal(this.identity, did, type, body, more);
    await this.edge.forward(id, sealed);
  }

  /** Change the name that others see. */
  async rename(name) {
    this.name = name;
    await this.store.remember("name", name);
    await this.edge?.renew();
  }

  /** Forget which platform an edge belongs to; the next connection trusts the one that it finds. */
  forgetPlatform(url) {
    return this.store.remember(`platform ${url}`, undefined);
  }

  /** Count and tell of what we do not believe; what may be better in a second is no refusal. */
  refuse(error) {
    if (error.retryable) return;
    this.refusals += 1;
    this.tell("refused", { error });
  }

  /** Tell the page. */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * Take a believed envelope for us that may lie in mailboxes, whichever way it came.
   *
   * @param {() => void} done once it is written down
   */
  arrive(envelope, road, done) {
    this.#arrivals.push({ envelope, road, done });
    if (!this.#isTaking) this.#takeAll();
  }

  /** Whether an envelope of a sender has come. */
  knows(from, id) {
    return this.#seen.has(`${from} ${id}`);
  }

  async #recall() {
    this.name = (await this.store.fact("name")) ?? "";
    const [rows, lines] = await Promise.all([this.store.all("seen"), this.store.all("lines")]);
    const over = rows.filter((row) => row.ends_ms < Date.now());
    for (const row of rows) if (row.ends_ms >= Date.now()) this.#seen.set(`${row.from} ${row.id}`, row);
    this.lines = lines.slice(-LINES_MAX);
    this.#count = lines.at(-1)?.n ?? 0;
    await this.store.write((of) => {
      for (const { from, id } of over) of("seen").delete([from, id]);
      for (const { n } of lines.slice(0, -LINES_MAX)) of("lines").delete(n);
    });
  }

  async #trust(did) {
    const { url } = this.edge;
    const known = await this.store.fact(`platform ${url}`);
    if (known && known !== did) {
      throw new Problem(
        "foreign_sender",
        `this edge belongs to another platform than before (${did} instead of ${known})`,
      );
    }
    if (!known) await this.store.remember(`platform ${url}`, did);
  }

  #state(state, text) {
    if (state === "online") {
      this.mailbox.fetch();
      this.outbox.online();
      this.#look().catch((error) => this.refuse(error));
    }
    this.tell("state", { state, text });
  }

  /** Watch everybody, then list them: nobody is missed in between. */
  async #look() {
    await this.edge.ask("edge", "WATCH", {}, "WATCHING");
    this.agents.clear();
    let cursor;
    do {
      const page = await this.edge.ask("identity", "DISCOVER", cursor ? { cursor } : {}, "AGENTS");
      for (const card of page.agents) this.agents.set(card.did, card);
      cursor = page.cursor;
    } while (cursor);
    this.tell("agents", {});
  }

  async #present({ did, online, road, at_ms }) {
    const known = this.agents.get(did);
    if (known) Object.assign(known, { online, road, since_ms: at_ms });
    else {
      const { agents } = await this.edge.ask("identity", "RESOLVE", { dids: [did] }, "AGENTS");
      for (const card of agents) this.agents.set(card.did, card);
    }
    if (!online) this.peers.away(did);
    this.tell("agents", {});
  }

  #take(envelope, place) {
    if (place) return this.mailbox.copy(envelope, place);
    const body = bodyOf(envelope);
    const isPlatform = envelope.from === this.edge.services.identity;
    if (SIGNALS.has(envelope.type)) return this.peers.take(envelope, body);
    if (envelope.type === "PRESENCE" && isPlatform) return this.#present(body).catch((error) => this.refuse(error));
    if (envelope.type === "PING")
      return this.signal(envelope.from, "PONG", body, { in_reply_to: envelope.id }).catch((error) =>
        this.refuse(error),
      );
    if (["TAKEOVER", "REVOKED", "PONG"].includes(envelope.type)) return null;
    throw new Problem("unsupported_type", `a ${envelope.type} that nobody asked for`);
  }

  async #takeAll() {
    this.#isTaking = true;
    while (this.#arrivals.length) {
      const batch = this.#arrivals.splice(0, BATCH);
      const results = batch.map(({ envelope, road }) => this.#judge(envelope, road));
      await this.store.write((of) => {
        for (const { row, line } of results) {
          if (row) of("seen").put(row);
          if (line) of("lines").put(line);
        }
      });
      for (const [at, { row, line, error }] of results.entries()) {
        if (error) this.refuse(error);
        if (line) this.#show(line);
        if (row) this.receipts.tell(row);
        batch[at].done();
        this.peers.note(batch[at].envelope.from, batch[at].envelope.id);
      }
    }
    this.#isTaking = false;
  }

  /** What becomes of an envelope: a row to be remembered and told, and a line to be shown. */
  #judge(envelope, road) {
    const { from, id, type } = envelope;
    const known = this.#seen.get(`${from} ${id}`);
    if (known) return { row: known };
    const row = { from, id, ends_ms: endOf(envelope), status: "processed", told: false };
    let line = null;
    try {
      const body = bodyOf(envelope);
      checkStored(envelope);
      if (type === "RECEIPT") return this.#settle(from, body);
      line = { n: ++this.#count, ...lineOf(envelope, body, road) };
      if (["EXEC_REQUEST", "INTENT"].includes(type) && !body.status) this.#decline(envelope, row);
    } catch (error) {
      if (error.problem !== "expired") return { error };
      Object.assign(row, { status: "dead_lettered", problem: "expired" });
    }
    this.#seen.set(`${from} ${id}`, row);
    return { row, line };
  }

  #settle(from, { items }) {
    for (const item of items) this.outbox.settle(from, item);
    return {};
  }

  /** A page answers no calls; whoever calls hears that at once. */
  #decline({ from, id }, row) {
    Object.assign(row, { status: "dead_lettered", problem: "no_handler" });
    const body = {
      code: "CONNECTION_REFUSED",
      message: "this agent is a page and answers no calls",
      problem: "no_handler",
    };
    this.outbox.put(from, "ERROR", body, { in_reply_to: id }).catch((error) => this.refuse(error));
  }

  #keep(line) {
    return this.store.write((of) => of("lines").put(line));
  }

  #show(line) {
    this.lines.push(line);
    if (this.lines.length > LINES_MAX) this.lines.splice(0, LINES_MAX / 10);
    this.tell("line", { line });
  }

  /** An envelope of ours came a step further. */
  #mark({ id, status, road, problem }) {
    const line = this.lines.findLast((each) => each.isMine && each.id === id);
    if (!line) return;
    Object.assign(line, { status, road, problem });
    if (!["queued", "delivered"].includes(status)) this.#keep(line);
    this.tell("line", { line });
  }
}

function lineOf({ from, id, type, created_ms }, body, road) {
  const content = type === "MESSAGE" ? body.content : type === "ERROR" ? body.message : body;
  return { peer: from, isMine: false, id, type, content, at: created_ms, status: "processed", road };
}
