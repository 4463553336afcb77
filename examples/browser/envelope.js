/**
 * Sealed envelopes: encoded once, those bytes signed, and believed only after that was verified
 * (docs/protocol.md, section 2). This page writes codec 2, JSON, and reads both.
 */

import { isCount, isId, isLine, isMap, isText, readBody } from "./bodies.js";
import { base64, fromBase64, isSame, joined, textOf, utf8 } from "./bytes.js";
import { canonical, parsed } from "./canonical.js";
import { verify } from "./did.js";
import { bin, decode } from "./msgpack.js";
import { malformed, Problem } from "./problems.js";

export const ENVELOPE_MAX_BYTES = 64 * 1024;
export const REPLY_MAX_BYTES = 1024 * 1024;
export const TEXT_MAX_BYTES = 96 * 1024;
export const FRESHNESS_MS = 60_000;
export const LIFETIME_MAX_MS = 7 * 24 * 3600 * 1000;
const REMEMBERED_MAX = 16_384;

const DOMAINS = { 1: utf8("aiconexus/v1/envelope/msgpack\n"), 2: utf8("aiconexus/v1/envelope/json\n") };
const SIGNED = ["correlation_id", "from", "id", "payload", "timestamp", "to", "type", "version"];
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const TO_NOBODY = new Set(["PLATFORM", "CHALLENGE", "PRESENCE"]);
const STORED = new Set(
  "MESSAGE INTENT EXEC_REQUEST EXEC_RESPONSE PROGRESS CHUNK CANCEL RESUME RECEIPT ERROR".split(" "),
);

/**
 * @typedef {{codec: number, payload: Uint8Array, signature: Uint8Array}} Sealed
 * @typedef {{id: string, type: string, from: string, to: string | null, created_ms: number, expires_ms: number,
 *   in_reply_to?: string, thread?: string, sequence?: number, body: any}} Envelope
 */

