"""What an operator may set; everything else is a constant of the protocol or stands beside what it governs."""

from typing import Annotated

from msgspec import Meta

from aiconexus.protocol.limits import ICE_SERVERS_MAX
from aiconexus.runtime.settings import SecretText, ServiceSettings
from aiconexus.signaling.addresses import Address, address_of

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class SignalingSettings(ServiceSettings, frozen=True, kw_only=True):
    """``AICONEXUS_SIGNALING_<NAME>``."""

    sender_rate_per_second: Positive = 200
    """Live envelopes per second that one agent may hand to one replica in the long run."""

    sender_burst: Positive = 1_000
    """How many it may hand over at once after a rest."""

    senders_max: Positive = 100_000
    """Agents whose budgets and records are remembered; the one that was quiet longest is forgotten first."""

    registry_cache_seconds: Seconds = 3.0
    """How long a registry or presence record counts after it was read: a revocation takes this long at most."""

    stun_urls: tuple[str, ...] = ()
    """STUN servers that agents may use, such as `stun:turn.example.org:3478`, separated by commas."""

    turn_urls: tuple[str, ...] = ()
    """TURN servers likewise, one entry for each transport: `turn:turn.example.org:3478?transport=udp`, `turns:…`."""

    turn_secret: SecretText | None = None
    """What the TURN servers know as `static-auth-secret`; needed where there are any."""

    turn_old_secret: SecretText | None = None
    """The secret before, for servers that do not take the new one yet."""

    turn_login_seconds: Positive = 600
    """How long an agent may ask a TURN server for allocations with the login that it got."""

    turn_authorities_file: str | None = None
    """Certificates that `turns:` servers may be signed with, instead of the system's."""

    probe_seconds: Seconds = 20.0
    """Between two probes of a server that works; with the defaults, one that died is named for 30 s at most."""

    probe_hosts: tuple[Annotated[str, Meta(pattern=r"^[^=]+=[^=]+$")], ...] = ()
    """`HOST=OTHER`: servers at the first are probed at the second, because they are reached there from here."""

    probe_deadline_seconds: Annotated[float, Meta(gt=0, le=10)] = 2.0
    """How long one probe may take."""

    probe_again_seconds: Seconds = 1.0
    """How soon a server is probed again after a failure."""

    probe_failures_max: Positive = 3
    """After how many failures in a row a server is not named any more."""

    breaker_seconds: Seconds = 5.0
    """How long it is then left alone; twice as long after each further failure."""

    breaker_max_seconds: Seconds = 60.0
    """The longest that it is left alone."""

    question_rate_per_second: Positive = 1
    """LIST_SERVERS per second that one agent may put to one replica in the long run."""

    question_burst: Positive = 30
    """How many at once after a rest."""

    incident_rate_per_second: Positive = 1
    """INCIDENT likewise."""

    incident_burst: Positive = 60
    """Likewise."""

    def __post_init__(self) -> None:
        """Refuse servers that nobody could reach."""
        addresses = self.addresses
        if len(addresses) > ICE_SERVERS_MAX:
            message = f"STUN_URLS and TURN_URLS together name {len(addresses)} servers, and {ICE_SERVERS_MAX} is all"
            raise ValueError(message)
        for name, is_turn in (("STUN_URLS", False), ("TURN_URLS", True)):
            strange = [url for url in getattr(self, name.lower()) if address_of(url).is_turn is not is_turn]
            if strange:
                message = f"{name} holds {', '.join(strange)}"
                raise ValueError(message)
        if self.turn_urls and self.turn_secret is None:
            message = "TURN_URLS is set, but TURN_SECRET_FILE is not"
            raise ValueError(message)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Of all servers, each once."""
        return tuple(address_of(url) for url in dict.fromkeys((*self.stun_urls, *self.turn_urls)))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Of the TURN servers, the current one first."""
        return tuple(secret for secret in (self.turn_secret, self.turn_old_secret) if secret is not None)
