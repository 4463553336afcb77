/**
 * HELLO: the proof that a channel belongs to two DIDs, built and checked.
 *
 * DTLS proves that the other end has the key of a fingerprint; this proves who told it, and that both ends mean the
 * same session. A bond is `{us, them, session, role, ours, theirs, hash}`: the DIDs, what the session is called, our
 * role, the fingerprints of both descriptions, and the SHA-256 of the offer.
 */

import { bodyOf, checkFresh } from "./envelope.js";
import { base64, hex, isSame } from "./bytes.js";
import { Problem } from "./problems.js";

/** What is wrong with a HELLO, and which incident that is. */
export class HelloRefused extends Problem {
  constructor(incident, message) {
    super("hello_refused", message);
    this.incident = incident;
  }
}

/** What we say first. */
export const helloOf = ({ session, role, ours, theirs, hash }) => ({
  session,
  role,
  fingerprints: strong(ours),
  peer_fingerprints: strong(theirs),
  offer_hash: base64(hash),
});

/**
 * Believe the other side, or not.
 *
 * @param {object | null} envelope the first message of the channel, verified; null if it was none
 * @throws {HelloRefused}
 */
export function checkHello(envelope, bond) {
  if (envelope?.type !== "HELLO") throw new HelloRefused("hello_missing", "it says something else first");
  if (envelope.from !== bond.them) throw new HelloRefused("hello_invalid", `${envelope.from} answers`);
  if (envelope.to !== bond.us) throw new HelloRefused("hello_invalid", "its HELLO is meant for somebody else");
  checkFresh(envelope);
  const body = bodyOf(envelope);
  if (body.session !== bond.session) throw new HelloRefused("hello_invalid", "its HELLO is that of another session");
  if (body.role === bond.role || !["offerer", "answerer"].includes(body.role))
    throw new HelloRefused("hello_invalid", "it claims our role");
  if (!isSet(body.fingerprints, strong(bond.theirs))) {
    throw new HelloRefused("fingerprint_mismatch", "its fingerprints are not those of its description");
  }
  if (!isSet(body.peer_fingerprints, strong(bond.ours))) {
    throw new HelloRefused("fingerprint_mismatch", "it was given other fingerprints than ours");
  }
  if (!isSame(body.offer_hash, bond.hash)) throw new HelloRefused("offer_hash_mismatch", "it means another offer");
}

/** Of several fingerprints a browser may have checked any; HELLO means the SHA-256 one. */
export async function checkCertificate(pc, bond) {
  const [certificate] = pc.sctp.transport.getRemoteCertificates?.() ?? [];
  if (!certificate) return;
  const digest = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", certificate))).toUpperCase();
  if (!isSet(strong(bond.theirs), [`sha-256 ${digest.match(/../g).join(":")}`])) {
    throw new HelloRefused("fingerprint_mismatch", "its certificate is not that of its description");
  }
}

const strong = (prints) => prints.filter((print) => print.startsWith("sha-256 "));
const isSet = (one, other) => [...one].sort().join() === [...other].sort().join();
