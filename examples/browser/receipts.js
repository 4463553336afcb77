/**
 * Tell senders what became of their envelopes, in batches; what was written down and not told yet survives the page.
 */

import { seal } from "./envelope.js";

const FLUSH_MS = 50;
const AGAIN_MS = 1000;
const ITEMS_MAX = 256;

/** The receipts that we owe. */
export class Receipts {
  #owed = new Map();

  /**
   * @param {object} options
   * @param {import("./store.js").Store} options.store
   * @param {import("./did.js").Identity} options.identity
   * @param {import("./edge.js").Edge} options.edge
   * @param {(did: string, id: string, sealed: object) => Promise<boolean>} options.hand brings one over a direct channel
   */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Owe a receipt; `row` is what the store keeps of the envelope. */
  tell(row) {
    const owed = this.#owed.get(row.from);
    if (owed) owed.set(row.id, row);
    else {
      this.#owed.set(row.from, new Map([[row.id, row]]));
      setTimeout(() => this.#flush(row.from), FLUSH_MS);
    }
  }

  async #flush(did) {
    const owed = this.#owed.get(did);
    const rows = [...owed.values()].slice(0, ITEMS_MAX);
    const wait = (await this.#deliver(did, rows)) ? 0 : AGAIN_MS;
    if (!wait) {
      for (const row of rows) if (owed.get(row.id) === row) owed.delete(row.id);
      await this.store.write((of) => rows.forEach((row) => of("seen").put({ ...row, told: true })));
    }
    if (owed.size) setTimeout(() => this.#flush(did), wait);
    else this.#owed.delete(did);
  }

  /** Whether nobody has to hear of it any more. */
  async #deliver(did, rows) {
    const items = rows.map(({ id, status, problem }) => (problem ? { id, status, problem } : { id, status }));
    const { id, sealed } = await seal(this.identity, did, "RECEIPT", { items });
    try {
      if (!(await this.hand(did, id, sealed))) await this.edge.submit(id, sealed);
    } catch (error) {
      // What is refused for good, nobody waits for.
      return !error.retryable;
    }
    return true;
  }
}
