"""The parts of docs/protocol.md that are made from the code, so that neither can drift from the other."""

import ast
import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from libs.protocol.vectors.forms import ENUMS, choices, fields_of

from aiconexus.protocol import bodies, job_bodies, limits, signal_bodies
from aiconexus.protocol.closing import REASONS, Close, gives_up
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.problems import PROBLEMS
from aiconexus.protocol.text import TextEnvelope
from aiconexus.protocol.vocabulary import BODIES, LIVE_TYPES, STORED_TYPES, UNADDRESSED_TYPES

AGENT, OWN = "agent → agent", "services only"
WAYS: dict[str, tuple[str, str, str]] = {
    "REGISTER": ("agent → platform", "`identity.register`", "REGISTERED"),
    "UNREGISTER": ("agent → platform", "`identity.unregister`", "UNREGISTERED"),
    "OFFER": (AGENT, "", "ANSWER"),
    "ANSWER": (AGENT, "", ""),
    "ICE_CANDIDATE": (AGENT, "", ""),
    "INTENT": (AGENT, "", "INTENT with `status`"),
    "EXEC_REQUEST": (AGENT, "", "EXEC_RESPONSE"),
    "EXEC_RESPONSE": (AGENT, "", ""),
    "ERROR": ("any → any", "instead of any answer", ""),
    "PING": ("agent → service or agent", "`<service>.ping`; between agents `signaling.forward`", "PONG"),
    "PONG": ("who was asked", "", ""),
    "MESSAGE": (AGENT, "", "what the application likes"),
    "RECEIPT": ("relay, signaling or recipient → sender", "answer to what a service took", ""),
    "PLATFORM": ("identity → everybody", "answer of `identity.platform`; in CHALLENGE", ""),
    "CHALLENGE": ("edge → who connects", "first frame", "REGISTER"),
    "REGISTERED": ("identity → agent", "answer", ""),
    "UNREGISTERED": ("identity or edge → agent", "answer", ""),
    "FETCH": ("agent → relay", "`relay.fetch`", "MAIL"),
    "MAIL": ("relay → agent", "answer", ""),
    "ACK": ("agent → relay", "`relay.ack`", "ACKED"),
    "ACKED": ("relay → agent", "answer", ""),
    "DISCOVER": ("agent → platform", "`identity.discover`", "AGENTS"),
    "RESOLVE": ("agent → platform", "`identity.resolve`", "AGENTS"),
    "AGENTS": ("identity → agent", "answer", ""),
    "WATCH": ("agent → edge", "WebSocket only", "WATCHING"),
    "WATCHING": ("edge → agent", "answer", ""),
    "PRESENCE": ("identity → everybody", "`aicx.v1.presence.<token>`; after WATCH", ""),
    "TAKEOVER": ("identity → agent", "pushed", ""),
    "REVOKE": ("agent → platform", "`identity.revoke`", "REVOKED"),
    "REVOKED": ("identity → agent", "answer; pushed", ""),
    "ATTACH": (OWN, "`aicx.v1.svc.identity.attach`", "ATTACHED"),
    "ATTACHED": (OWN, "answer", ""),
    "DETACH": (OWN, "`aicx.v1.svc.identity.detach`", "DETACHED"),
    "DETACHED": (OWN, "answer", ""),
    "PROGRESS": ("callee → caller", "", ""),
    "CHUNK": ("callee → caller", "", ""),
    "CANCEL": ("caller → callee", "", ""),
    "RESUME": ("caller → callee", "", "CHUNK"),
    "SCHEDULE": ("sender → retry", "`retry.schedule`", "SCHEDULED"),
    "RETURN": ("recipient → retry", "`retry.return`", "SCHEDULED"),
    "SCHEDULED": ("retry → agent", "answer", ""),
    "WITHDRAW": ("agent → retry", "`retry.withdraw`", "WITHDRAWN"),
    "WITHDRAWN": ("retry → agent", "answer", ""),
    "JOBS": ("agent → retry", "`retry.jobs`", "JOB_LIST"),
    "DEAD_LETTERS": ("agent → retry", "`retry.dead_letters`", "JOB_LIST"),
    "JOB_LIST": ("retry → agent", "answer", ""),
    "JOB": ("agent → retry", "`retry.job`", "JOB_SHOWN"),
    "JOB_SHOWN": ("retry → agent", "answer", ""),
    "REQUEUE": ("agent → retry", "`retry.requeue`", "SCHEDULED"),
    "DROP": ("agent → retry", "`retry.drop`", "DROPPED"),
    "DROPPED": ("retry → agent", "answer", ""),
    "PLACE": (OWN, "`aicx.v1.svc.relay.place`", "PLACED"),
    "PLACED": (OWN, "answer", ""),
    "LOOK": (OWN, "`aicx.v1.svc.relay.look`", "LOOKED"),
    "LOOKED": (OWN, "answer", ""),
    "BYE": (AGENT, "", ""),
    "HELLO": (AGENT, "first envelope in a data channel", "HELLO"),
    "LIST_SERVERS": ("agent → signaling", "`signaling.list_servers`", "ICE_SERVERS"),
    "ICE_SERVERS": ("signaling → agent", "answer", ""),
    "INCIDENT": ("agent → signaling", "`signaling.incident`", "NOTED"),
    "NOTED": ("signaling → agent", "answer", ""),
}
INNER: list[type[msgspec.Struct]] = [
    bodies.ReceiptItem,
    bodies.MailItem,
    bodies.AgentCard,
    RetryPolicy,
    job_bodies.JobCard,
    job_bodies.AttemptNote,
    job_bodies.PlaceItem,
    job_bodies.PlacedItem,
    signal_bodies.Candidate,
    signal_bodies.IceServer,
]
MEANINGS = {
    "timeout": "No answer came in time; it may or may not have been done",
    "unavailable": "A part of the platform is away",
}


