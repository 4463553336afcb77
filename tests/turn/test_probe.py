"""Signaling's probes of a real coturn; ``services/signaling/tests/test_probe.py`` has those of what is none."""

import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.turn.allocations import allocated
from tests.turn.coturn import SECRET, Coturn

from aiconexus.signaling.addresses import address_of
from aiconexus.signaling.credentials import Login, login_of
from aiconexus.signaling.probe import Fault, ProbeFailed, Prober


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def coturn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Coturn]:
    """A TURN server that tells what it does."""
    async with Coturn(tmp_path_factory.mktemp("coturn"), options=["verbose"]) as server:
        yield server


def login(secret: str = SECRET, seconds: int = 60, user: str = "probe") -> Login:
    """Of ours, good for a minute."""
    return login_of(secret, user, int(time.time()) + seconds)


def prober(server: Coturn | None = None, deadline_seconds: float = 5.0) -> Prober:
    """One that trusts the server's certificate."""
    return Prober(deadline_seconds, str(server.authority) if server else None)


async def fault_of(attempt: Awaitable[object]) -> Fault:
    """Why a probe failed."""
    with pytest.raises(ProbeFailed) as caught:
        await attempt
    return caught.value.fault


@pytest.mark.asyncio(loop_scope="module")
class TestCoturn:
    @pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
    async def test_a_server_that_works_is_measured(self, coturn: Coturn, transport: str) -> None:
        """Over each transport an allocation is made, and one round trip is measured."""
        probed = await prober(coturn).probe(address_of(coturn.url(transport)), [login()])

        assert 0 < probed.seconds < 1
        assert 0 == probed.login

    async def test_allocations_are_released_at_once(self, coturn: Coturn) -> None:
        """The server forgets what it made for a probe within seconds, not when its time is over."""
        probe = login(user="released")
        await prober().probe(address_of(coturn.url("udp")), [probe])

        assert await coturn.logged(f"delete: realm=<turn.test>, username=<{probe.username}>")

    async def test_a_stun_server_is_asked_for_our_address(self, coturn: Coturn) -> None:
        """A binding needs no login."""
        probed = await prober().probe(address_of(f"stun:127.0.0.1:{coturn.ports.plain}"))

        assert 0 < probed.seconds < 1

    async def test_stun_over_tls(self, coturn: Coturn) -> None:
        """A binding over TLS likewise."""
        probed = await prober(coturn).probe(address_of(f"stuns:127.0.0.1:{coturn.ports.tls}"))

        assert 0 < probed.seconds < 1

    @pytest.mark.parametrize("bad", [login("another secret"), login(seconds=-60)], ids=["another secret", "expired"])
    async def test_another_secret_is_found_out(self, coturn: Coturn, bad: Login) -> None:
        """A server that does not believe our logins is of no use to agents."""
        assert Fault.UNAUTHORIZED is await fault_of(prober().probe(address_of(coturn.url("udp")), [bad]))

    async def test_the_login_that_the_server_knows_is_found(self, coturn: Coturn) -> None:
        """While the secret changes, the old one is tried where the new one is not known yet."""
        probed = await prober().probe(address_of(coturn.url("udp")), [login("the next secret"), login()])

        assert 1 == probed.login

    async def test_an_untrusted_certificate_is_a_fault(self, coturn: Coturn) -> None:
        """TLS to whoever answers would be none."""
        assert Fault.UNREACHABLE is await fault_of(prober().probe(address_of(coturn.url("tls")), [login()]))


async def test_a_server_that_allocates_nothing_is_refused(tmp_path: Path) -> None:
    """An open port proves nothing: this server is there and believes us, but has given all it may."""
    async with Coturn(tmp_path, options=["user-quota=1"]) as full, allocated(full, "probe"):
        fault = await fault_of(prober().probe(address_of(full.url("udp")), [login()]))

    assert Fault.REFUSED is fault
