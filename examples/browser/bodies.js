/**
 * What the body of each type holds, in the notation of docs/protocol.md, section 4; types that a page never meets
 * are left out.
 */

import { fromBase64 } from "./bytes.js";
import { malformed, Problem } from "./problems.js";

/** The rows of the specification; a test compares them. */
export const ROWS = {
  REGISTER:
    "public_key text ≤ 64; challenge? text ≤ 64; name? line ≤ 256; capabilities [capability] 0…32 = []; codecs [0…255] 1…8 = [1,2]; policy “anyone” or “listed” = “anyone”; callers [DID] 0…256 = []",
  UNREGISTER: "reason? line ≤ 256",
  OFFER: "sdp text ≤ 16384; session? id; replaces? id; reason? line ≤ 256",
  ANSWER: "sdp text ≤ 16384; session? id; offer_hash? binary",
  ICE_CANDIDATE:
    "candidate line ≤ 1024; sdp_mid? line ≤ 256; sdp_mline_index? count; session? id; more [*Candidate*] 0…32 = []",
  INTENT:
    "query? text; context? {text: anything}; task? line ≤ 256; params? {text: anything}; status? line ≤ 256; required_input? [line ≤ 256]; cost? number; result? anything",
  EXEC_REQUEST:
    "capability? capability; args {text: anything} = {}; timeout_ms? count; ceiling_ms? count; begin_ms? count; stream boolean = false",
  EXEC_RESPONSE:
    "status “success” or “error”; result? anything; error? text ≤ 1024; problem? text ≤ 64; chunks? count; execution_time_ms? number; stream_url? line ≤ 256",
  ERROR:
    "code text ≤ 64; message text ≤ 1024; problem text ≤ 64 = “internal”; retryable boolean = false; retry_after_ms? count; details {text: anything} = {}",
  PING: "sequence count",
  PONG: "sequence count",
  MESSAGE: "content anything",
  RECEIPT: "items [*ReceiptItem*] 1…256",
  PLATFORM: "services {text: DID}",
  CHALLENGE: "nonce text ≤ 64; platform binary",
  REGISTERED: "session text ≤ 128; expires_ms count; heartbeat_seconds number; limits {text: integer}",
  UNREGISTERED: "reason? line ≤ 256",
  FETCH: "after count = 0; limit 1…100 = 100",
  MAIL: "items [*MailItem*] = []; pending count = 0",
  ACK: "upto count",
  ACKED: "upto count",
  DISCOVER: "capability? capability; name? line ≤ 256; online? boolean; cursor? text ≤ 64; limit 1…100 = 100",
  RESOLVE: "dids [DID] 1…100",
  AGENTS: "agents [*AgentCard*] = []; cursor? text",
  WATCH: "dids [DID] 0…100 = []",
  WATCHING: "dids [DID] = []",
  PRESENCE: "did DID; online boolean; at_ms count; road? “nats” or “edge”; session? text",
  TAKEOVER: "session text ≤ 128",
  REVOKE: "reason? line ≤ 256",
  REVOKED: "did DID; at_ms count",
  PROGRESS: "message? line ≤ 256; percent? 0…100",
  CHUNK: "index count; data? anything; last boolean = false; digest? 64 hexadecimal digits",
  CANCEL: "reason? line ≤ 256",
  RESUME: "next count; again boolean = true",
  BYE: "session id; reason? line ≤ 256; problem? text ≤ 64",
  HELLO:
    "session id; role text ≤ 16; fingerprints [line ≤ 256] 0…4; peer_fingerprints [line ≤ 256] 0…4; offer_hash binary",
  LIST_SERVERS: "relay_only boolean = false",
  ICE_SERVERS: "servers [*IceServer*] 0…8 = []; expires_ms count = 0",
  "*Candidate*": "candidate line ≤ 1024; sdp_mid? line ≤ 256; sdp_mline_index? count",
  "*IceServer*": "urls [line ≤ 256] 1…8; username? line ≤ 256; credential? line ≤ 256; latency_ms? number",
  "*ReceiptItem*": "id id; status *ReceiptStatus*; sequence? count; duplicate boolean = false; problem? line ≤ 256",
  "*MailItem*": "sequence count; previous? count; codec 0…255; payload binary; signature binary",
  "*AgentCard*":
    "did DID; name? text; capabilities [text] = []; codecs [integer] = [1,2]; online boolean = false; road? “nats” or “edge”; since_ms? count; registered_ms count = 0; revoked boolean = false",
  "*ReceiptStatus*": "“stored” or “delivered” or “processed” or “expired” or “dead_lettered”",
};

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const ID = /^[A-Za-z0-9._:-]{1,64}$/;
const CAPABILITY = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/;
const DIGITS = /^[0-9a-f]{64}$/;
const DID_CHARACTERS = 64;

