/**
 * One session with one peer: an RTCPeerConnection from its offer to its end, and the system channel in it.
 *
 * The fingerprints are in descriptions that the two DIDs have signed, the answer names the offer that it answers, and
 * inside the channel both sides sign what they believe of each other (HELLO). Nothing counts before that.
 */

import { partsOf, seal, split, unseal, wrap } from "./envelope.js";
import { base64, isSame } from "./bytes.js";
import { checkCertificate, checkHello, helloOf, HelloRefused } from "./hello.js";
import { Problem } from "./problems.js";
import { Pulse } from "./pulse.js";
import { DescriptionRefused, offerHash, readDescription } from "./sdp.js";
import { readWord, writeWord } from "./words.js";

const SYSTEM = { negotiated: true, id: 0, ordered: true, protocol: "aiconexus.v1" };
const TRICKLE_MS = 50;
const TRICKLED_MAX = 64;
const HELLO_MS = 5000;
const HEARTBEAT_MS = 1000;
const PENDING_MAX = 1024;
const IDS_MAX = 256;
const BATCH_MAX = 32;

/** One session; once `run` has resolved it is a pipe for mail. */
export class Connection {
  /** `direct` or `turn`. */
  road = "direct";
  isOpen = false;
  /** Bytes that the selected pair has carried. */
  carried = 0;

  #ended = Promise.withResolvers();
  #answer = Promise.withResolvers();
  #hello = Promise.withResolvers();
  #channelOpen = Promise.withResolvers();
  #verified = Promise.withResolvers();
  #hasHello = false;
  #turn = Promise.resolve();
  #pending = 0;
  #early = [];
  #described = false;
  #candidates = [];
  #isTold = false;
  #untold = [];
  #pulse = new Pulse();
  #timers = [];

