/**
 * Bytes as text and back, without guessing: UTF-8, base64 (RFC 4648 section 4), hex and base58btc.
 */

import { malformed } from "./problems.js";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The UTF-8 bytes of a text. */
export const utf8 = (text) => encoder.encode(text);

/** The text of UTF-8 bytes; anything else is malformed. */
export function textOf(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    return malformed("bytes that are no UTF-8");
  }
}

/** Base64 with padding. */
export function base64(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}

/** The bytes of base64 with padding; no other form is read. */
export function fromBase64(text) {
  if (typeof text !== "string" || !BASE64.test(text)) malformed("no base64 with padding");
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Small letters, two for a byte. */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Join pieces. */
export function joined(...pieces) {
  const all = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Whether two byte strings are the same. */
export const isSame = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

/** Base58btc. */
export function base58(bytes) {
  let number = BigInt(`0x${hex(bytes) || "0"}`);
  let text = "";
  for (; number; number /= 58n) text = ALPHABET[Number(number % 58n)] + text;
  for (let at = 0; bytes[at] === 0; at++) text = `1${text}`;
  return text;
}

/**
 * The bytes of base58btc, or null if it is none. Takes quadratic time: bound the length first.
 */
export function fromBase58(text) {
  let number = 0n;
  for (const letter of text) {
    const digit = ALPHABET.indexOf(letter);
    if (digit < 0) return null;
    number = number * 58n + BigInt(digit);
  }
  let digits = number ? number.toString(16) : "";
  if (digits.length % 2) digits = `0${digits}`;
  const zeros = text.length - text.replace(/^1+/, "").length;
  return Uint8Array.from([
    ...new Array(zeros).fill(0),
    ...(digits.match(/../g) ?? []).map((pair) => parseInt(pair, 16)),
  ]);
}
