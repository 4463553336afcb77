"""What an agent tells of itself when it registers."""

from collections.abc import Sequence

import msgspec

from aiconexus.protocol.bodies import Policy, Register
from aiconexus.protocol.did import key_text_of


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Its name, what it can do apart from what is defined later, and who may write to it."""

    did: str
    name: str | None
    capabilities: tuple[str, ...]
    policy: Policy
    callers: tuple[str, ...]

    def register(self, challenge: str | None, capabilities: Sequence[str], codecs: tuple[int, ...]) -> Register:
        """
        The body of REGISTER.

        Args:
            challenge: What the platform wants repeated.
            capabilities: Those that were defined since.
            codecs: What the agent reads, the preferred first.

        """
        return Register(
            public_key=key_text_of(self.did),
            challenge=challenge,
            name=self.name,
            capabilities=tuple(dict.fromkeys((*self.capabilities, *capabilities))),
            codecs=codecs,
            policy=self.policy,
            callers=self.callers,
        )
