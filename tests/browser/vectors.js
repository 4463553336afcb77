/**
 * Try the page's modules against libs/protocol/vectors, as the README there says; returns what does not hold.
 */

import { bodyOf, checkFresh, checkStored, frameOf, partsOf, Seen, seal, split, unseal, wrap } from "/page/envelope.js";
import { base64, fromBase64, hex, isSame, joined, textOf, utf8 } from "/page/bytes.js";
import { ROWS } from "/page/bodies.js";
import { canonical, parsed } from "/page/canonical.js";
import { didOf, Identity, keyOf, keyText, verify } from "/page/did.js";
import { Problem } from "/page/problems.js";

const JCS = ["arrays", "french", "structures", "unicode", "values"];
const PKCS8 = Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);

const failures = [];
let passed = 0;

/** Run everything. */
export async function run() {
  const [keys, dids, envelopes, rejects, wycheproof] = await Promise.all(
    ["keys", "dids", "envelopes", "rejects", "wycheproof_ed25519"].map(async (name) =>
      (await fetch(`/vectors/${name}.json`)).json(),
    ),
  );
  for (const [name, key] of Object.entries(keys)) await check(`key ${name}`, () => keyHolds(key));
  for (const { did, public_key_hex } of dids.accept) await check(did, () => same(hex(keyOf(did)), public_key_hex));
  for (const { name, did } of dids.reject)
    await check(`DID ${name}`, () => refused("invalid_did", null, () => keyOf(did)));
  for (const example of envelopes.envelopes)
    await check(example.name, () => exampleHolds(example, keys[example.signer]));
  for (const entry of rejects.rejects)
    await check(entry.name, () => refused(entry.problem, entry.code, () => read(entry, rejects.now_ms)));
  for (const name of JCS) await check(`RFC 8785 ${name}`, () => canonicalHolds(name));
  for (const group of wycheproof.testGroups) {
    for (const test of group.tests)
      await check(`Wycheproof ${test.tcId}`, () => wycheproofHolds(group.publicKey.pk, test));
  }
  return { passed, failures };
}

async function check(name, promise) {
  try {
    await promise();
    passed += 1;
  } catch (error) {
    failures.push(`${name}: ${error.message}`);
  }
}

function same(actual, expected) {
  if (actual !== expected) throw new Error(`${actual} instead of ${expected}`);
}

async function refused(problem, code, action) {
  let error = null;
  try {
    await action();
  } catch (caught) {
    error = caught;
  }
  if (!(error instanceof Problem)) throw new Error(`not refused as ${problem}, but ${error}`);
  same(error.problem, problem);
  same(error.code, code ?? error.code);
}

async function identityOf(key) {
  const seed = Uint8Array.from(key.seed_hex.match(/../g), (pair) => parseInt(pair, 16));
  const privateKey = await crypto.subtle.importKey("pkcs8", joined(PKCS8, seed), "Ed25519", false, ["sign"]);
  return new Identity({ privateKey }, keyOf(key.did));
}

function keyHolds(key) {
  const bytes = keyOf(key.did);
  same(hex(bytes), key.public_key_hex);
  same(didOf(bytes), key.did);
  same(keyText(bytes), key.public_key_base58);
}

async function exampleHolds(example, signer) {
  const sealed = split(fromBase64(example.sealed));
  const envelope = await unseal(sealed);
  for (const [name, value] of Object.entries(example.envelope)) same(envelope[name] ?? null, value);
  if (envelope.type in ROWS) includes(bodyOf(envelope), example.body);
  const { did } = signer;
  const domain = utf8(`aiconexus/v1/envelope/${example.codec === 1 ? "msgpack" : "json"}\n`);
  same(base64(await (await identityOf({ ...signer, did })).sign(joined(domain, sealed.payload))), example.signature);
  if (example.codec === 1) return sameParts(partsOf(example.frame_opaque), sealed);
  sameParts({ ...partsOf(example.frame), place: { sequence: 42, previous: 41 } }, sealed);
  sameParts(partsOf(example.frame_delivered), sealed);
  return writesTheSame(example, signer);
}

async function writesTheSame(example, signer) {
  if (!example.envelope.to || example.envelope.expires_ms) return;
  const { type, to, id, in_reply_to, created_ms } = example.envelope;
  const payload = JSON.parse(example.payload_text);
  const more = { id, in_reply_to: in_reply_to ?? payload.correlation_id, now: created_ms };
  const { sealed } = await seal(await identityOf(signer), to, type, payload.payload, more);
  same(base64(wrap(sealed)), example.sealed);
  sameParts({ ...partsOf(frameOf(sealed)), place: { sequence: 42, previous: 41 } }, sealed);
}

function sameParts({ sealed, place }, expected) {
  same(sealed.codec, expected.codec);
  if (!isSame(sealed.payload, expected.payload) || !isSame(sealed.signature, expected.signature))
    throw new Error("other bytes");
  same(JSON.stringify(place), JSON.stringify({ sequence: 42, previous: 41 }));
}

/** Whether what was read says what is noted, where binaries are in base64. */
function includes(actual, expected) {
  if (actual instanceof Uint8Array) same(base64(actual), expected);
  else if (typeof expected === "object" && expected !== null) {
    for (const name of Object.keys(expected)) includes(actual[name], expected[name]);
  } else same(typeof actual === "bigint" ? Number(actual) : actual, expected);
}

async function read(entry, now) {
  const sealed = entry.sealed != null ? split(bytesOf(entry.sealed)) : partsOf(textOf(bytesOf(entry.frame))).sealed;
  const envelope = await unseal(sealed);
  bodyOf(envelope);
  if (![null, entry.reader].includes(envelope.to)) throw new Problem("refused", "for somebody else");
  if (![undefined, null, envelope.from].includes(entry.authenticated))
    throw new Problem("foreign_sender", "somebody else");
  (entry.kind === "stored" ? checkStored : checkFresh)(envelope, now);
  const seen = new Seen();
  for (const [from, id] of entry.seen ?? []) seen.admit(from, id, now);
  seen.admit(envelope.from, envelope.id, now);
}

function bytesOf(pieces) {
  const pairs = typeof pieces === "string" ? [[pieces, 1]] : pieces;
  return joined(...pairs.flatMap(([piece, count]) => new Array(count).fill(fromBase64(piece))));
}

async function canonicalHolds(name) {
  const [input, output] = await Promise.all(
    ["input", "output"].map(async (kind) => (await fetch(`/vectors/jcs/${name}.${kind}.json`)).text()),
  );
  same(canonical(parsed(input)), output);
}

async function wycheproofHolds(key, test) {
  const [bytes, data, signature] = [key, test.msg, test.sig].map((text) =>
    Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16)),
  );
  const verifying = verify(didOf(bytes), data, signature);
  if (test.result === "valid") await verifying;
  else await refused("invalid_signature", null, () => verifying);
}
