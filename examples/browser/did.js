/**
 * Who is who: did:key names of Ed25519 keys, and the keys themselves by WebCrypto (docs/protocol.md, section 1).
 */

import { base58, fromBase58, joined } from "./bytes.js";
import { isUsableKey } from "./curve.js";
import { Problem } from "./problems.js";

const PREFIX = "did:key:z";
const DID_CHARACTERS = 56;
const MULTICODEC = Uint8Array.of(0xed, 0x01);
const SIGNATURE_BYTES = 64;
const CACHED_MAX = 1000;

const keys = new Map();
const imported = new Map();

/** The DID of 32 key bytes. */
export const didOf = (key) => PREFIX + base58(joined(MULTICODEC, key));

/** A key as REGISTER spells it. */
export const keyText = (key) => base58(key);

/**
 * The 32 key bytes that a DID names.
 *
 * @throws {Problem} `invalid_did` unless it is the one text of a usable key
 */
export function keyOf(did) {
  const known = keys.get(did);
  if (known) return known;
  // The length comes first: base58 takes quadratic time.
  if (did.length !== DID_CHARACTERS || !did.startsWith(PREFIX)) throw strange(did);
  const bytes = fromBase58(did.slice(PREFIX.length));
  if (bytes?.length !== 34 || bytes[0] !== MULTICODEC[0] || bytes[1] !== MULTICODEC[1]) throw strange(did);
  const key = bytes.slice(2);
  if (!isUsableKey(key)) throw strange(did);
  return remembered(keys, did, key);
}

/**
 * Check that the owner of a DID signed these bytes.
 *
 * @throws {Problem} `invalid_did`, `invalid_signature`
 */
export async function verify(did, data, signature) {
  const bytes = keyOf(did);
  const key =
    imported.get(did) ??
    remembered(imported, did, await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]));
  const isGood = signature.length === SIGNATURE_BYTES && (await crypto.subtle.verify("Ed25519", key, signature, data));
  if (!isGood) throw new Problem("invalid_signature", `the signature is not that of ${did}`);
}

/** A key pair that signs; the private half never leaves the browser. */
export class Identity {
  /**
   * @param {CryptoKeyPair} pair
   * @param {Uint8Array} key its public bytes
   */
  constructor(pair, key) {
    this.pair = pair;
    this.key = key;
    this.did = didOf(key);
  }

  /** A new one; not extractable, so no script can carry the key away. */
  static async create() {
    return Identity.of(await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]));
  }

  /** That of a pair, such as IndexedDB gives back. */
  static async of(pair) {
    return new Identity(pair, new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  }

  /** Sign bytes that already carry their domain. */
  async sign(data) {
    return new Uint8Array(await crypto.subtle.sign("Ed25519", this.pair.privateKey, data));
  }
}

const strange = (did) => new Problem("invalid_did", `${String(did).slice(0, 80)} names nobody`);

/** Keep a bounded number; the oldest goes first. */
function remembered(cache, name, value) {
  if (cache.size >= CACHED_MAX) cache.delete(cache.keys().next().value);
  cache.set(name, value);
  return value;
}