/**
 * Read the body of an envelope: known members, checked, with their defaults.
 *
 * @param {string} type
 * @param {unknown} raw as decoded
 * @param {1 | 2} codec decides how binaries look
 * @throws {Problem} `unsupported_type`, `malformed`
 */
export function readBody(type, raw, codec) {
  const form = FORMS[type];
  if (!form || type.startsWith("*")) throw new Problem("unsupported_type", `no type ${type}`);
  return form(raw, codec);
}

/** Whether a value is a text that fits, counted in code points. */
export const isText = (value, max) => typeof value === "string" && (value.length <= max || [...value].length <= max);

/** Likewise, without control characters. */
export const isLine = (value, max) => isText(value, max) && !CONTROL.test(value);

/** Whether a value is an id. */
export const isId = (value) => typeof value === "string" && ID.test(value);

/** Whether a value is an integer from 0 to 2^53 − 1. */
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** Whether a value is a JSON object or a msgpack map. */
export const isMap = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

const needed = (test, what) => (value) => (test(value) ? value : malformed(`no ${what}`));
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

const PLAIN = {
  id: needed(isId, "id"),
  count: needed(isCount, "count"),
  integer: needed(Number.isSafeInteger, "integer"),
  number: needed(isNumber, "number"),
  boolean: needed((value) => typeof value === "boolean", "boolean"),
  text: needed((value) => typeof value === "string", "text"),
  DID: needed((value) => isText(value, DID_CHARACTERS), "DID"),
  capability: needed((value) => typeof value === "string" && CAPABILITY.test(value), "capability"),
  "64 hexadecimal digits": needed((value) => typeof value === "string" && DIGITS.test(value), "digest"),
  anything: (value) => value,
  binary: (value, codec) =>
    codec === 2 ? fromBase64(value) : value instanceof Uint8Array ? value : malformed("no binary"),
};

/** The reader of a form such as `[line ≤ 256] 0…4`. */
function formOf(text) {
  if (PLAIN[text]) return PLAIN[text];
  if (text.startsWith("“")) return choice(text.split(" or ").map((each) => each.slice(1, -1)));
  if (text.startsWith("*")) return (value, codec) => FORMS[text](value, codec);
  let match = /^\[(.*)\](?: (\d+)…(\d+))?$/.exec(text);
  if (match) return list(formOf(match[1]), Number(match[2] ?? 0), Number(match[3] ?? Infinity));
  match = /^\{text: (.*)\}$/.exec(text);
  if (match) return mapOf(formOf(match[1]));
  match = /^(text|line) ≤ (\d+)$/.exec(text);
  if (match) return needed((value) => (match[1] === "text" ? isText : isLine)(value, Number(match[2])), text);
  match = /^(\d+)…(\d+)$/.exec(text);
  if (match) return needed((value) => isNumber(value) && value >= Number(match[1]) && value <= Number(match[2]), text);
  throw new Error(`unknown form ${text}`);
}

const choice = (choices) => needed((value) => choices.includes(value), choices.join(" or "));

const list = (form, least, most) => (value, codec) =>
  Array.isArray(value) && value.length >= least && value.length <= most
    ? value.map((item) => form(item, codec))
    : malformed("no such list");

const mapOf = (form) => (value, codec) => {
  if (!isMap(value)) malformed("no map");
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, form(member, codec)]));
};

const MEMBER = /^(\w+)(\?)? (.*?)(?: = (.*))?$/;

function members(row) {
  const forms = row.split("; ").map((text) => {
    const [, name, optional, form, preset] = MEMBER.exec(text);
    return { name, form: formOf(form), isNeeded: !optional && preset === undefined, preset };
  });
  return (value, codec) => {
    if (!isMap(value)) malformed("a body that is no map");
    const read = {};
    for (const { name, form, isNeeded, preset } of forms) {
      const member = Object.hasOwn(value, name) ? value[name] : undefined;
      if (member !== undefined && (member !== null || isNeeded || preset !== undefined))
        read[name] = form(member, codec);
      else if (isNeeded) malformed(`${name} is missing`);
      else if (preset !== undefined) read[name] = JSON.parse(preset.replace(/[“”]/g, '"'));
    }
    return read;
  };
}

const FORMS = Object.fromEntries(
  Object.entries(ROWS).map(([type, row]) => [type, row.startsWith("“") ? formOf(row) : members(row)]),
);
