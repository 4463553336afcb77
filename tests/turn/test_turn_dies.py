"""What becomes of the mail of two agents when the TURN server between them dies, and when it is back."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sdk_agents import Host
from tests.turn.correspondence import Correspondence
from tests.turn.coturn import Coturn
from tests.turn.hiding import TRANSPORTS, hidden

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELAY_SECONDS = 3.2
"""Three seconds, and what a busy machine adds."""
IMPATIENT = {"heal_first_seconds": 1.0, "heal_max_seconds": 2.0}
"""Attempts follow each other quickly, so that a test need not wait for the next."""


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_mail_goes_on_when_turn_is_killed(host: Host, tmp_path: Path, transport: str) -> None:
    """Back on the relay in three seconds, then through TURN again; nothing is lost, doubled or out of order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "coturn" / "turn.crt"))
        async with Coturn(tmp_path / "coturn") as server:
            servers = [server.server(transport, user) for user in ("alice", "bob")]
            alice, bob = [await hidden(host, each, **IMPATIENT) for each in servers]
            peer = await alice.connect_to(bob.did)
            back = road_again(peer, "turn")
            async with Correspondence(alice, bob) as mail:
                await mail.go_on(20)
                await server.kill()
                killed = time.monotonic()
                await mail.go_on(80)
                silence = mail.silence_after(killed)
                roads = mail.sides[0].roads
                await server.start()
                async with asyncio.timeout(60):
                    await back.wait()
                await mail.go_on(20)
                await mail.settle()
            await host.close()

    print(f"TURN by {transport} killed: {silence:.2f} s until mail came by the relay")  # noqa: T201
    assert {"turn", "relay"} <= roads
    assert silence <= RELAY_SECONDS
    assert mail.is_whole


def road_again(peer: Any, road: str) -> asyncio.Event:
    """Set when a peer takes a road that it had left."""
    event = asyncio.Event()

    @peer.on_road  # type: ignore[untyped-decorator]
    def note(now: str) -> None:
        if now == road:
            event.set()

    return event