  /**
   * @param {object} options
   * @param {import("./peer.js").Peers} options.owner
   * @param {string} options.did the peer
   * @param {string} options.session
   * @param {"offerer" | "answerer"} options.role
   * @param {RTCIceServer[]} options.servers
   * @param {"all" | "relay"} options.policy
   */
  constructor(options) {
    Object.assign(this, options);
    this.pc = new RTCPeerConnection({ iceServers: this.servers, iceTransportPolicy: this.policy });
    this.pc.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    this.pc.onconnectionstatechange = () =>
      this.pc.connectionState === "failed" && this.end(failed("no way was found"));
    this.pc.ondatachannel = ({ channel }) => channel.close();
    this.channel = this.pc.createDataChannel("aiconexus", SYSTEM);
    this.channel.binaryType = "arraybuffer";
    this.channel.onopen = () => this.#channelOpen.resolve();
    this.channel.onclose = () => this.end(failed("the channel is closed"));
    this.channel.onmessage = ({ data }) => this.#receive(data);
    for (const { promise } of [this.#ended, this.#hello, this.#answer]) promise.catch(() => {});
  }

  /**
   * Bring it about.
   *
   * @param {{sdp: string, id: string} | null} offer theirs, or null to make one
   * @param {{replaces?: string, reason?: string}} more of our offer
   * @throws {Problem}
   */
  async run(offer, more = {}) {
    if (offer) await this.#until(this.#answerIt(offer));
    else await this.#until(this.#offerIt(more));
    await this.#until(this.#channelOpen.promise);
    await checkCertificate(this.pc, this.bond);
    await this.#greet();
    this.isOpen = true;
    this.#pulse.prove(performance.now());
    await this.look();
    this.#timers.push(setInterval(() => this.#beat(), HEARTBEAT_MS));
  }

  /** Milliseconds from a beat to its echo, or null. */
  get rtt() {
    return this.#pulse.rtt;
  }

  /** Whether nothing comes back at present. */
  get isSilent() {
    return this.#pulse.isSilent;
  }

  /** Take the answer to our offer. */
  answered(body) {
    if (this.role !== "offerer") throw new Problem("unexpected_signal", "an ANSWER to no offer");
    this.#answer.resolve(body);
  }

  /** Take trickled candidates, before or after the description that they belong to. */
  async candidates(body) {
    this.#early.push(body, ...body.more);
    if (this.#early.length > TRICKLED_MAX) throw new DescriptionRefused("offer_refused", "too many candidates");
    if (this.#described) await this.#addCandidates();
  }

  /** Say something; frames follow each other in order. */
  send(frame) {
    if (this.channel.readyState === "open") this.channel.send(frame);
  }

  /** Let it be over, for a reason. */
  end(error) {
    if (this.error) return;
    this.error = error;
    const wasOpen = this.isOpen;
    this.isOpen = false;
    this.#timers.forEach(clearInterval);
    this.#ended.reject(error);
    this.pc.close();
    if (wasOpen) this.owner.lost(this);
  }

  /** Tell the peer that this was on purpose, then end. */
  leave(reason) {
    this.send(writeWord("bye", reason));
    // Closing at once would overtake the word.
    setTimeout(() => this.end(failed(reason)), HEARTBEAT_MS / 4);
  }

  /** The peer may forget this: it is written down here. */
  taken(id) {
    if (!this.#untold.length) queueMicrotask(() => this.#tellTaken());
    this.#untold.push(id);
  }

  /** Look which pair of candidates carries it. */
  async look() {
    const report = await this.pc.getStats();
    for (const transport of report.values()) {
      const pair = transport.type === "transport" && report.get(transport.selectedCandidatePairId);
      if (!pair) continue;
      const ends = [report.get(pair.localCandidateId), report.get(pair.remoteCandidateId)];
      this.road = ends.some((end) => end?.candidateType === "relay") ? "turn" : "direct";
      this.carried = pair.bytesSent + pair.bytesReceived;
    }
  }

  // The way to a connection

  async #offerIt(more) {
    await this.pc.setLocalDescription();
    const { sdp } = this.pc.localDescription;
    this.bond = { ...this.#parties(), ours: readDescription(sdp), hash: await offerHash(sdp) };
    await this.owner.signal(this.did, "OFFER", { sdp, session: this.session, ...more });
    this.#letOut();
    const answer = await this.#answer.promise;
    if (!answer.offer_hash || !isSame(answer.offer_hash, this.bond.hash)) {
      throw new DescriptionRefused("offer_hash_mismatch", "the answer is one to another offer");
    }
    this.bond.theirs = readDescription(answer.sdp);
    await this.#describe({ type: "answer", sdp: answer.sdp });
  }

  async #answerIt(offer) {
    this.bond = { ...this.#parties(), theirs: readDescription(offer.sdp), hash: await offerHash(offer.sdp) };
    await this.#describe({ type: "offer", sdp: offer.sdp });
    await this.pc.setLocalDescription();
    const { sdp } = this.pc.localDescription;
    this.bond.ours = readDescription(sdp);
    const body = { sdp, session: this.session, offer_hash: base64(this.bond.hash) };
    await this.owner.signal(this.did, "ANSWER", body, { in_reply_to: offer.id });
    this.#letOut();
  }

  #parties() {
    return { us: this.owner.identity.did, them: this.did, session: this.session, role: this.role };
  }

  async #describe(description) {
    try {
      await this.pc.setRemoteDescription(description);
    } catch (error) {
      throw new DescriptionRefused("offer_refused", `it cannot be read: ${error.message}`);
    }
    this.#described = true;
    await this.#addCandidates();
  }

  async #addCandidates() {
    const waiting = this.#early.splice(0);
    for (const { candidate, sdp_mid, sdp_mline_index } of waiting) {
      try {
        await this.pc.addIceCandidate({ candidate, sdpMid: sdp_mid ?? "0", sdpMLineIndex: sdp_mline_index ?? 0 });
      } catch (error) {
        this.owner.refuse(error);
      }
    }
  }

  #trickle(candidate) {
    if (candidate?.candidate === "" || (this.policy === "relay" && candidate && candidate.type !== "relay")) return;
    this.#candidates.push({
      candidate: candidate?.candidate ?? "",
      ...(candidate ? { sdp_mid: candidate.sdpMid, sdp_mline_index: candidate.sdpMLineIndex } : {}),
    });
    if (this.#isTold && this.#candidates.length === 1) setTimeout(() => this.#letOut(), TRICKLE_MS);
  }

