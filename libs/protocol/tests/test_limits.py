"""The constants fit each other."""

import base64

from aiconexus.protocol import limits
from aiconexus.protocol.bodies import AgentCard, Agents, Mail, MailItem, Message
from aiconexus.protocol.seal import Codec, split, unseal
from aiconexus.protocol.text import frame_of, parts_of

from .samples import ALICE, RELAY, sealed


def test_full_page_of_mail_fits_an_answer() -> None:
    """A page of the most payload bytes and the most entries passes in either codec."""
    size = limits.PAGE_MAX_BYTES // limits.PAGE_MAX
    item = MailItem(sequence=2**53 - 1, previous=2**53 - 1, codec=1, payload=bytes(size), signature=bytes(64))
    body = Mail(items=(item,) * limits.PAGE_MAX, pending=2**53 - 1)
    for codec in Codec:
        data = sealed(body, key=RELAY, codec=codec, limit=limits.REPLY_MAX_BYTES)

        assert body == unseal(data, limits.REPLY_MAX_BYTES).body


def test_largest_json_envelope_fits_a_frame() -> None:
    """Whatever an agent may seal in JSON, it may send as text."""
    spare = limits.ENVELOPE_MAX_BYTES - len(sealed(Message(content=""), codec=Codec.JSON, limit=limits.REPLY_MAX_BYTES))
    letter = split(sealed(Message(content="x" * (spare - 8)), codec=Codec.JSON))
    frame = frame_of(letter.payload, letter.signature, 2**53 - 1, 2**53 - 1)

    assert letter.payload == parts_of(frame)[0]


def test_largest_binary_envelope_fits_the_opaque_form() -> None:
    """Whatever lies in a mailbox can be handed to a JSON agent as one frame."""
    opaque = len(base64.b64encode(bytes(limits.ENVELOPE_MAX_BYTES))) + 256

    assert opaque < limits.TEXT_MAX_BYTES


def test_page_of_cards_fits_an_answer() -> None:
    """A page of the largest cards passes."""
    card = AgentCard(
        did=ALICE.did,
        name="\U0001f30d" * 256,
        capabilities=("c" * limits.CAPABILITY_MAX_CHARACTERS,) * limits.CAPABILITIES_MAX,
        codecs=(255,) * 8,
        since_ms=2**53 - 1,
        registered_ms=2**53 - 1,
    )
    body = Agents(agents=(card,) * limits.PAGE_MAX, cursor=ALICE.token)

    for codec in Codec:
        sealed(body, key=RELAY, codec=codec, limit=limits.REPLY_MAX_BYTES)
