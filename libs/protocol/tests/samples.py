"""Keys, times and one body of every type, the same in every test and in the vectors."""

from hashlib import sha256
from typing import Any

from aiconexus.protocol import bodies, call_bodies, edge_bodies, job_bodies, signal_bodies
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.policy import RetryPolicy, Strategy
from aiconexus.protocol.seal import Codec, compose
from aiconexus.protocol.vocabulary import UNADDRESSED_TYPES

NOW_MS = 1_790_000_000_000


def key_of(name: str) -> SigningKey:
    """The key that a name always has."""
    return SigningKey(sha256(f"aiconexus test key {name}".encode()).digest())


ALICE, BOB, MALLORY = key_of("alice"), key_of("bob"), key_of("mallory")
IDENTITY, RELAY, EDGE, RETRY = key_of("identity"), key_of("relay"), key_of("edge"), key_of("retry")
SERVICES = {"identity": IDENTITY.did, "relay": RELAY.did, "edge": EDGE.did}


def id_of(name: str) -> str:
    """The id that a name always has; real ids are UUIDs of version 7."""
    return f"id-{sha256(name.encode()).hexdigest()[:16]}"


def sealed(body: Body, *, codec: Codec = Codec.MSGPACK, key: SigningKey = ALICE, **fields: Any) -> bytes:
    """An envelope from Alice, to Bob unless it is said to everybody."""
    recipient = fields.pop("recipient", None if body.TYPE in UNADDRESSED_TYPES else BOB.did)
    id_ = fields.pop("id_", id_of(body.TYPE))
    now_ms = fields.pop("now_ms", NOW_MS)
    return compose(body, key, recipient, id_=id_, now_ms=now_ms, codec=codec, **fields)


_platform = sealed(bodies.PlatformInfo(services=SERVICES), key=IDENTITY)
_register = bodies.Register(public_key="2xDVKvYoemx5cZHCBdQGLWj8Vdpjr9QVgT91tYD8rNNJ", challenge="c0ffee", name="Alice")

_job = f"{ALICE.token}.{id_of('MESSAGE')}"
_card = job_bodies.JobCard(
    job=_job,
    sender=ALICE.did,
    recipient=BOB.did,
    type="MESSAGE",
    state=job_bodies.JobState.DEAD,
    attempts=2,
    failures=2,
    created_ms=NOW_MS,
    changed_ms=NOW_MS + 1_000,
    ends_ms=NOW_MS + 60_000,
    problem="handler_failed",
)
_policy = RetryPolicy(strategy=Strategy.LINEAR, max_retries=3, initial_delay_seconds=0.5, retryable=("handler_failed",))