def table(head: str, rows: Iterator[tuple[Any, ...]]) -> str:
    """A table in Markdown; ``head`` is its first row."""
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|" + "---|" * columns]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def class_of(type_: str) -> str:
    """What the services do with a type between agents."""
    if type_ in STORED_TYPES:
        return "stored"
    if type_ in LIVE_TYPES:
        return "live"
    return "to nobody" if type_ in UNADDRESSED_TYPES else "service"


def types() -> str:
    """Every type: its way and its answer."""
    rows = ((type_, *WAYS[type_][:1], class_of(type_), *WAYS[type_][1:]) for type_ in BODIES)
    return table("type | from → to | kind | native verb, or when | answer", rows)


def type_fields() -> str:
    """Every body."""
    rows: list[tuple[str, str]] = [(type_, fields_of(body)) for type_, body in BODIES.items()]
    rows += [(f"*{struct.__name__}*", fields_of(struct)) for struct in INNER]
    rows += [(f"*{enum.__name__}*", choices(enum)) for enum in ENUMS]
    return table("type | body", iter(rows))


def envelope_fields() -> str:
    """The members of both envelopes."""
    return table("codec | members", iter([("1, msgpack", fields_of(Envelope)), ("2, JSON", fields_of(TextEnvelope))]))


def problems() -> str:
    """Every problem once."""
    rows: dict[str, tuple[str, str, str, str]] = {}
    for error, problem in PROBLEMS.items():
        sentence = (error.__doc__ or "").strip().splitlines()[0].rstrip(".").split(";")[0]
        meaning = MEANINGS.get(problem.name, sentence)
        rows.setdefault(problem.name, (f"`{problem.name}`", problem.code, _yes(problem.retryable), meaning))
    rows["internal"] = ("`internal`", "INTERNAL_ERROR", _yes(holds=True), "Anything else that is the service's fault")
    return table("problem | code | retryable | meaning", iter(rows.values()))


def closes() -> str:
    """Every close code."""
    rows = ((close.value, close.name, REASONS[close], _yes(not gives_up(close))) for close in Close)
    return table("code | name | reason | connect again", rows)


def limits_table() -> str:
    """Every constant with its sentence."""
    tree = ast.parse(Path(limits.__file__).read_text())
    rows = []
    for statement, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            rows.append((f"`{name}`", f"{getattr(limits, name):,}", str(text).rstrip(".").replace("``", "`")))
    return table("constant | value | what", iter(rows))


def example(envelope: Mapping[str, Any], seed_hex: str) -> str:
    """One envelope byte by byte."""
    payload = base64.b64decode(envelope["payload"])
    domain = "aiconexus/v1/envelope/" + ("json" if envelope["codec"] == 2 else "msgpack") + "\\n"  # noqa: PLR2004
    shown = envelope.get("payload_text") or payload.hex()
    lines = [
        f"seed       {seed_hex}",
        f"domain     {domain}",
        f"payload    {shown}",
        f"signature  {base64.b64decode(envelope['signature']).hex()}",
        f"sealed     {base64.b64decode(envelope['sealed']).hex()}",
    ]
    if "frame" in envelope:
        lines.append(f"frame      {envelope['frame']}")
    return "\n".join(["```", *(piece for line in lines for piece in _folded(line)), "```"])


def _folded(line: str, width: int = 110) -> Iterator[str]:
    name, text = line[:11], line[11:]
    for start in range(0, len(text), width):
        yield name + text[start : start + width]
        name = " " * 11


def _yes(holds: bool) -> str:  # noqa: FBT001 - a cell of a table
    return "yes" if holds else "no"


def parts(examples: list[dict[str, Any]], keys: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """All generated parts by name."""
    shown = {entry["name"]: example(entry, keys[entry["signer"]]["seed_hex"]) for entry in examples}
    return {
        "types": types(),
        "envelopes": envelope_fields(),
        "bodies": type_fields(),
        "problems": problems(),
        "closes": closes(),
        "limits": limits_table(),
        "example msgpack": shown["PING, msgpack"],
        "example json": shown["PING, json"],
    }


def filled(text: str, made: Mapping[str, str]) -> str:
    """The document with its generated parts renewed."""
    for name, part in made.items():
        pattern = re.compile(rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda found, part=part: found[1] + part + "\n" + found[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{count} places for the part {name}")
    return text
