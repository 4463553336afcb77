/**
 * The road through an edge: a WebSocket that speaks `ioap.v1` (docs/protocol.md, section 7).
 *
 * Nothing that arrives counts before its signature was verified, and an answer only from the service that was asked.
 */

import { bodyOf, checkFresh, frameOf, partsOf, REPLY_MAX_BYTES, seal, Seen, split, unseal } from "./envelope.js";
import { keyText } from "./did.js";
import { Problem } from "./problems.js";

const FRAME_MAX_BYTES = 2 * REPLY_MAX_BYTES;
const ANSWER_MS = 20_000;
const HANDSHAKE_MS = 15_000;
const PONG_MS = 10_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

/** Words for the closes after which it makes no sense to come back. */
const FINAL = {
  1000: "We have left.",
  1009: "The edge says that we sent too much at once.",
  4400: "The edge could not read what we sent.",
  4401: "The edge does not believe our signature.",
  4403: "The edge refuses us: the key is revoked, or not wanted.",
  4406: "The edge does not speak our version.",
  4409: "The same key is in use in another window or program, which has taken over.",
};

/**
 * One agent's connection, again and again.
 */
export class Edge {
  /** The DIDs of the services, once PLATFORM was believed. */
  services = {};
  /** `offline`, `connecting`, `online`, or `closed` for good. */
  state = "offline";
  /** Milliseconds that the last PING took. */
  rtt = null;

  #socket = null;
  #waiting = new Map();
  #seen = new Seen();
  #turn = Promise.resolve();
  #failures = 0;
  #timers = new Set();
  #heardAt = 0;
  #pings = 0;

  /**
   * @param {object} options
   * @param {string} options.url `ws://…/ws`
   * @param {import("./did.js").Identity} options.identity
   * @param {() => object} options.card what REGISTER says of us: `name`, `capabilities`
   * @param {(did: string) => Promise<void>} options.trust throws unless this platform is the one that is known
   * @param {(state: string, text: string) => void} options.onState
   * @param {(envelope: object, place: object | null) => void} options.onEnvelope told of what is no answer
   * @param {(error: Error) => void} options.onRefused told of what is not believed
   */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Connect, and come back whenever the connection is lost. */
  start() {
    this.#failures = 0;
    this.#connect();
  }

  /** Leave for good. */
  async stop() {
    if (this.state === "online") await this.ask("identity", "UNREGISTER", {}, "UNREGISTERED").catch(this.onRefused);
    this.#end(false, "We have left.");
  }

  /**
   * Ask a service.
   *
   * @returns {Promise<any>} the body of the answer
   * @throws {Problem} what the service said, or `timeout`, `unavailable`
   */
  async ask(service, type, body, wanted) {
    const to = this.services[service];
    if (!to) throw new Problem("unavailable", `the platform has no ${service} service`);
    const { id, sealed } = await seal(this.identity, to, type, body);
    const answer = await this.#exchange(id, sealed, to);
    if (answer.type !== wanted) throw new Problem("malformed", `${service} answered ${answer.type}`);
    return bodyOf(answer);
  }

  /** Have the relay store an envelope; resolves with what its receipt says of it. */
  async submit(id, sealed) {
    return itemOf(await this.#exchange(id, sealed, this.services.relay), id);
  }

  /** Have a live envelope handed to an agent that is here; resolves once it was. */
  async forward(id, sealed) {
    return itemOf(await this.#exchange(id, sealed, this.services.signaling ?? this.services.relay), id);
  }

  /** PING the edge. */
  async ping() {
    const begun = performance.now();
    await this.ask("edge", "PING", { sequence: this.#pings++ }, "PONG");
    this.rtt = performance.now() - begun;
  }

  #exchange(id, sealed, signer) {
    if (!this.#socket || this.state === "closed")
      return Promise.reject(new Problem("unavailable", "not connected", { retryable: true }));
    return new Promise((resolve, reject) => {
      const give = (settle) => (value) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        settle(value);
      };
      const waiting = { signer, resolve: give(resolve), reject: give(reject) };
      const timer = setTimeout(
        () => waiting.reject(new Problem("timeout", "no answer in time", { retryable: true })),
        ANSWER_MS,
      );
      this.#waiting.set(id, waiting);
      this.#socket.send(frameOf(sealed));
    });
  }

  #connect() {
    this.#clear();
    // While it comes back, the page goes on saying why it is away.
    if (!this.#failures) this.#say("connecting", "Connecting …");
    let socket;
    try {
      // Browsers would complete other texts to some address of the page's own site.
      if (!/^wss?:\/\//i.test(this.url)) throw new Error("it begins with ws:// or wss://");
      socket = this.#socket = new WebSocket(this.url, ["ioap.v1"]);
    } catch (error) {
      this.#end(false, `“${this.url}” is no address of an edge: ${error.message}`);
      return;
    }
    let isOpen = false;
    socket.onopen = () => (isOpen = true);
    this.#turn = Promise.resolve();
    let first = this.#later(HANDSHAKE_MS, () => socket.close());
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      const opened = open(data);
      opened.catch(() => {});
      // Verified side by side, taken in the order of their arrival.
      this.#turn = this.#turn.then(async () => {
        try {
          const { envelope, place } = await opened;
          if (socket !== this.#socket) return;
          if (!this.services.identity || first) {
            await this.#greet(envelope, () => (first = this.#done(first)));
          } else this.#take(envelope, place);
        } catch (error) {
          if (first) this.#fail(error);
          else this.onRefused(error);
        }
      });
    };
    socket.onclose = ({ code }) => socket === this.#socket && this.#lost(code, isOpen);
  }

  /** The handshake: CHALLENGE, REGISTER, REGISTERED. */
  async #greet(envelope, begun) {
    const { type, from } = envelope;
    checkFresh(envelope);
    if (type === "CHALLENGE") {
      const challenge = bodyOf(envelope);
      await this.#believe(challenge.platform);
      if (from !== this.services.edge) throw new Problem("foreign_sender", "the edge is not that of the platform");
      this.challenge = challenge.nonce;
      this.registering = this.#register();
      // An ERROR is met below, silence and a lost connection elsewhere.
      this.registering.catch(() => {});
      return;
    }
    if (!this.registering) throw new Problem("malformed", `the edge began with ${type}`);
    this.#take(envelope, null);
    await this.registering;
    this.registering = null;
    begun();
    this.#online();
  }

  async #believe(bytes) {
    const platform = await unseal(split(bytes));
    if (platform.type !== "PLATFORM") throw new Problem("malformed", "no PLATFORM in the CHALLENGE");
    checkFresh(platform);
    const { services } = bodyOf(platform);
    if (platform.from !== services.identity) throw new Problem("foreign_sender", "PLATFORM is not signed by identity");
    await this.trust(platform.from);
    this.services = services;
  }

