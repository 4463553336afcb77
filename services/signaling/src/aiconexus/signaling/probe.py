"""
Whether a server does its work, found out by having it do some.

A TURN server makes an allocation for us and releases it at once; a STUN server says which address we come from. An
open port alone would prove nothing: a server with another secret, or without a port left to relay from, has one too.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from aioice import stun
from aioice.turn import DEFAULT_CHANNEL_REFRESH_TIME, TurnClientTcpProtocol, TurnClientUdpProtocol

from aiconexus.signaling.addresses import Address
from aiconexus.signaling.credentials import Login

ALLOCATION_SECONDS = 60
"""For how long an allocation is asked for; one that we could not release ends by then."""

UNAUTHORIZED = 401

Client = TurnClientTcpProtocol | TurnClientUdpProtocol


class Fault(StrEnum):
    """Why a server is not listed."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    REFUSED = "refused"


class ProbeFailed(Exception):
    """The server did not do what was asked; ``detail`` is for the log."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail


class Probed(msgspec.Struct, frozen=True):
    """What a successful probe found: one round trip in seconds, and which of the logins was accepted."""

    seconds: float
    login: int = 0


class Prober:
    """
    Asks servers for their work.

    Args:
        deadline_seconds: How long one attempt may take, whatever the server does.
        authorities: A file with certificates that TLS trusts instead of the system's.
        hosts: Where servers are reached from here, by their hosts, where that is another place than for agents.

    """

    def __init__(
        self, deadline_seconds: float, authorities: str | None = None, hosts: Mapping[str, str] | None = None
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._hosts = hosts or {}
        self._tls = ssl.create_default_context(cafile=authorities)

    async def probe(self, address: Address, logins: Sequence[Login] = ()) -> Probed:
        """
        Have a server do some work.

        Args:
            address: Of the server.
            logins: For a TURN server; the first that it accepts counts.

        Raises:
            ProbeFailed: If it does not.

        """
        if not address.is_turn:
            return Probed(await self._attempt(address, None))
        for number, login in enumerate(logins[:-1]):
            try:
                return Probed(await self._attempt(address, login), number)
            except ProbeFailed as error:
                if error.fault is not Fault.UNAUTHORIZED:
                    raise
        return Probed(await self._attempt(address, logins[-1]), len(logins) - 1)

    async def _attempt(self, address: Address, login: Login | None) -> float:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                client = await self._connect(address, login)
                return await (_bind(client) if login is None else _allocate(client))
        except TimeoutError as error:
            raise ProbeFailed(Fault.TIMEOUT, f"{self._deadline_seconds:g} s") from error
        except stun.TransactionFailed as error:
            is_login = error.response.error_code == UNAUTHORIZED
            raise ProbeFailed(Fault.UNAUTHORIZED if is_login else Fault.REFUSED, str(error)) from error
        except stun.TransactionError as error:
            raise ProbeFailed(Fault.TIMEOUT, str(error)) from error
        except OSError as error:  # the TLS handshake's errors are some, too, and what aioice makes of a broken answer
            raise ProbeFailed(Fault.UNREACHABLE, str(error)) from error

    async def _connect(self, address: Address, login: Login | None) -> Client:
        loop, place = asyncio.get_running_loop(), (self._hosts.get(address.host, address.host), address.port)
        given = (
            place,
            login.username if login else None,
            login.credential if login else None,
            ALLOCATION_SECONDS,
            DEFAULT_CHANNEL_REFRESH_TIME,
        )
        if address.transport == "udp":
            _, udp = await loop.create_datagram_endpoint(lambda: TurnClientUdpProtocol(*given), remote_addr=place)
            return udp
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": address.host} if address.is_secure else {}
        _, tcp = await loop.create_connection(lambda: TurnClientTcpProtocol(*given), *place, **tls)
        return tcp


async def _bind(client: Client) -> float:
    """Have the address told that the server sees; the seconds that it took."""
    began = time.perf_counter()
    try:
        await client.request(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST))
    finally:
        client.transport.close()
    return time.perf_counter() - began


async def _allocate(client: Client) -> float:
    """Have an allocation made; the seconds that its release took, which is one round trip, without any handshake."""
    try:
        await client.connect()
        began = time.perf_counter()
        await client.delete()
    finally:
        client.transport.close()
    return time.perf_counter() - began
