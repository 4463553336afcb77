"""What an operator can set for identity, beside what every service has."""

from typing import Annotated

from msgspec import Meta

from aiconexus.runtime.settings import AccountSeed, CurveSeed, Seconds, ServiceSettings, UserSeed


class IdentitySettings(ServiceSettings, frozen=True, kw_only=True):
    """Variables AICONEXUS_IDENTITY_…; the four seeds come from files, as the first one does."""

    auth_seed: UserSeed
    """The responder's login in the account AUTH."""
    system_seed: UserSeed
    """The login in the system account, which sees who connects, and disconnects others."""
    issuer_seed: AccountSeed
    """Signs the JWTs that let agents in."""
    xkey_seed: CurveSeed
    """Opens the server's login requests."""
    agent_timeout_seconds: Seconds = 300.0
    """How long an agent stays present of whom nothing is known."""
    cleanup_seconds: Seconds = 60.0
    """Between two comparisons of what is recorded with what the servers say."""
    heartbeat_seconds: Seconds = 30.0
    """How often an agent should give a sign of life."""
    agent_jwt_seconds: Annotated[int, Meta(ge=1)] = 86_400
    """How long a login lasts; the agent then logs in again."""
    registry_max_agents: Annotated[int, Meta(ge=1)] = 100_000
    """Keys cost nothing to make, so the registry ends somewhere."""
    bucket_replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """Servers that hold the registry."""
    bus_log_file: str | None = None
    """The log of nats-server, where this service can read it: what the server refuses to agents is counted from it."""
