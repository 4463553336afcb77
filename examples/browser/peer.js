/**
 * Direct channels to other agents: who offers, what happens when both do, TURN when nothing else works, and the relay
 * whenever there is no channel.
 */

import { checkStored, newId, wrap } from "./envelope.js";
import { Connection } from "./connection.js";
import { Problem } from "./problems.js";
import { writeWord } from "./words.js";

const CONNECT_MS = 15_000;
const TURN_AFTER_MS = 5000;
const TAKEN_MS = 4000;
const REPLACED_MS = 5000;
const HEAL_FIRST_MS = 3000;
const HEAL_LONGEST_MS = 60_000;
const PEERS_MAX = 64;
const AWAITED_MAX = 64;
const EARLY_MAX = 16;

/**
 * All peers of one agent.
 *
 * A peer is `{did, state, current, attempt, error}`: its state is `connecting`, `connected`, `disconnected`, `failed`
 * or `closed`, `current` the connection in use, `attempt` the one that is being made.
 */
export class Peers {
  #peers = new Map();
  #hands = new Map();
  #awaited = new Map();
  #early = [];

  /**
   * @param {object} options
   * @param {import("./agent.js").Agent} options.agent
   * @param {"all" | "relay"} options.policy `relay` lets nobody know our addresses
   */
  constructor({ agent, policy }) {
    Object.assign(this, { agent, policy, identity: agent.identity });
  }

  /** What is known of a peer, or undefined. */
  get(did) {
    return this.#peers.get(did);
  }

  /**
   * Have a direct channel to an agent.
   *
   * @returns {Promise<Connection>}
   * @throws {Problem} why there is none
   */
  async connect(did) {
    const peer = this.#peer(did);
    if (peer.current?.isOpen) return peer.current;
    peer.wanted = true;
    return this.#offer(peer, "connect");
  }

  /** End the channel to an agent; mail goes through the relay. */
  close(did) {
    const peer = this.#peers.get(did);
    if (!peer) return;
    peer.wanted = false;
    peer.attempt?.end(new Problem("connection_failed", "not wanted any more"));
    peer.current?.leave("closed");
    peer.current = null;
    this.#say(peer, "closed");
  }

  /** An agent is not here any more. */
  away(did) {
    const peer = this.#peers.get(did);
    if (peer && !peer.current) peer.wanted = false;
  }

  /** Take what signaling brings; it is fresh, for us, and signed by its sender. */
  take({ type, from, id }, body) {
    if (type === "OFFER") return this.#offered(from, id, body);
    const connection = this.#sessionOf(from, body.session);
    if (!connection) {
      // Candidates may overtake the offer that they belong to.
      if (type === "ICE_CANDIDATE") this.#early = [...this.#early.slice(1 - EARLY_MAX), { from, body }];
      return null;
    }
    if (type === "ANSWER") return connection.answered(body);
    if (type === "BYE")
      return connection.end(new Problem(body.problem ?? "connection_failed", body.reason ?? "the peer has ended it"));
    return connection.candidates(body).catch((error) => connection.end(error));
  }

  /**
   * Bring an envelope of ours over the channel, if there is one.
   *
   * @returns {Promise<boolean>} whether the peer has taken it
   */
  hand(did, id, sealed) {
    const pipe = this.#peers.get(did)?.current;
    if (!pipe?.isOpen || pipe.isSilent) return Promise.resolve(false);
    return new Promise((resolve) => {
      const settle = (isTaken) => {
        clearTimeout(late);
        this.#hands.delete(id);
        resolve(isTaken);
      };
      const late = setTimeout(() => settle(false), TAKEN_MS);
      this.#hands.set(id, { pipe, settle });
      pipe.send(wrap(sealed));
    });
  }

  /** An envelope came, whichever way: the peer may wait to hear that. */
  note(from, id) {
    const key = `${from} ${id}`;
    this.#awaited.get(key)?.send(writeWord("here", id));
    this.#awaited.delete(key);
  }

  // What connections tell

  signal(did, type, body, more) {
    return this.agent.signal(did, type, body, more);
  }

