/**
 * The words of the system channel: JSON arrays that are not envelopes, and count only after both HELLOs.
 */

import { isCount, isId } from "./bodies.js";
import { malformed } from "./problems.js";

const IDS_MAX = 256;
const WORD_MAX_CHARACTERS = 96 * 1024;

const isIds = (ids) => Array.isArray(ids) && ids.length > 0 && ids.length <= IDS_MAX && ids.every(isId);
const isText = (text) => typeof text === "string";

const FORMS = {
  ping: [isCount],
  pong: [isCount],
  taken: [isIds],
  not_taken: [isId, isText],
  await: [isId],
  here: [isId],
  channel: [isText, isCount],
  channel_ok: [isCount],
  channel_no: [isCount, isText],
  bye: [],
};

/**
 * Read a word; elements behind those that we know are ignored.
 *
 * @returns {[string, ...any]}
 * @throws {Problem} `malformed`
 */
export function readWord(text) {
  if (text.length > WORD_MAX_CHARACTERS) malformed("a word that is too long");
  let word;
  try {
    word = JSON.parse(text);
  } catch {
    malformed("no word");
  }
  const form = Array.isArray(word) && Object.hasOwn(FORMS, word[0]) ? FORMS[word[0]] : null;
  if (!form?.every((fits, at) => fits(word[at + 1]))) malformed("no word");
  return word;
}

/** The text of a word. */
export const writeWord = (...word) => JSON.stringify(word);
