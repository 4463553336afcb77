/**
 * The one JSON text of a value, RFC 8785 (docs/protocol.md, section 2.2).
 *
 * JavaScript writes numbers and strings as the RFC demands and sorts by UTF-16 code units; what is left is to sort
 * members and to refuse what JSON cannot say.
 */

import { malformed } from "./problems.js";

const NESTING_MAX = 100;
const WRITTEN_AS_INTEGER_BELOW = 1e21;
const INTEGER = /^-?\d+$/;

/**
 * Write a value.
 *
 * @returns {string}
 * @throws {Problem} `malformed` if it has no canonical form
 */
export function canonical(value, depth = 0) {
  if (depth > NESTING_MAX) malformed("nested too deeply");
  switch (typeof value) {
    case "boolean":
      return String(value);
    case "number":
      return number(value);
    case "string":
      return string(value);
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth + 1)).join(",")}]`;
      return `{${members(value)
        .map((name) => `${string(name)}:${canonical(value[name], depth + 1)}`)
        .join(",")}}`;
    default:
      return malformed(`JSON cannot say ${typeof value}`);
  }
}

/**
 * Read JSON without losing anything: integers that a double cannot hold are refused.
 *
 * @throws {Problem} `malformed`
 */
export function parsed(text) {
  try {
    return JSON.parse(text, checked);
  } catch (error) {
    return malformed(`no JSON: ${error.message}`);
  }
}

function checked(_name, value, context) {
  if (typeof value !== "number") return value;
  // Browsers that do not pass the source leave it to `canonical`, which misses integers beyond 10^21 only.
  if (INTEGER.test(context?.source) && !Number.isSafeInteger(value)) malformed("an integer beyond 2^53");
  return value;
}

/** Names in their order; as everywhere in JavaScript, a member that is undefined is none. */
const members = (value) =>
  Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .sort();

function number(value) {
  if (!Number.isFinite(value)) malformed("JSON has no such number");
  if (Math.abs(value) < WRITTEN_AS_INTEGER_BELOW && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    malformed("an integer beyond 2^53");
  }
  return String(value === 0 ? 0 : value);
}

function string(text) {
  if (!text.isWellFormed()) malformed("half a surrogate pair");
  return JSON.stringify(text);
}
