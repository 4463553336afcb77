"""What the TURN server itself does and refuses, with nothing of ours in between."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aioice.stun import TransactionFailed
from tests.turn.allocations import allocated
from tests.turn.coturn import Coturn, credentials

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAUTHORIZED = 401
FORBIDDEN = 403
QUOTA_REACHED = 486


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_what_one_sends_reaches_the_other(coturn: Coturn, transport: str) -> None:
    """Two allocations carry bytes to each other, whatever the way to the server."""
    async with allocated(coturn, "alice", transport=transport) as alice, allocated(coturn, "bob") as bob:
        await bob.permit(alice.address)
        await alice.permit(bob.address)

        assert b"hello" == await bob.heard()


@pytest.mark.parametrize(
    "login",
    [
        pytest.param(credentials("alice", seconds=-5), id="expired"),
        pytest.param(credentials("alice", secret="of somebody else"), id="of another secret"),
        pytest.param(("alice", "password"), id="without an expiry"),
        pytest.param((credentials("mallory")[0], credentials("alice")[1]), id="for another name"),
    ],
)
async def test_bad_credentials_are_refused(coturn: Coturn, login: tuple[str, str]) -> None:
    """Nothing is allocated for credentials that expired or were not made with the secret for that name."""
    with pytest.raises(TransactionFailed) as refused:
        async with allocated(coturn, "alice", login=login):
            pass

    assert UNAUTHORIZED == refused.value.response.error_code


async def test_quota_counts_the_agent_and_not_the_credentials(tmp_path: Path) -> None:
    """New credentials give an agent no further allocations, and take none from another agent."""
    async with Coturn(tmp_path, options=["user-quota=2"]) as server, AsyncExitStack() as stack:
        for seconds in (600, 601):
            await stack.enter_async_context(allocated(server, "alice", login=credentials("alice", seconds=seconds)))
        with pytest.raises(TransactionFailed) as refused:
            await stack.enter_async_context(allocated(server, "alice", login=credentials("alice", seconds=602)))
        await stack.enter_async_context(allocated(server, "bob"))

        assert QUOTA_REACHED == refused.value.response.error_code


@pytest.mark.parametrize(
    "host",
    ["0.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.168.1.1"],
)
async def test_private_peers_are_refused(coturn: Coturn, host: str) -> None:
    """The server carries nothing into the networks that it stands in, nor to the metadata of a cloud."""
    async with allocated(coturn, "mallory") as mallory:
        with pytest.raises(TransactionFailed) as refused:
            await mallory.permit((host, 80))

        assert FORBIDDEN == refused.value.response.error_code


@pytest.mark.parametrize("host", ["127.0.0.1", "224.0.0.1"])
async def test_loopback_and_multicast_are_refused(tmp_path: Path, host: str) -> None:
    """Without the option that only tests need, the server reaches neither its own machine nor a group."""
    async with Coturn(tmp_path, options=["denied-peer-ip=127.0.0.0-127.255.255.255"]) as server:
        async with allocated(server, "mallory") as mallory:
            with pytest.raises(TransactionFailed) as refused:
                await mallory.permit((host, 80))

        assert FORBIDDEN == refused.value.response.error_code


async def test_secrets_can_be_changed_without_a_gap(tmp_path: Path) -> None:
    """While two secrets are configured, credentials of either are believed."""
    async with Coturn(tmp_path, options=["static-auth-secret=the next one"]) as server:
        async with allocated(server, "alice") as old:
            assert server.host == old.address[0]
        async with allocated(server, "alice", login=credentials("alice", secret="the next one")) as new:
            assert server.host == new.address[0]


async def test_killed_server_comes_back_on_its_ports(tmp_path: Path) -> None:
    """SIGKILL and a start later, clients find it where it was."""
    async with Coturn(tmp_path) as server:
        before = server.ports
        await server.kill()
        await server.start()
        async with allocated(server, "alice", transport="tls") as alice:
            assert server.host == alice.address[0]

        assert before == server.ports