  arrived(connection, envelope) {
    if (envelope.from !== connection.did || envelope.to !== this.identity.did)
      throw new Problem("foreign_sender", "it is not the peer's own, or not for us");
    try {
      checkStored(envelope);
    } catch (error) {
      if (error.problem !== "expired") throw error;
    }
    this.agent.arrive(envelope, connection.road, () => connection.taken(envelope.id));
  }

  heard(connection, word, facts) {
    if (word === "taken") {
      this.agent.outbox.taken(connection, facts[0]);
      for (const id of facts[0]) if (this.#hands.get(id)?.pipe === connection) this.#hands.get(id).settle(true);
    } else if (word === "not_taken") {
      this.agent.outbox.notTaken(connection, facts[0]);
      if (this.#hands.get(facts[0])?.pipe === connection) this.#hands.get(facts[0]).settle(false);
    } else if (word === "await") {
      if (this.agent.knows(connection.did, facts[0])) connection.send(writeWord("here", facts[0]));
      else if (this.#awaited.size < AWAITED_MAX) this.#awaited.set(`${connection.did} ${facts[0]}`, connection);
    }
  }

  silent(connection) {
    this.agent.outbox.detach(connection);
    this.#say(this.#peer(connection.did), "disconnected");
  }

  back(connection) {
    const peer = this.#peer(connection.did);
    if (peer.current !== connection) return;
    this.agent.outbox.attach(connection);
    this.#say(peer, "connected");
  }

  lost(connection) {
    const peer = this.#peers.get(connection.did);
    for (const { pipe, settle } of [...this.#hands.values()]) if (pipe === connection) settle(false);
    this.agent.outbox.detach(connection);
    if (peer?.current !== connection) return;
    peer.current = null;
    peer.wanted &&= !connection.error.isMeant;
    this.#say(peer, peer.wanted ? "disconnected" : "closed");
    if (peer.wanted) this.#heal(peer, connection.session, HEAL_FIRST_MS);
  }

  incident(event, connection, error) {
    this.agent.refuse(error);
    const detail = error.message.slice(0, 200).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
    const body = { event, peer: connection.did, session: connection.session, detail, at_ms: Date.now() };
    this.agent.edge.ask("signaling", "INCIDENT", body, "NOTED").catch(() => {});
  }

  refuse(error) {
    this.agent.refuse(error);
  }

  changed(did) {
    this.agent.tell("peer", { did });
  }

  // Inside

  #peer(did) {
    let peer = this.#peers.get(did);
    if (!peer) {
      if (this.#peers.size >= PEERS_MAX)
        throw new Problem("too_many_connections", "there are too many direct channels");
      peer = { did, state: "closed", current: null, attempt: null, answering: null, error: null, wanted: false };
      this.#peers.set(did, peer);
    }
    return peer;
  }

  #sessionOf(did, session) {
    const peer = this.#peers.get(did);
    return [peer?.attempt, peer?.current].find((each) => each && each.session === session);
  }

  async #servers() {
    if (!this.agent.edge.services.signaling) return [];
    const { servers } = await this.agent.edge.ask("signaling", "LIST_SERVERS", {}, "ICE_SERVERS");
    return servers.map(({ urls, username, credential }) => ({ urls, username, credential }));
  }

  /** Offer: first without TURN, and with it once it is plain that nothing else works. */
  async #offer(peer, reason, replaces) {
    const servers = await this.#servers();
    // The peer may have offered meanwhile.
    if (peer.answering) return peer.answering;
    const [plain, hasTurn] = [servers.filter((each) => !isTurn(each)), servers.some(isTurn)];
    if (this.policy === "relay" && !hasTurn)
      throw new Problem("connection_failed", "there is no TURN server, and our policy allows nothing else");
    const begin = (some, more, ms) => this.#run(peer, this.#make(peer.did, "offerer", newId(), some), null, more, ms);
    try {
      if (this.policy === "relay" || !hasTurn) return await begin(servers, { reason, replaces }, CONNECT_MS);
      try {
        return await begin(plain, { reason, replaces }, TURN_AFTER_MS);
      } catch (error) {
        if (!error.isLate) throw error;
        this.incident("turn_fallback", { did: peer.did, session: error.session }, error);
        return await begin(servers, { reason: "turn", replaces: error.session }, CONNECT_MS);
      }
    } catch (error) {
      if (error.isCrossed && peer.answering) return peer.answering;
      if (error.isCrossed && peer.current?.isOpen) return peer.current;
      throw error;
    }
  }

  /** Take an offer, unless ours crosses it and counts. */
  #offered(from, id, body) {
    const peer = this.#peer(from);
    const pending = peer.attempt;
    // Both offer at once: that of the lower DID yields.
    if (pending?.role === "offerer" && !pending.pc.remoteDescription && this.identity.did > from) return;
    const session = body.session ?? id;
    const answering = this.#answer(peer, session, { sdp: body.sdp, id }, body.reason);
    peer.answering = answering;
    answering
      .catch((error) => error.incident || this.#sayBye(from, session, error))
      .finally(() => peer.answering === answering && (peer.answering = null));
    pending?.end(Object.assign(new Problem("connection_failed", "the peer offers by itself"), { isCrossed: true }));
  }

  async #answer(peer, session, offer, reason) {
    const isRelayed = this.policy === "relay" || reason === "turn" || offer.sdp.includes(" typ relay");
    const servers = (await this.#servers()).filter((each) => isRelayed || !isTurn(each));
    const connection = this.#make(peer.did, "answerer", session, servers);
    const early = this.#early.filter((each) => each.from === peer.did && each.body.session === session);
    for (const { body } of early) connection.candidates(body);
    return this.#run(peer, connection, offer, {}, CONNECT_MS);
  }

  #make(did, role, session, servers) {
    return new Connection({ owner: this, did, role, session, servers, policy: this.policy });
  }

  /** Bring a connection about and use it; whatever is wrong with it is told and ends it. */
  async #run(peer, connection, offer, more, ms) {
    peer.attempt = connection;
    if (!peer.current) this.#say(peer, "connecting");
    const late = new Problem("connection_failed", `no channel after ${ms / 1000} s`, { retryable: true });
    Object.assign(late, { isLate: true, session: connection.session });
    const timer = setTimeout(() => connection.end(late), ms);
    try {
      await connection.run(offer, more);
    } catch (error) {
      connection.end(error);
      if (error.incident) this.#accuse(connection, error);
      if (peer.attempt === connection) {
        Object.assign(peer, { attempt: null, error });
        if (!peer.current) this.#say(peer, "failed");
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
    this.#use(peer, connection);
    return connection;
  }

  /** The other side is not who it should be, or wants what nobody may: it hears that, and operators, too. */
  #accuse(connection, error) {
    this.incident(error.incident, connection, error);
    this.#sayBye(connection.did, connection.session, error);
  }

  #sayBye(did, session, { problem = "internal" }) {
    this.signal(did, "BYE", { session, problem }).catch((error) => this.refuse(error));
  }

  /** Make before break: the one before goes once nothing needs it any more. */
  #use(peer, connection) {
    const { current } = peer;
    Object.assign(peer, { current: connection, attempt: null, error: null, wanted: true });
    this.agent.outbox.attach(connection);
    if (current?.isOpen) setTimeout(() => current.leave("replaced"), REPLACED_MS);
    this.#say(peer, "connected");
  }

  #heal(peer, session, ms) {
    setTimeout(
      async () => {
        if (peer.current || peer.attempt || !peer.wanted) return;
        try {
          await this.#offer(peer, "heal", session);
        } catch {
          this.#heal(peer, session, Math.min(2 * ms, HEAL_LONGEST_MS));
        }
      },
      ms * (0.8 + 0.4 * Math.random()),
    );
  }

  #say(peer, state) {
    peer.state = state;
    this.changed(peer.did);
  }
}

const isTurn = ({ urls }) => urls.some((url) => url.startsWith("turn"));
