import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.session import Session
from aiconexus.bus.testing import NatsServer, running
from aiconexus.protocol.keys import SigningKey


@pytest.fixture
def key() -> SigningKey:
    """The one user of the test's server."""
    return SigningKey(os.urandom(32))


@pytest.fixture
async def server(tmp_path: Path, key: SigningKey) -> AsyncIterator[NatsServer]:
    """A nats-server with JetStream that knows the one user."""
    config = (
        f'jetstream {{ store_dir: "{tmp_path}/jetstream", max_file_store: 1000000000 }}\n'
        f"authorization {{ users: [ {{ nkey: {user_nkey(key.public_key)} }} ] }}\n"
    )
    async with running(tmp_path, config) as server:
        yield server


@pytest.fixture
async def session(server: NatsServer, key: SigningKey) -> AsyncIterator[Session]:
    """A session of the one user."""
    session = await Session.connect([server.url], key, name="test", inbox_prefix="_INBOX.test")
    yield session
    await session.close()
