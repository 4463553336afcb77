/**
 * Notice that nobody answers any more, long before the browser does. Only what comes back proves a connection: in a
 * one-way cut the other side is still heard.
 */

const DEAD_MS = 3000;
const LOST_MS = 15_000;
const ROUND_TRIPS_MAX = 4;
const ECHOES_TO_RETURN = 2;
const PENDING_MAX = 16;

/** The heartbeat of one connection; every method is told the time. */
export class Pulse {
  /** Milliseconds from a beat to its echo, smoothed. */
  rtt = null;
  isSilent = false;

  #beats = new Map();
  #count = 0;
  #echoes = 0;
  #provenAt = 0;

  /** Something came back. */
  prove(now) {
    this.#provenAt = now;
  }

  /** Ask; the number is to come back. */
  beat(now) {
    this.#beats.set(++this.#count, now);
    this.#beats.delete(this.#count - PENDING_MAX);
    return this.#count;
  }

  /** Take an answer; returns whether a silent connection counts again. */
  echo(number, now) {
    const sentAt = this.#beats.get(number);
    if (sentAt === undefined) return false;
    this.#beats.delete(number);
    this.prove(now);
    this.rtt = this.rtt === null ? now - sentAt : this.rtt + (now - sentAt - this.rtt) / 8;
    if (!this.isSilent || ++this.#echoes < ECHOES_TO_RETURN) return false;
    this.isSilent = false;
    return true;
  }

  /** Whether it has just become silent. */
  hasFallenSilent(now) {
    const patience = Math.max(DEAD_MS, ROUND_TRIPS_MAX * (this.rtt ?? 0));
    if (this.isSilent || now - this.#provenAt < patience) return false;
    this.isSilent = true;
    this.#echoes = 0;
    return true;
  }

  /** Whether it is time to give up. */
  isLost(now) {
    return now - this.#provenAt > LOST_MS;
  }
}
