"""Questions to the platform's services: signed by us, answered by them and nobody else."""

import asyncio
from typing import TypeVar

from aiconexus.protocol.bodies import Body, Ping, PlatformInfo, Pong, ReceiptItem
from aiconexus.protocol.errors import BusUnavailable, EnvelopeError, IdentityError
from aiconexus.sdk.answers import check_answer, receipt_for
from aiconexus.sdk.road import Road
from aiconexus.sdk.voice import Spoken, Voice

REQUEST_SECONDS = 5.0
SUBMIT_SECONDS = 4.0
"""Then the same envelope is submitted again: the relay that had it may be dead, and its id stores it once at most."""

Answer = TypeVar("Answer", bound=Body)


class Services:
    """
    Whom an agent may ask.

    Args:
        voice: Signs.
        road: Carries.

    """

    def __init__(self, voice: Voice, road: Road) -> None:
        self.voice = voice
        self.road = road
        self.dids: dict[str, str] = {}
        self._sequence = 0

    def meet(self, info: PlatformInfo) -> None:
        """Learn who the services are, from a PLATFORM envelope that was believed."""
        self.dids = dict(info.services)
        self.road.trusted = frozenset(info.services.values())

    def did_of(self, service: str) -> str:
        """
        Who a service is.

        Raises:
            BusUnavailable: If the platform did not tell, or we never met it.

        """
        did = self.dids.get(service)
        if did is None:
            raise BusUnavailable((service,), "the platform has no such service, or it was never reached")
        return did

    async def ask(
        self,
        service: str,
        body: Body,
        expected: type[Answer],
        *,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> Answer:
        """
        Put a signed request to a service.

        Raises:
            RemoteProblem: If it refuses.
            BusError: If it does not answer.

        """
        spoken = self.voice.say(body, self.did_of(service), self.road.codec)
        verb = body.TYPE.lower()
        answer = await self._request(service, verb, spoken, self.did_of(service), timeout_seconds)
        if not isinstance(answer, expected):
            raise _unusable(service, f"{answer.TYPE} to {body.TYPE}")
        return answer

    async def submit(self, spoken: Spoken) -> ReceiptItem:
        """
        Have an envelope stored in its recipient's mailbox.

        Raises:
            RemoteProblem: If the relay refuses it.
            BusError: If no answer came; it may be stored nevertheless.

        """
        return await self._hand_over("relay", "submit", spoken, SUBMIT_SECONDS)

    async def forward(self, spoken: Spoken) -> ReceiptItem:
        """
        Have a live envelope handed to its recipient now.

        Raises:
            RemoteProblem: If the recipient is not there or refuses.
            BusError: If no answer came.

        """
        return await self._hand_over("signaling", "forward", spoken, REQUEST_SECONDS)

    async def ping(self, service: str, timeout_seconds: float = REQUEST_SECONDS) -> float:
        """
        Measure the way to a service and back.

        Returns:
            Seconds.

        Raises:
            BusError: If it does not answer.

        """
        self._sequence += 1
        began = asyncio.get_running_loop().time()
        pong = await self.ask(service, Ping(sequence=self._sequence), Pong, timeout_seconds=timeout_seconds)
        if pong.sequence != self._sequence:
            raise _unusable(service, "the PONG of another PING")
        return asyncio.get_running_loop().time() - began

    async def _hand_over(self, service: str, verb: str, spoken: Spoken, timeout_seconds: float) -> ReceiptItem:
        answer = await self._request(service, verb, spoken, self.did_of(service), timeout_seconds)
        item = receipt_for(answer, spoken.id)
        if item is None:
            raise _unusable(service, f"{answer.TYPE} to {verb}")
        return item

    async def _request(self, service: str, verb: str, spoken: Spoken, signer: str, timeout_seconds: float) -> Body:
        try:
            letter = await self.road.request(service, verb, spoken.sealed, spoken.id, timeout_seconds)
            return check_answer(letter, spoken.id, self.voice.did, signer, self.road.trusted)
        except (EnvelopeError, IdentityError) as error:
            raise _unusable(service, str(error)) from error


def _unusable(service: str, reason: str) -> BusUnavailable:
    """What is no answer leaves us without one: the request itself may well be good."""
    return BusUnavailable((service,), f"its answer is none: {reason}")
