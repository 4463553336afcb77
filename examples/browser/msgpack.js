/**
 * Read msgpack, as much of it as sealed envelopes hold; what agents on NATS write is codec 1.
 *
 * Integers become numbers, or BigInt beyond 2^53; bin becomes Uint8Array. Extensions are refused, and so is everything
 * that claims more than there is.
 */

import { joined, textOf } from "./bytes.js";
import { malformed } from "./problems.js";

const NESTING_MAX = 100;

/**
 * The value of all bytes.
 *
 * @param {Uint8Array} bytes
 * @throws {Problem} `malformed`
 */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) malformed("bytes behind the end");
  return value;
}

/** Bytes as a msgpack bin; nothing else of msgpack is ever written here. */
export function bin(bytes) {
  const { length } = bytes;
  if (length < 2 ** 8) return joined(Uint8Array.of(0xc4, length), bytes);
  if (length < 2 ** 16) return joined(Uint8Array.of(0xc5, length >> 8, length & 255), bytes);
  return joined(Uint8Array.of(0xc6, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255), bytes);
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  value(depth) {
    if (depth > NESTING_MAX) malformed("nested too deeply");
    const tag = this.uint(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.map(tag & 15, depth);
    if (tag < 0xa0) return this.array(tag & 15, depth);
    if (tag < 0xc0) return textOf(this.take(tag & 31));
    if (tag >= 0xe0) return tag - 256;
    return this.long(tag, depth);
  }

  long(tag, depth) {
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.take(this.uint(1 << (tag - 0xc4)));
      case 0xca:
        return this.number("getFloat32", 4);
      case 0xcb:
        return this.number("getFloat64", 8);
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.uint(1 << (tag - 0xcc));
      case 0xcf:
        return small(this.number("getBigUint64", 8));
      case 0xd0:
        return this.number("getInt8", 1);
      case 0xd1:
        return this.number("getInt16", 2);
      case 0xd2:
        return this.number("getInt32", 4);
      case 0xd3:
        return small(this.number("getBigInt64", 8));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return textOf(this.take(this.uint(1 << (tag - 0xd9))));
      case 0xdc:
      case 0xdd:
        return this.array(this.uint(2 << (tag - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.uint(2 << (tag - 0xde)), depth);
      default:
        return malformed("an extension of msgpack");
    }
  }

  uint(size) {
    return this.number({ 1: "getUint8", 2: "getUint16", 4: "getUint32" }[size], size);
  }

  number(method, size) {
    if (this.at + size > this.bytes.length) malformed("msgpack that ends too early");
    const value = this.view[method](this.at);
    this.at += size;
    return value;
  }

  take(size) {
    if (this.at + size > this.bytes.length) malformed("msgpack that ends too early");
    this.at += size;
    return this.bytes.slice(this.at - size, this.at);
  }

  array(size, depth) {
    const items = [];
    for (let index = 0; index < size; index++) items.push(this.value(depth + 1));
    return items;
  }

  map(size, depth) {
    const members = Object.create(null);
    for (let index = 0; index < size; index++) {
      const name = this.value(depth + 1);
      members[typeof name === "object" ? malformed("a name that is no text") : name] = this.value(depth + 1);
    }
    return members;
  }
}

const small = (integer) => (BigInt.asIntN(54, integer) === integer ? Number(integer) : integer);
