"""Say things in the agent's name: ids, the clock and the key come together here."""

from typing import Any, NamedTuple

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec, compose


class Spoken(NamedTuple):
    """A sealed envelope and its id."""

    id: str
    sealed: bytes


class Voice:
    """
    Seals bodies.

    Args:
        key: The agent's.

    """

    def __init__(self, key: SigningKey) -> None:
        self.key = key

    @property
    def did(self) -> str:
        """Who speaks."""
        return self.key.did

    def say(self, body: Body, recipient: str, codec: Codec, **fields: Any) -> Spoken:
        """
        Seal an envelope.

        Raises:
            EnvelopeTooLarge: If nobody would accept it.
            MalformedEnvelope: If the codec cannot express it.

        """
        given = fields.pop("id_", None)
        id_ = new_id() if given is None else given
        created_ms = fields.pop("now_ms", None) or now_ms()
        return Spoken(id_, compose(body, self.key, recipient, id_=id_, now_ms=created_ms, codec=codec, **fields))
