/**
 * What is on its way to others, kept until a receipt ends it (docs/protocol.md, section 8).
 *
 * For each recipient there is one lane. A direct channel carries it as long as there is one; otherwise the relay
 * stores one envelope after the other, which keeps their order. The ids make it harmless that both may bring a copy.
 */

import { seal, wrap } from "./envelope.js";
import { Problem } from "./problems.js";

const WINDOW = 64;
const BATCH = 256;
const QUEUED_MAX = 20_000;
const AGAIN_MS = 1000;
const ENDS = new Set(["processed", "expired", "dead_lettered"]);

/** All lanes of one agent. */
export class Outbox {
  #lanes = new Map();
  #entries = new Map();
  #fresh = [];
  #isSealing = false;
  #count = 0;

  /**
   * @param {object} options
   * @param {import("./store.js").Store} options.store
   * @param {import("./did.js").Identity} options.identity
   * @param {import("./edge.js").Edge} options.edge
   * @param {(entry: object) => void} options.onChange told of every step of an envelope
   */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Take up what an earlier page left behind. */
  async open() {
    for (const entry of (await this.store.all("outbox")).sort((one, other) => one.n - other.n)) {
      this.#count = entry.n;
      this.#enter(entry);
    }
  }

  /**
   * Write an envelope down and start on its way.
   *
   * @returns {Promise<object>} the entry: `id`, `to`, `status`, `road`
   */
  put(to, type, body, more = {}) {
    if (this.#entries.size >= QUEUED_MAX)
      throw new Problem("rate_limited", "too much is on its way", { retryable: true });
    return new Promise((resolve, reject) => {
      this.#fresh.push({ n: ++this.#count, to, type, body, more, resolve, reject });
      if (!this.#isSealing) this.#seal();
    });
  }

  /** Go on: a connection is back. */
  online() {
    for (const lane of this.#lanes.values()) this.#relay(lane);
  }

  /** Let a direct channel carry what goes to its peer, from the oldest on that was not processed. */
  attach(pipe) {
    const lane = this.#lane(pipe.did);
    Object.assign(lane, { pipe, queue: [...lane.entries.values()], untaken: new Set() });
    this.#carry(lane);
  }

  /** Use a direct channel no more; the relay brings what it may have lost. */
  detach(pipe) {
    const lane = this.#lane(pipe.did);
    if (lane.pipe !== pipe) return;
    Object.assign(lane, { pipe: null, queue: [], untaken: new Set() });
    this.#relay(lane);
  }

  /** The peer has verified these. */
  taken(pipe, ids) {
    const lane = this.#lane(pipe.did);
    if (lane.pipe !== pipe) return;
    for (const id of ids) {
      if (lane.untaken.delete(id) && lane.entries.has(id)) this.#note(lane.entries.get(id), "delivered", pipe.road);
    }
    this.#carry(lane);
  }

  /** The peer wants this one through the mailbox. */
  notTaken(pipe, id) {
    const lane = this.#lane(pipe.did);
    lane.untaken.delete(id);
    if (lane.entries.has(id)) lane.entries.get(id).byRelay = true;
    this.#relay(lane);
    this.#carry(lane);
  }

  /** Heed a receipt, from who may give it. */
  settle(from, { id, status, problem }) {
    const entry = this.#entries.get(id);
    const isRelay = from === this.edge.services.relay;
    if (!entry || !(["stored", "expired"].includes(status) ? isRelay : from === entry.to)) return;
    if (!ENDS.has(status)) this.#note(entry, status, entry.road);
    else this.#finish(entry, status, problem);
  }

  #enter(entry) {
    const lane = this.#lane(entry.to);
    this.#entries.set(entry.id, entry);
    lane.entries.set(entry.id, entry);
    if (lane.pipe) {
      lane.queue.push(entry);
      this.#carry(lane);
    } else this.#relay(lane);
  }

  #lane(did) {
    if (!this.#lanes.has(did)) {
      this.#lanes.set(did, { entries: new Map(), pipe: null, queue: [], untaken: new Set(), isBusy: false });
    }
    return this.#lanes.get(did);
  }

  /** Sign side by side, write down together. */
  async #seal() {
    this.#isSealing = true;
    while (this.#fresh.length) {
      const batch = this.#fresh.splice(0, BATCH);
      const sealing = batch.map(({ to, type, body, more }) => seal(this.identity, to, type, body, more));
      const done = await Promise.allSettled(sealing);
      const entries = done.map(
        ({ value }, at) =>
          value && { ...value, n: batch[at].n, to: batch[at].to, type: batch[at].type, status: "queued", road: null },
      );
      await this.store.write((of) => entries.forEach((entry) => entry && of("outbox").put(entry)));
      batch.forEach(({ resolve, reject }, at) => {
        if (!entries[at]) return reject(done[at].reason);
        resolve(entries[at]);
        return this.#enter(entries[at]);
      });
    }
    this.#isSealing = false;
  }

  #carry(lane) {
    while (lane.pipe?.isOpen && lane.queue.length && lane.untaken.size < WINDOW) {
      const entry = lane.queue.shift();
      if (entry.byRelay || !lane.entries.has(entry.id)) continue;
      lane.untaken.add(entry.id);
      entry.road = lane.pipe.road;
      lane.pipe.send(wrap(entry.sealed));
    }
  }

  async #relay(lane) {
    if (lane.isBusy || this.edge.state !== "online") return;
    const entry = next(lane);
    if (!entry) return;
    lane.isBusy = true;
    try {
      const item = await this.edge.submit(entry.id, entry.sealed);
      entry.isStored = true;
      entry.road = "relay";
      this.settle(this.edge.services.relay, item);
    } catch (error) {
      if (!error.retryable) this.#finish(entry, "dead_lettered", error.problem);
      else await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    } finally {
      lane.isBusy = false;
    }
    this.#relay(lane);
  }

  #note(entry, status, road) {
    entry.status = status;
    entry.road = road ?? entry.road;
    this.onChange(entry);
  }

  #finish(entry, status, problem) {
    this.#entries.delete(entry.id);
    this.#lane(entry.to).entries.delete(entry.id);
    this.store.write((of) => of("outbox").delete(entry.id));
    entry.problem = problem;
    this.#note(entry, status, entry.road);
  }
}

/** The oldest that the relay has to bring and does not have. */
function next(lane) {
  for (const entry of lane.entries.values()) if (!entry.isStored && (!lane.pipe || entry.byRelay)) return entry;
  return null;
}
