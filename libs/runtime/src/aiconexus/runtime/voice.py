"""What a service says, sealed with its key."""

from typing import Any

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.problems import report
from aiconexus.protocol.seal import Codec, compose


class Voice:
    """
    Seals bodies in the name of one key.

    Args:
        key: The service's.

    """

    def __init__(self, key: SigningKey) -> None:
        self.key = key

    @property
    def did(self) -> str:
        """Whose voice it is."""
        return self.key.did

    def say(
        self,
        body: Body,
        to: str | None,
        *,
        codec: Codec = Codec.MSGPACK,
        id_: str | None = None,
        limit: int = REPLY_MAX_BYTES,
        **fields: Any,
    ) -> bytes:
        """
        Seal a body, created now under a fresh id.

        Args:
            body: What to say.
            to: A DID, or None for what is said to everybody.
            codec: What the recipient can read.
            id_: Instead of a fresh one.
            limit: Bytes that the recipient accepts.
            fields: More fields of the envelope: ``in_reply_to``, ``expires_ms``, …

        Raises:
            EnvelopeTooLarge: If the recipient would not accept it.

        """
        return compose(body, self.key, to, id_=id_ or new_id(), now_ms=now_ms(), codec=codec, limit=limit, **fields)

    def complain(
        self,
        error: AiconexusError,
        to: str,
        *,
        codec: Codec = Codec.MSGPACK,
        in_reply_to: str | None = None,
    ) -> bytes:
        """Seal the ERROR envelope for an error of ours; an error without a row in ``problems`` shows no details."""
        return self.say(report(error), to, codec=codec, in_reply_to=in_reply_to)