  async #register() {
    const body = { public_key: keyText(this.identity.key), challenge: this.challenge, codecs: [2, 1], ...this.card() };
    const registered = await this.ask("identity", "REGISTER", body, "REGISTERED");
    this.session = registered.session;
    this.heartbeatMs = registered.heartbeat_seconds * 1000 || 20_000;
    this.#later(Math.max(1000, (registered.expires_ms - Date.now()) / 3), () => this.#register().catch(this.onRefused));
  }

  /** Say anew who we are, after the name was changed. */
  async renew() {
    if (this.state === "online") await this.#register();
  }

  #online() {
    this.#failures = 0;
    this.#say("online", "Connected.");
    const beat = () => {
      this.#later(this.heartbeatMs, beat);
      if (performance.now() - this.#heardAt < this.heartbeatMs * 0.9 && this.rtt !== null) return;
      const silent = this.#later(PONG_MS, () => this.#socket?.close());
      this.ping().then(() => this.#done(silent), this.onRefused);
    };
    beat();
  }

  #take(envelope, place) {
    const { type, from, to, in_reply_to } = envelope;
    const isPresence = type === "PRESENCE" && from === this.services.identity;
    if (to !== this.identity.did && !isPresence) throw new Problem("refused", `a ${type} for somebody else`);
    if (place) return this.onEnvelope(envelope, place);
    checkFresh(envelope);
    const ids = this.#waiting.has(in_reply_to) ? [in_reply_to] : receiptIds(envelope, this.services);
    const waiting = ids.map((id) => this.#waiting.get(id)).filter(Boolean);
    if (!waiting.length) {
      this.#seen.admit(from, envelope.id);
      return this.onEnvelope(envelope, null);
    }
    for (const { signer, resolve, reject } of waiting) {
      if (from !== signer && !(type === "ERROR" && from === this.services.edge))
        throw new Problem("foreign_sender", `an answer of ${from}`);
      if (type !== "ERROR") resolve(envelope);
      else reject(problemIn(bodyOf(envelope)));
    }
  }

  #lost(code, wasOpen) {
    if (code in FINAL || code >= 4400) return this.#end(false, FINAL[code] ?? `The edge closed for good (${code}).`);
    return this.#end(true, wasOpen ? "The connection was lost." : `No edge answers at ${this.url}.`);
  }

  /** A handshake that we do not believe will not be better in a second. */
  #fail(error) {
    this.onRefused(error);
    if (error.retryable) this.#end(true, error.message);
    else this.#end(false, `We do not connect: ${error.message}`);
  }

  #end(again, text) {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#clear();
    this.registering = null;
    for (const { reject } of [...this.#waiting.values()])
      reject(new Problem("unavailable", "the connection was lost", { retryable: true }));
    if (!again) return this.#say("closed", text);
    const waitMs = Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    this.#later(waitMs, () => this.#connect());
    // A page is not told why a handshake was refused.
    const why =
      this.#failures > 2 ? " If the edge is there, it may not allow pages from here: see its cors_origins." : "";
    return this.#say("offline", `${text} Trying again.${why}`);
  }

  #say(state, text) {
    this.state = state;
    this.onState(state, text);
  }

  #later(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #done(timer) {
    clearTimeout(timer);
    this.#timers.delete(timer);
    return null;
  }

  #clear() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

/** Read a frame and verify who said it. */
async function open(data) {
  if (typeof data !== "string") throw new Problem("malformed", "a binary frame");
  const { sealed, place } = partsOf(data, FRAME_MAX_BYTES);
  return { envelope: await unseal(sealed, REPLY_MAX_BYTES), place };
}

/** The ids that a receipt of relay or signaling answers at once. */
function receiptIds(envelope, { relay, signaling }) {
  if (envelope.type !== "RECEIPT" || ![relay, signaling].includes(envelope.from)) return [];
  return bodyOf(envelope).items.map((item) => item.id);
}

function itemOf(answer, id) {
  const item = answer.type === "RECEIPT" && bodyOf(answer).items.find((each) => each.id === id);
  if (!item) throw new Problem("malformed", `${answer.type} instead of a receipt`);
  return item;
}

const problemIn = ({ problem, message, code, retryable }) => new Problem(problem, message, { code, retryable });
