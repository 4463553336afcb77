/**
 * Which session descriptions may reach the browser's WebRTC, and what we hold the other side to
 * (RFC 8866, RFC 8122, RFC 8842).
 */

import { utf8 } from "./bytes.js";
import { Problem } from "./problems.js";

const DIGEST_BYTES = { "sha-256": 32, "sha-384": 48, "sha-512": 64 };
const SDP_MAX_CHARACTERS = 16_384;
const CANDIDATES_MAX = 32;
const FINGERPRINTS_MAX = 4;

/** A description that must not be used, and which incident that is. */
export class DescriptionRefused extends Problem {
  constructor(incident, message) {
    super("description_refused", message);
    this.incident = incident;
  }
}

/**
 * Check a description of the other side, or read one of ours.
 *
 * @param {string} sdp
 * @returns {string[]} its fingerprints, as HELLO lists them: `sha-256 AB:CD:…`, sorted
 * @throws {DescriptionRefused}
 */
export function readDescription(sdp) {
  if (sdp.length > SDP_MAX_CHARACTERS) throw new DescriptionRefused("offer_refused", "a description that is too long");
  const [session, ...media] = sdp.split(/^(?=m=)/m);
  if (media.length !== 1 || !media[0].startsWith("m=application ")) {
    throw new DescriptionRefused("offer_refused", "a description of something else than one data channel");
  }
  if ((media[0].match(/^a=candidate:/gm) ?? []).length > CANDIDATES_MAX) {
    throw new DescriptionRefused("offer_refused", "too many candidates");
  }
  const [ofSession, ofMedia] = [fingerprints(session), fingerprints(media[0])];
  const prints = ofMedia.length ? ofMedia : ofSession;
  check(prints);
  if (ofSession.length && ofSession.join() !== prints.join()) {
    throw new DescriptionRefused("fingerprint_inconsistent", "its parts have different fingerprints");
  }
  return prints;
}

/** What an answer says of the offer that it answers: SHA-256 over its UTF-8. */
export const offerHash = async (sdp) => new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(sdp)));

function fingerprints(part) {
  const found = Array.from(
    part.matchAll(/^a=fingerprint:\s*(\S+)\s+(.*?)\s*$/gim),
    ([, name, digest]) => `${name.toLowerCase()} ${digest.toUpperCase()}`,
  );
  return [...new Set(found)].sort();
}

function check(prints) {
  if (!prints.length) throw new DescriptionRefused("fingerprint_missing", "it has no fingerprint");
  if (prints.length > FINGERPRINTS_MAX) throw new DescriptionRefused("offer_refused", "too many fingerprints");
  const names = prints.map((print) => {
    const [name, digest] = print.split(" ");
    if (!Object.hasOwn(DIGEST_BYTES, name))
      throw new DescriptionRefused("fingerprint_weak", `fingerprints by ${name} prove nothing`);
    if (!/^[0-9A-F]{2}(:[0-9A-F]{2})*$/.test(digest) || digest.split(":").length !== DIGEST_BYTES[name]) {
      throw new DescriptionRefused("fingerprint_missing", `its ${name} fingerprint is none`);
    }
    return name;
  });
  if (!names.includes("sha-256")) throw new DescriptionRefused("fingerprint_missing", "it has no SHA-256 fingerprint");
  if (new Set(names).size < names.length) {
    throw new DescriptionRefused("fingerprint_inconsistent", "it has two fingerprints of one kind");
  }
}