  /** Signal the candidates that were found; none goes ahead of the description that it belongs to. */
  #letOut() {
    this.#isTold = true;
    const [first, ...more] = this.#candidates.splice(0, BATCH_MAX);
    if (!first || this.error) return;
    this.owner
      .signal(this.did, "ICE_CANDIDATE", { ...first, session: this.session, more })
      .catch((error) => this.owner.refuse(error));
    if (this.#candidates.length) this.#letOut();
  }

  async #greet() {
    const { sealed } = await seal(this.owner.identity, this.did, "HELLO", helloOf(this.bond));
    this.send(wrap(sealed));
    const late = setTimeout(
      () => this.#hello.reject(new HelloRefused("hello_missing", "no HELLO came in time")),
      HELLO_MS,
    );
    await this.#until(this.#hello.promise.then((envelope) => checkHello(envelope, this.bond)));
    clearTimeout(late);
    this.#verified.resolve();
  }

  #until(promise) {
    return Promise.race([promise, this.#ended.promise]);
  }

  // What comes through it

  #receive(data) {
    if (++this.#pending > PENDING_MAX) return this.end(failed("the peer sends faster than it may"));
    const opened = openFrame(data);
    opened.catch(() => {});
    this.#turn = this.#turn.then(async () => {
      try {
        const { envelope, word } = await opened;
        if (!this.#hasHello) return this.#greeted(envelope);
        await this.#until(this.#verified.promise);
        if (envelope) this.owner.arrived(this, envelope);
        else this.#hear(...word);
      } catch (error) {
        if (this.error) return;
        if (!this.#hasHello) this.#hello.reject(new HelloRefused("hello_invalid", error.message));
        else
          this.owner.incident(
            error.problem === "invalid_signature" ? "signature_invalid" : "foreign_frame",
            this,
            error,
          );
      } finally {
        this.#pending -= 1;
      }
    });
    return null;
  }

  #greeted(envelope) {
    this.#hasHello = true;
    this.#hello.resolve(envelope);
  }

  #hear(word, ...facts) {
    switch (word) {
      case "ping":
        return this.send(writeWord("pong", facts[0]));
      case "pong":
        return this.#pulse.echo(facts[0], performance.now()) && this.owner.back(this);
      case "channel":
        return this.send(writeWord("channel_no", facts[1], "refused", "a page opens no further channels"));
      case "bye":
        return this.end(Object.assign(failed("the peer has ended it"), { isMeant: true }));
      default:
        return this.owner.heard(this, word, facts);
    }
  }

  #tellTaken() {
    while (this.#untold.length) this.send(writeWord("taken", this.#untold.splice(0, IDS_MAX)));
  }

  #beat() {
    const now = performance.now();
    if (this.#pulse.isLost(now)) return this.end(failed("no sign of life"));
    if (this.#pulse.hasFallenSilent(now)) this.owner.silent(this);
    this.send(writeWord("ping", this.#pulse.beat(now)));
    return this.look().then(() => this.owner.changed(this.did));
  }
}

/** Read a frame of the system channel; an envelope is verified. */
async function openFrame(data) {
  if (typeof data !== "string") return { envelope: await unseal(split(new Uint8Array(data))) };
  if (data.startsWith("{")) return { envelope: await unseal(partsOf(data).sealed) };
  return { word: readWord(data) };
}

const failed = (message) => new Problem("connection_failed", message, { retryable: true });