SAMPLES: dict[str, Body] = {
    body.TYPE: body
    for body in (
        _register,
        bodies.Unregister(reason="good night"),
        signal_bodies.Offer(sdp="v=0\r\n"),
        signal_bodies.Answer(sdp="v=0\r\n"),
        signal_bodies.IceCandidate(
            candidate="candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host", sdp_mid="0", sdp_mline_index=0
        ),
        bodies.Intent(query="How many words?", context={"path": "docs"}),
        bodies.ExecRequest(capability="text.count", args={"text": "one two", "ratio": 0.5}, timeout_ms=5000),
        bodies.ExecResponse(status=bodies.Outcome.SUCCESS, result={"words": 2}, execution_time_ms=1.5),
        bodies.Error(
            code="CONNECTION_REFUSED", message="too fast", problem="rate_limited", retryable=True, retry_after_ms=250
        ),
        bodies.Ping(sequence=7),
        bodies.Pong(sequence=7),
        bodies.Message(content={"text": "Grüße, 世界 \U0001f30d", "list": [1, -1, 0.25, True, None]}),
        bodies.Receipt(
            items=(bodies.ReceiptItem(id=id_of("MESSAGE"), status=bodies.ReceiptStatus.STORED, sequence=41),)
        ),
        bodies.PlatformInfo(services=SERVICES),
        bodies.Challenge(nonce="c0ffee", platform=_platform),
        bodies.Registered(
            session="edge-1.17",
            expires_ms=NOW_MS + 300_000,
            heartbeat_seconds=20.0,
            limits={"envelope_max_bytes": 65_536},
        ),
        bodies.Unregistered(reason="good night"),
        bodies.Fetch(after=41, limit=50),
        bodies.Mail(
            items=(bodies.MailItem(sequence=42, previous=41, codec=1, payload=b"payload", signature=bytes(64)),),
            pending=3,
        ),
        bodies.Ack(upto=42),
        bodies.Acked(upto=42),
        bodies.Discover(capability="text.count", online=True),
        bodies.Resolve(dids=(BOB.did,)),
        bodies.Agents(
            agents=(
                bodies.AgentCard(did=BOB.did, name="Bob", capabilities=("text.count",), online=True, since_ms=NOW_MS),
            ),
            cursor="z6Mk",
        ),
        bodies.Watch(dids=(BOB.did,)),
        bodies.Watching(dids=(BOB.did,)),
        bodies.Presence(did=BOB.did, online=True, at_ms=NOW_MS, road=bodies.Road.EDGE, session="edge-1.17"),
        bodies.Takeover(session="edge-2.1"),
        bodies.Revoke(reason="stolen"),
        bodies.Revoked(did=ALICE.did, at_ms=NOW_MS),
        edge_bodies.Attach(session="edge-1.17", edge="edge-1", register=sealed(_register, recipient=IDENTITY.did)),
        edge_bodies.Attached(answer=b"sealed"),
        edge_bodies.Detach(did=ALICE.did, session="edge-1.17", edge="edge-1", reason="silent"),
        edge_bodies.Detached(did=ALICE.did),
        call_bodies.Progress(message="half of it", percent=50.0),
        call_bodies.Chunk(index=3, data={"words": 2}, last=True, digest="0123456789abcdef" * 4),
        call_bodies.Cancel(reason="too late"),
        call_bodies.Resume(next=3),
        job_bodies.Schedule(envelope=b"sealed", policy=_policy, not_before_ms=NOW_MS),
        job_bodies.Return(envelope=b"sealed", sequence=41, message="no paper"),
        job_bodies.Scheduled(job=_job, state=job_bodies.JobState.WAITING, next_ms=NOW_MS),
        job_bodies.Withdraw(job=_job),
        job_bodies.Withdrawn(job=_job, state=job_bodies.JobState.WITHDRAWN),
        job_bodies.Jobs(state=job_bodies.JobState.WAITING, recipient=BOB.did),
        job_bodies.DeadLetters(sender=ALICE.did),
        job_bodies.JobList(jobs=(_card,), cursor="41"),
        job_bodies.ShowJob(job=_job),
        job_bodies.JobShown(
            card=_card,
            policy=_policy,
            history=(job_bodies.AttemptNote(attempt=2, at_ms=NOW_MS, outcome="handler_failed", message="no paper"),),
            envelope=b"sealed",
        ),
        job_bodies.Requeue(job=_job, policy=_policy),
        job_bodies.Drop(job=_job),
        job_bodies.Dropped(job=_job),
        job_bodies.Place(items=(job_bodies.PlaceItem(envelope=b"sealed", attempt=2),)),
        job_bodies.Placed(items=(job_bodies.PlacedItem(sequence=42), job_bodies.PlacedItem(problem="unknown_agent"))),
        job_bodies.Look(sequences=(41, 42)),
        job_bodies.Looked(present=(42,)),
        signal_bodies.Bye(session="s-1", reason="done"),
        signal_bodies.Hello(
            session="s-1",
            role="offerer",
            fingerprints=(f"sha-256 {':'.join(['0A'] * 32)}",),
            peer_fingerprints=(f"sha-256 {':'.join(['0B'] * 32)}",),
            offer_hash=bytes(range(32)),
        ),
        signal_bodies.ListServers(),
        signal_bodies.IceServers(
            servers=(
                signal_bodies.IceServer(
                    urls=("turn:turn.example:3478?transport=udp",),
                    username="1790000600:z6Mk",
                    credential="c2VjcmV0",
                    latency_ms=1.5,
                ),
            ),
            expires_ms=NOW_MS + 600_000,
        ),
        signal_bodies.Incident(event="turn_fallback", peer=BOB.did, session="s-1", detail="late", at_ms=NOW_MS),
        signal_bodies.Noted(event="turn_fallback"),
    )
}
