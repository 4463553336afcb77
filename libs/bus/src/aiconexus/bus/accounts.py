"""
The configuration of the NATS server: four accounts, and what each user in them may do.

SVC holds the services and JetStream. AGENTS holds the agents, whom the auth callout lets in, and knows of SVC only
what is imported: their own requests, their inboxes, everybody's presence. AUTH holds the responder of the callout, SYS
the server's own events. The values are JSON, which the server reads as it reads its own notation.
"""

from typing import Any

import msgspec

from aiconexus.bus.ownership import SERVICES, Permissions, login_permissions, service_permissions, system_permissions
from aiconexus.protocol import subjects
from aiconexus.protocol.limits import REPLY_MAX_BYTES

AGENT_MAX_SUBSCRIPTIONS = 64
AGENT_MAX_BYTES = 128 * 1024
AGENT_MAX_CONNECTIONS = 50_000
ANSWER_SECONDS = 30
LOGIN_SECONDS = 5
"""How long a login may take; more than the default, for the moment when everybody comes back at once."""
LOG_MAX_BYTES = 8 * 1024 * 1024
LOG_FILES = 2
"""The log file itself and one before it."""


class ServerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """
    What differs between one server and another.

    Ports of -1 are chosen by the server and written into ``ports_dir``; a monitor port of 0 leaves monitoring out.
    ``services`` maps each service to its user nkey. ``auth`` and ``system`` are identity's nkeys in the accounts AUTH
    and SYS, ``issuer`` is the account key "A…" that signs agents' JWTs, ``xkey`` the curve key "X…" of the callout.
    """

    host: str = "127.0.0.1"
    port: int = 4222
    monitor_host: str = "127.0.0.1"
    monitor_port: int = 0
    name: str = "aiconexus"
    store_dir: str
    max_file_bytes: int = 10 * 1024**3
    max_memory_bytes: int = 256 * 1024**2
    sync_always: bool = False
    """Write every message through to the disk: a power failure loses nothing, at a fraction of the speed."""
    ports_dir: str = ""
    log_file: str = ""
    """Where the server logs, in files of a bounded size; by default to its standard error."""
    services: dict[str, str]
    auth: str
    system: str
    issuer: str
    xkey: str


def render_server_config(plan: ServerPlan) -> str:
    """The text of the server's configuration file; it holds no secret."""
    config: dict[str, Any] = {
        "server_name": plan.name,
        "listen": f"{plan.host}:{plan.port}",
        "max_payload": REPLY_MAX_BYTES,
        "write_deadline": "10s",
        "jetstream": _jetstream(plan),
        "accounts": _accounts(plan),
        "system_account": "SYS",
        "authorization": {"timeout": LOGIN_SECONDS, "auth_callout": _callout(plan)},
    }
    if plan.monitor_port:
        config["http"] = f"{plan.monitor_host}:{plan.monitor_port}"
    if plan.ports_dir:
        config["ports_file_dir"] = plan.ports_dir
    if plan.log_file:
        config |= {"log_file": plan.log_file, "logfile_size_limit": LOG_MAX_BYTES, "logfile_max_num": LOG_FILES}
    return "".join(f"{key}: {_json(value)}\n" for key, value in config.items())


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _jetstream(plan: ServerPlan) -> dict[str, Any]:
    limits = {
        "store_dir": plan.store_dir,
        "max_file_store": plan.max_file_bytes,
        "max_memory_store": plan.max_memory_bytes,
    }
    return limits | {"sync_interval": "always"} if plan.sync_always else limits


def _accounts(plan: ServerPlan) -> dict[str, Any]:
    return {
        "SVC": {
            "jetstream": "enabled",
            "users": [
                _user(nkey, service_permissions(service), answers=True) for service, nkey in plan.services.items()
            ],
            "exports": [
                {"service": subjects.all_sends(), "response_type": "Singleton", "accounts": ["AGENTS"]},
                {"stream": subjects.all_inboxes(), "accounts": ["AGENTS"]},
                {"stream": subjects.all_presence(), "accounts": ["AGENTS"]},
            ],
        },
        "AGENTS": {
            "limits": {
                "max_conn": AGENT_MAX_CONNECTIONS,
                "max_subs": AGENT_MAX_SUBSCRIPTIONS,
                "max_payload": AGENT_MAX_BYTES,
            },
            "imports": [
                *(_service_import(service) for service in SERVICES),
                {"stream": {"account": "SVC", "subject": subjects.all_inboxes()}},
                {"stream": {"account": "SVC", "subject": subjects.all_presence()}},
            ],
        },
        "AUTH": {"users": [_user(plan.auth, login_permissions(), answers=True)]},
        "SYS": {"users": [_user(plan.system, system_permissions(), answers=False)]},
    }


def _service_import(service: str) -> dict[str, Any]:
    imported = {"service": {"account": "SVC", "subject": subjects.sends_to(service, ">")}}
    # share: the server adds the header Nats-Request-Info, which names the user and the connection that really ask.
    # Only identity needs it, and it is dear on every envelope. Elsewhere that header is the agent's word.
    return imported | {"share": True} if service == "identity" else imported


def _user(nkey: str, permissions: Permissions, *, answers: bool) -> dict[str, Any]:
    allowed: dict[str, Any] = {"publish": _list(permissions.publish), "subscribe": _list(permissions.subscribe)}
    if answers:
        allowed["allow_responses"] = {"max": 1, "expires": f"{ANSWER_SECONDS}s"}
    return {"nkey": nkey, "permissions": allowed}


def _list(allowed: tuple[str, ...]) -> Any:
    # An empty list would allow everything.
    return {"allow": allowed} if allowed else {"deny": [">"]}


def _callout(plan: ServerPlan) -> dict[str, Any]:
    return {
        "issuer": plan.issuer,
        "account": "AUTH",
        "auth_users": [plan.auth],
        # Without this list the services' users would be asked about, too.
        "allowed_accounts": ["AGENTS"],
        "xkey": plan.xkey,
    }
