/**
 * Whether 32 bytes are a usable Ed25519 key: a canonical point of the main subgroup.
 *
 * WebCrypto does not look, and verifies forgeries under keys of small or mixed order. Public data only, so it need
 * not run in constant time. The formulas are those of RFC 8032, section 5.1.
 */

const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const mod = (number) => ((number % P) + P) % P;

function power(base, exponent) {
  let result = 1n;
  for (let square = mod(base); exponent; exponent >>= 1n, square = mod(square * square)) {
    if (exponent & 1n) result = mod(result * square);
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const ROOT_OF_MINUS_ONE = power(2n, (P - 1n) / 4n);

/** The point (X, Y, Z, T) of an encoding, or null if it is not the canonical encoding of one. */
function decompressed(key) {
  let y = 0n;
  for (let at = 31; at >= 0; at--) y = (y << 8n) | BigInt(key[at]);
  const sign = y >> 255n;
  y &= 2n ** 255n - 1n;
  if (y >= P) return null;
  const above = mod(y * y - 1n);
  const below = mod(D * y * y + 1n);
  let x = mod(above * power(below, 3n) * power(above * power(below, 7n), (P - 5n) / 8n));
  const square = mod(below * x * x);
  if (square === mod(-above)) x = mod(x * ROOT_OF_MINUS_ONE);
  else if (square !== above) return null;
  if (x === 0n && sign) return null;
  if ((x & 1n) !== sign) x = P - x;
  return [x, y, 1n, mod(x * y)];
}

function sum([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * D * t1 * t2);
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

const isZero = ([x, y, z]) => x === 0n && y === z;

/**
 * Whether a key may be trusted to have one owner.
 *
 * @param {Uint8Array} key 32 bytes
 */
export function isUsableKey(key) {
  const point = key.length === 32 ? decompressed(key) : null;
  if (!point || isZero(point)) return false;
  let multiple = [0n, 1n, 1n, 0n];
  let double = point;
  for (let bits = ORDER; bits; bits >>= 1n, double = sum(double, double)) {
    if (bits & 1n) multiple = sum(multiple, double);
  }
  return isZero(multiple);
}
