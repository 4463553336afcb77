/**
 * Read our mailbox (docs/protocol.md, section 8): live copies while nothing lies between them, pages of the relay
 * wherever something does, and an acknowledgement once everything up to a place is done.
 */

import { opaque, unseal } from "./envelope.js";

const ACK_MS = 200;
const LOOK_AGAIN_MS = 30_000;
const AGAIN_MS = 1000;
const EMPTY_PAGES_MAX = 5;

/** The reader of one mailbox. */
export class Mailbox {
  #cursor = 0;
  #acked = 0;
  #done = 0;
  #seen = 0;
  #isBehind = false;
  #isFetching = false;
  #ack = null;
  #open = [];

  /**
   * @param {object} options
   * @param {(service: string, type: string, body: object, wanted: string) => Promise<any>} options.ask
   * @param {() => boolean} options.isOnline
   * @param {(envelope: object, done: () => void) => void} options.take gets what was believed, in order
   * @param {(error: Error) => void} options.onRefused
   */
  constructor(options) {
    Object.assign(this, options);
    setInterval(() => this.fetch(), LOOK_AGAIN_MS);
  }

  /** Look what there is: after a connection has begun, and now and then. */
  fetch() {
    this.#isBehind = true;
    if (!this.#isFetching && this.isOnline()) this.#catchUp();
  }

  /** Begin anew, in another mailbox; ids protect what was read before. */
  rewind() {
    this.#cursor = this.#acked = this.#done = this.#seen = 0;
    this.#open = [];
  }

  /** Take a copy that the edge pushed; its signature was verified. */
  copy(envelope, { sequence, previous }) {
    if (sequence <= this.#cursor) return;
    this.#seen = Math.max(this.#seen, sequence);
    if (this.#isBehind) return;
    if (previous === null || previous > this.#cursor) this.fetch();
    else this.#read(sequence, envelope);
  }

  async #catchUp() {
    this.#isFetching = true;
    try {
      for (let empty = 0; this.#isBehind && empty < EMPTY_PAGES_MAX;) {
        const { items, pending } = await this.ask("relay", "FETCH", { after: this.#cursor }, "MAIL");
        empty = items.length ? 0 : empty + 1;
        for (const item of items) await this.#readItem(item);
        this.#isBehind = pending > 0 || this.#seen > this.#cursor;
      }
      this.#isBehind = false;
    } catch (error) {
      this.onRefused(error);
      setTimeout(() => this.fetch(), AGAIN_MS);
    } finally {
      this.#isFetching = false;
    }
  }

  async #readItem(item) {
    if (item.sequence <= this.#cursor) return;
    try {
      this.#read(item.sequence, await unseal(opaque(item).sealed));
    } catch (error) {
      // What cannot be believed is done at once.
      this.onRefused(error);
      this.#read(item.sequence, null);
    }
  }

  #read(sequence, envelope) {
    this.#cursor = sequence;
    const entry = { sequence, isDone: envelope === null };
    this.#open.push(entry);
    if (envelope) this.take(envelope, () => this.#finish(entry));
    else this.#finish(entry);
  }

  #finish(entry) {
    entry.isDone = true;
    while (this.#open[0]?.isDone) this.#done = this.#open.shift().sequence;
    if (this.#done > this.#acked) this.#ack ??= setTimeout(() => this.#acknowledge(), ACK_MS);
  }

  async #acknowledge() {
    const upto = this.#done;
    try {
      if (this.isOnline()) await this.ask("relay", "ACK", { upto }, "ACKED");
      this.#acked = upto;
    } catch (error) {
      // It stays there, and the next one covers it.
      this.onRefused(error);
    } finally {
      this.#ack = null;
    }
  }
}
