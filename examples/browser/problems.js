/**
 * What is wrong with an envelope, under the names that travel (docs/protocol.md, section 5).
 */

const CODES = {
  malformed: "MALFORMED_MESSAGE",
  unsupported_version: "UNSUPPORTED_VERSION",
  unsupported_type: "MALFORMED_MESSAGE",
  too_large: "MALFORMED_MESSAGE",
  expired: "TIMEOUT",
  stale: "TIMEOUT",
  replayed: "INVALID_SIGNATURE",
  invalid_did: "MALFORMED_MESSAGE",
  invalid_signature: "INVALID_SIGNATURE",
  foreign_sender: "INVALID_SIGNATURE",
  refused: "CONNECTION_REFUSED",
  rate_limited: "CONNECTION_REFUSED",
  too_many_connections: "CONNECTION_REFUSED",
  no_handler: "CONNECTION_REFUSED",
  timeout: "TIMEOUT",
  unavailable: "INTERNAL_ERROR",
  unexpected_signal: "CONNECTION_REFUSED",
  description_refused: "INVALID_SIGNATURE",
  hello_refused: "INVALID_SIGNATURE",
  connection_failed: "CONNECTION_REFUSED",
};

/** An error with the name of a problem. */
export class Problem extends Error {
  /**
   * @param {string} problem one of section 5
   * @param {string} message for people
   * @param {{code?: string, retryable?: boolean}} more as a service said it
   */
  constructor(problem, message, { code, retryable = false } = {}) {
    super(message);
    this.name = "Problem";
    this.problem = problem;
    this.code = code ?? CODES[problem] ?? "INTERNAL_ERROR";
    this.retryable = retryable;
  }
}

/** Throw `malformed`. */
export function malformed(message) {
  throw new Problem("malformed", message);
}