/** A UUID of version 7: ids sort by time. */
export function newId(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setUint16(0, Math.floor(now / 2 ** 32));
  new DataView(bytes.buffer).setUint32(2, now % 2 ** 32);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/**
 * Write and sign an envelope.
 *
 * @param {import("./did.js").Identity} identity
 * @param {string} to a DID
 * @param {string} type
 * @param {object} body binaries in base64
 * @param {{id?: string, in_reply_to?: string, now?: number}} more
 * @returns {Promise<{id: string, sealed: Sealed}>}
 * @throws {Problem} `too_large`, `malformed`
 */
export async function seal(identity, to, type, body, { id, in_reply_to = null, now = Date.now() } = {}) {
  const envelope = {
    id: id ?? newId(now),
    correlation_id: in_reply_to,
    timestamp: new Date(now).toISOString(),
    from: identity.did,
    to,
    type,
    payload: body,
    version: "1.0",
  };
  const payload = utf8(canonical(envelope));
  const signature = await identity.sign(joined(DOMAINS[2], payload));
  const sealed = { codec: 2, payload, signature };
  checkSize(sealed, ENVELOPE_MAX_BYTES);
  return { id: envelope.id, sealed };
}

/** The nine-field text of canonical bytes and their signature. */
export const frameOf = ({ payload, signature }) =>
  `${textOf(payload).slice(0, -1)},"signature":"${base64(signature)}"}`;

/**
 * Take a text frame apart, in any of its three forms (section 2.3).
 *
 * @returns {{sealed: Sealed, place: {sequence: number, previous: number | null} | null}}
 * @throws {Problem} `too_large`, `malformed`
 */
export function partsOf(frame, limit = TEXT_MAX_BYTES) {
  if (frame.length > limit || utf8(frame).length > limit) throw new Problem("too_large", `a frame of ${frame.length}`);
  const { signature, delivery, ...members } = checkedMap(parsed(frame));
  if ("codec" in members) return opaque({ ...members, signature });
  const sealed = { codec: 2, payload: utf8(canonical(members)), signature: fromBase64(signature) };
  return { sealed, place: delivery == null ? null : checkedPlace(delivery) };
}

/** The parts of an entry of MAIL, or of the opaque form. */
export function opaque(item) {
  const { sequence, previous, codec } = item;
  if (!isCount(codec) || codec > 255) malformed("no codec");
  const [payload, signature] = [item.payload, item.signature].map((part) =>
    part instanceof Uint8Array ? part : fromBase64(part),
  );
  const place = checkedPlace({ sequence, previous: previous ?? null });
  return { sealed: { codec, payload, signature }, place: place.sequence ? place : null };
}

/**
 * Take the binary form apart: `[codec, payload, signature]`, and whatever follows.
 *
 * @returns {Sealed}
 * @throws {Problem} `too_large`, `malformed`
 */
export function split(bytes, limit = ENVELOPE_MAX_BYTES) {
  if (bytes.length > limit) throw new Problem("too_large", `${bytes.length} bytes, at most ${limit}`);
  const parts = decode(bytes);
  const [codec, payload, signature] = Array.isArray(parts) ? parts : [];
  if (!(payload instanceof Uint8Array && signature instanceof Uint8Array)) malformed("no sealed envelope");
  return { codec, payload, signature };
}

/** The binary form of parts that we wrote or read. */
export const wrap = ({ codec, payload, signature }) => joined(Uint8Array.of(0x93, codec), bin(payload), bin(signature));

/**
 * Read an envelope and believe that its sender said it: size, form, version, DID and signature are checked here,
 * addressee and time are the reader's to check.
 *
 * @param {Sealed} sealed
 * @returns {Promise<Envelope>} its body is decoded, but not yet read: see `bodyOf`
 * @throws {Problem}
 */
export async function unseal(sealed, limit = ENVELOPE_MAX_BYTES) {
  if (!Object.hasOwn(DOMAINS, sealed.codec) || typeof sealed.codec !== "number") malformed(`no codec ${sealed.codec}`);
  checkSize(sealed, limit);
  const envelope = sealed.codec === 2 ? fromJson(sealed.payload) : fromMsgpack(sealed.payload);
  if ((envelope.to === null) !== TO_NOBODY.has(envelope.type)) malformed(`a ${envelope.type} with such an addressee`);
  await verify(envelope.from, joined(DOMAINS[sealed.codec], sealed.payload), sealed.signature);
  return { version: 1, ...envelope, codec: sealed.codec };
}

/** The checked body of an envelope that `unseal` gave. */
export const bodyOf = (envelope) => readBody(envelope.type, envelope.body, envelope.codec);

/** Refuse a live envelope that is not of this minute, or over. */
export function checkFresh(envelope, now = Date.now()) {
  if (Math.abs(now - envelope.created_ms) > FRESHNESS_MS) throw new Problem("stale", "created too far from our clock");
  if (endOf(envelope) <= now) throw new Problem("expired", "its end has passed");
}

/** Refuse what may not lie in a mailbox: by its type, or by its lifetime. */
export function checkStored(envelope, now = Date.now()) {
  if (!STORED.has(envelope.type)) throw new Problem("unsupported_type", `${envelope.type} is not stored`);
  if (endOf(envelope) - envelope.created_ms > LIFETIME_MAX_MS) malformed("it wants to live too long");
  if (endOf(envelope) <= now) throw new Problem("expired", "its end has passed");
  if (envelope.created_ms - now > FRESHNESS_MS) throw new Problem("stale", "created ahead of our clock");
}

/** When an envelope stops to count. */
export const endOf = (envelope) => envelope.expires_ms || envelope.created_ms + LIFETIME_MAX_MS;

/** The ids of live envelopes that were seen lately, so that none counts twice. */
export class Seen {
  #times = new Map();

  /** @throws {Problem} `replayed` */
  admit(from, id, now = Date.now()) {
    const name = `${from} ${id}`;
    for (const [old, time] of this.#times) {
      if (time > now - 2 * FRESHNESS_MS && this.#times.size < REMEMBERED_MAX) break;
      this.#times.delete(old);
    }
    if (this.#times.has(name)) throw new Problem("replayed", `${id} was seen before`);
    this.#times.set(name, now);
  }
}

function fromJson(payload) {
  const text = textOf(payload);
  const members = checkedMap(parsed(text));
  if (members.version !== "1.0") badVersion(members.version);
  if (!isSame(utf8(canonical(members)), payload)) malformed("not in its RFC 8785 form");
  if (Object.keys(members).sort().join() !== SIGNED.join()) malformed("other members than the eight");
  const { correlation_id, payload: body } = members;
  if (correlation_id !== null && !isId(correlation_id)) malformed("no correlation_id");
  const created_ms = millisecondsOf(members.timestamp);
  return {
    ...named(members),
    created_ms,
    expires_ms: 0,
    in_reply_to: correlation_id ?? undefined,
    body: checkedMap(body),
  };
}

function fromMsgpack(payload) {
  const members = checkedMap(decode(payload));
  if (members.version !== 1) badVersion(members.version);
  const { created_ms, expires_ms = 0, in_reply_to, sequence, thread, traceparent, content_type, encryption } = members;
  if (!isCount(created_ms) || !isCount(expires_ms)) malformed("no time");
  if (in_reply_to != null && !isId(in_reply_to)) malformed("no in_reply_to");
  if (sequence != null && !isCount(sequence)) malformed("no sequence");
  const lines = { thread, traceparent, content_type, encryption };
  for (const [name, line] of Object.entries(lines)) if (line != null && !isLine(line, 128)) malformed(`no ${name}`);
  return { ...named(members), created_ms, expires_ms, in_reply_to, sequence, ...lines, body: checkedMap(members.body) };
}

function named({ id, type, from, to }) {
  if (!isId(id)) malformed("no id");
  if (!isText(type, 32) || !type) malformed("no type");
  if (!isText(from, 64) || (to !== null && !isText(to, 64))) malformed("no DID");
  return { id, type, from, to };
}

function millisecondsOf(timestamp) {
  const time = typeof timestamp === "string" && TIMESTAMP.test(timestamp) ? Date.parse(timestamp) : NaN;
  // Date.parse reads 30 February as 1 March.
  if (!(time >= 0) || new Date(time).toISOString() !== timestamp) malformed("no timestamp");
  return time;
}

function badVersion(version) {
  if (typeof version === "number" || typeof version === "string")
    throw new Problem("unsupported_version", String(version));
  malformed("no version");
}

function checkSize(sealed, limit) {
  const size = wrap(sealed).length;
  if (size > limit) throw new Problem("too_large", `${size} bytes, at most ${limit}`);
}

function checkedPlace(place) {
  const { sequence, previous } = checkedMap(place);
  if (!isCount(sequence) || !(previous === null || isCount(previous))) malformed("no place in a mailbox");
  return { sequence, previous };
}

const checkedMap = (value) => (isMap(value) ? value : malformed("no map"));
